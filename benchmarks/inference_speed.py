"""One picture: `fast` through onnxruntime against `johnson` through onnxruntime and through PyTorch, in one run.

    python benchmarks/inference_speed.py [--size 256]

Weights are random: a multiplication takes as long with any number. All take turns, and medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fast_nst.export import export_onnx
from fast_nst.networks.transformer_net import TransformerNet, macs
from fast_nst.stylizer import Stylizer

ROUNDS = 30


def candidates(folder: Path, picture: np.ndarray) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {}
    photo = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    for preset, width in (("fast", 48), ("johnson", 8), ("johnson", 16), ("johnson", 32)):
        network = TransformerNet(preset, width).eval()
        label = f"{preset} {width} ({macs(network, *picture.shape[:2]) / 1e9:.2f} GMAC)"
        export_onnx(network, folder / f"{preset}{width}.onnx", label)
        stylizer = Stylizer(folder / f"{preset}{width}.onnx")
        found[f"{label}, onnxruntime"] = lambda stylizer=stylizer: stylizer(picture)
        if (preset, width) == ("johnson", 32):
            found[f"{label}, PyTorch eager"] = lambda network=network: _eager(network, photo)
    return found


@torch.no_grad()
def _eager(network: TransformerNet, photo: torch.Tensor) -> torch.Tensor:
    return network(photo)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    size = parser.parse_args().size
    picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        runs = candidates(Path(folder), picture)
        milliseconds = {name: [] for name in runs}
        for turn in range(ROUNDS + 3):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                if turn >= 3:
                    milliseconds[name].append(1000 * (time.perf_counter() - started))
    reference = statistics.median(milliseconds[list(runs)[-1]])
    print(f"{size} x {size}, median of {ROUNDS} (fastest), and how many times faster than the last line")
    for name, values in milliseconds.items():
        median = statistics.median(values)
        print(f"{name:45} {median:8.1f} ms ({min(values):.1f})  {reference / median:6.1f} x")


if __name__ == "__main__":
    main()
