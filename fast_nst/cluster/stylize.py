"""The run of ``fast-nst stylize --ray``: a data set drawn by workers on one machine or many (Ray Data).

The paths are listed here and sent out in small tables; each worker reads, draws and writes whole files by itself and returns
rows, which become the manifest. A worker that dies costs the pictures in its hands: Ray has another one draw them. What has
no row after that is drawn once more, one picture a table, so that a picture that ends its worker ends no other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import pyarrow as pa
from tqdm import tqdm

import fast_nst
from fast_nst.cluster.actors import StylizeWorker
from fast_nst.cluster.connecting import connected
from fast_nst.cluster.manifest import DRAWN, FAILED, FOLDER, NO_ROOM, THERE, UNUSABLE, Manifest
from fast_nst.cluster.planning import Plan, Task, check_settings
from fast_nst.cluster.stores import Store, check_apart, open_store
from fast_nst.errors import DiskFull, PartlyDone, Stopped, UserError, escape_name, printable
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.run import check_style, mask_of
from fast_nst.system.signals import StopSignals

ROUND = 1_000_000  # pictures that are planned at once
TABLE = 64  # pictures of a table at most
TABLES_A_WORKER = 20  # at least, so that all end at about the same time
RETRIES = 3  # of a table whose worker died, by Ray
PASSES = 3  # over the pictures that have no row after that, each by itself
LISTED = 10  # failures that are shown


@dataclass
class Summary:
    """How many pictures were drawn, were there before, and failed."""

    drawn: int = 0
    there: int = 0
    failed: int = 0


def stylize_data_set(settings: StylizeSettings) -> Summary:
    """Stylize the pictures of a folder or bucket into another, as ``settings`` say.

    Raises:
        UserError: settings, stores, styles or a cluster that cannot be used, or no pictures.
        DiskFull: no room for a picture; the run ends, and the same command goes on.
        PartlyDone: some pictures failed.
        Stopped: a signal ended the run; what is drawn is kept, and the same command goes on.
    """
    check_settings(settings)
    source, target = open_store(settings.inputs[0]), open_store(str(settings.output))
    check_apart(source.name, target.name)
    check_style(settings)
    target.check_writable()
    with Manifest(target) as manifest:
        plan = Plan(settings, source, target, manifest)
        run = Run(settings, plan)
        try:
            run.all()
        except Stopped as stopped:
            told = f"stopped; {run.summary.drawn} pictures are drawn, and the same command draws the others"
            raise Stopped(stopped.signum, told) from stopped
        finally:
            _clear(target, plan)
    return run.end()


def _clear(target: Store, plan: Plan) -> None:
    """Remove what workers that died left unfinished; where a run is split, other parts may be writing there."""
    if plan.settings.shard is None:
        for folder in plan.folders:
            target.clear(folder)


class Run:
    """Rounds of pictures through a pool of workers.

    Attributes:
        summary: so far.
    """

    def __init__(self, settings: StylizeSettings, plan: Plan) -> None:
        self.settings, self.plan, self.summary = settings, plan, Summary()
        self.problems: list[str] = []

    def all(self) -> None:
        """Draw all that is missing, round by round."""
        tasks = self.plan.tasks()
        first = next(tasks, None)
        if first is None:
            return
        tasks = chain([first], tasks)
        with connected(self.settings.ray) as ray, StopSignals(), tqdm(unit="picture", total=0, smoothing=0.05) as progress:
            while some := list(islice(tasks, ROUND)):
                progress.total = (progress.total or 0) + len(some)
                progress.refresh()
                for most in (TABLE, *[1] * PASSES):
                    some = self._draw(ray, some, most, progress) if some else []
                self._give_up(some)

    def end(self) -> Summary:
        """The summary; raises ``PartlyDone`` if pictures failed, a UserError if there were none."""
        self.summary.there, self.summary.failed = self.plan.there, len(self.plan.failed)
        total = self.summary.drawn + self.summary.there + self.summary.failed
        if not total and self.settings.shard is None:
            raise UserError(f"no pictures in {escape_name(self.settings.inputs[0])}; with --recursive, folders are entered")
        if self.summary.failed:
            listed = "".join(f"\n  {problem}" for problem in self.problems[:LISTED])
            rest = f"; why: {escape_name(self.settings.output)}/{FOLDER}"
            raise PartlyDone(f"{self.summary.failed} of {total} pictures failed, the others are written{rest}{listed}")
        return self.summary

    def _draw(self, ray: Any, tasks: list[Task], most: int, progress: tqdm) -> list[Task]:
        """Draw ``tasks`` in tables of ``most`` at most; those that no worker returned a row for."""
        seen: set[str] = set()
        try:
            for table in rows_of(ray, self.settings, self.plan, tasks, most):
                self._take(table)
                seen.update(table["output"].to_pylist())
                progress.update(len(table))
        except UserError:
            raise
        except Exception as error:  # Ray's own
            told = printable(" ".join(str(error).split())[-500:])
            raise UserError(f"Ray ended the run ({type(error).__name__}: {told}); the same command goes on") from error
        return [task for task in tasks if task.output not in seen]

    def _take(self, table: pa.Table) -> None:
        """Take rows of a worker into the manifest and the summary."""
        rows = table.to_pylist()
        for row in rows:
            if row["status"] in (UNUSABLE, NO_ROOM):
                raise (DiskFull if row["status"] == NO_ROOM else UserError)(self._sentence(row))
            self.summary.drawn += row["status"] in (DRAWN, THERE)
            if row["status"] == FAILED:
                self.plan.failed.add(row["output"])
                self.problems.append(row["problem"])
        self.plan.manifest.add(rows)

    def _sentence(self, row: dict[str, Any]) -> str:
        way = "; then the same command draws what is missing" if row["status"] == NO_ROOM else ""
        return row["problem"] + way

    def _give_up(self, tasks: list[Task]) -> None:
        for task in tasks:
            problem = f"{escape_name(task.path)}: whichever worker drew it died; too little memory? reduce it with --size"
            self.problems.append(problem)
            self.plan.failed.add(task.output)
            self.plan.manifest.add([{**vars(task), "status": FAILED, "problem": problem}])


def rows_of(ray: Any, settings: StylizeSettings, plan: Plan, tasks: list[Task], most: int) -> Iterator[pa.Table]:
    """The rows that workers return for ``tasks``, table by table, in any order; those of workers that died are absent."""
    cpus, gpus = settings.threads or 1, int(settings.provider not in (None, "cpu"))
    workers = pool_size(ray.cluster_resources(), cpus, gpus, settings.workers)
    size = max(1, min(most, len(tasks) // (workers * TABLES_A_WORKER)))
    tables = [table_of_tasks(tasks[start : start + size]) for start in range(0, len(tasks), size)]
    workers = min(workers, len(tables))
    _quiet()
    worker = {
        "settings": replace(settings, threads=cpus),
        "mask": mask_of(settings),
        "source": plan.source,
        "target": plan.target,
        "version": fast_nst.__version__,
    }
    drawn = ray.data.from_blocks(tables).map_batches(
        StylizeWorker,
        fn_constructor_kwargs=worker,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, initial_size=workers),
        num_cpus=cpus,
        num_gpus=gpus,
        max_restarts=-1,
        max_task_retries=RETRIES if most > 1 else 1,
    )
    yield from drawn.iter_batches(batch_size=None, batch_format="pyarrow")


def pool_size(resources: dict[str, float], cpus: int, gpus: int, wanted: int | None) -> int:
    """How many workers fit on a cluster, at most ``wanted``; each takes ``cpus`` processor cores and ``gpus`` GPUs.

    Raises:
        UserError: none fits.
    """
    fits = int(resources.get("CPU", 0)) // cpus
    if gpus:
        fits = min(fits, int(resources.get("GPU", 0)) // gpus)
    if not fits:
        have = f"{resources.get('CPU', 0):.0f} cores and {resources.get('GPU', 0):.0f} GPUs"
        raise UserError(f"a worker needs {cpus} cores and {gpus} GPUs, the cluster has {have}; see --threads and --provider")
    return min(fits, wanted or fits)


def table_of_tasks(tasks: list[Task]) -> pa.Table:
    """Tasks as a table of text."""
    return pa.table(
        {name: pa.array([getattr(task, name) for task in tasks], pa.string()) for name in ("path", "output", "style")}
    )


def _quiet() -> None:
    """Settings of Ray Data: small blocks, a lost block is left out, and no progress bars of its own."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = 1 << 20
    context.max_errored_blocks = -1
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
