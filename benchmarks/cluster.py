"""A data set by workers of Ray against the command alone, and what many nodes would need, by a simulation.

    python benchmarks/cluster.py --workers 1,2          # on an idle machine, pip install 'fast_nst[ray]'
    python benchmarks/cluster.py --simulate_only --draw 0.05 --read 0.004 --write 0.006 --driver 0.01

The first part stylizes a folder of drawn scenes: by `fast-nst stylize` with one thread, then by `--ray` with each number of
workers. `share` is the throughput over that of the command alone times the workers; `start` the time to the first picture.
The second part simulates a cluster from the measured parts: a driver that hands out tables one after another, a store of
limited bandwidth, and workers that read, draw and write. It prints hours for each number of nodes and what they wait for.
All that a run with workers takes beyond drawing is counted as the driver's, so its part is an upper bound.
"""

from __future__ import annotations

import argparse
import heapq
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from fast_nst.imaging.images import save_image
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.run import stylize_files

IMAGENET = 1_281_167
NODES = (1, 4, 16, 64, 256)
CORES = 16


@dataclass(frozen=True)
class Parts:
    """Seconds and bytes of one picture, and of one table of pictures.

    Attributes:
        draw, read, write: seconds of a worker for a picture.
        size: bytes of a picture, read and written together.
        driver: seconds that the driver spends on a table.
        start: seconds until the workers draw.
        table: pictures of a table.
        bandwidth: bytes a second of the store.
    """

    draw: float
    read: float
    write: float
    size: float = 220e3
    driver: float = 0.01
    start: float = 60.0
    table: int = 64
    bandwidth: float = 5e9


def simulate(parts: Parts, pictures: int, workers: int) -> tuple[float, str]:
    """Seconds of a run, and what the workers wait for most: nothing, driver or store.

    The driver and the store serve one table after another; a worker asks for its next table when one is done.
    """
    free = [(0.0, worker) for worker in range(workers)]
    driver = store = 0.0
    waits = {"driver": 0.0, "store": 0.0}
    for begin in range(0, pictures, parts.table):
        count = min(parts.table, pictures - begin)
        asked, worker = heapq.heappop(free)
        driver = max(driver, asked) + parts.driver
        store, served = max(store, driver) + count * parts.size / parts.bandwidth, driver
        waits["driver"] += driver - asked
        waits["store"] += store - served
        heapq.heappush(free, (max(store, served + count * (parts.read + parts.draw + parts.write)), worker))
    seconds = max(moment for moment, _ in free)
    work = pictures * (parts.read + parts.draw + parts.write)
    most = max(waits, key=waits.get)
    return parts.start + seconds, most if waits[most] > 0.05 * work else "nothing"


def table_of_nodes(parts: Parts, pictures: int) -> Iterator[str]:
    """A line for each number of nodes."""
    alone = simulate(replace(parts, start=0), pictures, 1)[0]
    yield f"{'nodes':>5} {'workers':>7} {'hours':>8} {'share of linear':>15}  waits for"
    for nodes in NODES:
        seconds, waits = simulate(parts, pictures, nodes * CORES)
        share = alone / seconds / (nodes * CORES)
        yield f"{nodes:>5} {nodes * CORES:>7} {seconds / 3600:>8.2f} {share:>15.2f}  {waits}"


