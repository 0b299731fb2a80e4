"""Johnson et al. (2016), Fig. 5: the objective over iterations of L-BFGS, and N*, the iteration that reaches the network's.

    python benchmarks/johnson_fig5.py --paintings paintings --vgg19 vgg19_features.safetensors --photos coco --count 4

For every shipped style and photograph (without --photos, three of scikit-image's), L-BFGS starts from the photograph and
from noise. The objective is that of the base's training, with the weights and the border on its card (--border 0: of whole
pictures), under VGG-19 or, without --vgg19, under lite. An iteration is one evaluation of the objective and its gradient,
and the best picture so far counts.
Photographs must be held out; files of paintings have the names of their styles. In the output folder:

equivalents.csv           N* of each pair of style and photograph; one more than was tried where L-BFGS does not reach it
johnson_fig5_curves.csv   the objective of each descent, the network's being 1
johnson_fig5.csv, .png    medians and spread over the pairs

Under lite their names end in _lite. Each result is written at once, and existing ones are not measured again without
--again, which is needed after a change of the base.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from report import Row, parser_of, run, save, save_plot, spread, write_rows
from tqdm import tqdm

from fast_nst.data.folders import find_preview_photos
from fast_nst.data.sample_photos import sample_photos
from fast_nst.errors import UserError
from fast_nst.evaluation.run import measure
from fast_nst.functional.pixels import to_tensor
from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.images import load_image, open_image, resize_long_side
from fast_nst.imaging.scanning import find_images
from fast_nst.losses.perceptual import PerceptualLoss, perceptual_loss
from fast_nst.losses.terms import picture_shares
from fast_nst.optimization.descent import Descent, Objective
from fast_nst.settings.train import LossSettings
from fast_nst.stylize.library import shipped_styles
from fast_nst.stylize.stylizer import Stylizer
from fast_nst.system.files import SHIPPED

NAME, STYLE_SIZE = "johnson_fig5", 640
SAMPLES = ("astronaut", "chelsea", "coffee")
STARTS = ("photo", "noise")
GRID = (*range(21), *range(25, 100, 5), *range(100, 501, 25))  # iterations of which the curves are kept
SHOWN = (10, 25, 50, 100)
PAIR = ("style", "size", "photo")
FIELDS = (*PAIR, "n_photo", "n_noise", "total", "content", "style_term", "structure", "ssim", "seconds")


def training_loss(name: str, card: dict) -> LossSettings:
    """The objective of one style in the training of the base, by its card."""
    names = [Path(style["file"]).stem for style in card["style"]]
    older = {"content": "squared", "palette_weight": 0.0}  # of cards from before there was a choice
    settings = LossSettings(**(older | card["loss"]))
    share = picture_shares(len(names), settings)[names.index(name)].item()
    return replace(settings, style_weight=settings.style_weight * share, style_shares=[])


def criterion_of(name: str, settings: argparse.Namespace) -> PerceptualLoss:
    """The objective of a style's training; --quick without paintings takes the one that the package draws."""
    if settings.paintings is None:
        painting = draw_style("impasto", 1)[:96, :96]
    else:
        found = [path for path in find_images(settings.paintings) if path.stem == name]
        if not found:
            raise UserError(f"no painting called {name} in {settings.paintings}; --paintings needs one for every style")
        painting = np.asarray(resize_long_side(open_image(found[0]), STYLE_SIZE))
    network, card = "vgg19" if settings.vgg19 else "lite", json.loads((SHIPPED / "base.json").read_text())
    border = card["sizes"].get("border", 0) if settings.border is None else settings.border
    return perceptual_loss(network, settings.vgg19, [to_tensor(painting)], training_loss(name, card), border)


def photos_of(settings: argparse.Namespace, size: int) -> dict[str, np.ndarray]:
    """Name -> photograph as uint8 RGB, its longer side ``size``."""
    if settings.photos is None:
        return dict(list(zip(SAMPLES, sample_photos(size), strict=True))[: settings.count])
    return {path.name: load_image(path, size) for path in find_preview_photos(settings.photos, settings.count)}


