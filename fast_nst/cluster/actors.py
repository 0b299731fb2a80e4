"""Worker of a data set: reads, draws and writes the pictures of a table, in the process of an actor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

import fast_nst
from fast_nst.cluster.manifest import DRAWN, FAILED, NO_ROOM, THERE, UNUSABLE, table_of
from fast_nst.cluster.stores import Store
from fast_nst.errors import UserError, printable
from fast_nst.imaging.frames import Picture
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.effects import Mask
from fast_nst.stylize.jobs import Job
from fast_nst.stylize.pipeline import Files, Outcome, read_job, stylize_jobs, write_job
from fast_nst.stylize.run import stylizers_of


class StylizeWorker:
    """Draws tables of (path, output, style) and returns rows of the manifest; it never raises.

    What is wrong with the machine (another version, a style that is not there) is a row as well, "unusable", as Ray starts
    actors that raise again and again.

    Args:
        version: of fast_nst where the run was started.
    """

    def __init__(self, settings: StylizeSettings, mask: Mask | None, source: Store, target: Store, version: str) -> None:
        self.settings, self.mask, self.source, self.target = settings, mask, source, target
        self.problem = ""
        try:
            if version != fast_nst.__version__:
                raise UserError(f"a worker has fast_nst {fast_nst.__version__}, not {version}; install the same everywhere")
            self.stylizer_for = stylizers_of(settings)
        except Exception as error:
            self.problem = f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error)

    def __call__(self, table: pa.Table) -> pa.Table:
        tasks = table.to_pylist()
        if self.problem:
            return table_of([{"status": UNUSABLE, "problem": self.problem}])
        try:
            return table_of(self._rows(tasks))
        except Exception as error:  # nothing known ends here; the run goes on, and the row tells
            problem = printable(f"{type(error).__name__}: {error}", 500)
            return table_of([{**task, "status": FAILED, "problem": problem} for task in tasks])

    def _rows(self, tasks: list[dict[str, str]]) -> Iterator[dict[str, Any]]:
        """A row for each of ``tasks``; those that a worker that died had finished are left as they are."""
        outputs = [] if self.settings.overwrite else [task["output"] for task in tasks]
        present = {output for output in outputs if self.target.is_there(output)}
        yield from (self._row(task, THERE) for task in tasks if task["output"] in present)
        with TemporaryDirectory(prefix="fast-nst-") as scratch:
            files = StoreFiles(self.source, self.target, Path(scratch))
            jobs = {files.job(task): task for task in tasks if task["output"] not in present}
            for outcome in stylize_jobs(jobs, self.stylizer_for, self.mask, self.settings, files):
                yield self._row_of(jobs[outcome.job], outcome)

    def _row_of(self, task: dict[str, str], outcome: Outcome) -> dict[str, Any]:
        status = NO_ROOM if outcome.is_full else FAILED if outcome.problem else DRAWN
        return {**self._row(task, status), "seconds": outcome.seconds, "problem": outcome.problem}

    def _row(self, task: dict[str, str], status: str) -> dict[str, Any]:
        return {**task, "style": task["style"] or self.settings.style, "status": status}


class StoreFiles(Files):
    """The pictures of jobs, fetched from a store and delivered to another."""

    def __init__(self, source: Store, target: Store, scratch: Path) -> None:
        self.source, self.target = source, target
        self.given, self.made = scratch / "given", scratch / "made"
        self.given.mkdir()
        self.made.mkdir()
        self.outputs: dict[Job, str] = {}

    def job(self, task: dict[str, str]) -> Job:
        """The job of a task; of a bucket, the picture is fetched when its turn comes."""
        name, place = Path(self.source.name, task["path"]), self.target.place(task["output"], self.made)
        job = Job(name, place, "", task["path"], task["style"], f"{self.source.name}/{task['path']}")
        self.outputs[job] = task["output"]
        return job

    def read(self, job: Job, settings: StylizeSettings) -> Picture | None:
        local = self.source.fetch(job.path, self.given)
        picture = read_job(replace(job, source=local), settings)
        if local != job.source:
            local.unlink()
        return picture

    def write(self, job: Job, picture: Picture) -> None:
        assert job.target is not None  # a place of the store
        write_job(job, picture)
        self.target.deliver(job.target, self.outputs[job])
