"""Lightning's Trainer for a run: its arguments, its callbacks and the loader of photographs."""

from __future__ import annotations

import inspect
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.callbacks import EMAWeightAveraging, LearningRateMonitor
from pytorch_lightning.plugins import CheckpointIO

from fast_nst.data.datasets import Photos, Scenes
from fast_nst.data.loader import Positions, batches
from fast_nst.errors import UserError, unknown
from fast_nst.runs.checkpoints import to_stderr
from fast_nst.runs.folder import RunFolder
from fast_nst.settings.train import TrainSettings
from fast_nst.system.files import is_full
from fast_nst.system.signals import StopSignals
from fast_nst.training.callbacks import SkippedFiles
from fast_nst.training.curves import Curves
from fast_nst.training.divergence import CHECK_EVERY, DivergenceGuard
from fast_nst.training.progress import ProgressLine
from fast_nst.training.resume_state import Saver
from fast_nst.training.resuming import CheckpointFiles, RandomStates, StopOnSignal

RESERVED = {"max_steps": "--steps", "max_epochs": "--steps", "gradient_clip_val": "--optimizer.gradient_clip"}
PRECISIONS = ("32-true", "32", "16-mixed", "16", "bf16-mixed", "bf16")  # with weights in float32
LONGEST = 10**9  # steps
HARMLESS = ("enable_progress_bar", "logger", "callbacks", "plugins", "max_time")


def trainer_of(settings: TrainSettings, folder: RunFolder, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning's Trainer with our arguments, then the user's."""
    known = inspect.signature(pl.Trainer).parameters
    for name in settings.trainer:
        if name not in known:
            raise unknown("argument of Lightning's Trainer", name, known)
        if name in RESERVED:
            raise UserError(f"--trainer.{name} follows from {RESERVED[name]}; set that instead")
    arguments = (
        _default_arguments(settings) | settings.trainer | {"max_steps": 1 if settings.steps is None else settings.steps}
    )
    arguments["enable_progress_bar"] = False  # ours is a callback
    if arguments.get("logger", True) is True:
        arguments["logger"] = Curves(folder.path, name="", version="")
    arguments["callbacks"] = callbacks + list(arguments.get("callbacks") or [])
    arguments["plugins"] = _plugins(arguments.get("plugins"))
    return checked_trainer(arguments)


def checked_trainer(arguments: Mapping[str, Any]) -> pl.Trainer:
    """Lightning's Trainer, or a UserError where it or this machine refuses the arguments."""
    _check_arguments(arguments)
    try:
        trainer = pl.Trainer(**arguments)
    except Exception as error:  # each argument is checked in another way
        raise UserError(f"Lightning refuses the --trainer settings: {' '.join(str(error).split())}") from error
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > (os.cpu_count() or 1):
        raise UserError(
            f"--trainer.devices asks for {trainer.num_devices} processes, and this machine has {os.cpu_count()} processor "
            "cores; ask for fewer"
        )
    return trainer


def _check_arguments(given: Mapping[str, Any]) -> None:
    """Raise a UserError for what Lightning accepts and this training cannot do."""
    precision, gathered = given.get("precision"), given.get("accumulate_grad_batches", 1)
    if precision is not None and str(precision) not in PRECISIONS:
        raise UserError(f"--trainer.precision needs to be one of {', '.join(PRECISIONS)}, got {precision}")
    if type(gathered) is not int or not 1 <= gathered <= 1024:
        raise UserError(f"--trainer.accumulate_grad_batches needs a whole number from 1 to 1024, got {gathered}")
    if given.get("use_distributed_sampler"):
        raise UserError("--trainer.use_distributed_sampler is not for this training, which shares out photographs itself")


@contextmanager
def blamed(given: Mapping[str, Any], before_first_step: Callable[[], bool]) -> Iterator[None]:
    """Turn an error before the first step into a UserError that names the --trainer settings, where there are some."""
    settings = [f"--trainer.{name} {value}" for name, value in given.items() if name not in HARMLESS]
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not settings or is_full(error) or not before_first_step():
            raise
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"the training cannot start with {', '.join(settings)}: {reason}; change or leave out one"
        ) from error


def callbacks_of(
    settings: TrainSettings, folder: RunFolder, dataset: Photos | Scenes, signals: StopSignals
) -> list[pl.Callback]:
    """Checkpoints, the answer to signals, curves, progress, skipped files, averaging and the guard against divergence."""
    steps = settings.steps or 1
    every = settings.checkpoint_every or min(1000, max(CHECK_EVERY, steps // 10))
    saver = Saver(
        folder.path,
        "step={step:06d}-loss={train/total:.3f}",
        auto_insert_metric_name=False,
        every_n_train_steps=every,
        save_top_k=-1,
        save_last=True,
        enable_version_counter=False,
    )
    callbacks = [RandomStates(), saver, StopOnSignal(signals, folder.last)]
    if settings.trainer.get("logger", True):
        callbacks.append(LearningRateMonitor("step"))
    if settings.trainer.get("enable_progress_bar", True):
        callbacks.append(ProgressLine(steps, settings.batch_size))
    if isinstance(dataset, Photos):
        callbacks.append(SkippedFiles(dataset, folder.skipped))
    if settings.optimizer.average:
        callbacks.append(EMAWeightAveraging(decay=settings.optimizer.average))
    return [*callbacks, DivergenceGuard(every)]  # after the average, which it may roll back


def loader_of(
    settings: TrainSettings, dataset: Photos | Scenes, trainer: pl.Trainer, done: int
) -> torch.utils.data.DataLoader:
    """Batches for this process of a run of which ``done`` steps are made already."""
    per_step = settings.batch_size * trainer.world_size * trainer.accumulate_grad_batches
    end = (settings.steps or LONGEST) * per_step
    positions = Positions(done * per_step, end, trainer.global_rank, trainer.world_size)
    workers = min(8, max(1, (os.cpu_count() or 2) // 2)) if settings.workers is None else settings.workers
    return batches(dataset, positions, settings.batch_size, workers if _has_temporary_folder() else 0)


def _has_temporary_folder() -> bool:
    """Whether processes that load photographs can be started: they hand over memory through files there."""
    try:
        return bool(tempfile.gettempdir())
    except OSError:
        to_stderr("no usable temporary folder: photographs are loaded by the training itself; set TMPDIR to be faster")
        return False


def has_bfloat16() -> bool:
    """Whether torch says that this processor multiplies in bfloat16, which trains a quarter faster."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(value is True and "bf16" in name for name, value in known.items())


def silence_lightning() -> None:
    """Hide Lightning's hints to its developers; its errors and ours stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for category in (UserWarning, DeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category, module=r"(pytorch_lightning|lightning|torch)\..*")


def _plugins(given: object) -> list:
    """The user's plugins for the Trainer, and our writer of checkpoints beside them unless they bring one."""
    plugins = list(given) if isinstance(given, list | tuple) else [given] if given else []
    return plugins if any(isinstance(plugin, CheckpointIO) for plugin in plugins) else [*plugins, CheckpointFiles()]


def _default_arguments(settings: TrainSettings) -> dict:
    on_cpu = settings.trainer.get("accelerator") == "cpu" or not torch.accelerator.is_available()
    halved = has_bfloat16() if on_cpu else torch.cuda.is_available()
    return {
        "max_epochs": 1,
        "precision": "bf16-mixed" if halved else "32-true",
        "gradient_clip_val": settings.optimizer.gradient_clip or None,
        "log_every_n_steps": 10,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
    }
