"""Distillation of ``lite``, the small loss network that ships in the package, from the features of a classifier.

The student is a VGG of 24-48-96-192 channels. A 1 x 1 convolution (a head) on each of its named layers regresses the
teacher's features there, so that the student distinguishes what the teacher does (Romero et al. 2015, FitNets, with a linear
regressor). The heads are not kept. Batch norms speed the training and are folded into the convolutions at its end. With
``gram_weight``, the Gram matrices of the estimated features have to agree as well.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fast_nst.data.datasets import Photos
from fast_nst.data.folders import find_photos
from fast_nst.data.loader import Positions, batches
from fast_nst.functional.features import energy, gram_matrix
from fast_nst.networks.loss_network import ARCHITECTURES, LITE_CHANNELS, LossNetwork
from fast_nst.networks.tensor_files import read_checkpoint, write_tensors
from fast_nst.settings.distill import DistillSettings
from fast_nst.system.files import write_text
from fast_nst.training.resume_state import OwnFiles, Saver, accepted
from fast_nst.training.trainer import blamed, checked_trainer

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


class Student(nn.Module):
    """The chain of ``lite`` with a batch norm after each convolution, and a head for each layer of the teacher.

    Heads estimate features in units of their standard deviation, from their mean: the teacher's own may be in the
    hundreds, which small steps reach slowly.

    Args:
        statistics: mean per channel, shape (1, C, 1, 1), and standard deviation, of the teacher's features by layer.
    """

    def __init__(self, statistics: dict[str, tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        for name, (mean, deviation) in statistics.items():
            self.register_buffer(f"mean_{name}", mean)
            self.register_buffer(f"deviation_{name}", deviation)
        self.convolutions, self.norms = nn.ModuleDict(), nn.ModuleDict()
        self.steps = [name for name in ARCHITECTURES["lite"].paths if name != "pool4"]
        widths = iter(width for width in LITE_CHANNELS if isinstance(width, int))
        channels, self.heads = 3, nn.ModuleDict()
        for name in self.steps:
            if name.startswith("conv"):
                width = next(widths)
                self.convolutions[name] = nn.Conv2d(channels, width, 3, padding=1)
                self.norms[name] = nn.BatchNorm2d(width)
                channels = width
            if name in statistics:
                self.heads[name] = nn.Conv2d(channels, statistics[name][0].shape[1], 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Normalized images -> the heads' estimates of the teacher's features, by layer."""
        estimates = {}
        for name in self.steps:
            if name.startswith("conv"):
                x = self.norms[name](self.convolutions[name](x))
            else:
                x = nn.functional.max_pool2d(x, 2) if name.startswith("pool") else x.relu()
            if name in self.heads:
                unit = self.heads[name](x)
                estimates[name] = unit * getattr(self, f"deviation_{name}") + getattr(self, f"mean_{name}")
        return estimates

    @torch.no_grad()
    def folded(self) -> dict[str, Tensor]:
        """The state dict of ``lite``: each convolution with its batch norm folded in, in torchvision's keys."""
        state: dict[str, Tensor] = {}
        for name, convolution in self.convolutions.items():
            norm = self.norms[name]
            assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            fused = fuse_conv_bn_eval(convolution.eval(), norm.eval())
            path = ARCHITECTURES["lite"].paths[name]
            assert fused.bias is not None  # the norm's shift
            state |= {f"{path}.weight": fused.weight, f"{path}.bias": fused.bias}
        return state


class DistillationModule(pl.LightningModule):
    """Regression of the teacher's features, each layer in units of their variance; Adam with a one-cycle rate."""

    def __init__(self, teacher: LossNetwork, student: Student, steps: int, learning_rate: float, gram_weight: float) -> None:
        super().__init__()
        self.teacher: LossNetwork
        self.__dict__["teacher"] = teacher  # frozen: neither saved nor trained
        self.steps = steps
        self.learning_rate, self.gram_weight = learning_rate, gram_weight
        self.student = student

    def training_step(self, photos: Tensor, batch_idx: int) -> Tensor:
        photos = photos.contiguous(memory_format=torch.channels_last)
        targets = {name: value.float() for name, value in self.teacher(photos).items()}
        estimates = {name: value.float() for name, value in self.student(self.teacher.normalized(photos)).items()}
        distances = {name: (estimates[name] - targets[name]).square().mean() / targets[name].var() for name in targets}
        self.log_dict(distances, prog_bar=True)
        grams = [_gram_distance(estimates[name], targets[name]) for name in targets if self.gram_weight]
        return sum(distances.values()) + self.gram_weight * sum(grams)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.student.parameters(), self.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.learning_rate, total_steps=self.steps + 1, pct_start=0.1
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_fit_start(self) -> None:
        self.teacher.to(self.device)


