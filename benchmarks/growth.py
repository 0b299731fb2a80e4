"""Time and memory against the number of pixels, of pictures in a folder, of styles in a model, and of threads and workers.

    python benchmarks/growth.py                               # all four
    python benchmarks/growth.py --part pixels --most 100      # up to 100 megapixels; from 4 on in tiles too, over 24 only

Each part leaves a table and a plot of its own: growth_pixels, growth_folder, growth_styles and growth_threads. Pictures and
folders are drawn by processes of their own, whose peak memory holds all libraries (``alone``); sizes take turns.

- pixels: one square picture of the shipped base, by onnxruntime.
- folder: JPEGs of --side x --side pixels, from file to file; ten scenes, again and again.
- styles: the shipped base with its rows repeated, a picture of --size x --size.
- threads: a picture and a training step by threads, and crops for training by worker processes, whose start counts.
"""

from __future__ import annotations

import argparse
import itertools
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import alone
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from networks import BASE, training_step
from PIL import Image
from report import Row, Spread, parser_of, run, save, save_plot, spread, timed
from tqdm import tqdm

from fast_nst.data.datasets import Photos
from fast_nst.data.folders import find_photos
from fast_nst.data.loader import Positions, batches
from fast_nst.export.onnx_graph import export_onnx
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference.model import Model
from fast_nst.networks.transformer_net import copy_rows
from fast_nst.networks.weights import load_network
from fast_nst.stylize.stylizer import MAX_PIXELS
from fast_nst.system.files import SHIPPED

MEGAPIXELS = (0.0655, 0.262, 1.05, 4, 12, 23.5, 25, 50, 100)
SCENES, BOTH = 10, 4


def pixels(settings: argparse.Namespace) -> list[Row]:
    """Seconds and peak memory by size, drawn whole and in tiles."""
    ways = [(size, way) for size in settings.megapixels if size <= settings.most for way in ways_of(size)]
    found: dict[tuple[float, str], list[dict]] = {way: [] for way in ways}
    for _, (size, way) in tqdm([*itertools.product(range(settings.rounds), ways)], unit="picture"):
        rounds = max(1, min(7, round(4 / size)))
        found[size, way].append(alone.measured("picture", settings.threads, megapixels=size, way=way, rounds=rounds))
    rows = []
    for (size, way), turns in found.items():
        seconds = spread([value for turn in turns for value in turn["seconds"]])
        row = {"megapixels": size, "drawn": way} | _times(seconds, 1, "seconds")
        rows.append(row | {"seconds_a_megapixel": seconds[0] / size} | _memory(turns))
    return rows


def ways_of(megapixels: float) -> list[str]:
    """Both, where the question is which is better; small pictures whole, and in tiles those that are not drawn whole."""
    pixels = round(math.sqrt(megapixels) * 1000) ** 2
    return ["whole"] * (pixels <= MAX_PIXELS) + ["tiled"] * (megapixels >= BOTH)


def folder(settings: argparse.Namespace) -> list[Row]:
    """Seconds and peak memory by the number of pictures in a folder."""
    found: dict[int, list[dict]] = {count: [] for count in settings.pictures}
    with tempfile.TemporaryDirectory() as place:
        sources = {count: write_photographs(Path(place) / str(count), count, settings.side) for count in found}
        for _, count in tqdm([*itertools.product(range(settings.rounds), found)], unit="folder"):
            turn = alone.measured("folder", settings.threads, source=str(sources[count]), output=f"{place}/drawn")
            found[count].append(turn)
    rows = []
    for count, turns in found.items():
        seconds = spread([turn["seconds"][0] for turn in turns])
        row = {"pictures": count, "written": min(turn["written"] for turn in turns)} | _times(seconds, 1, "seconds")
        rows.append(row | {"milliseconds_a_picture": 1000 * seconds[0] / count} | _memory(turns))
    return rows


def write_photographs(place: Path, count: int, side: int) -> Path:
    """A folder of ``count`` JPEGs of ``side`` x ``side``."""
    place.mkdir()
    scenes = [Image.fromarray(draw_scene(side, side, seed)) for seed in range(min(count, SCENES))]
    for number in range(count):
        scenes[number % SCENES].save(place / f"{number:04d}.jpg", quality=90)
    return place


def styles(settings: argparse.Namespace) -> list[Row]:
    """Milliseconds of a picture and size of the file by the number of rows."""
    picture, base = draw_scene(settings.size, settings.size)[None], load_network("base")
    with tempfile.TemporaryDirectory() as place:
        files = {count: Path(place) / f"{count}.onnx" for count in settings.rows}
        for count, path in tqdm(files.items(), desc="exporting", leave=False):
            sources = itertools.islice(itertools.cycle(base.styles[row] for row in base.style_rows), count)
            export_onnx(copy_rows(base, {f"style {row}": source for row, source in enumerate(sources)}), path, "rows")
        models = {count: Model(path, settings.threads) for count, path in files.items()}
        runs = {count: lambda model=model: model(picture, model.weights()) for count, model in models.items()}
        seconds = timed(runs, settings.turns)
        sizes = {count: path.stat().st_size / 1000 for count, path in files.items()}
    return [
        {"rows": count, "milliseconds": 1000 * times[0], "least": 1000 * times[1], "greatest": 1000 * times[2]}
        | {"kilobytes": sizes[count]}
        for count, times in seconds.items()
    ]


