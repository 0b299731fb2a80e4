"""The card of an optimised picture: from what it was made, how, and how far the objective fell."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

import fast_nst
from fast_nst.optimization_settings import STARTS, OptimizeSettings

PICTURES = ("content", "style", "masks", "start", "loss_weights")
LEFT_OUT = {*PICTURES, "output", "video", "name", "checkpoints", "resume", "overwrite", "progress"}
LICENCE_NOTES = "The picture derives from the photograph and the style pictures; their licences apply to what you publish."


def card_of(settings: OptimizeSettings, name: str, record: dict[str, Any]) -> dict:
    """Plain values for ``card.json``; files by name and hash, no paths of this machine.

    Args:
        record: size, steps, evaluations, restarts, seconds and losses of the run.
    """
    return {
        "name": name,
        **{key: _files(getattr(settings, key)) for key in PICTURES},
        "settings": {key: value for key, value in asdict(settings).items() if key not in LEFT_OUT},
        **record,
        "machine": {"device": _device(settings), "threads": torch.get_num_threads(), "python": platform.python_version()},
        "versions": {"fast_nst": fast_nst.__version__, "torch": torch.__version__},
        "date": datetime.now(timezone.utc).date().isoformat(),
        "licence_notes": LICENCE_NOTES,
    }


def readme_of(card: dict) -> str:
    """The card as a page to read."""
    lines = [f"# {card['name']}", "", "A picture by per-image optimisation with fast_nst.", "", "![result](result.png)", ""]
    lines += ["| | |", "|---|---|"]
    kept = {key: value for key, value in card.items() if key not in ("name", "licence_notes") and value not in (None, [])}
    lines += [f"| {key.replace('_', ' ')} | {_readable(value)} |" for key, value in kept.items()]
    return "\n".join([*lines, "", card["licence_notes"], ""])


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_readable(item)}" for key, item in value.items() if item not in (None, []))
    return " ".join(map(_readable, value)) if isinstance(value, list) else str(value)


def _files(value: str | list | None) -> Any:
    if isinstance(value, list):
        return [_files(item) for item in value]
    if value is None or value in STARTS:
        return value
    if Path(value).is_dir():
        return Path(value).name
    return {"file": Path(value).name, "sha256": hashlib.sha256(Path(value).read_bytes()).hexdigest()[:16]}


def _device(settings: OptimizeSettings) -> str:
    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    return torch.cuda.get_device_name() if on_gpu else platform.machine()
