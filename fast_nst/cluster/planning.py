"""Plan of a data set: which picture becomes which file in which style, folder by folder, as one command would name them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from pathlib import Path

from fast_nst.cluster.connecting import check_address
from fast_nst.cluster.manifest import FAILED, THERE, Manifest, Outputs
from fast_nst.cluster.stores import Pictures, Store, joined
from fast_nst.errors import UserError, escape_name
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize.choices import chosen_styles, in_part
from fast_nst.stylize.jobs import ALL, gallery_of, is_result, numbered, tag_of, tagged
from fast_nst.stylize.library import find_styles


@dataclass(frozen=True)
class Task:
    """A picture to draw: paths in its stores, and a style for it alone, if it has one."""

    path: str
    output: str
    style: str


class Plan:
    """What of a data set is to be drawn.

    Attributes:
        there: pictures that were drawn before.
        folders: folders of the output that pictures are to be drawn into.
        failed: outputs, and paths, that failed in this run and are not tried again.
    """

    def __init__(self, settings: StylizeSettings, source: Store, target: Store, manifest: Manifest) -> None:
        self.settings, self.source, self.target, self.manifest = settings, source, target, manifest
        self.there, self.folders, self.failed = 0, set[str](), set[str]()
        self._gallery, self._styles = gallery_of(settings), {*find_styles(), ALL}
        self._known: Outputs = manifest.known()

    def tasks(self) -> Iterator[Task]:
        """The pictures that are missing; rows about the others go to the manifest."""
        self.there = 0
        for pictures in self.source.pictures(self.settings.recursive):
            for path, reason in pictures.problems.items():
                self._note_failed(path, f"cannot read {escape_name(path)}: {reason}")
            tasks = list(self._in_folder(pictures))
            if not tasks:
                continue
            present = set() if self.settings.overwrite else self.target.names_in(pictures.folder)
            for task in tasks:
                if task.output.rpartition("/")[2] in present:
                    self._note_there(task)
                elif task.output not in self.failed:
                    self.folders.add(pictures.folder)
                    yield task

    def _in_folder(self, pictures: Pictures) -> Iterator[Task]:
        """All tasks of a folder; outputs that would fall on one another get numbers, as in ``plan``."""
        settings, taken, part = self.settings, set[str](), self.settings.part()
        beside = partial(_beginning, pictures.names)
        for name in pictures.names:
            if is_result(Path(name), self._styles, beside):
                continue
            path = joined(pictures.folder, name)
            if not _is_text(path):
                self._note_failed(escape_name(path), f"the name {escape_name(path)} is no UTF-8; rename the file")
                continue
            for style in chosen_styles(path, self._gallery, settings.seed, settings.styles_per_picture):
                target = tagged(Path(name), tag_of(style or settings.style))
                output = next(free.name for free in numbered(target) if free.name not in taken)
                taken.add(output)
                if in_part(path, *part):
                    yield Task(path, joined(pictures.folder, output), style)

    def _note_there(self, task: Task) -> None:
        self.there += 1
        if task.output not in self._known:
            self.manifest.add([{**vars(task), "style": task.style or self.settings.style, "status": THERE}])

    def _note_failed(self, path: str, problem: str) -> None:
        if path not in self.failed:
            self.failed.add(path)
            self.manifest.add([{"path": path, "status": FAILED, "problem": problem}])


def _beginning(names: list[str], start: str) -> Iterator[Path]:
    """Those of sorted ``names`` that begin with ``start``."""
    after = islice(names, bisect_left(names, start), None)
    yield from map(Path, takewhile(lambda name: name.startswith(start), after))


def check_settings(settings: StylizeSettings) -> None:
    """Raise a UserError where ``settings`` do not describe a data set."""
    if isinstance(settings.ray, str):
        check_address(settings.ray)
    if len(settings.inputs) != 1 or settings.output in (None, "-"):
        raise UserError("--ray takes one folder, or a bucket, and --output another one")
    for name in ("camera", "dry_run"):
        if getattr(settings, name):
            raise UserError(f"--{name} goes without --ray; leave one of them out")


def _is_text(path: str) -> bool:
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False
