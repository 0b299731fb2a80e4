"""Progress of a training on standard error: one line that is redrawn on a terminal, a line every half minute in a file."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any, TextIO

import pytorch_lightning as pl

WIDTH = 79  # columns
ON_TERMINAL, IN_FILE = 0.5, 30.0  # seconds between two lines


class ProgressLine(pl.Callback):
    """Step, loss, structure r, speed and time left.

    Args:
        steps: length of the run.
        photos_per_step: of this process.
        stream: where the lines go (none: standard error).
    """

    def __init__(self, steps: int, photos_per_step: int, stream: TextIO | None = None) -> None:
        self.steps, self.photos_per_step = steps, photos_per_step
        self.stream = sys.stderr if stream is None else stream
        self.terminal = self.stream.isatty()
        self.pause = ON_TERMINAL if self.terminal else IN_FILE

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.first, self.begun = trainer.global_step, time.monotonic()
        self.due = self.begun + self.pause

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        step, now = trainer.global_step, time.monotonic()
        made = step - self.first
        if not trainer.is_global_zero or not made or (now < self.due and step < self.steps):
            return
        self.due = now + self.pause
        terms = outputs["terms"]
        self._write(self.line(step, made / (now - self.begun), float(terms["total"]), float(terms["structure"])))

    def line(self, step: int, speed: float, loss: float, structure: float) -> str:
        """The line at ``step``, at ``speed`` steps a second."""
        share, left = step / self.steps, (self.steps - step) / speed
        return (
            f"step {step} of {self.steps}, {share:.0%}  loss {loss:.3g}  r {structure:.2f}  "
            f"{speed * self.photos_per_step:.1f} photos/s  {clock(left)} left"
        )[:WIDTH]

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._end()

    def on_exception(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self.terminal:
            self._write("")
            self._write("\n")

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal is closed: the training goes on, or saves and ends by a signal
            self.stream.write(f"\r{text:<{WIDTH}}" if self.terminal and text != "\n" else f"{text.strip()}\n")
            self.stream.flush()


def clock(seconds: float) -> str:
    """``seconds`` as minutes and seconds, ``4:05``, or with hours, ``1:04:05``."""
    minutes, seconds = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
