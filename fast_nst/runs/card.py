"""Cards of runs: the data, settings, losses and licenses of a trained style or an optimized picture."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

import fast_nst
from fast_nst.errors import UserError
from fast_nst.networks.weights import find_weights
from fast_nst.settings.optimize import STARTS, OptimizeSettings
from fast_nst.settings.train import TrainSettings

MODEL_NOTES = (
    "The model derives from the style picture and the photographs; their licenses apply to what you publish. "
    "The loss network judged the training and is not part of the model; lite was distilled from VGG-19 (CC BY 4.0)."
)

PICTURES = ("content", "style", "masks", "start", "loss_weights")
LEFT_OUT = {*PICTURES, "output", "video", "name", "checkpoints", "resume", "overwrite", "progress"}
PICTURE_NOTES = "The picture derives from the photograph and the style pictures; their licenses apply to what you publish."


class TrainingRecord(Protocol):
    """Figures of a training for its card: seconds spent in steps, photographs seen, precision, and losses by name."""

    seconds: float
    photos: int
    precision: str
    losses: dict[str, Tensor]


def card_of_training(
    settings: TrainSettings, name: str, network: dict, record: TrainingRecord, held_out: dict[str, float], steps: int
) -> dict:
    """Plain values for ``card.json`` and the ONNX model's metadata; files by name and hash, no paths of this machine.

    Args:
        steps: the steps made, which are fewer than those of the settings where the Trainer ended the run.
    """
    content = {
        "style": "drawn by fast_nst" if settings.style is None else _files(settings.style),
        "data": _data(settings.data),
        "base": _base(settings),
        "network": dict(network),
        "loss_network": {
            "name": settings.loss_network,
            "weights": _files(settings.loss_weights) or "shipped or torchvision's",
        },
        "loss": vars(settings.loss) | {},
        "optimizer": vars(settings.optimizer) | {},
        "sizes": _sizes(settings),
        "seed": settings.seed,
        "steps": steps,
        "planned_steps": settings.steps if settings.steps != steps else None,
        "precision": record.precision,
        "photographs_seen": record.photos,
        "seconds": round(record.seconds, 1),
        "images_per_second": round(record.photos / record.seconds, 2) if record.seconds else None,
        "final_losses": {key: round(float(value), 4) for key, value in record.losses.items()},
        "preview_losses": held_out,
    }
    return _card(name, content, _device(), MODEL_NOTES)


def card_of_optimization(settings: OptimizeSettings, name: str, record: dict[str, Any]) -> dict:
    """Plain values for ``card.json``; files by name and hash, no paths of this machine.

    Args:
        record: size, steps, evaluations, restarts, seconds and losses of the run.
    """
    content = {key: _files(getattr(settings, key)) for key in PICTURES}
    content["settings"] = {key: value for key, value in asdict(settings).items() if key not in LEFT_OUT}
    return _card(name, content | record, _device(settings.device), PICTURE_NOTES)


def _card(name: str, content: dict[str, Any], device: str, notes: str) -> dict[str, Any]:
    """``content`` between the name of the run and what every card tells of its machine."""
    return {
        "name": name,
        **content,
        "machine": {"device": device, "threads": torch.get_num_threads(), "python": platform.python_version()},
        "versions": {"fast_nst": fast_nst.__version__, "torch": torch.__version__},
        "date": datetime.now(timezone.utc).date().isoformat(),
        "license_notes": notes,
    }


def readme_of_training(card: dict) -> str:
    """The card of a training as a page to read."""
    use = "A style model for fast_nst: `fast-nst stylize photo.jpg --style <this folder> --output out.jpg`."
    return _page(card, use, "![photographs beside their results](previews/final.png)")


def readme_of_optimization(card: dict) -> str:
    """The card of a per-image optimization as a page to read."""
    return _page(card, "A picture by per-image optimization with fast_nst.", "![result](result.png)")


def _page(card: dict, what: str, picture: str) -> str:
    """A Markdown page: name, sentence, picture, a table of what is known, and the notes on licenses."""
    known = {key: value for key, value in card.items() if key not in ("name", "license_notes") and value not in (None, [])}
    rows = [f"| {key.replace('_', ' ')} | {_readable(value)} |" for key, value in known.items()]
    parts = [f"# {card['name']}", "", what, "", picture, "", "| | |", "|---|---|", *rows, "", card["license_notes"], ""]
    return "\n".join(parts)


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_readable(item)}" for key, item in value.items() if item not in (None, []))
    return " ".join(map(_readable, value)) if isinstance(value, list) else str(value)


def _files(value: Any) -> Any:
    """A file as its name and digest, a folder as its name, a list as one of such; a word that names no file as it is."""
    if isinstance(value, list):
        return [_files(item) for item in value]
    if value is None or value in STARTS:
        return value
    if Path(value).is_dir():
        return Path(value).name
    return {"file": Path(value).name, "sha256": hashlib.sha256(Path(value).read_bytes()).hexdigest()[:16]}


def _base(settings: TrainSettings) -> dict | None:
    """The network that training started from, and what of it was trained."""
    if settings.start is None:
        return None
    try:
        weights = _files(find_weights(settings.start))
    except UserError:  # moved since the start
        weights = {"file": Path(settings.start).name}
    return {"name": Path(settings.start).name, **weights, "finetune": settings.finetune}


def _data(data: str | list[str] | None) -> str | list[str]:
    if data is None:
        return "scenes drawn by fast_nst"
    return [Path(folder).name for folder in ([data] if isinstance(data, str) else data)]


def _sizes(settings: TrainSettings) -> dict[str, int]:
    sizes = {"style": settings.style_size, "crop": settings.image_size, "border": settings.border()}
    return sizes | {"batch": settings.batch_size}


def _device(allowed: str = "auto") -> str:
    """The name of the GPU, or of the processor's kind where there is none or ``allowed`` is cpu."""
    on_gpu = allowed != "cpu" and torch.cuda.is_available()
    return torch.cuda.get_device_name() if on_gpu else platform.machine()
