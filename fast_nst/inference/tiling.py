"""Huge pictures through an exported model, tile by tile, in little memory and without a seam.

Instance norms need the statistics of the whole picture; a tile's own would show as seams. (Statistics of a reduced picture,
as Chen et al. (2022) take them, https://arxiv.org/abs/2103.11784, leave no seam either, but give another picture:
``benchmarks/huge_pictures.py`` measures the difference.) Here they are those of the whole picture: the model is cut at its
norms (``stages``), each stage draws all its tiles before the next begins, and moments are summed in float64. Between stages,
layers are kept in temporary files (``feature_files``): at most 24 bytes a pixel for the preset ``fast``, 96 for ``johnson``.

A tile is drawn with as many pixels around it as the convolutions of its stage reach, so that only the borders of the picture
are padded. One thread draws a tile; the threads share the tiles.
"""

from __future__ import annotations

import math
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from tqdm import tqdm

from fast_nst.errors import UserError
from fast_nst.inference.feature_files import ITEM, LayerFiles
from fast_nst.inference.model import Model
from fast_nst.inference.onnx_validation import read_model
from fast_nst.inference.stages import Layer, Stage, stages_of

MEMORY = 1_000_000_000  # bytes beside the picture and its result
SIDES = (320, 256, 192, 128, 96, 64, 48, 32, 16)  # pixels a side of a tile; larger ones are no faster
AHEAD = 2  # strips of tiles that are begun before the first of them is done
ALIVE = 6  # float32 tensors as large as its layers that a tile holds at once


