"""The run of ``fast-nst train --each``: a style for each painting of a folder, one after another or as tasks of Ray.

Each painting gets its ordinary run folder. What is finished there is left alone, what has a checkpoint goes on from it, so
the same command goes on after any interruption; a painting that cannot be trained is a line of the table.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from fast_nst.cluster.connecting import connected
from fast_nst.errors import DiskFull, PartlyDone, Stopped, UserError, escape_name, printable
from fast_nst.imaging.images import open_image, save_image
from fast_nst.imaging.scanning import find_images
from fast_nst.imaging.sheets import labelled_sheet
from fast_nst.runs.config import resolved
from fast_nst.runs.folder import RunFolder
from fast_nst.settings.train import EachSettings, TrainSettings
from fast_nst.system.files import read_card, write_text
from fast_nst.system.signals import StopSignals
from fast_nst.training.run import train

TABLE, SHEET = "each.csv", "each.png"
WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
CELL, PAIRS = 160, 5  # pixels of a picture on the sheet, and paintings in a row
RETRIES = 5  # of a run whose worker or node died
PAUSE = 5.0  # seconds between two looks at Ctrl-C and the table
STOPPED = "stopped"


@dataclass
class Row:
    """A painting in the table: the state of its run, and its card's figures when it is done."""

    name: str
    painting: str
    state: str = WAITING
    steps: int | None = None
    content: float | None = None
    style: float | None = None
    structure: float | None = None
    seconds: float | None = None
    problem: str = ""

    def line(self) -> str:
        """The row to read."""
        if self.state == DONE:
            return f"{self.name}: content {self.content}, style {self.style}, structure r {self.structure}"
        return f"{self.name}: {self.problem or self.state}"


class Trainings:
    """The runs of a folder of paintings, by name, and their table.

    Attributes:
        table: where it is written.
        rows: by name.
    """

    def __init__(self, settings: EachSettings) -> None:
        base = resolved(settings.one())
        paintings = find_images(Path(str(settings.each)).expanduser().resolve(), recursive=False)
        if not paintings:
            raise UserError(f"no paintings in {escape_name(settings.each)}; name a folder of pictures")
        self.runs = {name: resolved(replace(base, style=str(path), name=name)) for name, path in named(paintings).items()}
        self.rows = {name: Row(name, Path(str(run.style)).name) for name, run in self.runs.items()}
        self.table, self.sheet = Path(base.checkpoints) / TABLE, Path(base.checkpoints) / SHEET

    def begin(self, name: str) -> TrainSettings | None:
        """The settings with which the run is to start or go on; None where it is finished."""
        run, folder = self.runs[name], self._folder(name)
        if folder.card.exists() and folder.onnx.exists() and not run.overwrite:
            self.end(name, "")
            return None
        self.rows[name].state = RUNNING
        self.write()
        return replace(run, resume=bool(folder.checkpoints()) and not run.overwrite)

    def again(self, name: str) -> TrainSettings:
        """The settings with which a run goes on whose process died."""
        return replace(self.runs[name], overwrite=False, resume=bool(self._folder(name).checkpoints()))

    def end(self, name: str, problem: str) -> None:
        """Note the end of a run in the table, and on standard error."""
        row = self.rows[name]
        row.state, row.problem = FAILED if problem else DONE, problem
        if not problem:
            self._read(row)
        self.write()
        print(printable(row.line()), file=sys.stderr, flush=True)

    def pause(self) -> None:
        """Note that the runs that are not finished wait again."""
        for row in self.rows.values():
            row.state = WAITING if row.state == RUNNING else row.state
        self.write()

    def write(self) -> None:
        """Write the table."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [one.name for one in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows.values())
        write_text(self.table, text.getvalue())

    def write_sheet(self) -> None:
        """Write the finished paintings, each beside its run's last preview, on one sheet."""
        done = [name for name, row in self.rows.items() if row.state == DONE]
        pairs = [
            [
                (name, _read_picture(str(self.runs[name].style))),
                ("", _read_picture(self._folder(name).previews / "final.png")),
            ]
            for name in done
        ]
        rows = [sum(pairs[start : start + PAIRS], []) for start in range(0, len(pairs), PAIRS)]
        if rows:
            save_image(labelled_sheet(rows, CELL), self.sheet)

    def _folder(self, name: str) -> RunFolder:
        return RunFolder(self.runs[name].checkpoints, name)

    def _read(self, row: Row) -> None:
        """Take the figures of the run's card."""
        card = read_card(self._folder(row.name).card)
        losses = card.get("preview_losses") or {}
        row.steps, row.seconds = card.get("steps"), card.get("seconds")
        row.content, row.style, row.structure = (losses.get(key) for key in ("content", "style", "structure"))


