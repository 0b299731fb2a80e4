"""What lets a training be killed, stopped and resumed: how Lightning writes checkpoints, signals, random states.

Lightning's own writer goes through the system's folder of temporary files, from where a checkpoint is copied if that is
another disk, and never syncs; its own handlers end a run with exit code 1 after Ctrl-C and 0 after SIGTERM, and save
nothing.
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
    """Checkpoints are there whole or not at all, and are on the disk when a step goes on."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None) -> None:
        write_checkpoint(checkpoint, path)


@contextmanager
def quiet_threads() -> Iterator[None]:
    """A thread that writes curves and finds no room ends with a traceback; the next curve says the same in the open."""
    before = threading.excepthook
    threading.excepthook = lambda told: None if is_full(told.exc_value) else before(told)
    try:
        yield
    finally:
        threading.excepthook = before


class StopBetweenSteps(Checkpoint):
    """Saves a checkpoint to ``path`` and ends the run after the step in which a signal came.

    A kind of Checkpoint, since Lightning calls those last: all that belongs to the step is done.
    """

    def __init__(self, signals: StopSignals, path: Path) -> None:
        self.signals, self.path, self.step = signals, path, 0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.step = trainer.global_step
        self.signals.listen()  # Lightning's handlers would end the run without a checkpoint; it puts back what was before

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: dict, *_: object) -> None:
        if trainer.global_step == self.step:
            return  # gradients are being gathered over several batches
        self.step = trainer.global_step
        if trainer.strategy.reduce_boolean_decision(bool(self.signals.asked), all=False):
            self._stop(trainer, outputs["loss"])

    def _stop(self, trainer: pl.Trainer, loss: torch.Tensor) -> None:
        text = f"stopped at step {self.step}"
        if bool(torch.isfinite(loss)):
            trainer.save_checkpoint(self.path)
            text += "; the same command with --resume goes on from there"
        raise Stopped(self.signals.asked or signal.SIGTERM, text)


class RandomStates(pl.Callback):
    """Keeps the random states of Python, NumPy and torch in checkpoints: those of the first process, for all."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        name, keys, *rest = np.random.get_state()
        return {
            "python": random.getstate(),
            "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loaded = state

    def schema(self, *_: object) -> Callable[[Any, str], dict]:
        """Every state as this machine's generators take it."""
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
    """``state``, which generators of their own took."""
    try:
        random.Random().setstate(state["python"])
        torch.Generator().set_state(state["torch"])
        for device, one in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.Generator(f"cuda:{device}").set_state(one)
    except (ValueError, RuntimeError, TypeError) as error:
        raise Misfit(f"{at} holds no random state") from error
    return state