@dataclass(frozen=True)
class Span:
    """The pixels [start, stop) of a tile along one axis, and [low, high) with the surroundings that it needs."""

    start: int
    stop: int
    low: int
    high: int
    extent: int

    def around(self, scale: int) -> slice:
        """The slice [low, high) in a layer of ``scale``."""
        return slice(self.low // scale, None if self.high == self.extent else self.high // scale)

    def inside(self, scale: int) -> tuple[int, int]:
        """[start, stop) relative to low, in a layer of ``scale``; the last span goes to the end."""
        start = (self.start - self.low) // scale
        return start, 2**31 if self.stop == self.extent else start + (self.stop - self.start) // scale


def spans(extent: int, side: int, unit: int, reach: int) -> list[Span]:
    """Cut ``extent`` pixels into about equal spans of at most ``side`` that begin at multiples of ``unit``.

    Args:
        side: a multiple of ``unit``.
        reach: pixels that are needed around a span; rounded up to a multiple of ``unit``.
    """
    count, units = math.ceil(extent / side), math.ceil(extent / unit)
    reach = math.ceil(reach / unit) * unit
    edges = [units * number // count * unit for number in range(count)] + [extent]
    return [Span(a, b, max(0, a - reach), min(extent, b + reach), extent) for a, b in zip(edges, edges[1:], strict=False)]


class Moments:
    """Mean and biased variance of each channel, float64 (C,), over tiles that are added one by one.

    Two sets are joined as Chan, Golub and LeVeque (1979) do: no difference of large numbers.
    """

    def __init__(self) -> None:
        self.count, self.mean, self.variance = 0, np.float64(0), np.float64(0)

    def add(self, count: int, mean: np.ndarray, variance: np.ndarray) -> None:
        """Add ``count`` pixels of these moments."""
        share = count / (self.count + count)
        apart = mean.astype(np.float64) - self.mean
        self.variance = (1 - share) * self.variance + share * variance.astype(np.float64) + share * (1 - share) * apart**2
        self.mean, self.count = self.mean + share * apart, self.count + count


def tiled(model: Model, pixels: np.ndarray, weights: np.ndarray, memory: int = MEMORY) -> np.ndarray:
    """Draw one picture of any size as ``model`` would draw it whole, had it the memory.

    Args:
        model: an exported model; onnxruntime draws it on the processor, whatever its own engine is.
        pixels: uint8 RGB (H, W, 3), at least 16 pixels a side.
        weights: a weight for each of the model's rows, float32 (S,).
        memory: bytes to take beside the picture and its result, about.
    Returns:
        uint8 RGB (H, W, 3).
    Raises:
        UserError: the model cannot be cut at its norms, ``memory`` is too little, or the layers do not fit on the disk.
    """
    return _draw(model, pixels, weights, memory).result


def statistics(model: Model, pixels: np.ndarray, weights: np.ndarray, memory: int = MEMORY) -> dict[str, np.ndarray]:
    """Statistics of ``model``'s norms for a picture of any size, float32 (1, C, 1, 1) by the names of the graph's tensors.

    Arguments and errors are those of ``tiled``.
    """
    known = _draw(model, pixels, weights, memory).known
    return {name: value for name, value in known.items() if name != "style"}


def disk_bytes(model: Model, height: int, width: int) -> int:
    """Most bytes of temporary files that ``tiled`` takes at once for a picture."""
    return _disk_bytes(_stages(model), height, width)


class _Drawing:
    """State of one tiled drawing: layers and statistics so far, and the result.

    Args:
        pixels, weights: as for ``tiled``.
        side: pixels a side of a tile, at most.
        unit: pixels of the picture of which the tiles' edges are multiples, so that they fall between pixels of every layer.
    """

    def __init__(
        self, pixels: np.ndarray, weights: np.ndarray, side: int, unit: int, files: LayerFiles, pool: ThreadPoolExecutor
    ) -> None:
        self.pixels, self.side, self.unit, self.files, self.pool = pixels, side, unit, files, pool
        self.known = {"style": weights.astype(np.float32)}
        self.result = np.empty_like(pixels)

    def spans(self, axis: int, reach: int) -> list[Span]:
        """The tiles' rows (axis 0) or columns (axis 1)."""
        return spans(self.pixels.shape[axis], self.side, self.unit, reach)

    def draw(self, stage: Stage, bar: tqdm) -> None:
        """Draw all tiles of a stage; while one strip is drawn, the next is read."""
        moments = {norm: Moments() for norm, _ in stage.norms}
        begun: deque[list[Future]] = deque()
        for rows in self.spans(0, stage.reach):
            begun.append(self._begin(stage, rows))
            if len(begun) == AHEAD:
                self._finish(stage, begun.popleft(), moments, bar)
        while begun:
            self._finish(stage, begun.popleft(), moments, bar)
        for norm, of in moments.items():
            if not np.isfinite(of.variance).all():
                raise UserError("this model's numbers are too large for float16, in which tiles are kept; use --tile never")
            self.known |= {norm.mean: _as_input(of.mean), norm.variance: _as_input(of.variance)}

    def _begin(self, stage: Stage, rows: Span) -> list[Future]:
        strips = {layer: self.files.read(layer.name, rows.around(layer.scale)) for layer in stage.inputs}
        return [self.pool.submit(self._tile, stage, rows, columns, strips) for columns in self.spans(1, stage.reach)]

    def _tile(self, stage: Stage, rows: Span, columns: Span, strips: dict[Layer, np.ndarray]) -> dict[str, np.ndarray]:
        inputs = {name: value for name, value in self.known.items() if name in stage.takes}
        if "image" in stage.takes:
            inputs["image"] = np.ascontiguousarray(self.pixels[rows.around(1), columns.around(1)])[None]
        for layer, strip in strips.items():
            tile = strip[:, :, columns.around(layer.scale)].transpose(1, 0, 2)  # (C, h, w)
            inputs[f"half.{layer.name}"] = np.ascontiguousarray(tile)[None]
        for layer in stage.ends:
            edges = zip(rows.inside(layer.scale), columns.inside(layer.scale), strict=True)
            inputs |= dict(zip((f"from.{layer.name}", f"to.{layer.name}"), map(np.array, edges), strict=True))
        found = dict(zip(stage.gives, stage.session.run(stage.gives, inputs), strict=True))
        if "picture" in found:
            own = found.pop("picture")[0, slice(*rows.inside(1)), slice(*columns.inside(1))]
            self.result[rows.start : rows.stop, columns.start : columns.stop] = own
        return found

    def _finish(self, stage: Stage, tiles: list[Future], moments: dict, bar: tqdm) -> None:
        found = [tile.result() for tile in tiles]
        for layer in stage.outputs:
            self.files.append(layer.name, _side_by_side([tile[f"half.{layer.name}"][0] for tile in found]))
        for norm, total in moments.items():
            for tile in found:
                mean, variance, shape = (tile[f"{name}.{norm.source}"] for name in ("mean", "variance", "shape"))
                total.add(int(shape[2] * shape[3]), mean.ravel(), variance.ravel())
        bar.update()


def _draw(model: Model, pixels: np.ndarray, weights: np.ndarray, memory: int) -> _Drawing:
    stages, threads = _stages(model), model.threads or os.cpu_count() or 1
    side = _side(stages, pixels.shape[1], threads, memory)
    with LayerFiles(_disk_bytes(stages, *pixels.shape[:2])) as files, ThreadPoolExecutor(threads) as pool:
        drawing = _Drawing(pixels, weights, side, _unit(stages), files, pool)
        with tqdm(total=len(stages) * len(drawing.spans(0, 0)), unit="strip", leave=False) as bar:
            for number, stage in enumerate(stages):
                drawing.draw(stage, bar)
                files.keep({layer.name for later in stages[number + 1 :] for layer in later.inputs})
    return drawing


def _side_by_side(tiles: list[np.ndarray]) -> np.ndarray:
    """Tiles (C, h, w) as one strip (h, C, W)."""
    channels, height, _ = tiles[0].shape
    strip = np.empty((height, channels, sum(tile.shape[2] for tile in tiles)), tiles[0].dtype)
    np.concatenate([tile.transpose(1, 0, 2) for tile in tiles], axis=2, out=strip)
    return strip


def _as_input(statistic: np.ndarray) -> np.ndarray:
    return statistic.astype(np.float32).reshape(1, -1, 1, 1)


_STAGES: WeakKeyDictionary[Model, list[Stage]] = WeakKeyDictionary()


def _stages(model: Model) -> list[Stage]:
    """The stages of ``model``, made at their first use and kept as long as it exists."""
    if model not in _STAGES:
        graph, signature = read_model(model.path)
        if any(signature.fixed):
            raise UserError(f"{model.path} draws pictures of one size, so it draws no tiles; use --tile never")
        _STAGES[model] = stages_of(graph)
    return _STAGES[model]


def _unit(stages: list[Stage]) -> int:
    return math.lcm(*(layer.scale for stage in stages for layer in stage.ends))


def _side(stages: list[Stage], width: int, threads: int, memory: int) -> int:
    """The largest of ``SIDES`` whose tiles, with their strips of float16, stay within ``memory``."""
    for side in SIDES:
        needed = max(_memory_bytes(stage, min(side, width), width, threads) for stage in stages)
        if needed <= memory:
            return side
    raise UserError(
        f"a picture {width} pixels wide takes {needed / 1e6:.0f} MB to draw in tiles, more than the {memory / 1e6:.0f} MB "
        "allowed; allow more, take fewer threads, or reduce the picture with --size"
    )


def _memory_bytes(stage: Stage, side: int, width: int, threads: int) -> int:
    depth = sum(layer.channels / layer.scale**2 for layer in (*stage.inputs, *stage.ends))  # numbers a pixel
    tall = side + 2 * stage.reach
    tiles = threads * tall**2 * ALIVE * np.dtype(np.float32).itemsize
    return round(depth * (tiles + (AHEAD + 1) * tall * width * ITEM.itemsize))


def _disk_bytes(stages: list[Stage], height: int, width: int) -> int:
    """Bytes of layers that are kept at once, at most."""
    alive: dict[Layer, int] = {}
    most = 0
    for number, stage in enumerate(stages):
        for layer in stage.outputs:
            numbers = layer.channels * math.ceil(height / layer.scale) * math.ceil(width / layer.scale)
            alive[layer] = numbers * ITEM.itemsize
        most = max(most, sum(alive.values()))
        needed = {layer for later in stages[number + 1 :] for layer in later.inputs}
        alive = {layer: size for layer, size in alive.items() if layer in needed}
    return most
