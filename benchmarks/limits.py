"""The share of this machine's peak performance that networks reach, in inference and training.

    python benchmarks/limits.py

The peak is the fastest product of two large matrices that was measured here, in multiply-accumulates a second, for each
device and precision: PyTorch's at several sizes, and NumPy's as a check. The bandwidth of memory, of a large copy, stands
beside it (limits_peaks.csv). `fast` 48 and Johnson's networks then draw a picture under every engine, and make a training
step under lite; their multiply-accumulates are those of convolutions and matrix products. All networks take turns; a share
in bfloat16 is one of the peak in bfloat16. TF32 is off. An engine that convolves with fewer multiplications (Winograd) may
come above 100 %.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import alone
import torch
from candidates import macs
from matplotlib import pyplot
from networks import BASE, awaited, eager, exported, johnsons, network_of, training_step
from report import Row, Spread, parser_of, run, save, save_plot, spread, timed
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference.engine_selection import find_engines
from fast_nst.inference.model import Model
from fast_nst.training.trainer import has_bfloat16

NAME, PEAKS = "limits", "limits_peaks"
KINDS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
DRAWING, TRAINING = "a picture", "a training step"
DEVICES = {"cpu": "cpu", "cuda": "cuda", "tensorrt": "cuda"}  # of onnxruntime's and OpenVINO's providers

Peaks = dict[tuple[str, str], float]  # device, precision -> multiply-accumulates a second


class Label(NamedTuple):
    """What is timed."""

    what: str
    network: str
    engine: str
    device: str
    precision: str


def ways() -> Iterator[tuple[str, str]]:
    """The devices and precisions that PyTorch computes in here."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device, precision in product(devices, KINDS):
        known = has_bfloat16() if device == "cpu" else torch.cuda.is_bf16_supported()
        if precision == "float32" or known:
            yield device, precision


def products(settings: argparse.Namespace) -> list[Row]:
    """The rate of square products, by PyTorch and NumPy, in multiply-accumulates a second."""
    rows = []
    for (device, precision), side in tqdm([*product(ways(), settings.products)], desc="products", leave=False):
        one, other = (torch.rand(side, side, device=device).to(KINDS[precision]) for _ in range(2))
        multiply = awaited(lambda one=one, other=other: one @ other, device)
        seconds = timed({"": multiply}, settings.rounds)[""]
        rows.append(_peak("a product", "PyTorch", device, precision, side, seconds, side**3))
    for side in tqdm(settings.products, desc="NumPy", leave=False):
        found = alone.measured("product", settings.threads, side=side, rounds=settings.rounds)
        rows.append(_peak("a product", "NumPy", "cpu", "float32", side, spread(found["seconds"]), side**3))
    return rows


