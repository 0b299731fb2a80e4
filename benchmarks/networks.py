"""The networks that benchmarks compare: as models in files, in PyTorch eager, and in a step of training.

`fast` 48 is the base that ships; `johnson` 32 is the network of the paper, and narrower ones are its like. Johnson's weights
are random, as a multiplication takes as long with any number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from candidates import CANDIDATES
from tqdm import tqdm

from fast_nst.export.onnx_graph import export_onnx
from fast_nst.functional.pixels import to_tensor
from fast_nst.losses.perceptual import perceptual_loss
from fast_nst.networks.transformer_net import TransformerNet
from fast_nst.settings.train import LossSettings, OptimizerSettings
from fast_nst.system.files import SHIPPED
from fast_nst.training.module import StyleTransferModule

BASE, PAPERS = "fast 48", "johnson 32"


def network_of(name: str) -> TransformerNet:
    """A network with random weights by its name: johnson 32, or one of the candidates."""
    if name in CANDIDATES:
        return CANDIDATES[name]().eval()
    preset, width = name.split()
    return TransformerNet(preset, int(width)).eval()


def johnsons(widths: str) -> list[str]:
    """8,16 -> johnson 8, johnson 16."""
    return [f"johnson {int(width)}" for width in widths.split(",") if width]


def exported(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Name -> ONNX model, in ``folder`` unless it ships."""
    found = {}
    for name in tqdm(names, desc="exporting", leave=False):
        found[name] = SHIPPED / "base.onnx" if name == BASE else folder / f"{name.replace(' ', '_')}.onnx"
        if name != BASE:
            export_onnx(network_of(name), found[name], "style")
    return found


def eager(name: str, picture: np.ndarray, device: str = "cpu", bfloat16: bool = False) -> Callable[[], torch.Tensor]:
    """What draws ``picture`` (1, H, W, 3) in PyTorch eager; on a GPU it waits for the result."""
    network, photo = network_of(name).to(device), to_tensor(picture[0])[None].to(device)

    @torch.no_grad()
    def draw() -> torch.Tensor:
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            return network(photo)

    return awaited(draw, device)


def training_step(
    name: str, crop: int, batch: int, device: str = "cpu", bfloat16: bool = False, muon: bool = True
) -> Callable[[], object]:
    """The trainer's step under lite, on ``batch`` random pictures of ``crop`` x ``crop``."""
    criterion = perceptual_loss("lite", None, [torch.rand(3, crop, crop)], LossSettings()).to(device)
    settings = OptimizerSettings(muon=muon)
    module = StyleTransferModule(network_of(name).train(), criterion, settings, steps=1000).to(device)
    optimizer = module.configure_optimizers()["optimizer"]
    photos = torch.rand(batch, 3, crop, crop, device=device)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            loss = module.terms(module.pictures(photos), photos).total
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.network.parameters(), module.settings.gradient_clip)
        optimizer.step()

    return awaited(step, device)


def awaited(run: Callable[[], object], device: str) -> Callable[[], object]:
    """``run``, which returns when a GPU has done its work."""

    def wait() -> object:
        result = run()
        torch.cuda.synchronize()
        return result

    return wait if device == "cuda" else run
