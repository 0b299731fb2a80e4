"""Soak test: thousands of pictures of mixed sizes and styles through one process, and its memory, files and threads.

    python benchmarks/soak.py --count 5000 --threads 2

Memory after the warm-up and at the end (resident, MiB), open files, threads; a sample of pictures against those of fresh
processes; and eight threads that share one Stylizer against one. Memory is flat if it grew by at most 5 %.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from matplotlib import pyplot
from report import Row, parser_of, save, save_plot

from fast_nst.imaging.synthetic import draw_scene
from fast_nst.stylize.stylizer import Stylizer

STYLES = ("great_wave", "the_scream:0.6,monet:0.4", "starry_night")
SIDES = (64, 96, 131, 200, 256, 320, 517, 640)
QUICK_SIDES = (17, 32, 48, 61)
SHARING = 8
SAMPLE = 6
MEASURED = 20  # times along the way
FLAT = 0.05
FRESH = """
import sys, numpy as np
from fast_nst.stylize.stylizer import Stylizer
np.save(sys.argv[3], Stylizer(sys.argv[1], threads=int(sys.argv[4]))(np.load(sys.argv[2])))
"""


def held() -> dict[str, float]:
    """Resident memory in MiB, open files and threads of this process."""
    gc.collect()
    process = psutil.Process()
    files = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
    return {"memory": process.memory_info().rss / 2**20, "files": files, "threads": process.num_threads()}


def tasks(count: int, sides: tuple[int, ...], seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Styles with pictures (H, W, 3), every size from the start on in random order."""
    chance = np.random.default_rng(seed)
    for number in range(count):
        height, width = chance.choice(sides, 2)
        yield STYLES[number % len(STYLES)], draw_scene(int(height), int(width), seed=number)


def soak(count: int, sides: tuple[int, ...], threads: int, seed: int) -> tuple[list[Row], list[tuple]]:
    """Measurements along the way, the first after the warm-up; and a sample of (style, photo, picture)."""
    stylizers = {style: Stylizer(style, threads) for style in STYLES}
    for style, height, width in product(STYLES, sides, sides):  # the warm-up: memory settles once all sizes were there
        stylizers[style](draw_scene(height, width))
    every, rows, sample = max(1, count // MEASURED), [{"pictures": 0} | held()], []
    for number, (style, photo) in enumerate(tasks(count, sides, seed), start=1):
        picture = stylizers[style](photo)
        if number % every == 0:
            rows.append({"pictures": number} | held())
        if number > count - SAMPLE:
            sample.append((style, photo, picture))
    return rows, sample


def equal_to_fresh(sample: list[tuple], threads: int) -> int:
    """How many of ``sample`` a fresh process draws to the last bit."""
    equal = 0
    with TemporaryDirectory() as folder:
        photo_file, picture_file = Path(folder) / "photo.npy", Path(folder) / "picture.npy"
        for style, photo, picture in sample:
            np.save(photo_file, photo)
            subprocess.run([sys.executable, "-c", FRESH, style, photo_file, picture_file, str(threads)], check=True)
            equal += np.array_equal(np.load(picture_file), picture)
    return equal


def equal_when_shared(count: int, sides: tuple[int, ...], threads: int, seed: int) -> int:
    """How many of ``count`` pictures come out the same from one Stylizer, alone and shared by eight threads."""
    stylizer, photos = Stylizer(STYLES[0], threads), [photo for _, photo in tasks(count, sides, seed + 1)]
    alone = [stylizer(photo) for photo in photos]
    with ThreadPoolExecutor(SHARING) as pool:
        return sum(map(np.array_equal, pool.map(stylizer, photos), alone))


def main(arguments: list[str] | None = None) -> None:
    parser = parser_of(__doc__, "soak")
    parser.add_argument("--count", type=int, help="pictures (5000; 48 with --quick)")
    settings = parser.parse_args(arguments)
    sides, count = (QUICK_SIDES, 48) if settings.quick else (SIDES, 5000)
    settings.count = settings.count or count
    rows, sample = soak(settings.count, sides, settings.threads, settings.seed)
    shared = max(SHARING, settings.count // 50)
    same = equal_when_shared(shared, sides, settings.threads, settings.seed)
    save("soak", rows, settings)
    _plot(rows, settings)
    sample = sample[-2:] if settings.quick else sample
    fresh = {"pictures": "of fresh processes", "equal": equal_to_fresh(sample, settings.threads), "of": len(sample)}
    save(
        "soak_equal",
        [fresh, {"pictures": f"of {SHARING} threads that share one Stylizer", "equal": same, "of": shared}],
        settings,
    )
    growth = rows[-1]["memory"] / rows[0]["memory"] - 1
    print(f"memory {growth:+.1%} since the warm-up: {'flat' if growth <= FLAT else 'NOT flat'}")


def _plot(rows: list[Row], settings: object) -> None:
    figure, axes = pyplot.subplots(figsize=(7, 3.5))
    axes.plot([row["pictures"] for row in rows], [row["memory"] for row in rows])
    axes.set(xlabel="pictures", ylabel="resident memory, MiB", ylim=(0, None))
    save_plot("soak", figure, settings)


if __name__ == "__main__":
    main()
