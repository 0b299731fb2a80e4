"""Stylizer: pictures through exported models, without torch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from PIL import Image

from fast_nst.errors import UserError, unknown
from fast_nst.inference.model import Model
from fast_nst.settings.stylize import AUTO, MIN_SIDE, STROKES, TILE, check_stroke_size
from fast_nst.settings.validation import in_range
from fast_nst.style_rows import MAX_STRENGTH
from fast_nst.stylize.arrays import hold
from fast_nst.stylize.effects import mixed, resized, soft_mask, with_colors_of
from fast_nst.stylize.library import Part, parse_blend, plan_blend

if TYPE_CHECKING:
    from fast_nst.inference.deflicker import Deflicker, MotionMemory

MAX_PIXELS = 24_000_000  # of a picture that is drawn whole, in some 7 GB
TILED_ABOVE = 12_000_000  # pixels; from here on tiles take no longer, and a fraction of the memory
BATCH_PIXELS = 4_000_000  # of the pictures that are drawn together, about a gigabyte at work
AUTO_SIDE = 1280  # pixels of the longer side, above which strokes grow with the picture if --stroke_size is auto
CPU = "cpu"
Pixels = TypeVar("Pixels")  # an image, an array or a tensor
Progress = Callable[[int, int], None]


class UnfitPicture(UserError):
    """A picture that cannot be drawn.

    Args:
        problem: the rest of a sentence about it.
        name: the picture's.
    """

    def __init__(self, problem: str, name: str = "the picture") -> None:
        super().__init__(f"{name} {problem}")
        self.problem = problem

    def of(self, name: str) -> UnfitPicture:
        """The same about the picture called ``name``."""
        return UnfitPicture(self.problem, name)


@dataclass(frozen=True, eq=False, repr=False)
class Stylizer:
    """A style, a blend of styles, or a trained model, ready to draw; threads may share it. Its settings are read-only.

    ``Stylizer("great_wave:0.7,the_scream:0.3", strength=0.8)("photo.jpg").save("out.png")``

    Args:
        style: names of styles with their weights, a run's folder or an ``.onnx`` file.
        threads: processor threads; None is all cores.
        strength: 0 is the photograph, 1 the style; up to 1.5 exaggerates it.
        stroke_size: 2 draws strokes twice as large: the network sees the picture at half its size; auto, see `seen_size`.
        preserve_color: keep the photograph's own colors, and take light and dark alone from the style.
        engine: what draws: onnxruntime, openvino, openvino-bf16, or auto, the fastest here.
        provider: the engine's device: cpu, cuda, coreml, ...; None is its own choice.
        tile: draw in tiles without seams: auto, if the network sees over 12 megapixels; always or never.

    Attributes:
        parts: the models that draw, with their shares.
        motion: of a film, what carries its last picture along.
    Raises:
        UserError: no such style, model or engine, weights that make no blend, or a number out of range.
    """

    style: str | Path
    threads: int | None = None
    strength: float = 1.0
    stroke_size: float | str = AUTO
    preserve_color: bool = False
    engine: str = "onnxruntime"
    provider: str | None = None
    tile: str = "auto"
    parts: list[_Part] = field(init=False)
    motion: MotionMemory | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        in_range("strength", self.strength, 0, MAX_STRENGTH)
        check_stroke_size(self.stroke_size)
        if self.tile not in TILE:
            raise unknown("tile", self.tile, TILE)
        self._find_parts({})

    def _find_parts(self, loaded: dict[Path, Model]) -> None:
        """Set ``parts``, with the models that are ``loaded`` already, by path."""
        models = {"threads": self.threads, "engine": self.engine, "provider": self.provider}
        parts = plan_blend(parse_blend(str(self.style)))
        found = [_Part(part, self.strength, self.tile, models, loaded.get(part.model)) for part in parts]
        object.__setattr__(self, "parts", found)

    def __repr__(self) -> str:
        others = [one for one in fields(self) if one.init and one.name != "style"]
        changed = [f"{one.name}={getattr(self, one.name)!r}" for one in others if getattr(self, one.name) != one.default]
        return f"Stylizer({', '.join([repr(str(self.style)), *changed])})"

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of the first model's file."""
        return dict(self.parts[0].model.metadata)

    @overload
    def __call__(self, picture: list, mask: Any = None, progress: Progress | None = None) -> list: ...
    @overload
    def __call__(self, picture: str | Path, mask: Any = None, progress: Progress | None = None) -> Image.Image: ...
    @overload
    def __call__(self, picture: Pixels, mask: Any = None, progress: Progress | None = None) -> Pixels: ...
    def __call__(self, picture, mask=None, progress=None):
        """Stylize a picture, a batch of one size, or a list of any; the result is of the same kind and shape.

        Args:
            picture: a path, a Pillow image, whose transparency stays, an array (H, W, 3) or (B, H, W, 3), or a tensor
                (3, H, W) or (B, 3, H, W); uint8, or float in [0, 1]. Gray ones give RGB, a path gives a Pillow image.
            mask: a path, a Pillow image or an array (H, W): stylize where it is white, leave the photograph where it is
                black; it is fitted to the picture, and its edges are softened.
            progress: called with the number of pictures drawn and the number of all, after each.
        Raises:
            UserError: another kind of picture, one under 16 pixels a side, or with ``tile`` never one too large for memory.
        """
        inside = _mask(mask)
        pictures = list(picture) if isinstance(picture, list | tuple) else [picture]
        results = []
        for one in pictures:
            held = hold(one)
            results.append(held.restore(self._stylized(held.pixels, inside)))
            if progress:
                progress(len(results), len(pictures))
        return results if isinstance(picture, list | tuple) else results[0]

    def with_style(self, style: str | Path) -> Stylizer:
        """The same with another style; a model that draws both is loaded once."""
        other = copy.copy(self)
        object.__setattr__(other, "style", style)
        other._find_parts({part.path: part.model for part in self.parts})
        return other

    def batch_size_for(self, height: int, width: int) -> int:
        """Number of pictures of a size to draw at once for speed: several on an accelerator, one on a processor.

        There, batches of 4 and 8 took 6 to 12 % longer a picture (onnxruntime, one thread, 256 x 256 and 512 x 512).
        """
        if any(part.tile == "always" or part.model.engine.provider == CPU for part in self.parts):
            return 1
        return max(1, BATCH_PIXELS // (height * width))

    def for_film(self, stabilize: float = 0.5) -> Stylizer:
        """A stylizer for the pictures of one film, in their order, which flickers less (``fast_nst.inference.deflicker``).

        Args:
            stabilize: how much of the last result, moved along with the film, and of the norms' statistics is kept from
                picture to picture, 0 to 1; 0 draws every picture for itself.
        Raises:
            UserError: OpenCV, which finds the motion, is not installed.
        """
        in_range("stabilize", stabilize, 0, 1)
        film = copy.copy(self)
        object.__setattr__(film, "motion", None)
        if stabilize:
            from fast_nst.inference.deflicker import MotionMemory

            object.__setattr__(film, "motion", MotionMemory(stabilize, self.threads))
            object.__setattr__(film, "parts", [part.with_deflicker(stabilize) for part in self.parts])
        return film

    def _stylized(self, picture: np.ndarray, mask: Image.Image | None) -> np.ndarray:
        batch = picture if picture.ndim == 4 else picture[None]
        _check_sides(*batch.shape[1:3])
        result = mixed([(self._drawn(part, batch), part.share) for part in self.parts])
        if self.motion is not None:
            result = np.stack([self.motion(*pair) for pair in zip(batch, result, strict=True)])
        if self.preserve_color:
            result = np.stack([with_colors_of(*pair) for pair in zip(result, batch, strict=True)])
        if mask is not None:
            inside = soft_mask(mask, batch.shape[2:0:-1])
            result = mixed([(result, inside), (batch, 1 - inside)])
        return result if picture.ndim == 4 else result[0]

    def _drawn(self, part: _Part, batch: np.ndarray) -> np.ndarray:
        size = batch.shape[2:0:-1]
        seen = seen_size(size, self.stroke_size)
        part.check_memory(seen)
        if seen == size:
            return part.draw(batch)
        drawn = part.draw(np.stack([resized(picture, seen) for picture in batch]))
        return np.stack([resized(picture, size) for picture in drawn])


def seen_size(size: tuple[int, int], stroke_size: float | str) -> tuple[int, int]:
    """Width and height at which the network sees a picture of ``size``; its result is brought back to that.

    A network draws strokes of the same number of pixels in every picture, so they look fine in a large photograph. With
    ``stroke_size`` auto, strokes of a picture larger than 1,280 pixels are as large as in one of 1,280; a number divides
    the sides.
    """
    enlarged = min(max(1.0, max(size) / AUTO_SIDE), STROKES[1])
    divisor = enlarged if isinstance(stroke_size, str) else stroke_size
    width, height = (max(MIN_SIDE, round(side / divisor)) for side in size)
    return width, height


def _check_sides(height: int, width: int) -> None:
    if min(height, width) < MIN_SIDE:
        raise UnfitPicture(f"needs at least {MIN_SIDE}x{MIN_SIDE} pixels, got {width}x{height}; enlarge it first")


def _mask(mask: Any) -> Image.Image | None:
    """A mask in hand as a Pillow image."""
    if mask is None or isinstance(mask, Image.Image):
        return mask
    return Image.fromarray(hold(mask).pixels)


class _Part:
    """One model's part of a blend; without a row ``identity``, strength mixes its picture with the photograph.

    Args:
        part: which model and rows.
        models: arguments of ``Model``.
        loaded: the model, where it is loaded already.
    """

    def __init__(self, part: Part, strength: float, tile: str, models: dict[str, Any], loaded: Model | None = None) -> None:
        self.path, self.share, self.tile, self.threads = part.model, part.share, tile, models["threads"]
        self.model = loaded or Model(part.model, **models)
        self.strength = 1.0 if self.model.has_identity else strength
        self.weights = self.model.weights(part.rows, strength if self.model.has_identity else 1.0)
        self.deflicker: Deflicker | None = None

    def check_memory(self, size: tuple[int, int]) -> None:
        """Raise a UserError if pictures of ``size`` are too large to be drawn whole, and must be."""
        if size[0] * size[1] > MAX_PIXELS and self.tile == "never":
            megapixels = size[0] * size[1] / 1e6
            raise UnfitPicture(
                f"has {megapixels:.0f} megapixels, at most {MAX_PIXELS / 1e6:.0f} fit in memory at once; "
                "draw it with --tile auto, or reduce it with --size 4000"
            )

    def draw(self, batch: np.ndarray) -> np.ndarray:
        return mixed([(self._drawn(batch), self.strength), (batch, 1 - self.strength)])

    def _drawn(self, batch: np.ndarray) -> np.ndarray:
        if self.deflicker:
            return self.deflicker(batch)
        if self.tile == "always" or (self.tile == "auto" and batch.shape[1] * batch.shape[2] > TILED_ABOVE):
            from fast_nst.inference.tiling import tiled

            pictures = [tiled(self.model, picture, self.weights) for picture in batch]
            return pictures[0][None] if len(pictures) == 1 else np.stack(pictures)
        return self.model(batch, self.weights)

    def with_deflicker(self, stabilize: float) -> _Part:
        """This part for one film: it remembers the pictures before."""
        from fast_nst.inference.deflicker import Deflicker

        part = copy.copy(self)
        part.deflicker = Deflicker(self.path, self.weights, stabilize, self.threads)
        return part
