"""Training throughput: `fast` + `lite` against a plain float32 loop of `johnson` 32 + VGG-16 at full width, in one run.

    python benchmarks/training_speed.py

Both take batches of 4 random pictures of 256 x 256. The baseline is the textbook loop: float32, eager, contiguous, the
loss network run to relu4_3 on photographs and results alike. Ours is the training step of this package. The two take
turns, and medians are compared, since other work on the machine slows both. VGG-16's weights are random here: a
multiplication takes as long with any number.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import vgg16

from fast_nst.functional import gram_matrix
from fast_nst.losses import perceptual_loss
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.settings import LossSettings, OptimizerSettings
from fast_nst.training import StyleTransferModule

BATCH, SIZE, ROUNDS = 4, 256, 5
STYLE_INDICES, CONTENT_INDEX = (3, 8, 15, 22), 8


def baseline_step() -> Callable[[], None]:
    network = TransformerNet("johnson", 32)
    features = vgg16(weights=None).features[:23].requires_grad_(False)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    painting = [gram_matrix(value) for value in vgg_features(features, torch.rand(1, 3, SIZE, SIZE))]
    photos = torch.rand(BATCH, 3, SIZE, SIZE)

    def step() -> None:
        optimizer.zero_grad()
        found, wanted = vgg_features(features, network(photos)), vgg_features(features, photos)
        content = 1e5 * F.mse_loss(found[STYLE_INDICES.index(CONTENT_INDEX)], wanted[STYLE_INDICES.index(CONTENT_INDEX)])
        pairs = zip(found, painting, strict=True)
        style = 1e10 * sum(F.mse_loss(gram_matrix(value), target.expand(BATCH, -1, -1)) for value, target in pairs)
        (content + style).backward()
        optimizer.step()

    return step


def vgg_features(features: nn.Sequential, x: torch.Tensor) -> list[torch.Tensor]:
    found = []
    for index, layer in enumerate(features):
        x = layer(x)
        if index in STYLE_INDICES:
            found.append(x)
    return found


def our_step() -> Callable[[], None]:
    criterion = perceptual_loss("lite", None, [torch.rand(3, SIZE, SIZE)], LossSettings())
    module = StyleTransferModule(TransformerNet("fast"), criterion, OptimizerSettings(), steps=1000)
    optimizer = torch.optim.Adam(module.network.parameters(), 1e-3)
    photos = torch.rand(BATCH, 3, SIZE, SIZE)

    def step() -> None:
        optimizer.zero_grad()
        module.terms(photos).total.backward()
        torch.nn.utils.clip_grad_norm_(module.network.parameters(), 1.0)
        optimizer.step()

    return step


def main() -> None:
    torch.manual_seed(0)
    steps = {"johnson 32 + VGG-16, float32 eager": baseline_step(), "fast + lite": our_step()}
    seconds = {name: [] for name in steps}
    for turn in range(ROUNDS + 1):
        for name, step in steps.items():
            repeats = 1 if "johnson" in name else 5
            started = time.perf_counter()
            for _ in range(repeats):
                step()
            if turn:
                seconds[name].append((time.perf_counter() - started) / repeats)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name:40} {median:8.3f} s a step  {BATCH / median:8.2f} images/s")
    slow, fast = medians.values()
    print(f"{'ratio':40} {slow / fast:8.1f}")


if __name__ == "__main__":
    main()
