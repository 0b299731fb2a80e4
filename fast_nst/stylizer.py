"""Pictures through an exported model, with onnxruntime alone: this module never imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tqdm import tqdm

from fast_nst.errors import UserError
from fast_nst.images import SUFFIXES, find_images, load_image, save_image
from fast_nst.run_folder import find_model
from fast_nst.settings import in_range

MIN_SIDE = 16
MAX_PIXELS = 24_000_000


class Stylizer:
    """A style model: ``Stylizer("checkpoints/great_wave")(pixels)``.

    Args:
        model: a run's folder or an ``.onnx`` file.
        threads: processor threads; None is all cores.
    Raises:
        UserError: no model there, or none that maps a picture to a picture.
    """

    def __init__(self, model: str | Path, threads: int | None = None) -> None:
        path = find_model(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 0 if threads is None else threads
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=onnxruntime.get_available_providers())
        except Exception as error:  # onnxruntime's errors share no base class
            raise UserError(f"{path} is not an ONNX model that onnxruntime can run; export it again") from error
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or len(inputs[0].shape) != 4:
            raise UserError(f"{path} does not take one uint8 picture (B, H, W, 3); use a model exported by fast-nst")
        self.input, self.metadata = inputs[0].name, self.session.get_modelmeta().custom_metadata_map

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Stylise uint8 RGB (H, W, 3), or a batch (B, H, W, 3); the result has the same shape."""
        batch = pixels if pixels.ndim == 4 else pixels[None]
        _check_extent(*batch.shape[1:3])
        (result,) = self.session.run(None, {self.input: np.ascontiguousarray(batch)})
        return result if pixels.ndim == 4 else result[0]


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
