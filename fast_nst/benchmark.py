"""The command ``fast-nst benchmark``: pictures, a training and per-image optimization, timed on this machine.

Alternatives take turns, so that other work on the machine affects them alike; figures are medians, with least and greatest.
Some are extrapolated and say so: the steps of the quickstart and of a fine-tuning, from those of a short training; 100
iterations of optimization, from fewer on a slow machine. Pictures, paintings and training scenes are drawn by the package.
``benchmarks/`` measures each of these in detail.

torch is imported with the training and the optimization, not with this module.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from tqdm import tqdm

from fast_nst.imaging.drawing.styles import draw_style
from fast_nst.imaging.synthetic import draw_scene
from fast_nst.inference.engine_selection import Choice, drawing, make_engine, working_engines
from fast_nst.inference.engines import Engine, usable_cores
from fast_nst.inference.measuring import WARM_UP, markdown_table, milliseconds
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.settings.validation import in_range
from fast_nst.stylize.run import stylize_files
from fast_nst.system.files import SHIPPED, check_writable, write_text
from fast_nst.system.machine import cpu_name, version_of

if TYPE_CHECKING:
    from fast_nst.optimization.multiscale import Optimization
    from fast_nst.settings.train import TrainSettings

MODEL, STYLE = SHIPPED / "base.onnx", "great_wave"
PACKAGES = ("fast_nst", "torch", "torchvision", "numpy", "onnxruntime", "openvino", "pytorch-lightning")
QUICKSTART = {"base": "many", "finetune": "all", "batch_size": 2, "image_size": 256, "style_size": 448, "workers": 1}
QUICKSTART_MINUTES = 2.0  # configs/quickstart.yaml
FINE_TUNING_MINUTES, FINE_TUNING_BATCH = 10.0, 4  # the default length of a training from a base, and usual batches
ITERATIONS = 100
PATIENCE = 40.0  # seconds for the optimization of one size
BAR = "{desc:<34} {bar:30} {elapsed}"


@dataclass(frozen=True)
class Plan:
    """The measurements to make.

    Attributes:
        sides: of the square pictures that every engine stylizes.
        rounds: times that each is stylized.
        megapixels: of the photograph.
        steps: of the training.
        whole_trainings: export the model as well, and extrapolate the steps of whole trainings.
        optimized: sides of the optimized pictures.
        iterations: of their optimization, at most.
        training: settings that differ from the quickstart's.
    """

    sides: tuple[int, ...] = (256, 512, 1024)
    rounds: int = 7
    megapixels: float = 12.0
    steps: int = 40
    whole_trainings: bool = True
    optimized: tuple[int, ...] = (256, 512)
    iterations: int = ITERATIONS
    training: Mapping[str, Any] = field(default_factory=dict)


FULL = Plan()
QUICK = Plan((256, 512), rounds=3, megapixels=3, steps=5, whole_trainings=False, optimized=(256,), iterations=5)


@dataclass(frozen=True)
class Result:
    """One figure: of what, by which engine, the median, least and greatest in ``unit``, and a remark."""

    what: str
    engine: str
    median: float
    least: float | None = None
    greatest: float | None = None
    unit: str = "ms"
    that_is: str = ""

    def cells(self) -> list[str]:
        """The table's row."""
        known = [value for value in (self.least, self.greatest) if value is not None]
        span = " to ".join(map(_number, known))
        return [self.what, self.engine, f"{_number(self.median)} {self.unit}", span, self.that_is]