def _gram_distance(estimate: Tensor, target: Tensor) -> Tensor:
    gram = gram_matrix(target)
    return (gram_matrix(estimate) - gram).square().mean() / energy(gram)


@torch.no_grad()
def statistics_of(teacher: LossNetwork, photos: Photos, count: int = 16) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean per channel and overall standard deviation of the teacher's features on ``count`` crops."""
    features = teacher(torch.stack([photos[position] for position in range(count)]))
    return {name: (value.mean((0, 2, 3), keepdim=True), value.std()) for name, value in features.items()}


@torch.no_grad()
def correlations(teacher: LossNetwork, student: Student, photos: Photos, count: int) -> dict[str, float]:
    """Pearson's correlation of estimated and true features per layer, over all values of ``count`` held-out crops."""
    student.eval()
    sums = {name: torch.zeros(6, dtype=torch.float64) for name in LAYERS}
    for index in range(count):
        image = photos[index][None]
        estimates = student(teacher.normalized(image))
        for name, target in teacher(image).items():
            a, b = estimates[name].double().flatten(), target.double().flatten()
            sums[name] += torch.stack([torch.tensor(float(len(a))), a.sum(), b.sum(), a @ a, b @ b, a @ b])
    return {name: _pearson(*values.tolist()) for name, values in sums.items()}


def _pearson(n: float, a: float, b: float, aa: float, bb: float, ab: float) -> float:
    return (n * ab - a * b) / ((n * aa - a * a) * (n * bb - b * b)) ** 0.5


def distill(settings: DistillSettings) -> dict:
    """Train a student of the teacher, write it (float16 safetensors in torchvision's keys) and its card.

    An interrupted run goes on from the ``.ckpt`` beside the output, which the end removes.

    Returns:
        the card: teacher, data, settings, and the correlation with the teacher per layer on held-out photographs.
    """
    pl.seed_everything(settings.seed, verbose=False)
    photos = Photos(find_photos(settings.data), settings.image_size, settings.seed)
    held_out = Photos(find_photos(settings.held_out), 2 * settings.image_size, settings.seed)
    teacher = LossNetwork(settings.teacher, LAYERS, settings.teacher_weights).to(memory_format=torch.channels_last)
    student = Student(statistics_of(teacher, photos))
    module = DistillationModule(teacher, student, settings.steps, settings.learning_rate, settings.gram_weight)
    _fit(module, photos, settings)
    card = card_of(settings, len(photos), correlations(teacher, module.student.cpu(), held_out, min(50, len(held_out))))
    state = {name: value.half() for name, value in module.student.folded().items()}
    write_tensors(settings.output, state)
    write_text(Path(settings.output).with_suffix(".json"), json.dumps(card, indent=2) + "\n")
    Path(settings.output).with_suffix(".ckpt").unlink(missing_ok=True)
    return card


def card_of(settings: DistillSettings, photographs: int, correlation: dict[str, float]) -> dict:
    """Origin of ``lite`` as plain values, without paths of this machine."""
    return {
        "name": "lite",
        "channels": [width for width in LITE_CHANNELS if width != "M"],
        "teacher": settings.teacher,
        "credit": "features of VGG by Karen Simonyan and Andrew Zisserman (2014), CC BY 4.0",
        "photographs": photographs,
        "steps": settings.steps,
        "batch_size": settings.batch_size,
        "image_size": settings.image_size,
        "learning_rate": settings.learning_rate,
        "gram_weight": settings.gram_weight,
        "seed": settings.seed,
        "command": "fast-nst distill --config configs/distill_lite.yaml",
        "correlation": {name: round(value, 3) for name, value in correlation.items()},
    }


def _fit(module: DistillationModule, photos: Photos, settings: DistillSettings) -> None:
    last = Path(settings.output).with_suffix(".ckpt")
    saver = Saver(last.parent, last.stem, every_n_train_steps=100, enable_version_counter=False)
    arguments = {"max_epochs": 1, "logger": False, "callbacks": [saver], "enable_model_summary": False}
    runner = checked_trainer(arguments | settings.trainer | {"max_steps": settings.steps})
    saved = accepted(read_checkpoint(last), runner, module, last) if last.exists() else None
    runner.strategy.checkpoint_io = OwnFiles(runner.strategy.checkpoint_io, last.parent, re.escape(last.name), saved)
    done = saved["global_step"] if saved else 0
    positions = Positions(done * settings.batch_size, settings.steps * settings.batch_size)
    loader = batches(photos, positions, settings.batch_size, settings.workers)
    with blamed(settings.trainer, lambda: runner.global_step == done):
        runner.fit(module, loader, ckpt_path=last if saved else None, weights_only=True)
