"""What it is worth that memory which a step frees stays with the process (``fast_nst.system.allocator``).

    python benchmarks/kept_memory.py

A training step under lite and iterations of `fast-nst optimize` under VGG-19, whose weights are random here, in processes of
their own that take turns: freed memory returned to the system, as glibc's malloc does with large pieces, or kept. Page
faults are the pages that a step has to fetch anew, ``system`` is the kernel's share of the processor time, and the peak is
that of the whole process.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from matplotlib import pyplot
from networks import BASE, training_step
from optimization_speed import loss_network, our_step
from report import Row, parser_of, positive, publish, run, save_plot
from tqdm import tqdm

from fast_nst.system.allocator import keep_freed_memory
from fast_nst.training.trainer import has_bfloat16

NAME = "kept_memory"
WAYS = {"returned": False, "kept": True}
WARM_UP = 3
Turn = dict[str, float]


def step_of(what: str, side: int) -> Callable[[], object]:
    """A step of ``what`` on random pictures of ``side`` x ``side``."""
    if what == "training":
        return training_step(BASE, side, 2, bfloat16=has_bfloat16())
    options = argparse.Namespace(statistic="gram", bfloat16=False, low_memory=False, history=20)
    return our_step(loss_network("vgg19"), *torch.rand(2, 1, 3, side, side), options)


def turn(what: str, side: int, kept: bool, settings: argparse.Namespace) -> Turn:
    """Milliseconds (median), page faults and the kernel's share of some steps, and the process's peak memory."""
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    if kept:
        keep_freed_memory()
    step = step_of(what, side)
    for _ in range(WARM_UP):
        step()
    before, seconds = resource.getrusage(resource.RUSAGE_SELF), []
    for _ in range(settings.steps):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    after = resource.getrusage(resource.RUSAGE_SELF)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    faults = (after.ru_minflt - before.ru_minflt) / settings.steps
    share = 100 * system / max(user + system, 1e-9)
    return {"ms": 1000 * statistics.median(seconds), "faults": faults, "system": share, "peak_mb": after.ru_maxrss / 1024}


def measurements(settings: argparse.Namespace) -> list[Row]:
    cases = [("training", settings.crop), *(("optimisation", side) for side in settings.sides)]
    found: dict[tuple, list[Turn]] = {}
    every = [*itertools.product(range(settings.rounds), cases, WAYS)]
    for _, (what, side), way in tqdm(every, unit="process"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found.setdefault((what, side, way), []).append(pool.apply(turn, (what, side, WAYS[way], settings)))
    return [row_of(*key, turns, found[(*key[:2], "returned")]) for key, turns in found.items()]


def row_of(what: str, side: int, way: str, turns: Sequence[Turn], returned: Sequence[Turn]) -> Row:
    """Medians over the turns, least and greatest, and how many times as fast as with returned memory."""
    times = [one["ms"] for one in turns]
    ratios = [before["ms"] / one["ms"] for before, one in zip(returned, turns, strict=True)]
    row = {"step": what, "side": side, "freed memory": way, "milliseconds": statistics.median(times)}
    row |= {"least": min(times), "greatest": max(times)}
    row |= {"times as fast": statistics.median(ratios)}
    names = {"faults": "page faults", "system": "system, %", "peak_mb": "peak MB"}
    return row | {name: statistics.median(one[key] for one in turns) for key, name in names.items()}


def draw(rows: Sequence[Row], settings: argparse.Namespace) -> None:
    """How many times as fast each step is with freed memory kept."""
    kept = [row for row in rows if row["freed memory"] == "kept"]
    figure, axes = pyplot.subplots(figsize=(7, 1.5 + 0.5 * len(kept)))
    names = [f"{row['step']}, {row['side']} pixels" for row in kept]
    axes.bar_label(axes.barh(names, [row["times as fast"] for row in kept]), fmt="%.2f", padding=3)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set(xlabel="times as fast as with freed memory returned")
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--crop", type=int, default=256, help="side of the 2 training crops")
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512], help="of the pictures to optimise")
    parser.add_argument("--steps", type=positive, default=6, help="that count, in each process")
    parser.add_argument("--rounds", type=positive, default=3, help="processes for each way")
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.crop, settings.sides, settings.steps, settings.rounds = 32, [32], 1, 1
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    publish(NAME, measurements, draw, parsed(argv))


if __name__ == "__main__":
    run(main)