def descended(objective: Objective, start: torch.Tensor, iterations: int) -> list[float]:
    """The least objective so far, before the first and after each of ``iterations``."""
    descent = Descent(objective, start)
    values = [descent.best_terms.total.item()]
    for _ in range(iterations):
        descent.step()
        values.append(descent.best_terms.total.item())
    return values


def first_at_most(values: Sequence[float], target: float) -> int:
    """N*: the first iteration whose objective is at most ``target``, or one more than there are."""
    return next((iteration for iteration, value in enumerate(values) if value <= target), len(values))


def start_of(start: str, photo: torch.Tensor, seed: int) -> torch.Tensor:
    return photo if start == "photo" else torch.rand(photo.shape, generator=torch.Generator().manual_seed(seed))


class Tables:
    """equivalents.csv and johnson_fig5_curves.csv: what was measured, a row for each pair and for each descent."""

    def __init__(self, settings: argparse.Namespace) -> None:
        tag, folder = "" if settings.vgg19 else "_lite", Path(settings.output)
        self.paths = folder / f"equivalents{tag}.csv", folder / f"{NAME}_curves{tag}.csv"
        self.name, fields = NAME + tag, (*PAIR, "start", "n", *map(str, GRID))
        self.pairs, self.curves = (_read(path, wanted) for path, wanted in zip(self.paths, (FIELDS, fields), strict=True))
        if settings.again:
            self.pairs, self.curves = (_without(rows, settings.sizes) for rows in (self.pairs, self.curves))

    def missing(self, pair: Sequence[str], starts: Sequence[str]) -> list[str]:
        """Those of ``starts`` from which the pair was not descended yet."""
        known = {row["start"] for row in self.curves if _key(row) == tuple(pair)}
        return [start for start in starts if start not in known]

    def add(self, pair: Sequence[str], numbers: Row, curves: dict[str, tuple[int, list[float]]]) -> None:
        """Write down a pair's ``numbers`` and start -> N* and curve; a start measured before stays."""
        (row,) = [row for row in self.pairs if _key(row) == tuple(pair)] or [dict.fromkeys(FIELDS, "")]
        counts = {f"n_{start}": count for start, (count, _) in curves.items()}
        row = row | dict(zip(PAIR, pair, strict=True)) | numbers | counts
        self.pairs = [other for other in self.pairs if _key(other) != tuple(pair)] + [row]
        for start, (count, curve) in curves.items():
            kept = {str(i): f"{curve[i]:.4g}" if i < len(curve) else "" for i in GRID}
            self.curves.append(dict(zip(PAIR, pair, strict=True)) | {"start": start, "n": count} | kept)
        for path, rows in zip(self.paths, (self.pairs, self.curves), strict=True):
            write_rows(path, rows)


def _key(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in PAIR)


def _without(rows: Sequence[dict], sizes: Sequence[int]) -> list[dict]:
    return [row for row in rows if int(row["size"]) not in sizes]


