"""Is the trainer ever waiting for photographs? The share of a training step that goes by until the next batch is there.

    python benchmarks/data_waiting.py --photos photos

Short runs of `fast-nst train` on a folder of JPEGs (without --photos, scikit-image's), with 0, 1, 2, ... processes that
decode, take turns. Lightning's profiler times the loader's next batch and the step itself; the share is the former of
their sum. Processes that decode share the cores with the step, so look at images/s as well. The first steps do not count.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from pytorch_lightning.profilers import SimpleProfiler
from report import Row, parser_of, publish, run, save_plot, spread
from showcase import photographs
from tqdm import tqdm

from fast_nst.imaging.images import save_image
from fast_nst.settings.train import TrainSettings
from fast_nst.training.run import train
from fast_nst.training.trainer import has_bfloat16

NAME = "data_waiting"
NEXT, STEP = "[_TrainingEpochLoop].train_dataloader_next", "run_training_batch"
UNCOUNTED = 5

Seconds = list[tuple[float, float]]  # waiting and working, for each step


def seconds_of(workers: int, photos: Path, folder: str, settings: argparse.Namespace) -> Seconds:
    """One run: seconds of waiting and of working in each of its steps that count."""
    profiler = SimpleProfiler()
    profiler.summary = lambda: ""  # the table below says it
    trainer = {"profiler": profiler, "logger": False, "enable_progress_bar": False, "accelerator": "cpu"}
    steps = UNCOUNTED + settings.steps
    train(
        TrainSettings(
            data=str(photos),
            name="waiting",
            checkpoints=folder,
            image_size=settings.size,
            batch_size=settings.batch,
            steps=steps,
            preview_every=steps + 1,
            workers=workers,
            seed=settings.seed,
            overwrite=True,
            trainer=trainer | {"precision": "bf16-mixed" if has_bfloat16() else "32-true"},
        )
    )
    waiting, working = (profiler.recorded_durations[action][:steps] for action in (NEXT, STEP))
    return list(zip(waiting, working, strict=True))[UNCOUNTED:]


def row_of(workers: int, runs: Sequence[Seconds], batch: int) -> Row:
    """Milliseconds of all steps, and the share of waiting in each run: median, least and greatest."""
    waiting, working = zip(*itertools.chain(*runs), strict=True)
    row: dict[str, object] = {"workers": workers, "runs": len(runs), "steps": len(runs[0])}
    for name, values in (("wait", waiting), ("step", working)):
        numbers = [1000 * value for value in spread(values)]
        row |= dict(zip((f"{name}_ms", f"{name}_least_ms", f"{name}_greatest_ms"), numbers, strict=True))
    sums = [np.sum(run, 0) for run in runs]
    shares = spread([float(wait / (wait + work)) for wait, work in sums])
    row |= dict(zip(("waiting_share", "waiting_share_least", "waiting_share_greatest"), shares, strict=True))
    return row | {"images_per_s": spread([float(batch * len(runs[0]) / total.sum()) for total in sums])[0]}


def measured(settings: argparse.Namespace) -> list[Row]:
    found: dict[int, list[Seconds]] = {workers: [] for workers in settings.workers}
    with tempfile.TemporaryDirectory() as folder:
        photos = settings.photos or sample_photos(Path(folder) / "photos")
        for _, workers in tqdm(list(itertools.product(range(settings.rounds), settings.workers)), unit="run"):
            found[workers].append(seconds_of(workers, photos, folder, settings))
    return [row_of(workers, runs, settings.batch) for workers, runs in found.items()]


def sample_photos(folder: Path) -> Path:
    """scikit-image's photographs as JPEGs in ``folder``, which is returned."""
    for index, pixels in enumerate(photographs(640)):
        save_image(pixels, folder / f"{index}.jpg")
    return folder


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3.5))
    names, shares = [str(row["workers"]) for row in rows], [100 * row["waiting_share"] for row in rows]
    ends = [[100 * abs(row[f"waiting_share_{end}"] - row["waiting_share"]) for row in rows] for end in ("least", "greatest")]
    left.bar(names, shares, yerr=ends, capsize=4)
    left.set(xlabel="processes that decode", ylabel="% of the time waiting for photographs", ylim=(0, None))
    right.bar(names, [row["images_per_s"] for row in rows])
    right.set(xlabel="processes that decode", ylabel="images/s")
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--photos", type=Path, help="folder of photographs (none: scikit-image's, as JPEGs)")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=40, help="steps of each run that count")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=256, help="side of the crops")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.workers, settings.steps, settings.rounds, settings.batch, settings.size = [0, 1], 4, 1, 2, 32
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    publish(NAME, measured, draw, parsed(argv))


if __name__ == "__main__":
    run(main)
