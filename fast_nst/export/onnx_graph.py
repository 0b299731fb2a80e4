"""A trained network -> one ONNX file: picture in, picture out.

The graph takes uint8 RGB (B, H, W, 3) and returns the same, any height and width from 16 up; scaling, clamping and
rounding are inside, so that a caller in any language feeds it what a decoder gives. A second input, ``style``, weighs the
network's rows (S float32 numbers); it may be left out, for the model's own style at full strength. Name, style, rows and
card travel in the file's metadata. A file that would differ from PyTorch by more than 1/255 anywhere is not written.
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
from fast_nst.networks.transformer_net import MIN_SIDE, TransformerNet
from fast_nst.networks.weights import find_weights, load_network, save_network
from fast_nst.settings.export import OPSET
from fast_nst.system.files import atomic_path, read_card

PARITY_SIZES = ((61, 83), (97, 50), (35, 121))  # odd, and no two alike modulo 4
TOLERANCE = 1  # of 255


class PictureModel(nn.Module):
    """uint8 RGB (B, H, W, 3) and row weights (S,) -> uint8 RGB (B, H, W, 3), around a TransformerNet."""

    def __init__(self, network: TransformerNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, style: Tensor) -> Tensor:
        photos = image.permute(0, 3, 1, 2).float() / 255
        pictures = self.network(photos, style[None]).clamp(0, 1) * 255
        return pictures.round().to(torch.uint8).permute(0, 2, 3, 1)


def export_onnx(
    network: TransformerNet, output: str | Path, name: str, card: dict | None = None, opset: int = OPSET
) -> None:
    """Write ``network`` to ``output``, checked against PyTorch at ``PARITY_SIZES``.

    Args:
        network: the trained network.
        output: a ``.onnx`` file, written whole or not at all.
        name: the model's name, in its metadata; the row of that name, or the last style, is the model's own.
        card: what is known of the training, in its metadata as JSON.
        opset: version of ONNX's operators.
    Raises:
        UserError: ``output`` cannot be written, the packages here do not write or run ``opset``, or the exported model
            differs from PyTorch by more than 1/255.
    """
    if Path(output).suffix != ".onnx":
        raise UserError(f"cannot write {output}: an ONNX file's name ends in .onnx, weights' in .safetensors")
    model = PictureModel(network).eval().cpu()
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "model.onnx"
        _trace(model, draft, opset)
        check_parity(model, draft)
        graph = onnx.load(draft)
    if (written := opset_of(graph)) != opset:
        raise UserError(f"torch {torch.__version__} writes opset {written} instead of {opset}; choose --opset {written}")
    own = network.styles.index(name) if name in network.styles else network.painted_rows[-1]
    _describe(graph, name, network.styles, own, card or {})
    with atomic_path(output) as temporary:
        onnx.save(graph, temporary)


def export_checkpoint(checkpoint: str | Path, output: str | Path, name: str | None = None, opset: int = OPSET) -> None:
    """Write a trained network as an ONNX model, see ``export_onnx``, or as float16 weights.

    Args:
        checkpoint: a run folder, ``base``, or a ``.ckpt``, ``.safetensors``, ``.pth`` or ``.model`` file.
        output: a ``.onnx`` file, or a ``.safetensors`` file for weights.
        name: the model's name; None takes the checkpoint's.
        opset: version of ONNX's operators.
    """
    network = load_network(checkpoint)
    if Path(output).suffix == ".safetensors":
        return save_network(network, output)
    path = find_weights(checkpoint)
    card = path.with_suffix(".json") if path.suffix == ".safetensors" else path.parent / "card.json"
    known = read_card(card) if path.suffix in (".ckpt", ".safetensors") and card.exists() else {}
    return export_onnx(network, output, name or str(known.get("name") or path.stem), known, opset)


def check_parity(model: PictureModel, path: Path) -> None:
    """Raise a UserError unless onnxruntime and PyTorch agree to ``TOLERANCE`` of 255 on noise of three odd sizes.

    Each size has another mixture of the rows.
    """
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise UserError(
            f"onnxruntime {onnxruntime.__version__} cannot run the model; upgrade it, or export with a lower --opset"
        ) from error
    rows = len(model.network.styles)
    for row, size in enumerate(PARITY_SIZES):
        picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), dtype=np.uint8)
        style = np.full(rows, 0.2 / rows, np.float32)
        style[-1 - row % rows] += 0.8
        with torch.no_grad():
            expected = model(torch.from_numpy(picture), torch.from_numpy(style)).numpy()
        (found,) = session.run(None, {"image": picture, "style": style})
        worst = int(np.abs(found.astype(int) - expected).max()) if found.shape == expected.shape else 255
        if worst > TOLERANCE:
            raise UserError(
                f"the exported model differs from PyTorch by {worst}/255 at {size[0]}x{size[1]}; nothing written"
            )


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators in ``model``."""
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _trace(model: PictureModel, path: Path, opset: int) -> None:
    example = torch.randint(0, 256, (2, 4 * MIN_SIDE, 5 * MIN_SIDE, 3), dtype=torch.uint8)
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (example, torch.full((len(model.network.styles),), 0.5)),
            path,
            input_names=["image", "style"],
            output_names=["picture"],
            dynamic_shapes={"image": axes, "style": None},
            opset_version=opset,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _describe(graph: onnx.ModelProto, name: str, rows: list[str], own: int, card: dict) -> None:
    """Metadata, and the model's own style as the value that ``style`` has where a caller leaves it out."""
    for part in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]  # the exporter's stack traces: half of the file
    graph.ir_version = onnx.helper.find_min_ir_version_for(graph.opset_import)  # the oldest: onnxruntime 1.17 reads it
    graph.producer_name, graph.doc_string = "fast_nst", f"Feed-forward neural style transfer: {name}"
    entries = {"name": name, "style": str(card.get("style", name)), "rows": json.dumps(rows), "own": rows[own]}
    onnx.helper.set_model_props(graph, entries | {"card": json.dumps(card)})
    default = np.eye(len(rows), dtype=np.float32)[own]
    graph.graph.initializer.append(onnx.numpy_helper.from_array(default, "style"))
