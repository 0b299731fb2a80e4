"""Manifest of a data set: a Parquet folder with a row for each picture, written part by part while the run goes on.

A part appears whole. Where an output has several rows, of restarts, that of the last part counts.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fast_nst.cluster.stores import Store, joined
from fast_nst.errors import UserError
from fast_nst.stylize.choices import number_of

FOLDER = "manifest.parquet"
PART = re.compile(r"part-\d{5}\.parquet")
PART_ROWS, PART_SECONDS = 50_000, 60.0  # a part is written after either
DRAWN, THERE, FAILED, NO_ROOM, UNUSABLE = "drawn", "there", "failed", "no room", "unusable"
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("output", pa.string()),
        ("style", pa.string()),
        ("status", pa.string()),
        ("seconds", pa.float32()),
        ("problem", pa.string()),
    ]
)


class Manifest:
    """The manifest in a store (context manager): rows that are added are written from time to time, and at the end."""

    def __init__(self, store: Store) -> None:
        self._store, self._written = store, time.monotonic()
        self._rows: list[Mapping[str, Any]] = []
        self._parts = sorted(name for name in store.names_in(FOLDER) if PART.fullmatch(name))
        self._next = 1 + int(self._parts[-1][5:-8]) if self._parts else 0

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.write()

    def known(self) -> Outputs:
        """The outputs that have a row which says that the picture is there."""
        numbers = [np.empty(0, np.uint64)]
        for part in self._parts:
            table = _read(self._store, joined(FOLDER, part))
            done = table.filter(pa.compute.is_in(table["status"], pa.array([DRAWN, THERE])))
            numbers.append(_numbers(done["output"].to_pylist()))
        return Outputs(np.unique(np.concatenate(numbers)))

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take rows, columns by name; those that are missing are empty."""
        self._rows.extend(rows)
        if len(self._rows) >= PART_ROWS or time.monotonic() - self._written > PART_SECONDS:
            self.write()

    def write(self) -> None:
        """Write the rows that were added as the next part."""
        self._written = time.monotonic()
        if not self._rows:
            return
        content = io.BytesIO()
        pq.write_table(table_of(self._rows), content)
        self._store.write(joined(FOLDER, f"part-{self._next:05d}.parquet"), content.getvalue())
        self._next, self._rows = self._next + 1, []


class Outputs:
    """A set of outputs, 8 bytes each.

    Args:
        numbers: their hashes, sorted.
    """

    def __init__(self, numbers: np.ndarray) -> None:
        self._numbers = numbers

    def __contains__(self, output: str) -> bool:
        wanted = _numbers([output])[0]
        place = int(np.searchsorted(self._numbers, wanted))
        return place < len(self._numbers) and self._numbers[place] == wanted


def table_of(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table of ``SCHEMA``."""
    empty = {"path": "", "output": "", "style": "", "status": "", "seconds": 0.0, "problem": ""}
    return pa.Table.from_pylist([{**empty, **row} for row in rows], SCHEMA)


def _numbers(outputs: list[str]) -> np.ndarray:
    return np.array([number_of("output", output) for output in outputs], np.uint64)


def _read(store: Store, path: str) -> pa.Table:
    try:
        return pq.read_table(io.BytesIO(store.read(path)), columns=["output", "status"])
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UserError(f"{store.name}/{path} cannot be read as a part of a manifest; remove it") from error
