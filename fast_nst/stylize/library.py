"""The styles at hand, by name: those that ship in the package, and those that its user added.

A style is a row of a model. The shipped ones share one model, so blends of them are mixtures of rows; an added one brings
its own, in a folder ``NAME/`` of the library: where ``FAST_NST_STYLES`` says, or in the user's data folder. A
style is added and removed by one renaming, so an interruption leaves the old set whole.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock
from platformdirs import user_data_path

from fast_nst.errors import UserError, printable, unknown
from fast_nst.inference.model import Model
from fast_nst.style_rows import IDENTITY
from fast_nst.system.files import SHIPPED, is_plain_name, read_card, write_text

MODEL, CARD = "model.onnx", "style.json"
MAX_TITLE = 120  # letters
SEPARATORS = set(":,/\\")


@dataclass(frozen=True)
class Style:
    """A row of a model under a name.

    Attributes:
        name: what ``--style`` takes.
        model: the ONNX model that draws it.
        row: its row there.
        rows: the other shipped or own styles that the model draws as well.
        title, painter, year, licence: of the painting, as far as known.
        added: whether the user added it.
    """

    name: str
    model: Path
    row: str
    rows: tuple[str, ...] = ()
    title: str = ""
    painter: str = ""
    year: str = ""
    licence: str = ""
    added: bool = False


@dataclass(frozen=True)
class Part:
    """What one model draws of a blend: its rows with shares that sum to 1, and the part's share of the whole.

    ``rows`` None is the model's own style.
    """

    model: Path
    rows: dict[str, float] | None
    share: float


def shipped_styles() -> dict[str, Style]:
    """The styles that ship in the package, by name."""
    known = json.loads((SHIPPED / "styles.json").read_text(encoding="utf-8"))
    rows = tuple(known)
    return {name: Style(name, SHIPPED / "base.onnx", name, rows, **about) for name, about in known.items()}


def added_styles() -> dict[str, Style]:
    """The styles in the user's library, by name."""
    return {path.parent.name: _read_added(path) for path in sorted(library().glob(f"[!.]*/{CARD}"))}


def find_styles() -> dict[str, Style]:
    """All styles, by name: the shipped ones, then those of the library."""
    return shipped_styles() | added_styles()


def library() -> Path:
    """The folder of the user's own styles."""
    return Path(os.environ.get("FAST_NST_STYLES") or user_data_path("fast_nst", appauthor=False) / "styles")


def add_style(source: str | Path, name: str | None = None) -> Style:
    """Make a trained model available by name.

    Args:
        source: a run's folder or an ``.onnx`` file.
        name: the style's name; None takes the model's.
    Raises:
        UserError: no such model, or a name that is in use or cannot be one.
    """
    path = find_model(source)
    model = Model(path)
    name = checked_name(name or model.metadata.get("name") or path.stem)
    style = Style(name, Path(MODEL), model.own, tuple(model.rows), **_about(model), added=True)
    with _exclusively() as folder:
        if name in find_styles():
            raise UserError(f"a style called {name} is there already; remove it first or give another --name")
        draft = Path(tempfile.mkdtemp(dir=folder, prefix=".adding-"))
        shutil.copyfile(path, draft / MODEL)
        write_text(draft / CARD, json.dumps(asdict(style) | {"model": MODEL}, indent=2) + "\n")
        draft.rename(folder / name)
    return replace(style, model=folder / name / MODEL)


def remove_style(name: str) -> None:
    """Take a style out of the user's library.

    Raises:
        UserError: no such style, or one that ships in the package.
    """
    added = added_styles()
    if name in shipped_styles():
        raise UserError(f"{name} ships in the package; only styles that were added can be removed")
    if name not in added:
        raise unknown("added style", name, added) if added else UserError(f"no style called {name}: none was added yet")
    with _exclusively() as folder:
        gone = Path(tempfile.mkdtemp(dir=folder, prefix=".removing-"))
        (folder / name).rename(gone / name)


def checked_name(name: str) -> str:
    """``name``, if it can name a style."""
    if SEPARATORS & set(name) or name == IDENTITY or not is_plain_name(name):
        raise UserError(f"a style's name is a plain word without slashes, colons and commas, got {name!r}; give a --name")
    return name


