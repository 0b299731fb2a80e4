"""The frontier of networks: time and memory against the objective after equal training.

    python benchmarks/frontier_training.py --photos coco --style painting.jpg --vgg19 vgg19_features.safetensors
    python benchmarks/frontier.py

Milliseconds of a picture (PyTorch eager, onnxruntime, OpenVINO in float32 and bfloat16; --int8 adds int8 through every
engine) and of a training step take turns; above 512 pixels, where many sessions would fill the memory, only onnxruntime and
the last engine do. Memory is the peak of a process that draws one picture of the largest size. Objective, structure r and
checkerboard come from frontier_training.csv: after all steps, and after as many as fit into the seconds in which the fastest
learner does all of its own, read off the curves, where the rate of the others has not fallen yet; means over the seeds, and
the least and the greatest objective of them. The Pareto line joins the networks that no other beats in both time and
objective, of those whose pictures show no checkerboard.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from alone import measured
from candidates import CANDIDATES, macs
from matplotlib import pyplot
from networks import BASE, eager, network_of, training_step
from report import Row, parser_of, run, save, save_plot, timed

from fast_nst.export.onnx_graph import export_onnx
from fast_nst.export.precision import to_int8
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference.engine_selection import Choice, find_engines
from fast_nst.inference.model import Model

NAME = "frontier"
TRAINING = "frontier_training"
EAGER, STEP, SLOWEST = "PyTorch eager", "training step", "johnson 32"

MOST_PIXELS = 512  # a side, up to which all engines draw
NO_CHECKERBOARD = 2
LEARNED = ("objective", "objective_least", "objective_greatest", "r", "checkerboard", "seeds")

Label = tuple[str, str]  # network, what is timed


def drawers(files: dict[str, Path], size: int, settings: argparse.Namespace) -> dict[Label, Callable[[], object]]:
    """What draws one picture of ``size`` x ``size``, for every network and engine; PyTorch eager as well."""
    picture, found = draw_scene(size, size)[None], {}
    for name, path in files.items():
        if size <= MOST_PIXELS or name == SLOWEST:
            found[name, EAGER] = eager(name, picture)
        for label, choice, file in engines_of(path, size, settings.int8):
            model = Model(file, settings.threads, choice.name, choice.provider)
            found[name, label] = lambda model=model: model(picture, model.weights())
    return found


def engines_of(path: Path, size: int, int8: bool) -> list[tuple[str, Choice, Path]]:
    """Every engine with the model at ``path`` and, with ``int8``, in int8; the first and the last for large pictures."""
    choices = find_engines()
    found = [(str(choice), choice, path) for choice in choices]
    found += [(f"{choice.name} int8", choice, _quantised_path(path)) for choice in choices if int8]
    return found if size <= MOST_PIXELS else [found[0], found[-1]]


def _quantised_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}_int8.onnx")


def quantise(path: Path) -> None:
    """Write the same model in int8 beside ``path``, calibrated on a few drawn scenes, enough for its speed."""
    model = Model(path, 1)
    scenes = [(draw_scene(192, 192, seed)[None], model.weights()) for seed in range(4)]
    onnx.save(to_int8(onnx.load(path), scenes), _quantised_path(path))


def costs(name: str, path: Path, settings: argparse.Namespace) -> Row:
    """Multiply-accumulates and parameters, and the peak of a process that draws one picture of the largest size."""
    network, side = network_of(name), max(settings.sizes)
    peak = measured("picture", settings.threads, megapixels=side * side / 1e6, model=str(path))["peak"]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"network": name, "gmac_256": macs(network, 256, 256) / 1e9, "parameters": parameters, "peak_mb": round(peak)}


def measurements(settings: argparse.Namespace) -> list[Row]:
    """A row for each network, with a column for each size and engine."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{index}.onnx" for index, name in enumerate(settings.networks)}
        for name, path in files.items():
            export_onnx(network_of(name), path, "style")
            if settings.int8:
                quantise(path)
        rows = {name: dict(costs(name, path, settings)) for name, path in files.items()}
        for size in settings.sizes:
            for (name, engine), seconds in timed(drawers(files, size, settings), settings.rounds).items():
                rows[name][f"{engine}, {size}"] = round(1000 * seconds[0], 2)
    steps = timed({name: training_step(name, settings.crop, 2) for name in settings.networks}, settings.rounds, 1)
    for name, seconds in steps.items():
        rows[name][STEP] = round(1000 * seconds[0], 1)
    columns = dict.fromkeys(column for row in rows.values() for column in row)
    return [columns | row for row in rows.values()]


