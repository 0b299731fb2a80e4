"""What the page shows of a training: words, the newest preview and the losses, from its process and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fast_nst.app.curves import Curve, Curves, seconds_left, table_of
from fast_nst.app.jobs import Training, Trainings
from fast_nst.errors import UserError, printable
from fast_nst.imaging.images import load_image


@dataclass(frozen=True)
class View:
    """A training at one moment.

    Attributes:
        words: Markdown; empty where nothing was trained.
        is_running: whether its process is at work.
        preview: the newest picture of it.
        curves: its losses.
    """

    words: str = ""
    is_running: bool = False
    preview: Path | None = None
    curves: Mapping[str, Curve] | None = None

    @property
    def mark(self) -> tuple[str, int]:
        """Another one when the preview or the curves are others."""
        return str(self.preview), max((curve.steps[-1] for curve in (self.curves or {}).values()), default=0)

    def picture(self) -> np.ndarray | None:
        """The preview, uint8 RGB (H, W, 3)."""
        return None if self.preview is None else load_image(self.preview)

    def table(self) -> Any:
        """The losses as a data frame; None before the first."""
        import pandas

        return pandas.DataFrame(table_of(self.curves)) if self.curves else None


class Watcher:
    """Looks at the training that an app started last."""

    def __init__(self, trainings: Trainings) -> None:
        self.trainings = trainings
        self._read: tuple[Training, Curves] | None = None

    def view(self) -> View:
        """The training as it is now."""
        training = self.trainings.current
        if training is None:
            return View()
        is_running, curves = training.is_running, self._curves_of(training)
        return View(words_on(training, curves, is_running), is_running, newest_preview(training), curves)

    def _curves_of(self, training: Training) -> Mapping[str, Curve]:
        if self._read is None or self._read[0] is not training:
            self._read = training, Curves(training.folder.path)
        return self._read[1].read()


def words_on(training: Training, curves: Mapping[str, Curve], is_running: bool) -> str:
    """One line on how far a training is, or how it ended."""
    name, said = printable(training.folder.name), training.last_line()
    if is_running:
        return f"**{name}** {progress_of(training, curves) or said or 'is starting'}"
    if training.succeeded:
        return (
            f"**{name}** is trained, and in the gallery. On the command line: `fast-nst styles add {training.folder.path}`"
        )
    if training.stopped and training.folder.onnx.exists():
        return f"**{name}** is stopped, and in the gallery as it was then. It can go on."
    return f"**{name}** ended: {said}"


def progress_of(training: Training, curves: Mapping[str, Curve]) -> str:
    """``is at step 120 of 400, about 3 minutes left``; empty before the first step."""
    steps = steps_of(training)
    made = max((curve.steps[-1] for curve in curves.values()), default=None)
    if steps is None or made is None:
        return ""
    left = seconds_left(curves, steps)
    ending = "" if left is None else f", about {left:.0f} s left" if left < 100 else f", about {left / 60:.0f} minutes left"
    return f"is at step {made} of {steps}{ending}"


def steps_of(training: Training) -> int | None:
    """The length of a run; None before it is known."""
    try:
        return training.folder.saved_config().get("steps")
    except UserError:
        return None


def newest_preview(training: Training) -> Path | None:
    """The last picture that a training wrote."""
    pictures = list(training.folder.previews.glob("[!.]*.png"))
    return max(pictures, key=lambda path: path.stat().st_mtime, default=None)
