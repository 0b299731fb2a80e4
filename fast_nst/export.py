"""A trained network -> one ONNX file: picture in, picture out.

The graph takes uint8 RGB (B, H, W, 3) and returns the same, any height and width from 16 up; scaling, clamping and
rounding are inside, so that a caller in any language feeds it what a decoder gives. Name, style and card travel in the
file's metadata. A file that would differ from PyTorch by more than 1/255 anywhere is not written.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from fast_nst.errors import UserError
from fast_nst.files import atomic_path
from fast_nst.networks.transformer_net import MIN_SIDE, TransformerNet, from_checkpoint
from fast_nst.run_folder import find_checkpoint
from fast_nst.tensor_files import read_checkpoint

PARITY_SIZES = ((61, 83), (97, 50), (35, 121))  # odd, and no two alike modulo 4
TOLERANCE = 1  # of 255
OPSET = 20


class PictureModel(nn.Module):
    """uint8 RGB (B, H, W, 3) -> uint8 RGB (B, H, W, 3), around a TransformerNet."""

    def __init__(self, network: TransformerNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        photos = image.permute(0, 3, 1, 2).float() / 255
        pictures = self.network(photos).clamp(0, 1) * 255
        return pictures.round().to(torch.uint8).permute(0, 2, 3, 1)


def export_onnx(network: TransformerNet, output: str | Path, name: str, card: dict | None = None) -> None:
    """Write ``network`` to ``output``, checked against PyTorch at ``PARITY_SIZES``.

    Args:
        network: the trained network.
        output: a ``.onnx`` file, written whole or not at all.
        name: the model's name, in its metadata.
        card: what is known of the training, in its metadata as JSON.
    Raises:
        UserError: ``output`` cannot be written, or the exported model differs from PyTorch by more than 1/255.
    """
    if Path(output).suffix != ".onnx":
        raise UserError(f"cannot write {output}: an ONNX file's name ends in .onnx")
    model = PictureModel(network).eval().cpu()
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "model.onnx"
        _trace(model, draft)
        check_parity(model, draft)
        graph = onnx.load(draft)
    _describe(graph, name, card or {})
    with atomic_path(output) as temporary:
        onnx.save(graph, temporary)


def export_checkpoint(checkpoint: str | Path, output: str | Path, name: str | None = None) -> None:
    """Write a run's checkpoint, or a fast_neural_style state dict, as an ONNX model; see ``export_onnx``.

    Args:
        checkpoint: a run folder, a ``.ckpt`` file, or a ``.pth`` or ``.model`` file.
        output: a ``.onnx`` file.
        name: the model's name; None takes the checkpoint's.
    """
    path = find_checkpoint(checkpoint)
    network = from_checkpoint(read_checkpoint(path), str(path))
    card = path.parent / "card.json"
    known = json.loads(card.read_text()) if path.suffix == ".ckpt" and card.exists() else {}
    export_onnx(network, output, name or known.get("name") or path.stem, known)


def check_parity(model: PictureModel, path: Path) -> None:
    """Raise a UserError unless onnxruntime and PyTorch agree to ``TOLERANCE`` of 255 on noise of three odd sizes."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in PARITY_SIZES:
        picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
        with torch.no_grad():
            expected = model(torch.from_numpy(picture)).numpy()
        (found,) = session.run(None, {"image": picture})
        worst = int(np.abs(found.astype(int) - expected).max()) if found.shape == expected.shape else 255
        if worst > TOLERANCE:
            raise UserError(
                f"the exported model differs from PyTorch by {worst}/255 at {size[0]}x{size[1]}; nothing written"
            )


def _trace(model: PictureModel, path: Path) -> None:
    example = torch.randint(0, 256, (2, 4 * MIN_SIDE, 5 * MIN_SIDE, 3), dtype=torch.uint8)
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example,),
            path,
            input_names=["image"],
            output_names=["picture"],
            dynamic_shapes={"image": axes},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _describe(graph: onnx.ModelProto, name: str, card: dict) -> None:
    graph.producer_name, graph.doc_string = "fast_nst", f"Feed-forward neural style transfer: {name}"
    entries = {"name": name, "style": str(card.get("style", name)), "card": json.dumps(card)}
    onnx.helper.set_model_props(graph, entries)