@dataclass(frozen=True)
class Report:
    """All results, and the machine that they were measured on."""

    machine: dict[str, Any]
    threads: int
    results: list[Result]

    def text(self) -> str:
        """Machine, threads and versions, and a Markdown table."""
        known, rows = self.machine, [result.cells() for result in self.results]
        versions = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
        gpu = f", {known['gpu']}" if known["gpu"] else ""
        lines = [f"{known['processor']}, {known['cores']} cores{gpu}; {self.threads} threads; {known['system']}"]
        lines += [f"Python {known['python']}, {versions}", ""]
        return "\n".join([*lines, markdown_table(["what", "by", "median", "least to greatest", "that is"], rows, names=2)])

    def json(self) -> str:
        """The same as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def benchmark(plan: Plan = FULL, threads: int | None = None, output: str | None = None, progress: bool = True) -> Report:
    """Make the measurements of ``plan``.

    Args:
        threads: processor threads of every engine; None is all cores that the process may use.
        output: JSON file to write as well.
        progress: show a progress bar.
    Raises:
        UserError: no such number of threads, or an output that cannot be written.
    """
    in_range("threads", 1 if threads is None else threads, 1, 1024)
    if output:
        check_writable(output)
    threads = threads or usable_cores() or os.cpu_count() or 1
    with tqdm(bar_format=BAR, disable=not progress, total=1, leave=False) as bar, tempfile.TemporaryDirectory() as folder:
        results = _Runner(plan, threads, Path(folder), bar).results()
    report = Report(machine(), threads, results)
    if output:
        write_text(output, report.json())
    return report


def machine() -> dict[str, Any]:
    """Processor, GPU, system and versions of packages, as plain values."""
    import torch

    return {
        "processor": cpu_name(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {package: found for package in PACKAGES if (found := version_of(package))},
    }


class _Runner:
    """Makes the measurements of a plan, with a folder for its pictures and a progress bar."""

    def __init__(self, plan: Plan, threads: int, folder: Path, bar: tqdm) -> None:
        self.plan, self.threads, self.folder, self.bar = plan, threads, folder, bar

    def results(self) -> list[Result]:
        """The table's rows, in order."""
        engines = working_engines(MODEL, self.threads)
        found = [result for side in self.plan.sides for result in self._pictures(side, engines)]
        found.append(self._photograph())
        found += self._training()
        return found + [self._optimization(side) for side in self.plan.optimized]

    def _begin(self, what: str, total: int) -> None:
        self.bar.reset(total)
        self.bar.set_description_str(what)

    def _pictures(self, side: int, engines: Mapping[Choice, Engine]) -> list[Result]:
        """One square picture by every engine, in turns."""
        what = f"a picture of {side} x {side}"
        runs = {str(choice): drawing(engine, side) for choice, engine in engines.items()}
        self._begin(what, len(runs) * (WARM_UP + self.plan.rounds))
        times = milliseconds(runs, self.plan.rounds, after=self.bar.update)
        return [_timed(what, engine, values, side * side / 1e6) for engine, values in times.items()]

    def _photograph(self) -> Result:
        """A photograph by ``fast-nst stylize``, from file to file."""
        megapixels, source = self.plan.megapixels, self.folder / "photograph.jpg"
        what = f"a photograph of {megapixels:g} megapixels, file to file"
        self._begin(what, 1)
        height, width = (round((megapixels * 1e6 * shape) ** 0.5) for shape in (3 / 4, 4 / 3))
        Image.fromarray(draw_scene(480, 640)).resize((width, height), Image.Resampling.BICUBIC).save(source, quality=92)
        output = str(self.folder / "drawn.jpg")
        settings = StylizeSettings([str(source)], STYLE, output, overwrite=True, threads=self.threads)
        started = time.perf_counter()
        stylize_files(settings)
        seconds = time.perf_counter() - started
        return Result(what, "onnxruntime", seconds, unit="s", that_is=f"{height * width / 1e6 / seconds:.2f} megapixels/s")

    def _training(self) -> list[Result]:
        """A short training as in the quickstart, and, extrapolated, the steps of trainings whose minutes are given."""
        self._begin("training", self.plan.steps)
        begun, ends = self._trained()
        steps = [after - before for before, after in zip(ends, ends[1:], strict=False)]
        once = time.perf_counter() - begun - sum(steps)  # loading, previews, export
        size, batch = self._training_settings()["image_size"], self._training_settings()["batch_size"]
        median, least, greatest = (batch / of(steps) for of in (statistics.median, max, min))
        wholes = {"the quickstart": (QUICKSTART_MINUTES, batch), "a fine-tuning": (FINE_TUNING_MINUTES, FINE_TUNING_BATCH)}
        found = [Result(f"training on crops of {size} x {size}", "PyTorch", median, least, greatest, "images/s")]
        for name, (minutes, crops) in wholes.items() if self.plan.whole_trainings else ():
            count = 60 * minutes * median / crops
            note = f"from {len(steps)} steps; {once:.3g} s pass besides"
            what = f"{name}: {minutes:g} minutes, {crops} crops a step"
            found.append(Result(what, "PyTorch", count, unit="steps", that_is=note))
        return found

    def _training_settings(self) -> dict[str, Any]:
        return {**QUICKSTART, **self.plan.training}

    def _trained(self) -> tuple[float, list[float]]:
        """The time at which a training began, imports included, and those at which its steps ended."""
        begun = time.perf_counter()
        import torch
        from pytorch_lightning.callbacks import LambdaCallback

        from fast_nst.settings.train import TrainSettings
        from fast_nst.training.run import train

        torch.set_num_threads(self.threads)
        ends: list[float] = []

        def step_done(*_: object) -> None:
            ends.append(time.perf_counter())
            self.bar.update()

        trainer = {"callbacks": [LambdaCallback(on_train_batch_end=step_done)], "enable_progress_bar": False}
        places = {"name": "benchmark", "checkpoints": str(self.folder), "steps": self.plan.steps, "trainer": trainer}
        settings = TrainSettings(**(self._training_settings() | places))
        if self.plan.whole_trainings:
            train(settings)
        else:
            self._steps_of(settings)
        return begun, ends

    def _steps_of(self, settings: TrainSettings) -> None:
        """The steps of a training, without previews, checkpoints, card and model."""
        from fast_nst.runs.config import resolved
        from fast_nst.runs.folder import RunFolder
        from fast_nst.training.builders import dataset_of, load_styles, module_of
        from fast_nst.training.trainer import loader_of, silence_lightning, trainer_of

        silence_lightning()
        plain = {"logger": False, "enable_checkpointing": False}
        settings = resolved(replace(settings, trainer=settings.trainer | plain))
        dataset, trainer = dataset_of(settings), trainer_of(settings, RunFolder(self.folder, settings.name), [])
        trainer.fit(module_of(settings, load_styles(settings), dataset), loader_of(settings, dataset, trainer, 0))

    def _optimization(self, side: int) -> Result:
        """Iterations of per-image optimization, in turns with one stylized picture of the same size."""
        what = f"{ITERATIONS} iterations of optimization at {side} x {side}"
        self._begin(what, self.plan.iterations)
        optimization = self._optimization_of(side)
        started = time.perf_counter()
        optimization.step()
        first = time.perf_counter() - started
        rounds = max(3, min(self.plan.iterations, round(PATIENCE / first)))
        self._begin(what, 2 * (1 + rounds))
        engine = make_engine("onnxruntime", MODEL, self.threads)
        runs = {"optimization": optimization.step, "network": drawing(engine, side)}
        times = milliseconds(runs, rounds, 1, self.bar.update)
        median, least, greatest = (ITERATIONS / 1000 * of(times["optimization"]) for of in (statistics.median, min, max))
        network = statistics.median(times["network"])
        note = f"{1000 * median / network:,.0f} times the network's {_number(network)} ms"
        note += f"; from {rounds} iterations" if rounds < ITERATIONS else ""
        return Result(what, "PyTorch", median, least, greatest, "s", note)

    def _optimization_of(self, side: int) -> Optimization:
        import torch

        from fast_nst.optimization.multiscale import Optimization
        from fast_nst.settings.optimize import OptimizeSettings

        torch.set_num_threads(self.threads)
        photo, painting = (self.folder / f"{name}_{side}.png" for name in ("photo", "painting"))
        Image.fromarray(draw_scene(side, side)).save(photo)
        Image.fromarray(draw_style("impasto", 1)).save(painting)
        return Optimization(OptimizeSettings(str(photo), str(painting), size=side, progress=False))


def _number(value: float) -> str:
    """Three digits, or a whole number."""
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _timed(what: str, engine: str, values: Sequence[float], megapixels: float) -> Result:
    median = statistics.median(values)
    return Result(what, engine, median, min(values), max(values), that_is=f"{1000 * megapixels / median:.2f} megapixels/s")
