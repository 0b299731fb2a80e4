"""Style library: the styles that ship in the package and those that its user added, by name.

A style is a row of a model. The shipped ones share one model, so blends of them are mixtures of rows; an added one brings
its own, in a folder ``NAME/`` of the library, which lies where ``FAST_NST_STYLES`` says, or in the user's data folder. A
style is added and removed by renaming its folder, so an interruption leaves the library as it was before.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock
from platformdirs import user_data_path

from fast_nst.errors import UserError, escape_name, printable, unknown
from fast_nst.imaging.scanning import FOUND
from fast_nst.inference.model import Model
from fast_nst.style_rows import IDENTITY
from fast_nst.system.files import SHIPPED, is_plain_name, read_card, write_text

MODEL, CARD = "model.onnx", "style.json"
MAX_TITLE = 120  # letters
SEPARATORS = set(":,/\\")
WEIGHTS = {".ckpt", ".pth", ".pt", ".safetensors"}


class PaintingAsStyle(UserError):
    """A picture given as a style: it has to be trained first.

    Args:
        painting: the picture's path.
        photo: the photograph that it was to be used on.
    """

    def __init__(self, painting: str, photo: str = "photo.jpg") -> None:
        self.painting = painting
        quoted = shlex.quote(painting)
        super().__init__(
            f"{painting} is a picture, not a trained style; train it first: fast-nst train {quoted}  or draw it "
            f"once: fast-nst optimize {shlex.quote(photo)} {quoted} --output out.png"
        )


@dataclass(frozen=True)
class Style:
    """A row of a model under a name.

    Attributes:
        name: what ``--style`` takes.
        model: the ONNX model that draws it.
        row: its row there.
        rows: the other shipped or own styles that the model draws as well.
        title, painter, year, license: of the painting, as far as known.
        added: whether the user added it.
    """

    name: str
    model: Path
    row: str
    rows: tuple[str, ...] = ()
    title: str = ""
    painter: str = ""
    year: str = ""
    license: str = ""
    added: bool = False


@dataclass(frozen=True)
class Part:
    """Part of a blend that one model draws: its rows with shares that sum to 1, and the part's share of the whole.

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
    """The styles in the user's library, by name; folders that are damaged are left out, see ``damaged_styles``."""
    return {name: style for name, style in _folders().items() if isinstance(style, Style)}


def damaged_styles() -> dict[str, str]:
    """A sentence about each folder of the library that holds no style that can be used."""
    return {name: reason for name, reason in _folders().items() if isinstance(reason, str)}


def find_styles() -> dict[str, Style]:
    """All styles, by name: the shipped ones, then those of the library."""
    return shipped_styles() | added_styles()


def library() -> Path:
    """The folder of the user's own styles.

    Raises:
        UserError: the user has no home folder, and ``FAST_NST_STYLES`` names none.
    """
    folder = Path(os.environ.get("FAST_NST_STYLES") or user_data_path("fast_nst", appauthor=False) / "styles")
    if folder.parts[:1] == ("~",):  # what stays of a home folder that is not there
        raise UserError("there is no home folder for a style library; set FAST_NST_STYLES to a folder")
    return folder


def _folders() -> dict[str, Style | str]:
    """Content of the library, by name: a style, or a sentence about what is damaged. A library that is absent is empty."""
    try:
        with os.scandir(library()) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except (UserError, FileNotFoundError):
        return {}
    except OSError as error:
        return {str(library()): f"cannot read the style library {escape_name(library())}: {error.strerror}"}
    return {name: _read_added(library() / name) for name in names if os.path.lexists(library() / name / CARD)}


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
        os.chmod(draft, stat.S_IMODE(os.stat(folder).st_mode))  # a temporary folder is made for its owner alone
        write_text(draft / CARD, json.dumps(asdict(style) | {"model": MODEL}, indent=2) + "\n")
        draft.rename(folder / name)
    return replace(style, model=folder / name / MODEL)


def remove_style(name: str) -> None:
    """Take a style out of the user's library.

    Raises:
        UserError: no such style, or one that ships in the package.
    """
    added = _folders()
    if name in shipped_styles() and name not in added:
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
    """The models that draw ``blend``: one that has all its rows, or each style's own, whose pictures are mixed."""
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
        UserError: no such style or file, or a file of another kind.
    """
    styles = find_styles()
    if name in styles:
        return styles[name]
    if name in (damaged := damaged_styles()):
        raise UserError(damaged[name])
    suffix = Path(name).suffix.lower()
    if suffix in FOUND and not os.path.isdir(name):
        raise PaintingAsStyle(name)
    if suffix in WEIGHTS and not os.path.isdir(name):
        model = shlex.quote(f"{Path(name).stem}.onnx")
        raise UserError(
            f"{name} holds weights, not a model; export it: fast-nst export {shlex.quote(name)} --output {model}"
        )
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


def _read_added(folder: Path) -> Style | str:
    """The style in a folder of the library, or a sentence about what is damaged there."""
    path, model, shown = folder / CARD, folder / MODEL, escape_name(folder)
    try:
        if folder.name in shipped_styles():
            return f"{shown} is called as a style that ships, and is not used; rename the folder"
        checked_name(folder.name)
        if not (os.path.isfile(path) and os.path.isfile(model)):  # a pipe would never end
            raise FileNotFoundError
        values = read_card(path)
        about = ("title", "painter", "year", "license")
        known = {"row": str(values["row"])} | {key: _one_line(values.get(key, "")) for key in about}
        rows = tuple(map(str, values["rows"]))
    except (UserError, OSError, KeyError, TypeError):
        return f"the style in {shown} is damaged; remove the folder and add the style again"
    return Style(folder.name, model, rows=rows, added=True, **known)


def _one_line(text: object) -> str:
    return printable(" ".join(str(text).split()), MAX_TITLE)


def _about(model: Model) -> dict[str, str]:
    """Description of a painting from its model's card."""
    try:
        style = json.loads(model.metadata.get("card", "{}")).get("style")
    except (ValueError, AttributeError, RecursionError):
        return {}
    return {"title": _one_line(style["file"])} if isinstance(style, dict) and "file" in style else {}


def find_model(path: str | Path) -> Path:
    """The ONNX model that ``path`` means: the file itself, or the one in a run folder."""
    path = Path(path)
    if os.path.isdir(path):
        models = sorted(Path(path).glob("[!.]*.onnx"))
        if not models:
            raise UserError(
                f"no ONNX model in {path}; train to the end, or run "
                f"fast-nst export {shlex.quote(str(path))} --output model.onnx"
            )
        return path / f"{path.resolve().name}.onnx" if path / f"{path.resolve().name}.onnx" in models else models[0]
    if not os.path.isfile(path):
        raise UserError(f"no model at {path}; give a run's folder, such as checkpoints/NAME, or an .onnx file")
    return path
