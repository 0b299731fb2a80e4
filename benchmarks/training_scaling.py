"""Weak scaling: images/s of `fast-nst train` with 1 and 2 processes (DDP over gloo), each with one thread and its own batch.

    python benchmarks/training_scaling.py

The runs take turns; every process decodes its own photographs (without --photos, scikit-image's). Images/s are those of all
processes together, from the run's card, whose clock begins after the first step, during which processes find each other.
The efficiency is their ratio to as many times the images/s of one process in the same round. More processes than cores
cannot gain anything.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot
from report import Row, parser_of, run, save, save_plot, spread
from tqdm import tqdm

from fast_nst.data.sample_photos import sample_photos
from fast_nst.imaging.images import save_image

NAME = "training_scaling"


def written_photos(folder: Path) -> Path:
    """scikit-image's photographs as JPEGs in ``folder``, which is returned."""
    for index, pixels in enumerate(sample_photos(640)):
        save_image(pixels, folder / f"{index}.jpg")
    return folder


def command_of(processes: int, folder: str, photos: Path, settings: argparse.Namespace) -> list[str]:
    """One run of ``fast-nst train``."""
    flags = {"name": "scaling", "checkpoints": folder, "data": photos, "workers": 0, "seed": settings.seed}
    flags |= {"image_size": settings.size, "batch_size": settings.batch, "steps": settings.steps}
    flags |= {"preview_every": settings.steps + 1, "trainer.accelerator": "cpu", "trainer.devices": processes}
    flags |= {"trainer.enable_progress_bar": "false", "trainer.logger": "false"}
    flags |= {"trainer.strategy": "ddp"} if processes > 1 else {}
    return [sys.executable, "-m", "fast_nst", "train", *(f"--{name}={value}" for name, value in flags.items())]


def images_per_second(processes: int, settings: argparse.Namespace) -> float:
    """The images/s of one run, the first step left out."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        photos = settings.photos or written_photos(Path(folder) / "photos")
        command = command_of(processes, folder, photos, settings)
        done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command[1:])} failed:\n{done.stderr}")
        card = json.loads((Path(folder) / "scaling" / "card.json").read_text())
    return (card["photographs_seen"] - settings.batch * processes) / card["seconds"]


def rows_of(rates: dict[int, list[float]], settings: argparse.Namespace) -> list[Row]:
    """A row for each number of processes: images/s and efficiency, median, least and greatest of the rounds."""
    rows = []
    for processes, found in rates.items():
        efficiencies = [rate / one / processes for rate, one in zip(found, rates[1], strict=True)]
        row = {"processes": processes, "threads_each": 1, "batch_each": settings.batch, "rounds": len(found)}
        for name, values in (("images_per_s", found), ("efficiency", efficiencies)):
            row |= dict(zip((name, f"{name}_least", f"{name}_greatest"), spread(values), strict=True))
        rows.append(row)
    return rows


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    figure, axes = pyplot.subplots(figsize=(5, 4))
    processes, rates = ([row[name] for row in rows] for name in ("processes", "images_per_s"))
    ends = [[abs(row[f"images_per_s_{end}"] - row["images_per_s"]) for row in rows] for end in ("least", "greatest")]
    axes.errorbar(processes, rates, yerr=ends, marker="o", capsize=4, label="measured")
    axes.plot(processes, [count * rates[0] for count in processes], "--", color="black", label="ideal")
    axes.set(xlabel="processes, each with one thread", ylabel="images/s", xticks=processes, ylim=(0, None))
    axes.legend()
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--photos", type=Path, help="folder of photographs (none: scikit-image's, as JPEGs)")
    parser.add_argument("--processes", type=int, default=2, help="up to so many")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=4, help="of each process")
    parser.add_argument("--size", type=int, default=256, help="side of the crops")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.steps, settings.rounds, settings.batch, settings.size = 10, 1, 2, 32
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    settings = parsed(argv)
    rates: dict[int, list[float]] = {count: [] for count in range(1, settings.processes + 1)}
    for _, count in tqdm(list(itertools.product(range(settings.rounds), rates)), unit="run"):
        rates[count].append(images_per_second(count, settings))
    rows = rows_of(rates, settings)
    save(NAME, rows, settings)
    draw(rows, settings)


if __name__ == "__main__":
    run(main)