def copies(settings: argparse.Namespace) -> list[Row]:
    """The rate of a large copy in bytes read and written a second."""
    rows = []
    for device in sorted({device for device, _ in ways()}):
        source = torch.ones(settings.megabytes * 10**6, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        copy = awaited(lambda target=target, source=source: target.copy_(source), device)
        seconds = timed({"": copy}, settings.rounds)[""]
        rows.append(_peak("a copy", "PyTorch", device, "bytes", settings.megabytes, seconds, 2 * source.numel()))
    return rows


def _peak(what: str, by: str, device: str, precision: str, size: int, seconds: Spread, work: int) -> Row:
    row = {"what": what, "by": by, "device": device, "precision": precision, "size": size}
    row |= dict(zip(("milliseconds", "least", "greatest"), (1000 * value for value in seconds), strict=True))
    return row | {"giga_a_second": work / seconds[0] / 1e9}


def peaks_of(rows: Sequence[Row]) -> Peaks:
    """The fastest product of each device and precision."""
    found: Peaks = {}
    for row in rows:
        if row["what"] == "a product":
            key = (row["device"], row["precision"])
            found[key] = max(found.get(key, 0), 1e9 * row["giga_a_second"])
    return found


def drawings(files: dict[str, Path], settings: argparse.Namespace) -> dict[Label, Callable[[], object]]:
    """Label -> what draws one picture."""
    picture, found = draw_scene(settings.size, settings.size)[None], {}
    for name, path in files.items():
        for device, precision in ways():
            label = Label(DRAWING, name, "PyTorch eager", device, precision)
            found[label] = eager(name, picture, device, precision == "bfloat16")
        for choice in find_engines():
            model = Model(path, settings.threads, choice.name, choice.provider)
            precision = "float32" if choice.exact else "bfloat16"
            label = Label(DRAWING, name, choice.name, DEVICES.get(choice.provider, choice.provider), precision)
            found[label] = lambda model=model: model(picture, model.weights())
    return found


def trainings(names: Sequence[str], settings: argparse.Namespace) -> dict[Label, Callable[[], object]]:
    """Label -> what makes one training step."""
    found = {}
    for name, (device, precision) in product(names, ways()):
        label = Label(TRAINING, name, "PyTorch eager", device, precision)
        found[label] = training_step(name, settings.crop, settings.batch, device, precision == "bfloat16")
    return found


def macs_of_training(name: str, settings: argparse.Namespace) -> int:
    """Multiply-accumulates of one step, there and back, of the network and of lite; the optimizer's own are no part."""
    step = training_step(name, settings.crop, settings.batch, muon=False)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() // 2


def rows_of(seconds: dict[Label, Spread], work: dict[tuple[str, str], int], peaks: Peaks) -> list[Row]:
    """A row for each label; the share is empty where no peak was measured."""
    rows = []
    for label, times in seconds.items():
        done = work[label.what, label.network]
        peak = peaks.get((label.device, label.precision))
        row = label._asdict() | {"giga_macs": done / 1e9}
        row |= dict(zip(("milliseconds", "least", "greatest"), (1000 * value for value in times), strict=True))
        rate = done / times[0]
        rows.append(row | {"giga_a_second": rate / 1e9, "percent_of_peak": 100 * rate / peak if peak else None})
    return rows


def draw(rows: Sequence[Row], peaks: Peaks, settings: argparse.Namespace) -> None:
    """The shares as bars: a panel for drawing, one for training."""
    panels = [[row for row in rows if row["what"] == what and row["percent_of_peak"]] for what in (DRAWING, TRAINING)]
    figure, axes = pyplot.subplots(
        2, 1, figsize=(9, 2 + 0.22 * sum(map(len, panels))), height_ratios=[max(1, len(panel)) for panel in panels]
    )
    ways = sorted({(row["engine"], row["device"], row["precision"]) for row in rows})
    for axis, panel in zip(axes, panels, strict=True):
        places = [f"{row['network']}, {row['engine']}, {row['precision']}, {row['device']}" for row in panel]
        shares = [row["percent_of_peak"] for row in panel]
        colors = [f"C{ways.index((row['engine'], row['device'], row['precision']))}" for row in panel]
        axis.bar_label(axis.barh(places, shares, color=colors), fmt="%.0f", padding=3, fontsize=8)
        axis.tick_params(axis="y", labelsize=8)
        axis.invert_yaxis()
        axis.margins(x=0.08)
        axis.set(xlabel="% of the peak", title=panel[0]["what"] if panel else "")
    known = ", ".join(f"{precision} on {device} {peak / 1e9:.3g}" for (device, precision), peak in peaks.items())
    figure.suptitle(f"peaks in giga multiply-accumulates a second: {known}", fontsize=9)
    save_plot(NAME, figure, settings)


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = parser_of(__doc__, NAME)
    parser.add_argument("--size", type=int, default=512, help="side of the picture that is drawn")
    parser.add_argument("--crop", type=int, default=256, help="side of the training crops")
    parser.add_argument("--batch", type=int, default=4, help="crops of a training step")
    parser.add_argument("--johnson", default="32,16,8", help="widths of Johnson's networks")
    parser.add_argument("--products", type=int, nargs="+", default=[1024, 2048, 4096], help="sides of the matrices")
    parser.add_argument("--megabytes", type=int, default=512, help="size of the copy")
    parser.add_argument("--rounds", type=int, default=7)
    settings = parser.parse_args(argv)
    if settings.quick:
        settings.size, settings.crop, settings.batch, settings.rounds = 32, 32, 1, 2
        settings.johnson, settings.products, settings.megabytes = "2", [64], 1
    return settings


def main(argv: Sequence[str] | None = None) -> None:
    settings = parsed(argv)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    torch.backends.cudnn.allow_tf32 = False
    limits = products(settings) + copies(settings)
    save(PEAKS, limits, settings)
    peaks, names = peaks_of(limits), [BASE, *johnsons(settings.johnson)]
    with tempfile.TemporaryDirectory() as folder:
        seconds = timed(drawings(exported(names, Path(folder)), settings), settings.rounds)
    seconds |= timed(trainings(names, settings), settings.rounds, warm_up=1)
    work = {(DRAWING, name): macs(network_of(name), settings.size, settings.size) for name in names}
    work |= {(TRAINING, name): macs_of_training(name, settings) for name in names}
    rows = rows_of(seconds, work, peaks)
    save(NAME, rows, settings)
    draw(rows, peaks, settings)


if __name__ == "__main__":
    run(main)
