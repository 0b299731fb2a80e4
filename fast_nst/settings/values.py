"""Values of settings: what a command line or a config gives, converted to the type that a setting declares.

A command line gives text. Where a setting is text, the text is taken as it is, whatever it begins with: ``#1.jpg`` and
``null`` are file names. A config gives the plain values of YAML, so quotes decide there.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from fast_nst.errors import UserError
from fast_nst.settings.config_file import load_plain

NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "settings, each with its name"}
PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}
WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
NOTHING = {"null", "none", "~"}
ORDER = (bool, int, float)  # of the branches of a union, which are tried before text


class _Mismatch(Exception):
    """A value, or a part of one, that is of another type; its text is what came."""


def from_text(name: str, kind: Any, text: str) -> Any:
    """``text`` of a command line as a value of ``kind``.

    Raises:
        UserError: it is none; the sentence begins with ``name``.
    """
    return _converted(name, kind, text, _read_text)


def from_plain(name: str, kind: Any, value: Any) -> Any:
    """A plain value, as YAML gives it, as a value of ``kind``; raises a UserError as ``from_text``."""
    return _converted(name, kind, value, _read_plain)


def described(kind: Any) -> str:
    """Description of a value of ``kind``: ``a whole number``, ``one of all, norm``, ``a list of texts, as [A, B]``."""
    origin, arguments = get_origin(kind), [argument for argument in get_args(kind) if argument is not NoneType]
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (Union, UnionType):
        return " or ".join(map(described, arguments))
    if origin is list:
        return f"a list of {PLURALS.get(_item(kind), 'values')}, as [A, B]"
    return NAMES.get(origin or kind, "a value")


def branches(kind: Any) -> tuple[Any, ...]:
    """The types that a value of ``kind`` may have; the type itself, unless it is a union."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def is_list(kind: Any) -> bool:
    """Whether a setting of ``kind`` may be a list."""
    return any(get_origin(branch) is list for branch in branches(kind))


def _converted(name: str, kind: Any, value: Any, read: Any) -> Any:
    try:
        return read(kind, value)
    except _Mismatch as error:
        quotes = "; put it in quotes" if read is _read_plain and str in branches(kind) and value is not None else ""
        raise UserError(f"{name} needs {described(kind)}, got {str(error)[:200]}{quotes}") from error
    except UserError as error:
        raise UserError(f"{name} {error}") from error
    except OverflowError as error:
        raise UserError(f"{name} is a number beyond all bounds ({error}); give a smaller one") from error


def _read_text(kind: Any, text: str) -> Any:
    options = branches(kind)
    if NoneType in options and str not in options and text.lower() in NOTHING:
        return None
    if kind is Any:
        return _yaml(text)
    lists = [option for option in options if get_origin(option) is list]
    if lists and (items := _bracketed(text, plain=_item(lists[0]) is Any)) is not None:
        return [_read_item(_item(lists[0]), item) for item in items]
    for option in _in_order(options):
        if (found := _scalar(option, text)) is not None:
            return found
    if lists:
        return [_read_item(_item(lists[0]), text)]
    if dict in map(_origin, options) and isinstance(found := _yaml(text), dict):
        return found
    raise _Mismatch(text)


def _read_item(kind: Any, item: Any) -> Any:
    """A part of a list on a command line, where null has to be said as YAML does."""
    if kind is Any:
        return item
    if NoneType in branches(kind) and item in NOTHING:
        return None
    if not isinstance(item, str):
        raise _Mismatch(item)
    return _read_text(kind, item)


def _read_plain(kind: Any, value: Any) -> Any:
    options = branches(kind)
    if kind is Any or (value is None and NoneType in options):
        return value
    for option in options:
        origin = _origin(option)
        if origin is list and isinstance(value, list):
            return [_read_plain(_item(option), part) for part in value]
        if origin is dict and isinstance(value, dict):
            return value
        if origin is Literal and value in get_args(option):
            return value
        if option in (str, bool, int) and type(value) is option:
            return value
        if option is float and type(value) in (int, float):
            return float(value)
    if isinstance(value, str) and str not in options:  # YAML 1.1 takes 1e-3 for text
        return _read_text(kind, value)
    raise _Mismatch("nothing" if value is None else str(value).lower() if isinstance(value, bool) else value)


def _in_order(options: tuple[Any, ...]) -> Iterator[Any]:
    yield from (option for option in ORDER if option in options)
    yield from (option for option in options if get_origin(option) is Literal)
    yield from (option for option in options if option is str)


def _scalar(kind: Any, text: str) -> Any:
    """``text`` as a value of the plain type ``kind``; None for what is none."""
    if get_origin(kind) is Literal:
        return next((choice for choice in get_args(kind) if str(choice) == text), None)
    if kind is str:
        return text
    if kind is bool:
        return WORDS.get(text.lower())
    try:
        return int(text) if kind is int and not set(text) & set(".eE") else _number(kind, text)
    except ValueError:
        return None


def _number(kind: type, text: str) -> float | int | None:
    number = float(text)
    return number if kind is float else int(number) if number.is_integer() else None


def _bracketed(text: str, plain: bool) -> list[Any] | None:
    """The parts of a list in brackets, as YAML writes it; as texts unless ``plain``. None for any other text."""
    if not (text.lstrip().startswith("[") and text.rstrip().endswith("]")):
        return None
    try:
        found = load_plain(text, None if plain else yaml.BaseLoader)
    except yaml.YAMLError:
        return None
    return found if isinstance(found, list) else None


def _yaml(text: str) -> Any:
    """``text`` as YAML takes it; itself where YAML makes nothing of it."""
    try:
        found = load_plain(text)
    except (yaml.YAMLError, ValueError):
        return text
    return text if found is None and text.lower() not in NOTHING else found


def _origin(kind: Any) -> Any:
    return get_origin(kind) or kind


def _item(kind: Any) -> Any:
    return next(iter(get_args(kind)), Any)
