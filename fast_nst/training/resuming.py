"""Checkpoint files, signals and random states of a training that may be killed, stopped and resumed.

They replace Lightning's own: its writer goes through the system's temporary folder and does not sync, and its handlers of
signals save nothing and exit with code 1 after Ctrl-C and 0 after SIGTERM.
"""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from fast_nst.errors import Stopped
from fast_nst.runs.checkpoints import write_checkpoint
from fast_nst.runs.state_schema import Misfit, either, matched, number, only, several, tensor_like, whole
from fast_nst.system.files import is_full
from fast_nst.system.signals import StopSignals


class CheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints whole or not at all, and synced to the disk before the next step."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        write_checkpoint(checkpoint, path)


@contextmanager
def silence_full_disk() -> Iterator[None]:
    """Silence disk-full errors of TensorBoard's writer thread; the main thread raises them again."""
    before = threading.excepthook
    threading.excepthook = lambda told: None if is_full(told.exc_value) else before(told)
    try:
        yield
    finally:
        threading.excepthook = before


class StoppedAtStep(Stopped):
    """A signal ended a run between two steps.

    Args:
        step: the steps made.
        saved: whether there is a checkpoint of this step.
    """

    def __init__(self, signum: int, step: int, saved: bool) -> None:
        way = "; the same command with --resume goes on from there" if saved else ""
        super().__init__(signum, f"stopped at step {step}{way}")
        self.step, self.saved = step, saved


class StopOnSignal(Checkpoint):
    """Saves a checkpoint to ``path`` and ends the run after the step in which a signal came.

    A subclass of Checkpoint because Lightning calls those last, when all that belongs to the step is done.
    """

    def __init__(self, signals: StopSignals, path: Path) -> None:
        self.signals, self.path, self.step = signals, path, 0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.step = trainer.global_step
        self.signals.listen()  # Lightning's handlers would end the run without a checkpoint; it puts back what was before

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        if trainer.global_step == self.step:
            return  # gradients are being gathered over several batches
        self.step = trainer.global_step
        if trainer.strategy.reduce_boolean_decision(bool(self.signals.asked), all=False):
            self._stop(trainer, outputs["loss"])

    def _stop(self, trainer: pl.Trainer, loss: torch.Tensor) -> None:
        finite = bool(torch.isfinite(loss))
        if finite:
            trainer.save_checkpoint(self.path)
        raise StoppedAtStep(self.signals.asked or signal.SIGTERM, self.step, saved=finite)


class RandomStates(pl.Callback):
    """Saves the random states of Python, NumPy and torch in checkpoints; all processes restore those of the first."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        numbers: Any = np.random.get_state()  # a tuple
        name, keys, *rest = numbers
        return {
            "python": random.getstate(),
            "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loaded = state

    def schema(self, *_: object) -> Callable[[Any, str], dict]:
        """The states that this machine's generators accept."""
        words = torch.zeros(624, dtype=torch.int64)
        shown = {
            "python": (only(3), tuple(whole(0, 2**32 - 1) for _ in range(625)), either(None, number())),
            "numpy": [only("MT19937"), tensor_like(words, 0, 2**32 - 1), whole(0, 624), whole(0, 1), number()],
            "torch": torch.get_rng_state(),
            "cuda": several(torch.zeros(16, dtype=torch.uint8), 1024),
        }
        return lambda value, at: _tried(matched(shown, value, at), at)

    def on_train_batch_start(self, *_: object) -> None:
        if self._loaded is None:
            return
        state, self._loaded = self._loaded, None  # here, as starting a loader draws a number
        random.setstate(state["python"])
        name, keys, *rest = state["numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
        torch.set_rng_state(state["torch"])
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])


def _tried(state: dict[str, Any], at: str) -> dict[str, Any]:
    """``state``, after generators of its own have accepted it."""
    try:
        random.Random().setstate(state["python"])
        torch.Generator().set_state(state["torch"])
        for device, one in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.Generator(f"cuda:{device}").set_state(one)
    except (ValueError, RuntimeError, TypeError) as error:
        raise Misfit(f"{at} holds no random state") from error
    return state
