"""The folder of a run, ``checkpoints/NAME/``, and its files.

config.yaml   every setting; training with it again repeats the run
sources.json  digests of the photographs, style pictures and weights, to know them after a move
step=...ckpt  checkpoints, and last.ckpt, the newest
NAME.onnx     the model
previews/     photographs beside their results, a grid a step
stages/       of per-image optimization: the picture on its way; stages.png shows them all, result.png is the last
events...     TensorBoard's
skipped.txt   photographs that could not be used, and why, if there were any
card.json     what was trained on what, for how long, to which losses
README.md     the same, to read
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from fast_nst.errors import UserError
from fast_nst.settings.config_file import check_config
from fast_nst.system.files import clear_unfinished, is_plain_name, is_unfinished, read_card, write_text

CHECKPOINTS = r"step=.*\.ckpt|last\.ckpt"
FREE_TO_CHANGE = {
    "resume",
    "moved",
    "overwrite",
    "steps",
    "minutes",
    "workers",
    "compile",
    "checkpoints",
    "preview_every",
    "checkpoint_every",
}
FREE_TO_CHANGE |= {"trainer", "preview_photos"}
FREE_TO_CHANGE |= {"output", "fine_steps", "save_every", "video", "video_every", "low_memory", "device", "progress"}


class RunFolder:
    """Paths of the run called ``name`` under ``root``."""

    def __init__(self, root: str | Path, name: str | None) -> None:
        if name is None or not is_plain_name(name):
            raise UserError(f"a run's name is a plain word without slashes, got {name!r}; choose another --name")
        self.name, self.path = name, Path(root) / name
        self.config = self.path / "config.yaml"
        self.sources = self.path / "sources.json"
        self.last = self.path / "last.ckpt"
        self.onnx = self.path / f"{name}.onnx"
        self.previews = self.path / "previews"
        self.stages = self.path / "stages"
        self.skipped = self.path / "skipped.txt"
        self.card = self.path / "card.json"
        self.readme = self.path / "README.md"
        self._lock = FileLock(self.path / ".lock")

    def claim(self, config: dict, resume: bool, overwrite: bool, free: Collection[str] = ()) -> None:
        """Make the folder, or enter it, for this process alone until ``release``, and write ``config``.

        What a killed process left unfinished there is removed.

        Raises:
            UserError: another process trains there; it holds another run, or other files; there is nothing to resume,
                or the run to resume had other settings.
        """
        self.check(config, resume, overwrite, free)
        self._enter()
        for folder in (self.path, self.previews, self.stages):
            clear_unfinished(folder)
        if overwrite:
            self._clear()
        write_text(self.config, yaml.safe_dump(config, sort_keys=False))

    def check(self, config: dict, resume: bool, overwrite: bool, free: Collection[str] = ()) -> None:
        """Raise what ``claim`` would raise but for a lock, before any work is done.

        Args:
            free: settings that may differ from those of the run to resume, beside those that always may.
        """
        if resume:
            self._check_same_run(config, {*FREE_TO_CHANGE, *free})
        elif self.checkpoints() and not overwrite:
            raise UserError(
                f"{self.path} holds a run; --resume goes on with it, --overwrite replaces it, --name makes another"
            )
        if not self.config.exists() and self._other_files() and not (resume and self.checkpoints()):
            raise UserError(f"{self.path} holds files that are no run; choose another --name")

    def release(self) -> None:
        """Let other processes in."""
        self._lock.release()

    def _enter(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(f"{self.path} is in use by another process; wait for it or choose another --name") from error
        except OSError as error:
            raise UserError(f"cannot make {self.path}: {error.strerror}; choose another --checkpoints folder") from error

    def checkpoints(self) -> list[Path]:
        """Checkpoints to resume from: ``last.ckpt`` first, then the others, the furthest step first.

        None of them need be whole. Where there are none, the run ended before the first and may simply start again.
        """
        steps = sorted(self.path.glob("step=*.ckpt"), key=step_of, reverse=True)
        return [self.last, *steps] if self.last.exists() else steps

    def saved_config(self) -> dict:
        """Content of ``config.yaml``; empty where there is none.

        Raises:
            UserError: it is no config.
        """
        if not self.config.exists():
            return {}
        check_config(self.config)
        return yaml.safe_load(self.config.read_text(encoding="utf-8"))

    def check_sources(self, config: Mapping, digests: Mapping[str, str | None]) -> None:
        """Raise a UserError where a path differs from that of the run to resume, and so does what lies there.

        Args:
            config: the present settings.
            digests: of the files behind those of its settings that are paths of photographs, pictures and weights.
        """
        old, known = self.saved_config(), read_card(self.sources) if self.sources.exists() else {}
        moved = [name for name in digests if name in old and old[name] != config[name]]
        others = [name for name in moved if known.get(name) != digests[name]]
        if others:
            raise UserError(
                f"the run in {self.path} began with another {' and '.join(others)} "
                f"({', '.join(f'{name}: {old[name]}' for name in others)}); go on with what is there now by adding --moved, "
                f"or repeat the run with --overwrite"
            )

    def save_sources(self, digests: Mapping[str, str | None]) -> None:
        """Write what ``check_sources`` compares with."""
        write_text(self.sources, json.dumps(dict(digests), indent=2) + "\n")

    def _check_same_run(self, config: dict, free: Collection[str]) -> None:
        if not self.path.is_dir():
            raise UserError(f"nothing to resume: there is no {self.path}; start without --resume")
        old = self.saved_config()
        known = [name for name in differences(old, config) if _knows(old, name) and _knows(config, name)]
        changed = [name for name in known if name.split(".")[0] not in free]
        if changed:
            raise UserError(
                f"the run in {self.path} had another {', '.join(changed)}; resume it with "
                f"--config {shlex.quote(str(self.config))} --resume, or choose another --name"
            )

    def _other_files(self) -> list[Path]:
        return [path for path in self.path.glob("*") if path.name != ".lock" and not is_unfinished(path)]

    def _clear(self) -> None:
        """Remove a run's own files; anything else that somebody put there stays."""
        for pattern in (
            "*.ckpt",
            "events.out.tfevents.*",
            "*.onnx",
            "card.json",
            "sources.json",
            "README.md",
            "hparams.yaml",
            "skipped.txt",
            "result.png",
            "stages.png",
        ):
            for path in self.path.glob(pattern):
                path.unlink()
        shutil.rmtree(self.previews, ignore_errors=True)
        shutil.rmtree(self.stages, ignore_errors=True)


def _knows(config: Mapping, name: str) -> bool:
    """Whether ``config`` has the setting of this dotted name; versions of fast_nst differ in some."""
    head, _, rest = name.partition(".")
    return head in config and (not rest or not isinstance(config[head], Mapping) or _knows(config[head], rest))


def step_of(checkpoint: Path) -> int:
    """The step in the name of a checkpoint, ``step=000120-...ckpt``, or 0."""
    found = re.match(r"step=(\d+)", checkpoint.name)
    return int(found[1]) if found else 0


def differences(old: Mapping, new: Mapping, prefix: str = "") -> list[str]:
    """Dotted names of the settings in which two nested mappings differ."""
    names = []
    for key in sorted({*old, *new}, key=str):
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            names += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            names.append(f"{prefix}{key}")
    return names


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: its files.
        picture: the last preview of a training, the result of an optimization.
        card: the content of ``card.json``; empty in all processes of a training but the first.
    """

    folder: RunFolder
    picture: Path
    card: dict[str, Any]
