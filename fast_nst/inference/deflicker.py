"""Deflicker: films whose norm statistics are averaged over time, and whose strokes follow the motion.

An instance norm takes its statistics from one picture, so a change in one corner changes every color. Here each norm uses
m = k m' + (1 - k) mean(x) and v = k v' + (1 - k) var(x), where m' and v' are those used for the picture before; k = 0 is the
plain model, and where the scene changes, k is 0 for one picture (``Deflicker``).

Under a moving camera, a network draws other strokes in every picture. ``MotionMemory`` carries the last result along the
optical flow of the film (DIS: Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search") and blends it with the
new one where the flow is sure: not where something was hidden before, where the light changed, or after a cut.

Never imports torch.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from fast_nst.errors import UserError
from fast_nst.inference.engines import onnx_session
from fast_nst.inference.instance_norms import Norm, find_norms
from fast_nst.inference.onnx_validation import read_model
from fast_nst.settings.stylize import MIN_SIDE

CUT = 0.15  # mean change of a thumbnail's gray values, in [0, 1], from which a scene is new
THUMBNAIL = (32, 32)
KEEP = "keep"
FLOW_SIDE = 384  # pixels of the longer side at which motion is found
SURE, UNSURE = 8.0, 16.0  # difference, of 255, of a frame and the last one moved: up to which and from which on
SURE_WAY, UNSURE_WAY = 1.0, 2.0  # the same in pixels, of a place and where the ways there and back lead
WINDOW = 7  # pixels a side over which differences are averaged


class Deflicker:
    """A model that draws the pictures of one film, one after the other.

    Args:
        path: an exported model.
        weights: a weight for each of its rows, float32 (S,).
        stabilize: k, the share of the statistics that is kept from picture to picture, in [0, 1].
        threads: processor threads; None is all cores.
    Raises:
        UserError: a model without recognizable instance norms.
    """

    def __init__(self, path: Path, weights: np.ndarray, stabilize: float, threads: int | None = None) -> None:
        graph, self.norms = with_memory(read_model(path)[0])
        self.session = onnx_session(graph, threads)
        self.weights, self.stabilize = weights, stabilize
        self.memory = {name: np.zeros((1, 1, 1, 1), np.float32) for norm in self.norms for name in _inputs(norm)}
        self.is_cut = CutDetector()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Draw the next picture, uint8 RGB (1, H, W, 3)."""
        keep = np.array(0 if self.is_cut(batch[0]) else self.stabilize, np.float32)
        feeds = {"image": np.ascontiguousarray(batch), "style": self.weights, KEEP: keep} | self.memory
        picture, *statistics = self.session.run(None, feeds)
        self.memory = dict(zip(self.memory, statistics, strict=True))
        return picture


class CutDetector:
    """Whether a picture of a film begins a new scene, asked for one after the other; the first one does."""

    def __init__(self) -> None:
        self.before: np.ndarray | None = None

    def __call__(self, pixels: np.ndarray) -> bool:
        thumbnail = np.asarray(Image.fromarray(pixels).convert("L").resize(THUMBNAIL), np.float32) / 255
        before, self.before = self.before, thumbnail
        return before is None or float(np.abs(thumbnail - before).mean()) > CUT


