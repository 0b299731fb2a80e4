"""Length of a training in minutes: the number of steps that fit, from the speed of a few trial steps.

The number is fixed before the first step, since the learning rate and the style weight follow it: a run of so many steps is
the same run, however long it took.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from copy import deepcopy
from statistics import median

import pytorch_lightning as pl
import torch
from torch import Tensor

from fast_nst.data.datasets import Photos, Scenes
from fast_nst.errors import UserError
from fast_nst.settings.train import TrainSettings
from fast_nst.training.module import StyleTransferModule
from fast_nst.training.trainer import loader_of

WARM_UP, FEWEST = 2, 3  # steps that are not measured, and those that are at least
LONGEST = 0.03  # share of the time after which measuring ends
IN_STEPS = 0.95  # share of the time that steps take; the rest goes into previews and checkpoints


def steps_within(
    minutes: float, settings: TrainSettings, module: StyleTransferModule, dataset: Photos | Scenes, trainer: pl.Trainer
) -> int:
    """The number of steps that this machine makes in ``minutes``; the network and all random states stay as they were.

    Raises:
        UserError: several processes train together, whose speed one alone cannot tell.
    """
    if trainer.world_size > 1:
        raise UserError(f"--minutes takes one device, and {trainer.world_size} train together; give --steps instead")
    with torch.random.fork_rng():
        photos = loader_of(settings, dataset, trainer, 0)
        seconds = seconds_per_step(module, photos, trainer, LONGEST * 60 * minutes)
    return max(1, int(IN_STEPS * 60 * minutes / (seconds * trainer.accumulate_grad_batches)))


def seconds_per_step(module: StyleTransferModule, batches: Iterable[Tensor], trainer: pl.Trainer, longest: float) -> float:
    """Median seconds of a step, loading included, over some ``longest`` seconds; the weights are restored."""
    weights = deepcopy(module.network.state_dict())
    device = trainer.strategy.root_device
    module.to(device)
    module.criterion.to(device)
    optimizer, times = module.configure_optimizers()["optimizer"], [time.perf_counter()]
    for photos in batches:
        photos = photos.to(device)
        with trainer.precision_plugin.forward_context():
            loss = module.terms(module.pictures(photos), photos).total
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for a GPU
        times.append(time.perf_counter())
        if len(times) > WARM_UP + FEWEST and times[-1] - times[0] > longest:
            break
    module.network.load_state_dict(weights)
    return median(after - before for before, after in zip(times[WARM_UP:], times[WARM_UP + 1 :], strict=False))
