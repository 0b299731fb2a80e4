"""Help texts: ``fast-nst --help`` and ``fast-nst COMMAND --help``."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable
from types import NoneType
from typing import Literal, get_args, get_origin

from fast_nst.cli.commands import COMMANDS
from fast_nst.cli.options import REQUIRED, Option, help_of
from fast_nst.cli.parser import SHORT, SPELLINGS, Parser
from fast_nst.settings.values import branches, is_list

WIDEST, INDENT = 100, 26  # columns of a page, and of the flags before their help
PLACEHOLDERS = {int: "N", float: "X", str: "TEXT"}
FILES = {
    "style",
    "data",
    "output",
    "content",
    "config",
    "mask",
    "masks",
    "loss_weights",
    "checkpoints",
    "base",
    "model",
    "video",
}
COMMON = [
    ("-q, --quiet", "print nothing but errors"),
    ("--print_config", "print all settings as YAML, for --config, and end"),
    ("--config FILE", "YAML file of settings; flags win over it"),
    ("-h, --help", "show this page"),
]


def overview() -> str:
    """All commands, a line each."""
    lines = [line for name, one in COMMANDS.items() for line in _wrapped(name, help_of(one.function)[0], indent=16)]
    head = ["usage: fast-nst COMMAND ... | --help | --version", "", "Feed-forward neural style transfer.", "", "commands:"]
    return "\n".join([*head, *lines, "", "fast-nst COMMAND --help says more."])


def page(parser: Parser) -> str:
    """The help of one command: usage, options in groups, the most used ones first, and examples."""
    command = parser.command
    first = [parser.options[name] for name in (*command.positional, *command.first)]
    others = [option for option in parser.options.values() if option not in first]
    groups = dict.fromkeys(option.group for option in others)
    blocks = [
        usage(parser),
        textwrap.fill(help_of(command.function)[0], _width()),
        _block("most used", (_entry(one, parser) for one in first)),
    ]
    blocks += [_block(name or "more", (_entry(one, parser) for one in others if one.group == name)) for name in groups]
    blocks += [_block("common", COMMON), "examples:\n" + "\n".join(f"  {line}" for line in command.examples)]
    return "\n\n".join(filter(None, blocks))


def usage(parser: Parser) -> str:
    """``usage: fast-nst export CHECKPOINT --output FILE [options]``."""
    words = [_positional(parser.options[name]) for name in parser.command.positional]
    required = [
        one for one in parser.options.values() if one.default is REQUIRED and one.name not in parser.command.positional
    ]
    words += [f"--{option.name} {placeholder(option)}" for option in required]
    return " ".join(["usage: fast-nst", parser.name, *words, "[options]"])


def placeholder(option: Option) -> str:
    """Placeholder for a value of an option: ``N``, ``FILE``, ``{all,norm}``, ``[A, B]``; nothing for a switch."""
    kinds = [kind for kind in branches(option.kind) if kind is not NoneType]
    if kinds == [bool]:
        return ""
    if option.name in FILES:
        return "FILE" if option.name != "style" else "STYLE"
    choices = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ())
    if choices and len(kinds) == 1:
        return "{" + ",".join(map(str, choices)) + "}"
    plain = "|".join(
        [PLACEHOLDERS.get(kind, "VALUE") for kind in kinds if kind in PLACEHOLDERS] + [str(one) for one in choices]
    )
    return plain or ("[A, B]" if is_list(option.kind) else "VALUE")


def _positional(option: Option) -> str:
    name = option.name.upper().removesuffix("S") if option.name == "inputs" else option.name.upper()
    word = name + ("..." if is_list(option.kind) else "")
    return word if option.default is REQUIRED else f"[{word}]"


def _entry(option: Option, parser: Parser) -> tuple[str, str]:
    if option.name in parser.command.positional and option.default is REQUIRED:
        return _positional(option), _explained(option)
    short = next((f"{flag}, " for flag, name in SHORT.items() if name == option.name), "")
    other = next((f", --{other}" for other, names in SPELLINGS.items() if option.name in names), "")
    flag = f"--{option.name}" + (".NAME" if option.is_mapping else "")
    return f"{short}{flag}{other} {placeholder(option)}".rstrip(), _explained(option)


def _explained(option: Option) -> str:
    """The option's sentence with its default, which a docstring tells where None or an empty list stands for it."""
    text = re.sub(r"\((?:none|empty): ", "(default: ", option.help)
    if option.default in (REQUIRED, None, False, [], {}) or isinstance(option.default, list):
        return text
    return f"{text.rstrip('.')} (default: {str(option.default).lower() if option.default is True else option.default})."


def _block(title: str, entries: Iterable[tuple[str, str]]) -> str:
    lines = [line for flag, text in entries for line in _wrapped(flag, text)]
    return "\n".join([f"{title}:", *lines]) if lines else ""


def _wrapped(flag: str, text: str, indent: int = INDENT) -> list[str]:
    """A flag and its sentence, which is indented; below the flag where that is too long."""
    lines = textwrap.wrap(text, max(20, _width() - indent)) or [""]
    margin = " " * indent
    first = f"  {flag:<{indent - 4}}  "
    if len(first) > indent:
        return [first.rstrip(), *(margin + line for line in lines)]
    return [first + lines[0], *(margin + line for line in lines[1:])]


def _width() -> int:
    """Columns to print in."""
    return min(WIDEST, shutil.get_terminal_size().columns)