def train_each(settings: EachSettings) -> Trainings:
    """Train a style for each painting in a folder.

    Raises:
        UserError: no paintings, or settings that fit none of them.
        DiskFull: no room; the same command goes on.
        PartlyDone: some paintings could not be trained.
        Stopped: a signal ended the runs; the same command goes on.
    """
    trainings = Trainings(settings)
    trainings.write()
    try:
        _train_by_ray(trainings, settings) if settings.ray else _train_one_by_one(trainings)
    except Stopped as stopped:
        trainings.pause()
        raise Stopped(stopped.signum, "stopped; the same command goes on from the last checkpoints") from stopped
    trainings.write_sheet()
    failed = [row for row in trainings.rows.values() if row.state == FAILED]
    if failed:
        listed = "".join(f"\n  {row.line()}" for row in failed)
        raise PartlyDone(f"{len(failed)} of {len(trainings.rows)} paintings could not be trained:{listed}")
    return trainings


def named(paintings: Iterable[Path]) -> dict[str, Path]:
    """Paintings by the names of their runs: those of their files, with a number where two are alike."""
    names: dict[str, Path] = {}
    for path in paintings:
        plain = re.sub(r"[^\w.-]+", "_", path.stem).strip("._") or "painting"
        name, number = plain, 1
        while name in names:
            number += 1
            name = f"{plain}_{number}"
        names[name] = path
    return names


def train_one(settings: TrainSettings) -> str:
    """Train; what is wrong with the run in a line, empty if nothing is. A full disk is an error, as it is of all runs."""
    try:
        train(settings)
    except DiskFull:
        raise
    except UserError as error:
        return printable(" ".join(str(error).split()))
    except Exception as error:  # of a library: one painting must not end the others
        return printable(" ".join(f"{type(error).__name__}: {error}".split()), 500)
    return ""


def train_task(settings: TrainSettings) -> str:
    """``train_one`` in a process of Ray, which takes no ``Stopped``; ``STOPPED`` after a signal."""
    try:
        return train_one(settings)
    except Stopped:
        return STOPPED


def _train_one_by_one(trainings: Trainings) -> None:
    for name in trainings.runs:
        settings = trainings.begin(name)
        if settings is not None:
            trainings.end(name, train_one(settings))


def _train_by_ray(trainings: Trainings, settings: EachSettings) -> None:
    with connected(settings.ray) as ray, StopSignals():
        task = ray.remote(num_cpus=settings.run_cpus, num_gpus=settings.run_gpus, max_retries=0)(train_task)
        _fits(ray.cluster_resources(), settings)
        waiting = {name: run for name in trainings.runs if (run := trainings.begin(name)) is not None}
        running = {task.remote(_quiet(run)): name for name, run in waiting.items()}
        try:
            _follow(ray, trainings, running, lambda name: task.remote(_quiet(trainings.again(name))))
        except BaseException:
            _stop(ray, list(running))
            raise


def _follow(ray: Any, trainings: Trainings, running: dict[Any, str], again: Callable[[str], Any]) -> None:
    """Wait for all tasks; one whose process or node died goes on from its last checkpoint elsewhere."""
    deaths = dict.fromkeys(trainings.runs, 0)
    while running:
        for ref in ray.wait(list(running), num_returns=1, timeout=PAUSE)[0]:
            name = running.pop(ref)
            problem = _problem(ray, ref)
            if problem is None and deaths[name] < RETRIES:
                deaths[name] += 1
                running[again(name)] = name
            else:
                trainings.end(name, f"its process died {RETRIES + 1} times" if problem is None else problem)


def _problem(ray: Any, ref: Any) -> str | None:
    """What a task returned; None where its process or node died, or was asked to end."""
    try:
        problem = ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, DiskFull):
            raise error.cause from error
        return printable(" ".join(str(error.cause).split()), 500)
    except ray.exceptions.RayError:
        return None
    return None if problem == STOPPED else problem


def _stop(ray: Any, refs: list[Any]) -> None:
    """Ask tasks to save a checkpoint and end, and wait a minute for that."""
    with suppress(Exception):
        for ref in refs:
            ray.cancel(ref, force=False)
        ray.wait(refs, num_returns=len(refs), timeout=60)


def _fits(resources: dict[str, float], settings: EachSettings) -> None:
    """Raise a UserError where no machine could ever take a run: Ray would wait for one."""
    cores, gpus = resources.get("CPU", 0), resources.get("GPU", 0)
    if settings.run_cpus > cores or settings.run_gpus > gpus:
        raise UserError(
            f"a run needs {settings.run_cpus} cores and {settings.run_gpus:g} GPUs, the cluster has {cores:.0f} and "
            f"{gpus:.0f}; see --run_cpus and --run_gpus"
        )


def _quiet(settings: TrainSettings) -> TrainSettings:
    return replace(settings, trainer={"enable_progress_bar": False, **settings.trainer})


def _read_picture(path: str | Path) -> np.ndarray:
    return np.asarray(open_image(path))
