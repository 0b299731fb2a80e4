"""Pictures through exported models, with onnxruntime alone: this module never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fast_nst.errors import UserError
from fast_nst.images import SUFFIXES, find_images, load_image, save_image
from fast_nst.models import Model
from fast_nst.settings import in_range
from fast_nst.styles import Part, parse_blend, plan_blend

MIN_SIDE = 16
MAX_PIXELS = 24_000_000
MAX_STRENGTH = 1.5


class Stylizer:
    """A style, a blend of styles, or a trained model: ``Stylizer("great_wave:0.7,the_scream:0.3", strength=0.8)(pixels)``.

    Args:
        style: names of styles with their weights, a run's folder or an ``.onnx`` file.
        threads: processor threads; None is all cores.
        strength: 0 is the photograph, 1 the style; up to 1.5 exaggerates it.
    Raises:
        UserError: no such style or model, weights that make no blend, or a strength out of range.
    """

    def __init__(self, style: str | Path, threads: int | None = None, strength: float = 1.0) -> None:
        in_range("strength", strength, 0, MAX_STRENGTH)
        self.parts = [_Part(part, threads, strength) for part in plan_blend(parse_blend(str(style)))]
        self.metadata = self.parts[0].model.metadata

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Stylise uint8 RGB (H, W, 3), or a batch (B, H, W, 3); the result has the same shape."""
        batch = pixels if pixels.ndim == 4 else pixels[None]
        _check_extent(*batch.shape[1:3])
        result = _mixed([(part.draw(batch), part.share) for part in self.parts])
        return result if pixels.ndim == 4 else result[0]


class _Part:
    """One model's part of a blend; without a row ``identity``, strength mixes its picture with the photograph."""

    def __init__(self, part: Part, threads: int | None, strength: float) -> None:
        self.model, self.share = Model(part.model, threads), part.share
        self.strength = 1.0 if self.model.has_identity else strength
        self.weights = self.model.weights(part.rows, strength if self.model.has_identity else 1.0)

    def draw(self, batch: np.ndarray) -> np.ndarray:
        picture = self.model(batch, self.weights)
        return _mixed([(picture, self.strength), (batch, 1 - self.strength)])


def _mixed(pictures: list[tuple[np.ndarray, float]]) -> np.ndarray:
    """uint8 sRGB pictures mixed by their shares in linear light, as lamps would mix."""
    wanted = [(picture, share) for picture, share in pictures if share != 0]
    if len(wanted) == 1 and wanted[0][1] == 1:
        return wanted[0][0]
    light = sum(np.float32(share) * SRGB_TO_LIGHT[picture] for picture, share in wanted)
    light = np.clip(light, 0, 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    return np.rint(srgb * 255).astype(np.uint8)


def _srgb_to_light() -> np.ndarray:
    """The light of each of 256 sRGB values, in [0, 1] (IEC 61966-2-1)."""
    srgb = np.arange(256, dtype=np.float32) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


SRGB_TO_LIGHT = _srgb_to_light()


def stylize_files(stylizer: Stylizer, inputs: Sequence[str], output: str, size: int | None = None) -> list[Path]:
    """Stylise files and folders of pictures into ``output``: a file for one picture, a folder for several.

    With several pictures, one that cannot be read is named at the end and does not stop the others.

    Args:
        size: longer side in pixels to reduce the photographs to; None leaves them as they are.
    Returns:
        the files written.
    Raises:
        UserError: no pictures, an unusable output, or, with one picture, one that cannot be read.
    """
    if size is not None:
        in_range("size", size, MIN_SIDE, 100_000)
    jobs = plan(inputs, Path(output))
    if len(jobs) == 1:
        return [_stylize_file(stylizer, *jobs[0], size)]
    written, failures = [], []
    for source, target in tqdm(jobs, unit="picture"):
        try:
            written.append(_stylize_file(stylizer, source, target, size))
        except UserError as error:
            failures.append(str(error))
    if failures:
        raise UserError(f"{len(written)} of {len(jobs)} pictures written to {output}; failed: {'; '.join(failures[:5])}")
    return written


def plan(inputs: Iterable[str], output: Path) -> list[tuple[Path, Path]]:
    """Which picture goes where: pairs of source and target, no two targets alike."""
    jobs, folders = [], False
    for source in map(Path, inputs):
        folders |= source.is_dir()
        found = find_images(source) if source.is_dir() else [source]
        root = source if source.is_dir() else source.parent
        jobs += [(picture, picture.relative_to(root)) for picture in found if not _is_result(picture, root, output)]
    if not jobs:
        raise UserError(f"no pictures in {', '.join(map(str, inputs))}; give photographs or folders of them")
    if len(jobs) == 1 and not folders and not output.is_dir():
        return [(jobs[0][0], _writable_name(output))]
    if output.suffix.lower() in SUFFIXES or output.is_file():
        raise UserError(f"{len(jobs)} pictures need a folder as --output, got {output}")
    return _distinct([(source, output / name) for source, name in jobs])


def _distinct(jobs: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Targets that would fall on one another, or on their source, get a number."""
    taken: set[Path] = {source.resolve() for source, _ in jobs}
    result = []
    for source, target in jobs:
        candidate, number = target, 1
        while candidate.resolve() in taken:
            number += 1
            candidate = target.with_name(f"{target.stem}_{number}{target.suffix}")
        taken.add(candidate.resolve())
        result.append((source, candidate))
    return result


def _is_result(picture: Path, root: Path, output: Path) -> bool:
    """Whether ``picture``, found in ``root``, comes from an earlier run: the output folder lies below ``root``."""
    below = root.resolve() in output.resolve().parents
    return below and output.is_dir() and output.resolve() in picture.resolve().parents


def _writable_name(output: Path) -> Path:
    if output.suffix.lower() not in SUFFIXES:
        raise UserError(f"--output {output} has no picture's ending; choose one of {' '.join(sorted(SUFFIXES))}")
    return output


def _stylize_file(stylizer: Stylizer, source: Path, target: Path, size: int | None) -> Path:
    try:
        save_image(stylizer(load_image(source, size)), target)
    except UserError as error:
        raise UserError(str(error).replace("the picture", str(source), 1)) from error
    return target


def _check_extent(height: int, width: int) -> None:
    if min(height, width) < MIN_SIDE:
        raise UserError(f"the picture needs at least {MIN_SIDE}x{MIN_SIDE} pixels, got {width}x{height}; enlarge it first")
    if height * width > MAX_PIXELS:
        megapixels = height * width / 1e6
        raise UserError(
            f"the picture has {megapixels:.0f} megapixels, at most {MAX_PIXELS / 1e6:.0f} fit in memory at once; "
            "reduce it with --size 4000"
        )
