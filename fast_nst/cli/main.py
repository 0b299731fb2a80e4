"""The command ``fast-nst``: it reads the words of one command, calls it, and ends with an exit code."""

from __future__ import annotations

import difflib
import os
import shlex
import sys
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import yaml

import fast_nst
from fast_nst.cli import help as pages
from fast_nst.cli.commands import COMMANDS, Command
from fast_nst.cli.options import arguments_of, settings_class
from fast_nst.cli.output import accept_any_text, fail, leave_closed_pipe, silence
from fast_nst.cli.parser import Parser
from fast_nst.errors import Stopped, UserError
from fast_nst.settings.config_file import check_trainer
from fast_nst.system.allocator import keep_freed_memory

HELP, QUIET, PRINT_CONFIG = {"-h", "--help"}, {"-q", "--quiet"}, {"--print_config", "--print-config"}
MEANT = {  # words that people try, and the commands that they mean
    "list": "styles",
    "apply": "stylize",
    "stylise": "stylize",
    "run": "stylize",
    "paint": "optimize",
    "optimise": "optimize",
    "eval": "evaluate",
    "check": "style-check",
    "convert": "export",
}
GOES_ON = "stopped; it goes on from its last checkpoint with --resume"


def main(arguments: list[str] | None = None) -> None:
    """Run ``fast-nst`` with ``arguments`` (default: the command line's)."""
    accept_any_text()
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if not arguments or arguments[0] in HELP or arguments == ["help"]:
            print(pages.overview())
        elif arguments[0] == "--version":
            print(f"fast_nst {fast_nst.__version__}")
        elif arguments[0] == "help":
            run(arguments[1], ["--help"])
        else:
            run(arguments[0], arguments[1:])
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        leave_closed_pipe()


def run(name: str, words: list[str]) -> None:
    """Run the command ``name``; a UserError is one line and exit code 2, a signal 128 and more."""
    flags = words[: words.index("--")] if "--" in words else words
    try:
        parser = parser_of(name)
        if HELP & set(flags):
            return print(pages.page(parser))
        quiet = silence() if QUIET & set(flags) else nullcontext()
        with quiet:
            _call(parser, [word for word in words if word not in QUIET])
    except UserError as error:
        fail(str(error), error.code)
    except Stopped as stopped:
        fail(str(stopped), stopped.code)
    except KeyboardInterrupt:
        fail(GOES_ON if parser.command.resumes else "stopped", 130)
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(f"the system refuses {error.filename or 'this'}: {error.strerror or error}; check rights and space there")


def parser_of(name: str) -> Parser:
    """The parser of a command; hyphens and underscores in its name are one."""
    name = name.replace("_", "-")
    if name not in COMMANDS:
        raise _unknown(name)
    return Parser(name, COMMANDS[name])


def arguments_for(parser: Parser, words: list[str]) -> dict[str, Any]:
    """Keyword arguments for a command from its words; settings are built and checked.

    Raises:
        UserError: anything wrong with a flag, a config or a value.
    """
    try:
        arguments = arguments_of(parser.command.function, parser.values(words))
    except (OverflowError, RecursionError) as error:
        raise UserError(f"a setting is a number or a list beyond all bounds ({error}); make it smaller") from error
    for settings in arguments.values():
        check_trainer(getattr(settings, "trainer", {}))
    return arguments


def _call(parser: Parser, words: list[str]) -> None:
    command: Command = parser.command
    arguments = arguments_for(parser, [word for word in words if word not in PRINT_CONFIG])
    if PRINT_CONFIG & set(words):
        (settings,) = arguments.values() if settings_class(command.function) else [arguments]
        values = settings if isinstance(settings, dict) else asdict(settings)
        return print(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), end="")
    if command.repeats_a_step and not any(getattr(one, "low_memory", False) for one in arguments.values()):
        keep_freed_memory()
    command.function(**arguments)


def _unknown(name: str) -> UserError:
    near = MEANT.get(name) or next(iter(difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.5)), None)
    hint = f"did you mean {near}? " if near else ""
    if os.path.lexists(name):
        hint = f"did you mean fast-nst stylize {shlex.quote(name)} --style great_wave? "
    return UserError(f"unknown command {name!r}; {hint}choose from: {', '.join(COMMANDS)}")
