"""Measurements of models: times of functions that take turns, PSNR of two pictures, and Markdown tables."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

WARM_UP = 4
ROUNDS = 7
REST = 0.1  # seconds; the threads of onnxruntime keep the cores busy for a while after a picture
Name = TypeVar("Name")


def milliseconds(
    runs: Mapping[Name, Callable[[], object]],
    rounds: int = ROUNDS,
    warm_up: int = WARM_UP,
    after: Callable[[], object] = lambda: None,
    rest: float = REST,
) -> dict[Name, list[float]]:
    """Milliseconds that each of ``runs`` takes, ``rounds`` times.

    They take turns, so that other work of the machine affects them alike, with a rest before each turn that counts.

    Args:
        runs: name -> function to time.
        rounds: turns that count.
        warm_up: turns before them that do not; OpenVINO compiles for a size on its third.
        after: called after every run, not timed: for a progress bar.
        rest: seconds before each turn that counts, where there are several of ``runs``.
    """
    taken: dict[Name, list[float]] = {name: [] for name in runs}
    for turn in range(warm_up + rounds):
        for name, run in runs.items():
            if turn >= warm_up and len(runs) > 1:
                time.sleep(rest)
            started = time.perf_counter()
            run()
            if turn >= warm_up:
                taken[name].append(1000 * (time.perf_counter() - started))
            after()
    return taken


def median_milliseconds(
    runs: Mapping[Name, Callable[[], object]], rounds: int = ROUNDS, warm_up: int = WARM_UP
) -> dict[Name, float]:
    """The median duration of each of ``runs``, which take turns; see ``milliseconds``."""
    return {name: statistics.median(values) for name, values in milliseconds(runs, rounds, warm_up).items()}


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures in dB, 10 log10(255^2 / mean square); infinity for equal ones."""
    mean_square = float(np.square(first.astype(np.float64) - second).mean())
    return 10 * math.log10(255**2 / mean_square) if mean_square else math.inf


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """Rows of text as an aligned Markdown table; the columns after the first ``names`` hold numbers."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width if place < names else "-" * (width - 1) + ":" for place, width in enumerate(widths)]
    lines = []
    for row in (header, rule, *rows):
        cells = zip(row, widths, strict=True)
        padded = [cell.ljust(width) if place < names else cell.rjust(width) for place, (cell, width) in enumerate(cells)]
        lines.append(f"| {' | '.join(padded)} |")
    return "\n".join(lines)
