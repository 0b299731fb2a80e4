"""The time of a folder of photographs, from file to file, against that of the network alone.

    python benchmarks/folder_throughput.py [--threads 2] [--count 64] [--side 512]

Four ways over the same JPEG files take turns: all that `fast-nst stylize FOLDER` does once the model is loaded; the network
alone, on pictures in memory; reading alone and writing alone, one file after the other. Threads are the network's. The
command reads and writes in threads of its own: with an idle core the folder takes as long as the network, without one as
long as all three together.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from matplotlib import pyplot
from report import Spread, parser_of, save, save_plot, timed

from fast_nst.imaging.frames import Picture, read_picture, write_picture
from fast_nst.imaging.images import save_image
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.run import stylize_files
from fast_nst.stylize.stylizer import Stylizer

NAME = "folder_throughput"
FOLDER, NETWORK, READING, WRITING = "folder to folder", "the network alone", "reading alone", "writing alone"


def ways(stylizer: Stylizer, photos: Path, results: Path, style: str) -> dict[str, Callable[[], object]]:
    """What takes turns."""
    pictures = [read_picture(path) for path in sorted(photos.iterdir())]
    settings = StylizeSettings([str(photos)], style, str(results), overwrite=True)
    return {
        FOLDER: lambda: stylize_files(settings, stylizer),
        NETWORK: lambda: [stylizer(picture.frames[0].pixels) for picture in pictures],
        READING: lambda: [read_picture(path) for path in photos.iterdir()],
        WRITING: lambda: write_all(pictures, results),
    }


def write_all(pictures: Sequence[Picture], folder: Path) -> None:
    for number, picture in enumerate(pictures):
        write_picture(picture, folder / f"again_{number}.jpg", ".jpg")


def rows_of(settings: argparse.Namespace, photos: Path, results: Path) -> Iterator[dict[str, object]]:
    for threads in sorted({1, settings.threads}):
        stylizer = Stylizer(settings.style, threads, engine=settings.engine)
        seconds = timed(ways(stylizer, photos, results, settings.style), settings.rounds, warm_up=1)
        for way, spread in seconds.items():
            yield row_of(threads, way, spread, seconds[NETWORK], settings.count)


def row_of(threads: int, way: str, spread: Spread, network: Spread, count: int) -> dict[str, object]:
    """A row of the table; ``overhead_percent`` is the part of the folder's time that the network does not account for."""
    median, least, greatest = spread
    overhead = 100 * (median - network[0]) / median if way == FOLDER else None
    return {
        "threads": threads,
        "way": way,
        "seconds": median,
        "least": least,
        "greatest": greatest,
        "pictures_a_second": count / median,
        "overhead_percent": overhead,
    }


def draw(rows: Sequence[dict[str, object]], settings: argparse.Namespace) -> None:
    """Milliseconds a picture, a group of bars for each number of threads."""
    counts = sorted({row["threads"] for row in rows})
    figure, axis = pyplot.subplots(figsize=(7, 4))
    for place, way in enumerate((FOLDER, NETWORK, READING, WRITING)):
        heights = [1000 * row["seconds"] / settings.count for row in rows if row["way"] == way]
        bars = axis.bar([group + 0.2 * place for group in range(len(counts))], heights, 0.18, label=way)
        axis.bar_label(bars, fmt="%.1f", fontsize=8)
    axis.set_xticks([group + 0.3 for group in range(len(counts))], [f"threads: {count}" for count in counts])
    axis.set(ylabel="milliseconds a picture", title=f"{settings.count} JPEG files, {settings.side} pixels a side")
    axis.legend()
    save_plot(NAME, figure, settings)


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--count", type=int, default=64, help="photographs")
    parser.add_argument("--side", type=int, default=512, help="their pixels a side")
    parser.add_argument("--style", default="great_wave")
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--rounds", type=int, default=5)
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.count, settings.side, settings.rounds = 3, 32, 2
    with tempfile.TemporaryDirectory() as photos, tempfile.TemporaryDirectory() as results:
        for number in range(settings.count):
            scene = draw_scene(settings.side, settings.side, settings.seed + number)
            save_image(scene, Path(photos) / f"{number}.jpg")
        rows = list(rows_of(settings, Path(photos), Path(results)))
    save(NAME, rows, settings)
    draw(rows, settings)


if __name__ == "__main__":
    main()
