"""Lightning's Trainer for a run: its arguments, callbacks and photographs, in the run's folder."""

from __future__ import annotations

import inspect
import logging
import os
import warnings

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, LearningRateMonitor, TQDMProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.plugins import CheckpointIO
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from fast_nst.data.datasets import Photos, Scenes
from fast_nst.data.loader import Positions, batches
from fast_nst.errors import UserError, unknown
from fast_nst.runs.folder import RunFolder
from fast_nst.settings.train import TrainSettings
from fast_nst.system.signals import StopSignals
from fast_nst.training.callbacks import SkippedFiles
from fast_nst.training.divergence import LOOK_EVERY, DivergenceGuard
from fast_nst.training.resume_state import Saver
from fast_nst.training.resuming import CheckpointFiles, RandomStates, StopBetweenSteps

RESERVED = {"max_steps": "--steps", "max_epochs": "--steps", "gradient_clip_val": "--optimizer.gradient_clip"}


def trainer_of(settings: TrainSettings, folder: RunFolder, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning's Trainer with our arguments, then the user's."""
    known = inspect.signature(pl.Trainer).parameters
    for name in settings.trainer:
        if name not in known:
            raise unknown("argument of Lightning's Trainer", name, known)
        if name in RESERVED:
            raise UserError(f"--trainer.{name} follows from {RESERVED[name]}; set that instead")
    arguments = _default_arguments(settings) | settings.trainer | {"max_steps": settings.steps}
    if arguments.get("logger", True) is True:
        arguments["logger"] = TensorBoardLogger(folder.path, name="", version="")
    arguments["callbacks"] = callbacks + list(arguments.get("callbacks") or [])
    arguments["plugins"] = _plugins(arguments.get("plugins"))
    try:
        return pl.Trainer(**arguments)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise UserError(f"Lightning refuses the --trainer settings: {' '.join(str(error).split())}") from error


def callbacks_of(
    settings: TrainSettings, folder: RunFolder, dataset: Photos | Scenes, signals: StopSignals
) -> list[pl.Callback]:
    """What happens around a step: checkpoints, stops, curves, a progress bar, and a guard against divergence."""
    every = settings.checkpoint_every or min(1000, max(LOOK_EVERY, settings.steps // 10))
    saver = Saver(
        folder.path,
        "step={step:06d}-loss={train/total:.3f}",
        auto_insert_metric_name=False,
        every_n_train_steps=every,
        save_top_k=-1,
        save_last=True,
        enable_version_counter=False,
    )
    callbacks = [RandomStates(), saver, StopBetweenSteps(signals, folder.last)]
    if settings.trainer.get("logger", True):
        callbacks.append(LearningRateMonitor("step"))
    if settings.trainer.get("enable_progress_bar", True):
        callbacks.append(TQDMProgressBar(refresh_rate=5))
    if isinstance(dataset, Photos):
        callbacks.append(SkippedFiles(dataset, folder.skipped))
    if settings.optimizer.average:
        callbacks.append(EMAWeightAveraging(decay=settings.optimizer.average))
    return [*callbacks, DivergenceGuard(every)]  # after the average, which it may roll back


def loader_of(
    settings: TrainSettings, dataset: Photos | Scenes, trainer: pl.Trainer, done: int
) -> torch.utils.data.DataLoader:
    """Batches for this process of a run of which ``done`` steps are done already."""
    per_step = settings.batch_size * trainer.world_size * trainer.accumulate_grad_batches
    positions = Positions(done * per_step, settings.steps * per_step, trainer.global_rank, trainer.world_size)
    workers = min(8, max(1, (os.cpu_count() or 2) // 2)) if settings.workers is None else settings.workers
    return batches(dataset, positions, settings.batch_size, workers)


def has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16, which trains a quarter faster, as far as torch tells."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(value is True and "bf16" in name for name, value in known.items())


def quieten() -> None:
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