class MotionMemory:
    """Blends each drawn picture y of a film with the last result z', moved along by the film's own motion W.

    z = y + k s (W(z') - y),    s = ramp(|x - W(x')|, 8, 16) ramp(|p - B(W(p))|, 1, 2)

    x and x' are this frame and the last; their difference, of 255, is the mean over channels and over 7 x 7 pixels. p is a
    place, B the motion backwards. ramp(d, a, b) is 1 up to a, 0 from b on, and linear between. s is 0 where W points out of
    the picture, and everywhere after a cut.

    Args:
        stabilize: k, the share of the last result where the motion is sure, in [0, 1].
        threads: processor threads; None leaves OpenCV's own number.
    Raises:
        UserError: OpenCV is not installed.
    """

    def __init__(self, stabilize: float, threads: int | None = None) -> None:
        self.cv, self.stabilize, self.is_cut = load_opencv(), stabilize, CutDetector()
        self.estimator = self.cv.DISOpticalFlow_create(self.cv.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.frame: np.ndarray | None = None
        self.result: np.ndarray | None = None
        if threads is not None:
            self.cv.setNumThreads(threads)

    def __call__(self, frame: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """The result for ``frame``, of which the network has ``drawn`` a picture; all are uint8 RGB (H, W, 3)."""
        result = drawn.astype(np.float32)
        last, before = self.frame, self.result
        if not self.is_cut(frame) and last is not None and before is not None and last.shape == frame.shape:
            places, back = self._places(frame, last), self._places(last, frame)
            share = self.stabilize * self._sureness(frame, last, places, back)
            result += share[..., None] * (self._moved(before, places) - result)
        self.frame, self.result = frame, result
        return np.clip(np.rint(result), 0, 255).astype(np.uint8)

    def _places(self, frame: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Column and row in ``other`` of what ``frame`` shows at each pixel, float32 (H, W, 2)."""
        height, width = frame.shape[:2]
        scale = min(1.0, FLOW_SIDE / max(height, width))
        size = max(MIN_SIDE, round(width * scale)), max(MIN_SIDE, round(height * scale))
        flow = self.estimator.calc(self._gray(frame, size), self._gray(other, size), None)
        if size != (width, height):
            flow = self.cv.resize(flow, (width, height)) * np.array([width / size[0], height / size[1]], np.float32)
        return flow + _grid(height, width)

    def _gray(self, frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        gray = self.cv.cvtColor(np.ascontiguousarray(frame), self.cv.COLOR_RGB2GRAY)
        return gray if gray.shape == size[::-1] else self.cv.resize(gray, size, interpolation=self.cv.INTER_AREA)

    def _moved(self, values: np.ndarray, places: np.ndarray) -> np.ndarray:
        """``values`` (H, W, C) at ``places``, bicubic."""
        return self.cv.remap(values, places, None, self.cv.INTER_CUBIC, borderMode=self.cv.BORDER_REPLICATE)

    def _sureness(self, frame: np.ndarray, last: np.ndarray, places: np.ndarray, back: np.ndarray) -> np.ndarray:
        """s, float32 (H, W) in [0, 1]."""
        height, width = frame.shape[:2]
        difference = np.abs(frame - self._moved(last.astype(np.float32), places)).mean(2)
        alike = _ramp(self.cv.blur(difference, (WINDOW, WINDOW)), SURE, UNSURE)
        way = np.linalg.norm(self._moved(back, places) - _grid(height, width), axis=2)
        inside = ((places >= 0) & (places <= np.array([width - 1, height - 1], np.float32))).all(2)
        return alike * _ramp(way, SURE_WAY, UNSURE_WAY) * inside


def _ramp(values: np.ndarray, sure: float, unsure: float) -> np.ndarray:
    """1 up to ``sure``, 0 from ``unsure`` on."""
    return np.clip((unsure - values) / (unsure - sure), 0, 1)


def _grid(height: int, width: int) -> np.ndarray:
    """Column and row of each pixel, float32 (H, W, 2)."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([columns, rows], -1)


def load_opencv() -> ModuleType:
    """OpenCV.

    Raises:
        UserError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise UserError(
            "--stabilize follows the motion of a film with OpenCV: pip install 'fast_nst[video]'; or give --stabilize 0"
        ) from error
    return cv2


def with_memory(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[Norm]]:
    """``model`` with the scalar input ``keep``, and its norms' statistics: the last ones as inputs, the new ones as outputs.

    Raises:
        UserError: no recognizable norms.
    """
    graph, norms = model.graph, find_norms(model.graph)
    if not norms:
        raise UserError("this model has no instance norms as fast-nst exports them; export it again, or use --stabilize 0")
    graph.input.append(helper.make_tensor_value_info(KEEP, TensorProto.FLOAT, []))
    for norm in norms:
        _remember(graph, norm)
        graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in _inputs(norm))
        graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in _outputs(norm))
    return model, norms


def _inputs(norm: Norm) -> tuple[str, str]:
    """The names of the statistics that come from the picture before."""
    return f"{norm.mean}_before", f"{norm.variance}_before"


def _outputs(norm: Norm) -> tuple[str, str]:
    """The names of the statistics that go to the next picture."""
    return f"{norm.mean}_kept", f"{norm.variance}_kept"


def _remember(graph: onnx.GraphProto, norm: Norm) -> None:
    """Let what follows ``norm`` use the kept statistics instead of the picture's own."""
    centered, (mean, variance) = f"{norm.centered}_kept", _outputs(norm)
    for node in graph.node:
        if norm.square not in node.output:
            _rename(node, norm.centered, centered)
        _rename(node, norm.variance, variance)
    new = []
    for own, before, kept in zip((norm.mean, norm.variance), _inputs(norm), (mean, variance), strict=True):
        difference, share = f"{kept}_difference", f"{kept}_share"
        new.append(helper.make_node("Sub", [before, own], [difference]))
        new.append(helper.make_node("Mul", [KEEP, difference], [share]))
        new.append(helper.make_node("Add", [own, share], [kept]))
    new.append(helper.make_node("Sub", [norm.source, mean], [centered]))
    last = next(place for place, node in enumerate(graph.node) if norm.variance in node.output)
    for node in reversed(new):
        graph.node.insert(last + 1, node)


def _rename(node: onnx.NodeProto, old: str, new: str) -> None:
    for place, name in enumerate(node.input):
        if name == old:
            node.input[place] = new