def _read(path: Path, fields: Sequence[str]) -> list[dict]:
    """The rows of a table with these columns; those that an older table lacks are empty, and others are left out."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{field: row.get(field, "") for field in fields} for row in csv.DictReader(file)]


def measure_pair(
    name: str, photo: np.ndarray, criterion: PerceptualLoss, starts: Sequence[str], settings: argparse.Namespace
) -> tuple[Row, dict[str, tuple[int, list[float]]]]:
    """The network's numbers on one photograph, and for each start N* and the curve in units of the network's objective."""
    began, pixels = time.perf_counter(), to_tensor(photo)[None]
    found = measure("", photo, Stylizer(name, settings.threads)(photo), criterion)
    objective, curves = criterion.objective(pixels), {}
    for start in starts:
        values = descended(objective, start_of(start, pixels, settings.seed), settings.iterations)
        curves[start] = first_at_most(values, found.total), [value / found.total for value in values]
    terms = {"total": found.total, "content": found.content, "style_term": found.style, "structure": found.structure}
    numbers = {key: round(value, 4) for key, value in terms.items()} | {"ssim": round(found.ssim, 4)}
    return numbers | {"seconds": round(time.perf_counter() - began, 1)}, curves


def measure_all(tables: Tables, settings: argparse.Namespace) -> None:
    starts = STARTS if settings.noise else STARTS[:1]
    progress = tqdm([(size, name) for size in settings.sizes for name in settings.styles], unit="style")
    for size, name in progress:
        photos = photos_of(settings, size)
        missing = {photo: tables.missing((name, str(size), photo), starts) for photo in photos}
        criterion = criterion_of(name, settings) if any(missing.values()) else None
        for photo, wanted in missing.items():
            progress.set_postfix(style=name, photo=photo)
            if wanted:
                tables.add((name, str(size), photo), *measure_pair(name, photos[photo], criterion, wanted, settings))


def curves_of(tables: Tables, size: int, start: str) -> tuple[list[int], dict[int, tuple[float, float, float]]]:
    """N* of every pair, and iteration -> median, least and greatest objective, for what all pairs were run."""
    rows = [row for row in tables.curves if (row["size"], row["start"]) == (str(size), start)]
    kept = [i for i in GRID if rows and all(row[str(i)] != "" for row in rows)]
    return [int(row["n"]) for row in rows], {i: spread([float(row[str(i)]) for row in rows]) for i in kept}


def summary(tables: Tables, sizes: Sequence[int]) -> list[Row]:
    """A row for each size and start: N*, and the median objective after some iterations, the network's being 1."""
    rows = []
    for size, start in [(size, start) for size in sizes for start in STARTS]:
        counts, curve = curves_of(tables, size, start)
        if counts:
            median, least, greatest = spread(counts)
            row = {"size": size, "start": start, "pairs": len(counts), "iterations": max(curve)}
            row |= {"n_median": float(median), "n_least": least, "n_greatest": greatest}
            rows.append(row | {f"objective_{i}": curve[i][0] if i in curve else None for i in SHOWN})
    return rows


def draw_panel(axes: Axes, tables: Tables, size: int) -> None:
    for start, color in zip(STARTS, ("tab:blue", "tab:orange"), strict=True):
        counts, curve = curves_of(tables, size, start)
        if counts:
            median, least, greatest = zip(*curve.values(), strict=True)
            label = f"L-BFGS from {start}, N* {np.median(counts):g} (median of {len(counts)})"
            axes.fill_between(list(curve), least, greatest, color=color, alpha=0.15, linewidth=0)
            axes.plot(list(curve), median, color=color, label=label)
    axes.axhline(1, color="black", linestyle="--", label="feed-forward")
    axes.set(title=f"{size} pixels", xlabel="iterations", ylabel="objective / feed-forward's", yscale="log")
    axes.legend()


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--paintings", type=Path, help="folder of the shipped styles' paintings, great_wave.jpg and so on")
    parser.add_argument("--photos", type=Path, help="folder of held-out photographs (none: scikit-image's)")
    parser.add_argument("--count", type=int, default=3, help="photographs, the first of the folder")
    parser.add_argument("--styles", nargs="+", default=list(shipped_styles()), choices=list(shipped_styles()))
    parser.add_argument("--sizes", type=int, nargs="+", default=[256], help="longer side of the photographs")
    parser.add_argument("--iterations", type=int, default=100, choices=GRID[1:], metavar="N", help=f"up to {GRID[-1]}")
    parser.add_argument("--vgg19", type=Path, help="VGG-19's weights in torchvision's keys (none: under lite)")
    parser.add_argument("--border", type=int, help="pixels along the edge that do not count (none: as in the training)")
    parser.add_argument("--noise", action=argparse.BooleanOptionalAction, default=True, help="from noise as well")
    parser.add_argument("--again", action="store_true", help="measure anew what is there for these sizes")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.sizes, settings.styles, settings.count, settings.iterations = [48], settings.styles[:2], 1, 6
    elif settings.paintings is None:
        parser.error("the objective of a shipped style needs its painting: --paintings FOLDER")
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    settings = parsed(argv)
    torch.set_num_threads(settings.threads)
    tables = Tables(settings)
    measure_all(tables, settings)
    save(tables.name, summary(tables, settings.sizes), settings)
    figure, panels = pyplot.subplots(1, len(settings.sizes), figsize=(6 * len(settings.sizes), 4.5), squeeze=False)
    for axes, size in zip(panels[0], settings.sizes, strict=True):
        draw_panel(axes, tables, size)
    save_plot(tables.name, figure, settings)


if __name__ == "__main__":
    run(main)