def threads(settings: argparse.Namespace) -> list[Row]:
    """Milliseconds of a picture, a training step and a training crop by threads or workers."""
    counts = sorted({*(2**power for power in range(10) if 2**power <= settings.threads), settings.threads})
    with tempfile.TemporaryDirectory() as place:
        photos = Photos(find_photos(write_photographs(Path(place) / "photos", SCENES, settings.side)), settings.crop)
        seconds = timed(thread_runs(counts, photos, settings), settings.turns, warm_up=2)
    torch.set_num_threads(settings.threads)
    rows = []
    for (what, count), times in seconds.items():
        share = settings.crops if what == "a crop by workers" else 1
        row = {"what": what, "count": count} | _times(times, 1000 / share, "milliseconds")
        rows.append(row | {"times_as_fast": seconds[what, counts[0]][0] / times[0]})
    return sorted(rows, key=lambda row: row["what"])


def thread_runs(
    counts: Sequence[int], photos: Photos, settings: argparse.Namespace
) -> dict[tuple[str, int], Callable[[], object]]:
    """What is timed, by what it is and the number of threads or workers."""
    picture, step = draw_scene(settings.size, settings.size)[None], training_step(BASE, settings.crop, settings.batch)
    found: dict[tuple[str, int], Callable[[], object]] = {}
    for count in counts:
        model = Model(SHIPPED / "base.onnx", count)
        found["a picture by threads", count] = lambda model=model: model(picture, model.weights())
        found["a training step by threads", count] = lambda count=count: (torch.set_num_threads(count), step())
        positions = Positions(0, settings.crops)
        loader = batches(photos, positions, settings.batch, count)
        found["a crop by workers", count] = lambda loader=loader: sum(len(batch) for batch in loader)
    return found


def _times(seconds: Spread, factor: float, unit: str) -> Row:
    return {unit: factor * seconds[0], "least": factor * seconds[1], "greatest": factor * seconds[2]}


def _memory(turns: Sequence[dict]) -> Row:
    """Megabytes before the work and at most, the most of all turns."""
    return {f"{key}_mb": max(turn[key] for turn in turns) for key in ("before", "peak")}


def draw(part: str, rows: Sequence[Row], settings: argparse.Namespace) -> None:
    """The part's plot: a panel for each curve, log axes."""
    panels = PANELS[part]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4.8 * len(panels), 3.6), squeeze=False)
    for axis, (x, y, by) in zip(axes[0], panels, strict=True):
        for name in dict.fromkeys(row[by] if by else "" for row in rows):
            curve(axis, [row for row in rows if not by or row[by] == name], x, y, name)
        axis.set(xscale="log", yscale="log", xlabel=x.replace("_", " "), ylabel=y.replace("_", " "))
        axis.grid(True, which="both", alpha=0.3)
        if by:
            axis.legend(fontsize=8)
    save_plot(f"growth_{part}", figure, settings)


def curve(axis: Axes, rows: Sequence[Row], x: str, y: str, name: str) -> None:
    """One line, with least and greatest where they are known."""
    where, values = [row[x] for row in rows], [row[y] for row in rows]
    axis.plot(where, values, "o-", label=name, markersize=4)
    if y in ("seconds", "milliseconds"):
        axis.fill_between(where, [row["least"] for row in rows], [row["greatest"] for row in rows], alpha=0.2)


PARTS = {"pixels": pixels, "folder": folder, "styles": styles, "threads": threads}
PANELS = {  # what is on the axes, and what tells curves apart
    "pixels": [("megapixels", "seconds", "drawn"), ("megapixels", "peak_mb", "drawn")],
    "folder": [("pictures", "seconds", None), ("pictures", "peak_mb", None)],
    "styles": [("rows", "milliseconds", None), ("rows", "kilobytes", None)],
    "threads": [("count", "milliseconds", "what"), ("count", "times_as_fast", "what")],
}


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, "growth")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=[*PARTS], help="what to measure")
    parser.add_argument("--megapixels", type=float, nargs="+", default=MEGAPIXELS)
    parser.add_argument("--most", type=float, default=25, help="megapixels of the largest picture")
    parser.add_argument("--pictures", type=int, nargs="+", default=[10, 30, 100, 300, 1000], help="in a folder")
    parser.add_argument("--side", type=int, default=512, help="pixels a side of a picture in a folder")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64], help="styles in a model")
    parser.add_argument("--size", type=int, default=512, help="side of the picture for styles and threads")
    parser.add_argument("--crop", type=int, default=256, help="side of the training crops")
    parser.add_argument("--batch", type=int, default=4, help="crops of a training step")
    parser.add_argument("--crops", type=int, default=400, help="that workers decode at a turn")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each size and folder")
    parser.add_argument("--turns", type=int, default=9, help="for each number of styles and threads")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.megapixels, settings.pictures, settings.rows, settings.rounds, settings.turns = (
            [0.01, 0.04],
            [1, 3],
            [1, 2],
            1,
            2,
        )
        settings.side, settings.size, settings.crop, settings.batch, settings.crops = 64, 32, 32, 1, 4
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    settings = parsed(argv)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    for part in settings.part:
        rows = PARTS[part](settings)
        save(f"growth_{part}", rows, settings)
        draw(part, rows, settings)


if __name__ == "__main__":
    run(main)