def parse_blend(text: str) -> dict[str, float]:
    """``great_wave:0.7,the_scream:0.3`` -> name -> share, summing to 1; a name without a number counts 1.

    Raises:
        UserError: nothing named, or weights that are negative, not numbers or all zero.
    """
    if text.strip() and os.path.exists(text):
        return {text: 1.0}
    blend: dict[str, float] = {}
    for part in text.split(","):
        name, weight = _named_weight(part.strip())
        blend[name] = blend.get(name, 0.0) + weight
    total = sum(blend.values())
    if total <= 0:
        raise UserError(f"the weights of --style {text} are all zero; give one of them a positive number")
    return {name: weight / total for name, weight in blend.items() if weight > 0}


def plan_blend(blend: dict[str, float]) -> list[Part]:
    """Which models draw ``blend``: one that has all its rows, or each style's own, to be mixed as pictures."""
    styles = {name: find_style(name) for name in blend}
    for style in styles.values():
        if all(_draws(style, other) for other in styles.values()):
            return [Part(style.model, {styles[name].row: share for name, share in blend.items()}, 1.0)]
    return [Part(style.model, {style.row: 1.0} if style.row else None, blend[name]) for name, style in styles.items()]


def _draws(style: Style, other: Style) -> bool:
    """Whether the model of ``style`` has the row of ``other`` too; one grown from the base has all of its rows."""
    return bool(style.row) and (other == style or (not other.added and other.row in style.rows))


def find_style(name: str) -> Style:
    """The style called ``name``; a run's folder or an ``.onnx`` file stands for its model's own style.

    Raises:
        UserError: no such style or file.
    """
    styles = find_styles()
    if name in styles:
        return styles[name]
    if os.path.exists(name) or {"/", "\\"} & set(name) or name.endswith(".onnx"):
        return Style(name, find_model(name), row="", added=True)
    raise unknown("style", name, styles)


def _named_weight(part: str) -> tuple[str, float]:
    name, _, number = part.rpartition(":")
    try:
        weight = float(number) if name else 1.0
    except ValueError:
        name, weight = "", 1.0
    name = name or part
    if not name:
        raise UserError("--style needs a name, such as great_wave, or a blend, such as great_wave:0.7,the_scream:0.3")
    if not (weight >= 0 and math.isfinite(weight)):
        raise UserError(f"the weight of {name} needs to be a number of 0 or more, got {number}")
    return name, weight


@contextmanager
def _exclusively() -> Iterator[Path]:
    """The library for this process alone; what an interrupted one left behind is cleared."""
    folder = library()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            yield folder
            for leftover in [*folder.glob(".adding-*"), *folder.glob(".removing-*")]:
                shutil.rmtree(leftover, ignore_errors=True)
    except OSError as error:
        raise UserError(f"cannot write to the style library {folder}: {error.strerror}; set FAST_NST_STYLES") from error


def _read_added(path: Path) -> Style:
    try:
        values = read_card(path)
        about = ("title", "painter", "year", "licence")
        known = {"row": str(values["row"])} | {key: _one_line(values.get(key, "")) for key in about}
        rows = tuple(map(str, values["rows"]))
    except (UserError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged; remove the folder {path.parent} and add the style again") from error
    return Style(path.parent.name, path.parent / MODEL, rows=rows, added=True, **known)


def _one_line(text: object) -> str:
    return printable(" ".join(str(text).split()), MAX_TITLE)


def _about(model: Model) -> dict[str, str]:
    """What a model's card tells of its painting."""
    try:
        style = json.loads(model.metadata.get("card", "{}")).get("style")
    except (ValueError, AttributeError, RecursionError):
        return {}
    return {"title": _one_line(style["file"])} if isinstance(style, dict) and "file" in style else {}


def find_model(path: str | Path) -> Path:
    """The ONNX model that ``path`` means: the file itself, or the one in a run folder."""
    path = Path(path)
    if os.path.isdir(path):
        models = sorted(path.glob("[!.]*.onnx"))
        if not models:
            raise UserError(f"no ONNX model in {path}; train to the end, or run fast-nst export {path} --output model.onnx")
        return path / f"{path.resolve().name}.onnx" if path / f"{path.resolve().name}.onnx" in models else models[0]
    if not os.path.isfile(path):
        raise UserError(f"no model at {path}; give a run's folder, such as checkpoints/NAME, or an .onnx file")
    return path
