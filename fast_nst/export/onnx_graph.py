"""A trained network as an ONNX model: a photograph and row weights in, a picture out.

The model takes uint8 RGB ``image`` (B, H, W, 3) of any size from 16 x 16 up, and ``style``, a float32 weight for each row of
the network (S,); it returns ``picture``, uint8 like the image. Scaling, clamping and rounding are inside. Its metadata hold
its name, rows, own row, the credits of the rows' paintings, and the training's card. A model whose pictures differ from
PyTorch's by more than 1/255 anywhere is not written.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import ModelProto, helper
from torch import Tensor, nn

from fast_nst.errors import UserError
from fast_nst.export.interface import COLORS, PIXELS, with_bytes
from fast_nst.inference.onnx_validation import opset_of
from fast_nst.networks.transformer_net import MIN_SIDE, TransformerNet
from fast_nst.networks.weights import NETWORKS, find_weights, load_network, save_network
from fast_nst.settings.export import OPSET
from fast_nst.system.files import SHIPPED, atomic_path, read_card

PARITY_SIZES = ((61, 83), (97, 50), (35, 121))  # odd, and no two alike modulo 4
FLAT_SIDE = 128
TOLERANCE = 1  # of 255


class ClampedNetwork(nn.Module):
    """Photographs (B, 3, H, W) in [0, 1] and row weights (S,) -> pictures, likewise in [0, 1]."""

    def __init__(self, network: TransformerNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, photos: Tensor, style: Tensor) -> Tensor:
        return self.network(photos, style[None]).clamp(0, 1)


def export_onnx(
    network: TransformerNet,
    output: str | Path,
    name: str,
    card: Mapping[str, Any] | None = None,
    opset: int = OPSET,
    credits: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Write ``network`` to ``output``, checked against PyTorch, see ``check_parity``.

    Args:
        network: the trained network.
        output: a ``.onnx`` file, written whole or not at all.
        name: the model's name, in its metadata; the row of that name, or the last style, is the model's own.
        card: what is known of the training, in its metadata as JSON.
        opset: version of ONNX's operators.
        credits: row -> title, painter, year and license of its painting; None is what ``card`` has of these.
    Raises:
        UserError: ``output`` cannot be written, the packages here do not write or run ``opset``, or the exported model
            differs from PyTorch by more than 1/255.
    """
    if Path(output).suffix != ".onnx":
        raise UserError(f"cannot write {output}: an ONNX file's name ends in .onnx, weights' in .safetensors")
    model = ClampedNetwork(network).eval().cpu()
    graph = with_bytes(_trace(model, opset))
    check_parity(model, graph)
    if (written := opset_of(graph)) != opset:
        raise UserError(f"torch {torch.__version__} writes opset {written} instead of {opset}; choose --opset {written}")
    own = network.styles.index(name) if name in network.styles else network.style_rows[-1]
    credits = credits_of(card or {}, network) if credits is None else credits
    details = {"rows": network.styles, "credits": credits, "card": card or {}}
    texts = {key: json.dumps(value) for key, value in details.items()}
    helper.set_model_props(graph, {"name": name, "own": network.styles[own], **texts})
    graph.doc_string = f"Feed-forward neural style transfer: {name}"
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
    file = path.with_suffix(".json") if path.suffix == ".safetensors" else path.parent / "card.json"
    card = with_present_names(read_card(file)) if path.suffix in (".ckpt", ".safetensors") and file.exists() else {}
    credits = shipped_credits() if path == NETWORKS["base"] else None
    return export_onnx(network, output, name or str(card.get("name") or path.stem), card, opset, credits)


def with_present_names(card: Mapping[str, Any]) -> dict[str, Any]:
    """``card`` with the keys of this version; earlier ones spelled one of them ``licence_notes``."""
    return {"license_notes" if key == "licence_notes" else key: value for key, value in card.items()}


def shipped_credits() -> dict[str, dict[str, str]]:
    """Row -> title, painter, year and license of the shipped styles."""
    return json.loads((SHIPPED / "styles.json").read_text(encoding="utf-8"))


def credits_of(card: Mapping[str, Any], network: TransformerNet) -> dict[str, dict[str, str]]:
    """Row -> the file of its painting, from a run's card; none where the card does not list a painting for each style."""
    paintings, rows = card.get("style"), [network.styles[row] for row in network.style_rows]
    paintings = paintings if isinstance(paintings, list) else [paintings]
    if len(paintings) != len(rows) or not all(isinstance(one, dict) and "file" in one for one in paintings):
        return {}
    return {row: {"title": str(painting["file"])} for row, painting in zip(rows, paintings, strict=True)}


def check_parity(model: ClampedNetwork, graph: ModelProto) -> None:
    """Raise a UserError unless onnxruntime and PyTorch agree to ``TOLERANCE`` of 255 on ``parity_pictures``.

    Each picture has another mixture of the rows.
    """
    try:
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class
        raise UserError(
            f"onnxruntime {onnxruntime.__version__} cannot run the model; upgrade it, or export with a lower --opset"
        ) from error
    rows = len(model.network.styles)
    for number, (kind, picture) in enumerate(parity_pictures()):
        style = np.full(rows, 0.2 / rows, np.float32)
        style[-1 - number % rows] += 0.8
        expected = draw(model, picture, style)
        (found,) = session.run(None, {"image": picture, "style": style})
        worst = int(np.abs(found.astype(int) - expected).max()) if found.shape == expected.shape else 255
        if worst > TOLERANCE:
            raise UserError(f"the exported model differs from PyTorch by {worst}/255 on {kind}; nothing written")


def parity_pictures() -> Iterator[tuple[str, np.ndarray]]:
    """Kind and uint8 RGB (1, H, W, 3) of the pictures that ``check_parity`` draws: noise, flat, two-colored, gradient."""
    for height, width in PARITY_SIZES:
        yield f"noise of {width}x{height}", np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    flat = np.zeros((1, FLAT_SIDE, FLAT_SIDE, 3), np.uint8)
    yield "black", flat
    yield "one color", flat + np.array([200, 77, 101], np.uint8)
    halves = flat.copy()
    halves[:, :, FLAT_SIDE // 2 :] = (250, 30, 90)
    yield "two colors", halves
    yield "a gradient", flat + np.arange(FLAT_SIDE, dtype=np.uint8)[None, None, :, None]


def draw(model: ClampedNetwork, picture: np.ndarray, style: np.ndarray) -> np.ndarray:
    """PyTorch's picture of uint8 RGB (B, H, W, 3) under row weights (S,), likewise uint8."""
    photos = torch.from_numpy(picture).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        pictures = model(photos, torch.from_numpy(style)) * 255
    return pictures.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _trace(model: ClampedNetwork, opset: int) -> ModelProto:
    """The graph of ``model`` from ``PIXELS`` and ``style`` to ``COLORS``, of any batch, height and width."""
    example = torch.rand(2, 3, 4 * MIN_SIDE, 5 * MIN_SIDE)
    axes = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            model,
            (example, torch.full((len(model.network.styles),), 0.5)),
            path,
            input_names=[PIXELS, "style"],
            output_names=[COLORS],
            dynamic_shapes={"photos": axes, "style": None},
            opset_version=opset,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        graph = onnx.load(path)
    for part in (*graph.graph.node, *graph.graph.input):
        part.doc_string = ""
        del part.metadata_props[:]  # the exporter's stack traces: half of the file
    return graph
