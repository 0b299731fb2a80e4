"""Pictures as Python code holds them -> uint8 RGB, and back to the same kind: paths, Pillow images, arrays, tensors.

An array or tensor is uint8, or float in [0, 1]. Arrays have their channels last, tensors their channels first: gray
(H, W), RGB or RGBA, alone or as a batch. PyTorch itself is not imported here: who passes a tensor has imported it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from fast_nst.errors import UserError
from fast_nst.imaging.images import open_image
from fast_nst.imaging.samples import to_rgb

KINDS = "a path, a Pillow image, an array (H, W, 3) or (B, H, W, 3), a tensor (3, H, W) or (B, 3, H, W), or a list of them"


@dataclass(frozen=True)
class Held:
    """A picture in hand.

    Attributes:
        pixels: uint8 RGB (H, W, 3) or (B, H, W, 3).
        restore: such pixels of a result -> the kind that came in.
    """

    pixels: np.ndarray
    restore: Callable[[np.ndarray], Any]


def hold(picture: Any) -> Held:
    """``picture`` as uint8 RGB.

    Raises:
        UserError: of another kind, shape, type or range; the sentence says which came and which are taken.
    """
    if isinstance(picture, str | os.PathLike):
        return Held(np.asarray(open_image(os.fspath(picture))), Image.fromarray)
    if isinstance(picture, Image.Image):
        return _image(picture)
    if _is_tensor(picture):
        return _tensor(picture)
    if isinstance(picture, np.ndarray):
        return _array(picture)
    raise UserError(f"a picture is {KINDS}; got {type(picture).__name__}")


def _image(picture: Image.Image) -> Held:
    """A Pillow image; the result has its transparency."""
    if not picture.has_transparency_data:
        return Held(np.asarray(to_rgb(picture)), Image.fromarray)
    whole = picture.convert("RGBA")
    alpha = whole.getchannel("A")

    def restore(pixels: np.ndarray) -> Image.Image:
        result = Image.fromarray(pixels)
        result.putalpha(alpha)
        return result

    return Held(np.asarray(to_rgb(whole.convert("RGB"))), restore)


def _array(picture: np.ndarray) -> Held:
    """An array; gray gives RGB, and a fourth channel stays as it is."""
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    if picture.ndim not in (3, 4) or picture.shape[-1] not in (1, 3, 4) or 0 in picture.shape:
        hint = "; channels come last, so transpose it" if picture.ndim > 2 and picture.shape[-3] in (1, 3, 4) else ""
        raise UserError(f"an array of shape {picture.shape} is no picture: (H, W), (H, W, 3) or (B, H, W, 3) is{hint}")
    if picture.shape[-1] == 1:
        picture = np.repeat(picture, 3, axis=-1)
    alpha, kind = picture[..., 3:], picture.dtype
    back = _from_bytes(kind)
    return Held(
        _bytes(picture[..., :3]),
        lambda pixels: np.concatenate([back(pixels), alpha], axis=-1) if alpha.size else back(pixels),
    )


def _tensor(picture: Any) -> Held:
    """A tensor, (C, H, W) or (B, C, H, W); the result is on its device and of its type."""
    if picture.ndim not in (2, 3, 4):
        raise UserError(f"a tensor of shape {tuple(picture.shape)} is no picture: (3, H, W) or (B, 3, H, W) is")
    if picture.ndim > 2 and picture.shape[-3] not in (1, 3, 4):
        hint = "; channels come first, so permute it" if picture.shape[-1] in (1, 3, 4) else ""
        raise UserError(f"a tensor of shape {tuple(picture.shape)} is no picture: (3, H, W) or (B, 3, H, W) is{hint}")
    plain = picture.detach().cpu()
    plain = plain.float() if plain.is_floating_point() else plain
    array = plain.numpy()
    held = _array(np.moveaxis(array, -3, -1) if array.ndim > 2 else array)

    def restore(pixels: np.ndarray) -> Any:
        result = np.ascontiguousarray(np.moveaxis(held.restore(pixels), -1, -3))
        return type(picture).new_tensor(picture, result).to(picture.dtype)

    return Held(held.pixels, restore)


def _bytes(values: np.ndarray) -> np.ndarray:
    """Values of an array as uint8."""
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating):
        raise UserError(f"an array of {values.dtype} is no picture: uint8 in 0..255 or float in 0..1 is; convert it first")
    low, high = float(values.min()), float(values.max())
    if not (low >= -0.01 and high <= 1.01):  # so for NaN
        hint = "; divide it by 255" if 1 < high <= 255 and low >= 0 else "; scale it first"
        raise UserError(f"a float picture has values in [0, 1], got {low:.4g} to {high:.4g}{hint}")
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _from_bytes(kind: np.dtype) -> Callable[[np.ndarray], np.ndarray]:
    return (lambda pixels: pixels) if kind == np.uint8 else lambda pixels: (pixels / np.float32(255)).astype(kind)


def _is_tensor(picture: Any) -> bool:
    return type(picture).__module__.partition(".")[0] == "torch" and hasattr(picture, "new_tensor")