def measure(count: int, size: int, workers: list[int]) -> Parts:
    """Print the throughput of the command alone and of workers; the parts that the simulation takes."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        for number in range(count):
            save_image(draw_scene(size, size, number), source / f"{number:05d}.jpg")
        settings = StylizeSettings([str(source)], "great_wave", str(Path(folder, "alone")), threads=1, engine="onnxruntime")
        stylize_files(replace(settings, output=str(Path(folder, "warm"))))
        alone = count / seconds_of(lambda: stylize_files(settings))
        print(f"the command alone: {alone:.2f} pictures/s")
        starts = [measure_ray(replace(settings, output=f"{folder}/{one}"), one, alone, count) for one in workers]
        sizes = [path.stat().st_size for place in ("in", "alone") for path in Path(folder, place).iterdir()]
        draw, read, write = parts_of(source)
    driver = max(0.0, (starts[-1][1] - count / alone / workers[-1]) / starts[-1][2])
    return Parts(draw, read, write, sum(sizes) / count, driver, starts[-1][0])


def measure_ray(settings: StylizeSettings, workers: int, alone: float, count: int) -> tuple[float, float, int]:
    """Seconds to the first picture and from there to the end, and the number of tables; prints a line."""
    from fast_nst.cluster.stylize import TABLE, TABLES_A_WORKER, stylize_data_set

    first, memory, ended = [], [], threading.Event()
    begin = time.perf_counter()
    watcher = threading.Thread(target=watch, args=(Path(settings.output), begin, first, memory, ended))
    watcher.start()
    stylize_data_set(replace(settings, ray=True, workers=workers))
    whole = time.perf_counter() - begin
    ended.set()
    watcher.join()
    start, tables = first[0], -(-count // max(1, min(TABLE, count // (workers * TABLES_A_WORKER))))
    rate = count / (whole - start)
    print(
        f"{workers} workers: {rate:.2f} pictures/s, share {rate / alone / workers:.2f}, start {start:.1f} s, "
        f"{max(memory, default=0) / 1e6:.0f} MB a worker"
    )
    return start, whole - start, tables


def watch(output: Path, begin: float, first: list[float], memory: list[int], ended: threading.Event) -> None:
    """Note when the first picture is there, and the memory of the workers."""
    me = psutil.Process()
    while not ended.wait(0.2):
        if not first and any(output.glob("*.jpg")):
            first.append(time.perf_counter() - begin)
        for process in me.children(recursive=True):
            try:
                if "MapWorker" in " ".join(process.cmdline()):
                    memory.append(process.memory_info().rss)
            except psutil.Error:
                continue
    first.append(time.perf_counter() - begin)


def parts_of(source: Path) -> tuple[float, float, float]:
    """Median seconds of drawing, reading and writing a picture."""
    from fast_nst.imaging.frames import frames_with, read_picture, write_picture
    from fast_nst.stylize.stylizer import Stylizer

    stylizer, times = Stylizer("great_wave", threads=1), []
    for path in sorted(source.iterdir())[:20]:
        pictures = [read_picture(path)]
        read = seconds_of(lambda path=path: read_picture(path))
        begin = time.perf_counter()
        pictures.append(frames_with(pictures[0], (stylizer(frame.pixels) for frame in pictures[0].frames)))
        draw = time.perf_counter() - begin
        write = seconds_of(lambda made=pictures[1], path=path: write_picture(made, path.with_name("trial.jpg"), ".jpg"))
        times.append((draw, read, write))
        path.with_name("trial.jpg").unlink()
    return tuple(statistics.median(column) for column in zip(*times, strict=True))


def seconds_of(work: Callable[[], object]) -> float:
    """How long ``work`` takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,2", help="numbers of workers to measure")
    parser.add_argument("--count", type=int, default=400, help="pictures to measure with")
    parser.add_argument("--size", type=int, default=256, help="their sides in pixels")
    parser.add_argument("--pictures", type=int, default=IMAGENET, help="pictures of the simulated data set")
    parser.add_argument("--quick", action="store_true", help="few pictures: does it run?")
    parser.add_argument("--simulate_only", action="store_true", help="measure nothing, take the parts as given")
    for name, value in (("draw", 0.05), ("read", 0.004), ("write", 0.006), ("driver", 0.01), ("bandwidth", 5e9)):
        parser.add_argument(f"--{name}", type=float, default=value, help="of the simulation")
    given = parser.parse_args()
    if given.simulate_only:
        parts = Parts(given.draw, given.read, given.write, driver=given.driver)
    else:
        count, size = (12, 64) if given.quick else (given.count, given.size)
        parts = measure(count, size, [int(text) for text in given.workers.split(",")])
    parts = replace(parts, bandwidth=given.bandwidth)
    print(f"\n{given.pictures} pictures, {CORES} cores a node, by simulation from {parts}")
    print("\n".join(table_of_nodes(parts, given.pictures)))


if __name__ == "__main__":
    main()
