"""The parser of a command's flags and config, and what it says of a wrong one, in plain words: name, need, what came.

jsonargparse names Python's types and every branch of a union; a person who types a flag wants neither.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from argparse import Action
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace

from fast_nst.errors import PartlyDone, UserError, printable
from fast_nst.settings.config_file import check_config

WRONG_VALUE = re.compile(r'Parser key "(?P<key>[^"]+)":.*?(?:Got|Given) value: (?P<value>.*)', re.DOTALL)
UNKNOWN_FLAG = re.compile(r"unrecognized arguments: (?P<flag>\S+)")
UNKNOWN_SETTING = re.compile(
    r"(?:Group '(?P<group>[\w.]+)' does not accept o|^O)ption '(?P<name>[^']+)'(?: is not accepted)?$"
)
PLAIN = {int: "a whole number", float: "a number", bool: "true or false", str: "text", dict: "settings, each with its name"}
PLURAL = {int: "whole numbers", float: "numbers", str: "texts"}


MAY_BE_EMPTY = {"action", "inputs"}
ALIASES = {"--base": "--from"}


class Parser(ArgumentParser):
    """A parser whose errors are one line and end with code 2."""

    def error(self, message: str, ex: Exception | None = None) -> None:
        lines = [line.strip() for line in plain(str(message), self._actions).splitlines() if line.strip()]
        fail(f"{' '.join(lines)} (see {self.prog} --help)")


class ConfigFile(ActionConfigFile):
    """``--config FILE``, where the file is looked through before it is parsed."""

    def __call__(self, parser: Parser, namespace: Namespace, value: str, option_string: str | None = None) -> None:
        groups = {action.dest.partition(".")[0] for action in parser._actions if "." in action.dest}
        try:
            check_config(value, groups)
        except UserError as error:
            parser.error(str(error))
        super().__call__(parser, namespace, os.path.abspath(value), option_string)


def fail(message: str, code: int = 2) -> None:
    """Say what is wrong in one line, and end with ``code``; only a list of failures has more lines."""
    text = message if code == PartlyDone.code else " ".join(message.splitlines())
    print(f"fast-nst: {printable(text)}", file=sys.stderr)
    raise SystemExit(code)


def settings_class(function: Callable[..., None]) -> type | None:
    """The settings that a command takes as a whole, or None for one with arguments of its own."""
    (first, *_) = get_type_hints(function).values()
    return first if is_dataclass(first) else None


def adapt(parser: Parser) -> None:
    """Let ``--resume`` stand for ``--resume true``, and take a list of positional arguments as the shell gives it."""
    for name, alias in ALIASES.items():
        if (action := parser._option_string_actions.get(name)) is not None:
            action.option_strings.insert(0, alias)
            parser._option_string_actions[alias] = action
    for action in parser._actions:
        kind = getattr(action, "_typehint", None)
        if kind is bool:
            action.nargs, action.const = "?", True
        elif not action.option_strings and kind == list[str]:
            many = "*" if action.dest in MAY_BE_EMPTY else "+"
            action.nargs, action._typehint, action.metavar = many, str, action.dest.upper().removesuffix("S")


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
