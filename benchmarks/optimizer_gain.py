"""What Muon gains over Adam: the objective on held-out photographs over equal steps.

    python benchmarks/optimizer_gain.py --photos coco --style painting.jpg --vgg19 vgg19_features.safetensors

The same network learns the same painting from the same crops, with every optimizer and seed, as in frontier_training.py,
whose options these are. In the output folder: optimizer_gain.csv, every measurement, and its plot. Seeds are what a
difference is to be held against; each optimizer may have several rates.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from frontier_training import judge_of, painting_of, parser_for, trained, with_seed
from matplotlib import pyplot
from report import Row, positive, publish, run, save_plot, spread

NAME, NETWORK = "optimizer_gain", "fast 48"


def variants(settings: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Name -> what the trainer's optimizer is told."""
    rates = {f"Adam at {rate:g}": {"muon": False, "learning_rate": rate} for rate in settings.adam_rates}
    return rates | {f"Muon at {rate:g}": {"learning_rate": rate} for rate in settings.muon_rates}


def measurements(settings: argparse.Namespace) -> list[Row]:
    painting, rows = painting_of(settings), []
    judge = judge_of(painting, settings)
    for seed in range(settings.seed, settings.seed + settings.seeds):
        for name, changes in variants(settings).items():
            found = trained(NETWORK, painting, judge, with_seed(seed, settings), **changes)
            rows += [{"optimizer": name} | row for row in found.rows]
    return rows


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    """The objective over steps: medians over the seeds, and between them and the least and greatest a shade."""
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name in variants(settings):
        of = [row for row in rows if row["optimizer"] == name]
        steps = sorted({row["step"] for row in of})
        values = [spread([row["objective"] for row in of if row["step"] == step]) for step in steps]
        (line,) = axes.plot(steps, [value[0] for value in values], ".-", label=name)
        axes.fill_between(steps, [v[1] for v in values], [v[2] for v in values], color=line.get_color(), alpha=0.15)
    axes.set(xlabel="steps", ylabel="objective on held-out photographs", yscale="log")
    axes.legend()
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_for(__doc__, NAME)
    parser.add_argument("--seeds", type=positive, default=2)
    parser.add_argument("--adam_rates", type=float, nargs="+", default=[2e-3])
    parser.add_argument("--muon_rates", type=float, nargs="+", default=[2e-3, 1e-3])
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.steps, settings.size, settings.count, settings.held_out_size, settings.seeds = 8, 32, 2, 48, 1
        settings.muon_rates = [2e-3]
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    publish(NAME, measurements, draw, parsed(argv))


if __name__ == "__main__":
    run(main)
