"""What a step of per-image optimisation costs, against its loss network alone and against a textbook loop.

    python benchmarks/optimization_speed.py --sizes 128 256 512
    python benchmarks/optimization_speed.py --loss_network lite --sizes 256 512 1024 2048 --rounds 3

For each size, in a process of its own: the median seconds of one forward and backward of the loss network to its deepest
layer, of one L-BFGS iteration of ours (content, style, total variation, best-picture keeping, projection), and of one of the
textbook loop (float32, contiguous, photograph and painting compared in a closure, torch's L-BFGS). The three take turns,
since other work on the machine slows all of them. Peak memory is what our steps, with a full history, add to a process that
holds torch and the loss network. VGG-19's weights are random here: a multiplication takes as long with any number.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F
from torchvision import models

from fast_nst.losses.image_loss import ImageLoss, Style
from fast_nst.networks.loss_network import ARCHITECTURES, LossNetwork
from fast_nst.optimization.descent import Descent
from fast_nst.settings.train import LossSettings

CONTENT, STYLE = ["conv4_2"], ["conv1_1", "conv2_1", "conv3_1", "conv4_1"]
MEGABYTE = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loss_network", choices=["vgg19", "lite"], default="vgg19")
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--history", type=int, default=20)
    parser.add_argument("--statistic", choices=["gram", "moments", "wasserstein"], default="gram")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--low_memory", action="store_true")
    arguments = parser.parse_args()
    print("| size | network alone, s | our step, s | textbook step, s | ours / network | ours / textbook | peak MB |")
    print("|---|---|---|---|---|---|---|")
    for size in arguments.sizes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(row, (arguments, size)), flush=True)


def row(arguments: argparse.Namespace, size: int) -> str:
    torch.manual_seed(0)
    network = loss_network(arguments.loss_network)
    photo, painting = torch.rand(1, 3, size, size), torch.rand(1, 3, size, size)
    forget_peak()
    before, ours = peak_memory(), our_step(network, photo, painting, arguments)
    for _ in range(arguments.history + 1):
        ours()  # the history of L-BFGS is full from here on
    peak = peak_memory() - before
    others = network_alone(network, photo, arguments.bfloat16), textbook_step(network, photo, painting)
    ours, alone, textbook = medians([ours, *others], arguments.rounds)
    ratios = f"{ours / alone:.2f} | {ours / textbook:.2f}"
    return f"| {size} | {alone:.3f} | {ours:.3f} | {textbook:.3f} | {ratios} | {peak / MEGABYTE:.0f} |"


def loss_network(name: str) -> LossNetwork:
    if name == "lite":
        return LossNetwork(name, (*CONTENT, *STYLE)).to(memory_format=torch.channels_last)
    state = models.vgg19(weights=None, init_weights=False).features.state_dict(prefix="features.")
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / "vgg19.pth")
        network = LossNetwork(name, (*CONTENT, *STYLE), Path(folder) / "vgg19.pth")
    return network.to(memory_format=torch.channels_last)


def our_step(
    network: LossNetwork, photo: torch.Tensor, painting: torch.Tensor, arguments: argparse.Namespace
) -> Callable[[], None]:
    settings = LossSettings(1.0, 1000.0, 10.0, CONTENT, STYLE)
    options = "normalized", arguments.statistic, arguments.bfloat16, arguments.low_memory
    loss = ImageLoss(network, photo, [Style(painting)], settings, *options)
    return Descent(loss, photo, history=arguments.history).step


def network_alone(network: LossNetwork, photo: torch.Tensor, bfloat16: bool) -> Callable[[], None]:
    deepest = max((*CONTENT, *STYLE), key=list(ARCHITECTURES[network.name].paths).index)
    picture = photo.contiguous(memory_format=torch.channels_last).requires_grad_()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            features = network(picture, [deepest])[deepest]
        torch.autograd.grad(features, picture, torch.ones_like(features))

    return step


def textbook_step(network: LossNetwork, photo: torch.Tensor, painting: torch.Tensor) -> Callable[[], None]:
    chain = copy.deepcopy(network.chain).to(memory_format=torch.contiguous_format)

    def run(x: torch.Tensor) -> dict[str, torch.Tensor]:
        x, found = (x - network.mean) / network.std, {}
        for name, layer in chain.items():
            x = found[name] = layer(x)
        return found

    def gram(x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(x.shape[1], -1)
        return flat @ flat.t() / x.numel()

    content = {name: run(photo)[name].detach() for name in CONTENT}
    style = {name: gram(run(painting)[name]).detach() for name in STYLE}
    picture = photo.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([picture], max_iter=1)

    def closure() -> torch.Tensor:
        with torch.no_grad():
            picture.clamp_(0, 1)
        optimizer.zero_grad()
        found = run(picture)
        total = sum(F.mse_loss(found[name], target) for name, target in content.items())
        total = total + 1e6 * sum(F.mse_loss(gram(found[name]), target) for name, target in style.items())
        total.backward()
        return total

    return lambda: optimizer.step(closure)


def medians(steps: list[Callable[[], None]], rounds: int) -> list[float]:
    """The median seconds of each of ``steps``, which take turns, after one round that does not count."""
    taken: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds + 1):
        for step, times in zip(steps, taken, strict=True):
            begun = time.perf_counter()
            step()
            times.append(time.perf_counter() - begun)
    return [statistics.median(times[1:]) for times in taken]


def peak_memory() -> int:
    """The most bytes that this process has held since ``forget_peak`` (Linux alone)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main()
