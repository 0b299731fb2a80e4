"""The options of a command, read from its function: names, types and defaults from signatures, help from docstrings.

A function takes its settings as one dataclass, whose fields are the options, or as arguments of its own. A field that is a
dataclass is a group, ``loss.style_weight``; one that is a mapping, such as ``trainer``, takes any name below its own.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_origin, get_type_hints

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Option:
    """A setting that a command takes.

    Attributes:
        name: with its groups, ``loss.style_weight``.
        kind: the declared type.
        default: ``REQUIRED`` where there is none.
        help: a sentence.
    """

    name: str
    kind: Any
    default: Any
    help: str

    @property
    def group(self) -> str:
        """The group's name, empty outside of groups."""
        return self.name.rpartition(".")[0] or (self.name if self.is_mapping else "")

    @property
    def is_mapping(self) -> bool:
        """Whether any name may stand below this one."""
        return get_origin(self.kind) is dict


def settings_class(function: Callable[..., None]) -> type | None:
    """The settings that a command takes as a whole, or None for one with arguments of its own."""
    first = next((kind for name, kind in get_type_hints(function).items() if name != "return"), None)
    return first if isinstance(first, type) and is_dataclass(first) else None


def options_of(function: Callable[..., None]) -> list[Option]:
    """The options of a command, in the order of their declaration."""
    settings = settings_class(function)
    if settings:
        return list(_fields(settings))
    kinds, helps = get_type_hints(function), help_of(function)[1]
    parameters = inspect.signature(function).parameters.values()
    return [Option(one.name, kinds[one.name], one.default, helps.get(one.name, "")) for one in parameters]


def arguments_of(function: Callable[..., None], values: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments for a command from option values by full name; settings are built and checked."""
    settings = settings_class(function)
    if settings is None:
        return values
    return {next(iter(inspect.signature(function).parameters)): _built(settings, values)}


def help_of(source: type | Callable[..., None]) -> tuple[str, dict[str, str]]:
    """The first line of a docstring, and what it says of each attribute or argument; those of parent classes as well."""
    helps: dict[str, str] = {}
    for one in reversed(
        [kind for kind in inspect.getmro(source) if is_dataclass(kind)] if isinstance(source, type) else [source]
    ):
        text = _docstring(one)
        helps |= _described(text)
    return text.strip().partition("\n")[0], helps


def _fields(settings: type, prefix: str = "") -> Iterator[Option]:
    kinds, helps = get_type_hints(settings), help_of(settings)[1]
    for one in fields(settings):
        kind = kinds[one.name]
        if isinstance(kind, type) and is_dataclass(kind):
            yield from _fields(kind, f"{prefix}{one.name}.")
            continue
        default = one.default if one.default is not MISSING else REQUIRED
        if one.default_factory is not MISSING:
            default = one.default_factory()
        yield Option(prefix + one.name, kind, default, helps.get(one.name, ""))


def _built(settings: type, values: dict[str, Any], prefix: str = "") -> Any:
    kinds, own = get_type_hints(settings), {}
    for name, kind in kinds.items():
        full = prefix + name
        if isinstance(kind, type) and is_dataclass(kind):
            own[name] = _built(kind, values, f"{full}.")
        elif get_origin(kind) is dict:
            own[name] = {key[len(full) + 1 :]: value for key, value in values.items() if key.startswith(f"{full}.")}
        elif full in values:
            own[name] = values[full]
    return settings(**own)


def _described(text: str) -> dict[str, str]:
    """``name: sentence`` of the lines below ``Attributes:`` or ``Args:``."""
    section = re.search(r"^(?:Attributes|Args):\n((?:[ ]+.*\n|\n)+)", text + "\n", re.MULTILINE)
    entries = re.split(r"^    (?=\w+:)", section[1], flags=re.MULTILINE) if section else []
    pairs = (" ".join(entry.split()).partition(": ") for entry in entries if entry.strip())
    return {name: sentence for name, _, sentence in pairs}


def _docstring(source: type | Callable[..., None]) -> str:
    """The docstring of ``source``; from its file where Python was told to drop docstrings (-OO)."""
    if sys.flags.optimize < 2:
        return inspect.getdoc(source) or ""
    return _docstrings_in(inspect.getsourcefile(source) or "").get(source.__name__, "")


@cache
def _docstrings_in(path: str) -> dict[str, str]:
    with open(path, encoding="utf-8") as file:
        nodes = ast.parse(file.read()).body
    named = [node for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return {node.name: textwrap.dedent(ast.get_docstring(node) or "") for node in named}
