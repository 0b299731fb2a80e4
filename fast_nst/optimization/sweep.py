"""The command ``fast-nst sweep``: a grid of optimizations over any two settings, as a labeled sheet and a CSV.

Every finished picture is kept in the run's folder with its settings, so that a sweep that was stopped, or got another
column, makes the missing pictures only.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from fast_nst.errors import UserError, unknown
from fast_nst.imaging.images import load_image, save_image
from fast_nst.imaging.sheets import labelled_sheet
from fast_nst.optimization.multiscale import Optimization, device_of
from fast_nst.optimization.run import check_outputs
from fast_nst.optimization.sources import Opened, load_sources, network_key, shared_networks
from fast_nst.settings.optimize import OptimizeSettings, SweepSettings
from fast_nst.settings.values import from_plain
from fast_nst.system.files import read_card, write_text

MEASURES = ("total", "content", "style", "tv", "structure")
SETTINGS = {one.name for one in fields(OptimizeSettings)}
NOT_SWEPT = {"output", "name", "checkpoints", "save_every", "checkpoint_every", "video", "video_every", "progress"}
NOT_SWEPT |= {"resume", "overwrite"}


@dataclass
class Cell:
    """One picture of the grid: its row, labels, settings and file."""

    row: int
    row_label: str
    column_label: str
    settings: OptimizeSettings
    picture: Path

    @property
    def label(self) -> str:
        """Both labels in one line."""
        return ", ".join(label for label in (self.row_label, self.column_label) if label)

    @property
    def record(self) -> Path:
        """The file of its losses, times and settings."""
        return self.picture.with_suffix(".json")


def sweep(settings: SweepSettings) -> tuple[Path, Path]:
    """Optimize every picture of the grid, and write the contact sheet and the table beside it.

    Returns:
        the sheet and the CSV.
    Raises:
        UserError: anything wrong with any picture's settings, before the first is made; a sheet of another sweep.
    """
    folder = Path(settings.checkpoints) / (settings.name or "sweep")
    sheet = Path(settings.output or folder / "sweep.png")
    check_outputs(sheet, overwrite=settings.overwrite or os.path.exists(folder / "cells"))
    cells, opened = cells_of(settings, folder / "cells"), Opened()
    missing = [cell for cell in cells if settings.overwrite or not _is_done(cell)]
    sources = [load_sources(cell.settings, opened) for cell in missing]
    device_of(settings)
    networks = shared_networks(cell.settings for cell in missing)
    for cell, pictures in zip(missing, sources, strict=True):
        _make(cell, Optimization(cell.settings, pictures, networks[network_key(cell.settings)]))
    records = [read_card(cell.record) for cell in cells]
    _write_sheet(settings, cells, sheet)
    write_text(sheet.with_suffix(".csv"), _table(settings, cells, records))
    return sheet, sheet.with_suffix(".csv")


def cells_of(settings: SweepSettings, folder: Path) -> list[Cell]:
    """The cells of the grid, row by row."""
    common = {name: getattr(settings, name) for name in SETTINGS - {"output", "overwrite"}}
    columns = list(_axis(settings.columns, settings.column_values, settings.column_labels))
    cells = []
    for row, (row_label, row_changes) in enumerate(_axis(settings.rows, settings.row_values, settings.row_labels)):
        for column, (column_label, changes) in enumerate(columns):
            own = OptimizeSettings(**{**common, **row_changes, **changes})
            cells.append(Cell(row, row_label, column_label, own, folder / f"{row:02d}-{column:02d}.png"))
    return cells


def _axis(name: str | None, values: list[Any], labels: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(label, settings) of every row or column."""
    if not name:
        yield "", {}
        return
    for index, value in enumerate(values):
        changes = _parsed(value if isinstance(value, dict) else {name: value})
        yield labels[index] if labels else f"{name} {_shown(changes.get(name, value))}", changes


def _parsed(changes: dict[str, Any]) -> dict[str, Any]:
    """``changes`` with values of the settings' types, read as a config would be."""
    for name in changes:
        if name not in SETTINGS - NOT_SWEPT:
            raise unknown("setting to sweep", name, sorted(SETTINGS - NOT_SWEPT))
    kinds = get_type_hints(OptimizeSettings)
    return {name: from_plain(name, kinds[name], value) for name, value in changes.items()}


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(item)}" for name, item in value.items())
    if isinstance(value, list):
        return " ".join(map(_shown, value))
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _make(cell: Cell, optimization: Optimization) -> None:
    """Make the picture of a cell, and keep it with its losses, times and settings."""
    optimization.run(label=cell.label)
    record = {
        **optimization.measures(),
        "steps": optimization.iteration,
        "evaluations": optimization.evaluations,
        "seconds": round(optimization.seconds, 2),
        "settings": asdict(cell.settings),
    }
    save_image(optimization.pixels(), cell.picture)
    write_text(cell.record, json.dumps(record, indent=2) + "\n")


def _is_done(cell: Cell) -> bool:
    """Whether the picture of a cell exists and was made with its settings."""
    try:
        found = read_card(cell.record).get("settings")
    except UserError:  # absent, or damaged
        return False
    wanted = {key: value for key, value in asdict(cell.settings).items() if key not in NOT_SWEPT}
    return cell.picture.exists() and isinstance(found, dict) and wanted == {key: found.get(key) for key in wanted}


def _write_sheet(settings: SweepSettings, cells: list[Cell], path: Path) -> None:
    rows: list[list] = [[] for _ in range(cells[-1].row + 1)]
    for cell in cells:
        rows[cell.row].append((cell.label, load_image(cell.picture, settings.cell)))
    save_image(labelled_sheet(rows, settings.cell), path)


def _table(settings: SweepSettings, cells: list[Cell], records: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = (*MEASURES, "steps", "evaluations", "seconds")
    writer.writerow([settings.rows or "rows", settings.columns or "columns", *numbers])
    for cell, record in zip(cells, records, strict=True):
        values = [cell.row_label.removeprefix(f"{settings.rows} "), cell.column_label.removeprefix(f"{settings.columns} ")]
        writer.writerow([*values, *(f"{record[name]:.6g}" if name in record else "" for name in numbers)])
    return text.getvalue()
