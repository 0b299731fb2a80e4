"""Check of an untrusted YAML config before it is parsed: it holds settings, and nothing else.

The parser would import any class that a ``class_path`` names, open any file that stands where a group of settings should,
and follow aliases and brackets until memory or the stack ends. Here a config is a small, shallow tree of plain values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from fast_nst.errors import UserError

MAX_BYTES = 256 << 10
MAX_DEPTH = 16
MAX_BRACKETS = 128  # open at once in a text, before the parser, which reads ahead, sees them and meets a limit of its own
MAX_VALUES = 20_000  # aliases counted as what they stand for
CLASSES = {"class_path", "init_args", "dict_kwargs"}  # how the parser is told to import a class
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_config(path: str | Path, groups: Iterable[str] = ()) -> dict[str, Any]:
    """The settings in a config.

    Args:
        path: the YAML file.
        groups: the settings that are groups of settings.
    Raises:
        UserError: ``path`` is no config.
    """
    text = _text(Path(path))
    try:
        values = load_plain(text)
    except UserError as error:
        raise UserError(f"{path} {error}; a config holds settings and plain values") from error
    except Exception as error:  # the loader raises whatever a scalar makes of it
        raise UserError(f"{path} is not YAML that can be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UserError(f"{path} holds no settings; write a name, a colon and a value in each line")
    if twice := _repeated(yaml.compose(text, LOADER)):
        raise UserError(f"{path} gives {str(twice)[:80]!r} twice; leave one of them out")
    if "config" in values:
        raise UserError(f"{path} names another config; write its settings into this one")
    for name in groups:
        if not isinstance(values.get(name, {}), dict):
            raise UserError(f"{name} in {path} is a group of settings, got {str(values[name])[:80]!r}; write them below it")
    return values


def check_trainer(values: Mapping[str, Any]) -> None:
    """Raise a UserError unless the Trainer's arguments are plain values, or lists of them."""
    for name, value in values.items():
        parts = value if isinstance(value, list) else [value]
        plain = all(part is None or isinstance(part, str | int | float) for part in parts)
        if not plain or name == "callbacks" or (name == "logger" and not isinstance(value, bool)):
            raise UserError(f"trainer.{name} takes an object of Python, which no command or config can give; leave it out")


def _repeated(node: Any) -> str | None:
    """A name that stands twice among the settings, or in a group of them, of which the loader would take the last."""
    names = Counter(name.value for name, _ in node.value)
    inner = [value for _, value in node.value if isinstance(value, yaml.MappingNode)]
    twice = next((name for name, count in names.items() if count > 1), None)
    return twice or next(filter(None, map(_repeated, inner)), None)


def _text(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"no config at {path}; check the path")
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise UserError(f"{path} has {size} bytes, a config has at most {MAX_BYTES}; leave out what is no setting")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text; save it as UTF-8") from error


def load_plain(text: str, loader: Any = None) -> Any:
    """``text`` as plain values; raises a UserError, the end of a sentence, or whatever the loader (none: safe) does."""
    _scan(text, MAX_DEPTH)
    return yaml.load(text, loader or LOADER)


def _scan(text: str, deepest: int) -> None:
    """Walk through ``text`` without building it; a text within it that is parsed later is walked too."""
    _check_brackets(text)
    values, depth = 0, 0
    open_anchors: list[tuple[str | None, int]] = []
    sizes: dict[str | None, int] = {}
    for event in yaml.parse(text, LOADER):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise UserError("holds an alias of itself")
            values += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            depth, values = depth + 1, values + 1
            open_anchors.append((event.anchor, values))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth, (anchor, before) = depth - 1, open_anchors.pop()
            sizes[anchor] = values - before + 1
        elif isinstance(event, yaml.ScalarEvent):
            values, sizes[event.anchor] = values + 1, 1
            _check_scalar(event.value, deepest)
        if depth > deepest or values > MAX_VALUES:
            raise UserError("has too many levels or values")


def _check_brackets(text: str) -> None:
    """Raise a UserError where more than ``MAX_BRACKETS`` are open at once, whether in quotes or not."""
    level = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        level = level + 1 if bracket in "[{" else max(0, level - 1)
        if level > MAX_BRACKETS:
            raise UserError("has too many levels or values")


def _check_scalar(text: str, deepest: int) -> None:
    if text.rpartition(".")[2] in CLASSES:
        raise UserError(f"names a class ({text[:80]})")
    if not set(text) & set("[{&*"):
        return
    if deepest == 0:
        raise UserError("has too many levels or values")
    try:
        _scan(text, deepest - 1)
    except yaml.YAMLError:
        return  # a pattern, or another text with brackets
