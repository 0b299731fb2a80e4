"""Films: flicker of a style, with and without smoothed statistics, and frames per second.

    python benchmarks/films.py --styles great_wave starry_night the_scream

The films are a pan and a zoom over scikit-image's `astronaut`, the same under a flickering lamp, and a white disc that
crosses the photograph, so that the position of every point in the frame before is known. Warping error: mean absolute
difference, of 255, of a stylized frame and the stylized frame before, moved to its place (Lai et al. 2018, sec. 3.3); where
the disc is or was is left out. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from fast_nst.imaging.film_writer import Film
from fast_nst.imaging.video import redraw_film
from fast_nst.stylize.stylizer import Stylizer

SIZE = (320, 180)
STEADINESS = (0.0, 0.5, 0.8, 0.95)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--styles", nargs="+", default=["great_wave", "starry_night", "the_scream"])
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--rate", action="store_true", help="frames a second as well")
    arguments = parser.parse_args()
    titles = {(0.0, False): "pan and zoom", (0.15, False): "the same under a flickering lamp", (0.0, True): "a disc crosses"}
    for (lamp, disc), title in titles.items():
        film = list(frames(arguments.count, lamp, disc))
        print(f"\nwarping error, {title}; the film itself: {warping_error(film, disc):.2f} of 255\n")
        print("| style | " + " | ".join(f"stabilize {one:g}" for one in STEADINESS) + " |")
        print("|---" * (len(STEADINESS) + 1) + "|")
        for style in arguments.styles:
            print(f"| {style} | " + " | ".join(f"{error:.2f}" for error in flicker(style, film, disc)) + " |", flush=True)
    if arguments.rate:
        for steadiness in (0.0, 0.8):
            rate = frames_a_second(arguments.styles[0], steadiness, arguments.count)
            print(f"\n640 x 360, stabilize {steadiness:g}: {rate:.1f} frames/s")


if __name__ == "__main__":
    main()
