"""The output of a benchmark: a table on the screen, a CSV, a plot, and a record of the circumstances.

docs/benchmarks/NAME.csv    a row for each measurement
docs/benchmarks/NAME.png    the plot
docs/benchmarks/NAME.json   command, machine, versions, threads, seed and date
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.figure import Figure
from tqdm import tqdm

from fast_nst.benchmark import machine
from fast_nst.cli.output import fail
from fast_nst.errors import UserError
from fast_nst.inference.measuring import REST, WARM_UP, markdown_table, milliseconds
from fast_nst.system.files import atomic_path

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks"

Row = Mapping[str, object]
Spread = tuple[float, float, float]  # median, least and greatest


def parser_of(description: str, name: str) -> argparse.ArgumentParser:
    """A command line with the flags that every benchmark has: --output, --threads, --seed and --quick."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0], prog=f"benchmarks/{name}.py")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV, the plot and the record")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="processor threads of every engine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it still run?")
    return parser


def positive(text: str) -> int:
    """An argument that counts something: 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs to be 1 or more, got {text}")
    return int(text)


def pause(text: str) -> float:
    """An argument in seconds, 0 or more."""
    if not 0 <= (seconds := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"needs to be 0 or more seconds, got {text}")
    return seconds


def run(main: Callable[[], None]) -> None:
    """Call ``main``; its caller's mistakes end as those of ``fast-nst`` do, in one line and exit code 2."""
    try:
        main()
    except UserError as error:
        fail(str(error), error.code)


def publish(
    name: str,
    measure: Callable[[argparse.Namespace], Iterable[Row]],
    draw: Callable[[Sequence[Row], argparse.Namespace], None],
    settings: argparse.Namespace,
) -> None:
    """Measure with the threads and the seed of ``settings``, save the rows and plot them: what most benchmarks do."""
    import torch  # the processes whose memory is measured do without

    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    rows = list(measure(settings))
    save(name, rows, settings)
    draw(rows, settings)


def save(name: str, rows: Sequence[Row], settings: argparse.Namespace) -> None:
    """Print ``rows`` as a table, and write them and the record to ``settings.output``."""
    folder = Path(settings.output)
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / f"{name}.csv", rows)
    options = {
        key: _named(value) for key, value in vars(settings).items() if key not in ("output", "threads", "seed", "quick")
    }
    record = {"command": f"python benchmarks/{Path(sys.argv[0]).name}", "options": options, "date": str(date.today())}
    record |= {"threads": settings.threads, "seed": settings.seed, "quick": settings.quick} | machine()
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    print(markdown_table(list(rows[0]), [[_text(value) for value in row.values()] for row in rows]))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write ``rows``, which have the same columns, as a CSV, whole or not at all."""
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({key: _shortened(value) for key, value in row.items()} for row in rows)


def save_plot(name: str, figure: Figure, settings: argparse.Namespace) -> None:
    """Write ``figure`` to ``settings.output`` and close it."""
    figure.tight_layout()
    figure.savefig(Path(settings.output) / f"{name}.png", dpi=110)
    pyplot.close(figure)


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest of ``values``."""
    return statistics.median(values), min(values), max(values)


def timed(
    runs: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = WARM_UP, rest: float = REST
) -> dict[str, Spread]:
    """Median, least and greatest seconds of each of ``runs``, which take turns; see ``milliseconds``."""
    with tqdm(total=len(runs) * (warm_up + rounds), unit="run", leave=False) as progress:
        taken = milliseconds(runs, rounds, warm_up, progress.update, rest)
    return {name: spread([value / 1000 for value in values]) for name, values in taken.items()}


def _named(value: object) -> str:
    """A setting as text; files and folders by their names, as paths belong to one machine."""
    if isinstance(value, list):
        return str([_named(item) if isinstance(item, str | Path) else item for item in value])
    return Path(value).name if isinstance(value, Path) or (isinstance(value, str) and os.sep in value) else str(value)


def _shortened(value: object) -> object:
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
