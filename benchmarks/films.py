"""Films: how steady the pictures of a style are, alone and with --stabilize, and frames per second.

    python benchmarks/films.py --styles great_wave starry_night the_scream
    python benchmarks/films.py --styles great_wave --slice docs/images/films.png   # that picture, and nothing else

First, without any film, what a style's pictures change when the photograph moves a little or gets noise or light
(``fast_nst.evaluation.stability``), as a share of their contrast; on three photographs of scikit-image, or on those of
--photos. Shifts by multiples of 8 pixels, the grid of the network, stand by themselves.

Then films: a pan and a zoom over scikit-image's `astronaut`, the same under a flickering lamp, and a white disc that crosses
the photograph, so that the position of every point in the frame before is known. Warping error: mean absolute difference,
of 255, of a stylized frame and the stylized frame before, moved to its place (Lai et al. 2018, sec. 3.3); where the disc is
or was is left out. Prints Markdown tables. The slice shows one row of pixels, time downwards: what moves with the film draws
smooth lines, what swims frays them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from fast_nst.evaluation.stability import SHIFTS, affine_error, light_error, noise_error, shift_error
from fast_nst.imaging.film_writer import Film
from fast_nst.imaging.images import load_image, save_image
from fast_nst.imaging.scanning import find_images
from fast_nst.imaging.sheets import labelled_sheet
from fast_nst.imaging.video import redraw_film
from fast_nst.stylize.stylizer import Stylizer

SIZE = (320, 180)
STEADINESS = (0.0, 0.5, 0.8, 0.95)
PHOTOS, PHOTO_SIDE = ("astronaut", "chelsea", "coffee"), 256
GRID_SHIFTS = ((0, 8), (8, 0), (8, 8))
COLUMNS = ("shift by 8", "0 to 5", "zoom 2 %", "turn 2°", "noise", "light")
SLICE_ROW, SLICE_SCALE = 90, 4  # of the frame, and pixels that a moment is high


def photographs(folder: Path | None, count: int) -> list[np.ndarray]:
    """Photographs with a longer side of ``PHOTO_SIDE``: the first of ``folder``, or scikit-image's."""
    if folder is not None:
        return [load_image(path, PHOTO_SIDE) for path in find_images(folder)[:count]]
    photos = [Image.fromarray(getattr(skimage.data, name)()) for name in PHOTOS[:count]]
    return [np.asarray(photo.resize((PHOTO_SIDE, PHOTO_SIDE * photo.height // photo.width))) for photo in photos]


def instability(style: str, photos: Sequence[np.ndarray], shifts: Sequence[tuple[int, int]]) -> list[float]:
    """The measures of ``COLUMNS``, means over ``photos``."""
    draw = Stylizer(style, stroke_size=1.0)
    rows = [
        (
            shift_error(draw, photo, GRID_SHIFTS),
            shift_error(draw, photo, shifts),
            affine_error(draw, photo, zoom=1.02),
            affine_error(draw, photo, degrees=2.0),
            noise_error(draw, photo),
            light_error(draw, photo),
        )
        for photo in photos
    ]
    return list(np.mean(rows, 0))


def camera(index: int, still: bool = False) -> tuple[float, float, float]:
    """Left, top and scale of frame ``index`` in the photograph: a pan for 24 frames, then a zoom."""
    if still:
        return 90.0, 60.0, 0.9
    pan = min(index, 24)
    return 20 + 3.0 * pan, 30 + 1.5 * pan, 0.9 * 0.985 ** max(0, index - 24)


def near_disc(index: int, radius: float = 45) -> np.ndarray:
    """Where the disc of frame ``index`` is, or within 40 pixels of it for a larger ``radius``; bool (H, W)."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    return (x - (8 * index - 45)) ** 2 + (y - SIZE[1] / 2) ** 2 < radius**2


def frames(count: int, lamp: float = 0.0, disc: bool = False) -> Iterator[np.ndarray]:
    photo = Image.fromarray(skimage.data.astronaut())
    for index in range(count):
        left, top, scale = camera(index, disc)
        moved = photo.transform(SIZE, Image.Transform.AFFINE, (scale, 0, left, 0, scale, top), Image.Resampling.BICUBIC)
        light = 1 + lamp * np.sin(2.4 * index)
        frame = np.clip(np.asarray(moved) * light, 0, 255).astype(np.uint8)
        yield np.where(near_disc(index)[..., None], np.uint8(255), frame) if disc else frame


def moved_on(picture: np.ndarray, index: int, still: bool) -> tuple[np.ndarray, np.ndarray]:
    """Frame ``index`` - 1 as the camera of frame ``index`` sees it, and where it is known."""
    (left, top, scale), (before_left, before_top, before_scale) = camera(index, still), camera(index - 1, still)
    ratio = scale / before_scale
    matrix = (ratio, 0, (left - before_left) / before_scale, 0, ratio, (top - before_top) / before_scale)
    image = Image.fromarray(picture).transform(SIZE, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    white = Image.new("L", SIZE, 255).transform(SIZE, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)
    return np.asarray(image, np.float32), np.asarray(white) == 255


def warping_error(pictures: list[np.ndarray], disc: bool) -> float:
    errors = []
    for index in range(1, len(pictures)):
        expected, known = moved_on(pictures[index - 1], index, disc)
        if disc:
            known = known & ~near_disc(index, 85) & ~near_disc(index - 1, 85)
        errors.append(np.abs(pictures[index] - expected)[known].mean())
    return float(np.mean(errors))


def flicker(style: str, film: list[np.ndarray], disc: bool) -> list[float]:
    found = []
    for steadiness in STEADINESS:
        stylizer = Stylizer(style, stroke_size=1.0).for_film(steadiness)
        found.append(warping_error([stylizer(frame) for frame in film], disc))
    return found


def slice_over_time(film: Sequence[np.ndarray], row: int = SLICE_ROW) -> np.ndarray:
    """One row of pixels of every frame, time downwards, uint8 (frames * SLICE_SCALE, W, 3)."""
    return np.repeat(np.stack([frame[row] for frame in film]), SLICE_SCALE, axis=0)


def save_slices(style: str, count: int, target: Path) -> None:
    """Write the slices of a film, and of the film drawn plain and stabilized, beside each other to ``target``."""
    film = list(frames(count))
    cells = [("the film", slice_over_time(film))]
    for steadiness in STEADINESS[:3]:
        stylizer = Stylizer(style, stroke_size=1.0).for_film(steadiness)
        cells.append((f"{style}, --stabilize {steadiness:g}", slice_over_time([stylizer(frame) for frame in film])))
    save_image(labelled_sheet([cells[:2], cells[2:]], SIZE[0]), target)


def frames_a_second(style: str, steadiness: float, count: int) -> float:
    """Frames a second of a 640 x 360 film from file to file, the median of three."""
    rates = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "film.mp4"
        with Film(source, (360, 640)) as film:
            for frame in frames(count):
                film.add(frame)
        for _ in range(3):
            stylizer, begin = Stylizer(style, stroke_size=1.0).for_film(steadiness), time.perf_counter()
            redraw_film(source, Path(folder) / "out.mp4", stylizer)
            rates.append(count / (time.perf_counter() - begin))
    return statistics.median(rates)


def print_table(titles: Sequence[str], rows: Iterator[tuple[str, Sequence[float]]], form: str) -> None:
    print("\n| style | " + " | ".join(titles) + " |\n|---" + "|--:" * len(titles) + "|")
    for name, values in rows:
        print(f"| {name} | " + " | ".join(format(value, form) for value in values) + " |", flush=True)


def print_instability(arguments: argparse.Namespace) -> None:
    photos, shifts = photographs(arguments.photos, arguments.photo_count), SHIFTS[:: 11 if arguments.quick else 1]
    print(f"change of the picture as a share of its contrast, {len(photos)} photographs")
    print_table(COLUMNS, ((style, instability(style, photos, shifts)) for style in arguments.styles), ".3f")


def print_flicker(arguments: argparse.Namespace) -> None:
    titles = {(0.0, False): "pan and zoom", (0.15, False): "the same under a flickering lamp", (0.0, True): "a disc crosses"}
    for (lamp, disc), title in titles.items():
        film = list(frames(arguments.count, lamp, disc))
        print(f"\nwarping error, {title}; the film itself: {warping_error(film, disc):.2f} of 255")
        rows = ((style, flicker(style, film, disc)) for style in arguments.styles)
        print_table([f"stabilize {one:g}" for one in STEADINESS], rows, ".2f")


def print_rates(arguments: argparse.Namespace) -> None:
    for steadiness in (0.0, 0.8):
        rate = frames_a_second(arguments.styles[0], steadiness, arguments.count)
        print(f"\n640 x 360, stabilize {steadiness:g}: {rate:.1f} frames/s")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--styles", nargs="+", default=["great_wave", "starry_night", "the_scream"])
    parser.add_argument("--photos", type=Path, help="folder of photographs (default: three of scikit-image)")
    parser.add_argument("--photo_count", type=int, default=6)
    parser.add_argument("--count", type=int, default=48, help="frames of each film")
    parser.add_argument("--rate", action="store_true", help="frames a second as well")
    parser.add_argument("--slice", type=Path, help="write slices over time of the first style to this file, and end")
    parser.add_argument("--quick", action="store_true", help="few shifts: does it still run?")
    settings = parser.parse_args(arguments)
    if settings.slice:
        save_slices(settings.styles[0], settings.count, settings.slice)
        return
    print_instability(settings)
    print_flicker(settings)
    if settings.rate:
        print_rates(settings)


if __name__ == "__main__":
    main()
