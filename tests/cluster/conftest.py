"""Fixtures of data sets: a tree of tiny pictures, a bucket on loopback, workers in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fast_nst.imaging.images import save_image
from fast_nst.settings.stylize import StylizeSettings
from fast_nst.stylize import jobs
from fast_nst.stylize.run import stylize_files

STYLES = ("great_wave", "the_scream")


def tree(folder: Path) -> dict[str, bytes]:
    """The files below a folder, but for the manifest, by path."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("manifest.parquet/")}


def rows(folder: Path) -> list[dict]:
    """The rows of a manifest."""
    import pyarrow.parquet as pq

    return pq.read_table(folder / "manifest.parquet").to_pylist()


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """Thirteen pictures in folders and a file that is none: two get one name as results, one lies rotated in its file."""
    made = np.random.default_rng(0)
    for place in range(10):
        save_image(made.integers(0, 256, (20, 30, 3), dtype=np.uint8), tmp_path / "in" / f"n{place % 3}" / f"{place}.png")
    for name in ("twin.jpg", "twin.jfif", "deep/er/a b.JPEG"):
        save_image(made.integers(0, 256, (24, 24, 3), dtype=np.uint8), tmp_path / "in" / "moved.jpg")
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / "moved.jpg").rename(tmp_path / "in" / name)
    (tmp_path / "in" / "n1" / "bad.png").write_text("no picture")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path / "in"


@pytest.fixture
def settings(data_set: Path, tmp_path: Path, two_styles: None) -> StylizeSettings:
    """Two styles at random, with one thread."""
    return StylizeSettings([str(data_set)], "random", str(tmp_path / "out"), recursive=True, threads=1, ray=True)


@pytest.fixture
def expected(settings: StylizeSettings, tmp_path: Path) -> dict[str, bytes]:
    """What the command without Ray makes of the data set."""
    from fast_nst.errors import PartlyDone

    with pytest.raises(PartlyDone, match="1 of 14 pictures failed"):
        stylize_files(replace(settings, ray=False, output=str(tmp_path / "serial")))
    return tree(tmp_path / "serial")


@pytest.fixture
def two_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gallery of two."""
    known = jobs.find_styles()
    monkeypatch.setattr(jobs, "find_styles", lambda: {name: known[name] for name in STYLES})


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Workers in this process instead of Ray's, with tables of three pictures; the sizes of the tables that came."""
    from fast_nst.cluster import stylize
    from fast_nst.cluster.actors import StylizeWorker

    sizes: list[int] = []

    def rows_of(ray, settings, plan, tasks, most):
        worker = StylizeWorker(settings, None, plan.source, plan.target, stylize.fast_nst.__version__)
        for start in range(0, len(tasks), min(3, most)):
            table = stylize.table_of_tasks(tasks[start : start + min(3, most)])
            sizes.append(len(table))
            yield worker(table)

    @contextmanager
    def connected(address: str | bool) -> Iterator[None]:
        yield None

    monkeypatch.setattr(stylize, "rows_of", rows_of)
    monkeypatch.setattr(stylize, "connected", connected)
    return sizes