def curves(settings: argparse.Namespace) -> dict[str, list[Row]]:
    """What frontier_training measured, by network: means over its seeds at each step, and how many they were."""
    path = Path(settings.training or Path(settings.output) / f"{TRAINING}.csv")
    if not path.exists():
        return {}
    found: dict[str, dict[float, list[Row]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            numbers = {key: float(value) for key, value in row.items() if key != "network"}
            found.setdefault(row["network"], {}).setdefault(numbers["step"], []).append(numbers)
    return {name: [_mean(rows) for rows in steps.values()] for name, steps in found.items()}


def _mean(rows: Sequence[dict[str, float]]) -> Row:
    """The mean of each column, and the least and the greatest objective."""
    objectives = [row["objective"] for row in rows]
    means = {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]}
    return means | {"objective_least": min(objectives), "objective_greatest": max(objectives), "seeds": len(rows)}


def with_quality(rows: Sequence[Row], learned: dict[str, list[Row]]) -> list[Row]:
    """``rows`` with objective, structure r and checkerboard after equal steps, and the objective after equal seconds."""
    known = [row for row in rows if row["network"] in learned]
    budget = min((row[STEP] * learned[row["network"]][-1]["step"] for row in known), default=0.0)
    found = []
    for row in rows:
        curve = learned.get(row["network"])
        quality = dict.fromkeys((*LEARNED, "objective_equal_seconds"))
        if curve:
            steps, totals = [one["step"] for one in curve], [one["objective"] for one in curve]
            there = round(float(np.interp(budget / row[STEP], steps, totals)), 4)
            quality = {key: curve[-1][key] for key in LEARNED} | {"objective_equal_seconds": there}
        found.append({**row, **quality})
    return found


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """The indices of those points (time, objective) that no other beats in both, by time."""
    order = sorted(range(len(points)), key=lambda index: points[index])
    kept: list[int] = []
    for index in order:
        if not kept or points[index][1] < points[kept[-1]][1]:
            kept.append(index)
    return kept


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    """Objective against milliseconds of onnxruntime at 512 pixels or the last size, with the Pareto line."""
    side = MOST_PIXELS if MOST_PIXELS in settings.sizes else settings.sizes[-1]
    known = [row for row in rows if row["objective"] is not None] or list(rows)
    points = {row["network"]: (row[f"onnxruntime on cpu, {side}"], row["objective"] or 0.0) for row in known}
    clean = [row["network"] for row in known if (row["checkerboard"] or 0.0) < NO_CHECKERBOARD]
    figure, axes = pyplot.subplots(figsize=(8, 5.5))
    for name, point in points.items():
        color, fill = "tab:orange" if name == BASE else "tab:blue", "full" if name in clean else "none"
        axes.plot(*point, "o", color=color, fillstyle=fill)
        axes.annotate(name, point, textcoords="offset points", xytext=(5, 4), fontsize=8)
    line = [points[clean[index]] for index in pareto([points[name] for name in clean])]
    times, objectives = [time for time, _ in line], [objective for _, objective in line]
    axes.step(times, objectives, where="post", color="black", linewidth=1, label="Pareto line")
    axes.plot([], [], "o", color="tab:blue", fillstyle="none", label=f"draws a checkerboard (over {NO_CHECKERBOARD:g})")
    axes.set(xscale="log", xlabel=f"milliseconds of a picture of {side} x {side}, onnxruntime", ylabel="objective")
    axes.legend()
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--networks", nargs="+", default=list(CANDIDATES), choices=list(CANDIDATES), metavar="NAME")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--crop", type=int, default=192, help="side of the training crops")
    parser.add_argument("--int8", action="store_true", help="int8 through every engine as well")
    parser.add_argument("--training", help=f"table of the training (none: {TRAINING}.csv in the folder of the output)")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.networks, settings.sizes, settings.rounds, settings.crop = ["fast 24", "johnson 8"], [32], 2, 32
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    settings = parsed(argv)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    rows = with_quality(measurements(settings), curves(settings))
    save(NAME, rows, settings)
    draw(rows, settings)


if __name__ == "__main__":
    run(main)
