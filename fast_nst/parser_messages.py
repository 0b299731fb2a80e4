"""What the parser says of a wrong flag or setting, in plain words: its name, what it needs, what came.

jsonargparse names Python's types and every branch of a union; a person who types a flag wants neither.
"""

from __future__ import annotations

import difflib
import re
from argparse import Action
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

WRONG_VALUE = re.compile(r'Parser key "(?P<key>[^"]+)":.*?(?:Got|Given) value: (?P<value>.*)', re.DOTALL)
UNKNOWN_FLAG = re.compile(r"unrecognized arguments: (?P<flag>\S+)")
UNKNOWN_SETTING = re.compile(
    r"(?:Group '(?P<group>[\w.]+)' does not accept o|^O)ption '(?P<name>[^']+)'(?: is not accepted)?$"
)
PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "settings, each with its name"}
PLURAL = {int: "whole numbers", float: "numbers", str: "texts"}


def plain(message: str, actions: Iterable[Action]) -> str:
    """``message`` of a parser with ``actions`` in plain words, or as it is where it is of another kind."""
    actions = list(actions)
    if wrong := WRONG_VALUE.search(message):
        return _wrong_value(wrong["key"], wrong["value"], actions) or message
    if unknown := UNKNOWN_FLAG.search(message):
        flags = [flag for action in actions for flag in action.option_strings]
        return f"there is no {unknown['flag']} here{_nearest(unknown['flag'].partition('=')[0], flags)}"
    if unknown := UNKNOWN_SETTING.search(message):
        name = ".".join(filter(None, (unknown["group"], unknown["name"])))
        return f"there is no setting {name}{_nearest(name, [action.dest for action in actions])}"
    return message


def described(kind: Any) -> str | None:
    """What a value of the type ``kind`` is called, or None for one that has no simple name."""
    origin, arguments = get_origin(kind), [argument for argument in get_args(kind) if argument is not NoneType]
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (Union, UnionType):
        names = [described(argument) for argument in arguments]
        return None if None in names else " or ".join(names)
    if origin is list:
        return f"a list of {PLURAL[arguments[0]]}, as [A, B]" if arguments[0] in PLURAL else None
    return PLAIN.get(origin or kind)


def _wrong_value(key: str, value: str, actions: list[Action]) -> str | None:
    kinds = {action.dest: getattr(action, "_typehint", None) for action in actions}
    needed = described(kinds.get(key))
    return f"{key} needs {needed}, got {value.strip()}" if needed else None


def _nearest(name: str, names: list[str]) -> str:
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]}?" if nearest else ""
