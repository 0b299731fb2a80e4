"""The command ``fast-nst``: it parses the flags of one command, calls it, and ends with an exit code."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import fast_nst
from fast_nst.cli.commands import COMMANDS
from fast_nst.cli.parser import ConfigFile, Parser, adapt, fail, settings_class
from fast_nst.errors import Stopped, UserError, unknown
from fast_nst.settings.config_file import check_trainer
from fast_nst.system.allocator import keep_freed_memory

POSITIONAL = {
    "stylize": "inputs",
    "styles": "action",
    "export": "checkpoint",
    "style-check": "painting",
    "evaluate": "model",
    "reconstruct": "photo",
}
IN_STEPS = ("train", "optimize", "reconstruct", "sweep", "evaluate", "distill", "benchmark")  # each as large as the last
STOPPED = dict.fromkeys(("train", "optimize"), "stopped; it goes on from its last checkpoint with --resume")


def parser_of(command: str) -> Parser:
    """The parser of one command, made from its function."""
    function = COMMANDS[command]
    parser = Parser(prog=f"fast-nst {command}", description=(function.__doc__ or "").splitlines()[0])
    parser.add_argument("--config", action=ConfigFile, help="YAML file of settings; flags after it win")
    settings = settings_class(function)
    add, source = (parser.add_class_arguments, settings) if settings else (parser.add_function_arguments, function)
    if positional := POSITIONAL.get(command):
        add(source, as_group=False, as_positional=True, skip=set(inspect.signature(source).parameters) - {positional})
        add(source, as_group=False, skip={positional})
    else:
        add(source, as_group=False)
    adapt(parser)
    return parser


def usage() -> str:
    """What ``fast-nst --help`` prints."""
    lines = [
        "usage: fast-nst COMMAND ... | --help | --version",
        "",
        "Feed-forward neural style transfer.",
        "",
        "commands:",
    ]
    lines += [f"  {name:<12} {(function.__doc__ or '').splitlines()[0]}" for name, function in COMMANDS.items()]
    return "\n".join([*lines, "", "fast-nst COMMAND --help says more."])


def main(arguments: list[str] | None = None) -> None:
    """Run ``fast-nst`` with ``arguments`` (default: the command line's)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
    elif arguments[0] == "--version":
        print(f"fast_nst {fast_nst.__version__}")
    else:
        run(arguments[0], arguments[1:])


def run(command: str, arguments: list[str]) -> None:
    """Parse ``arguments`` for ``command`` and call it; a UserError is one line and exit code 2, a signal 128 and more."""
    try:
        if command not in COMMANDS:
            raise unknown("command", command, COMMANDS)
        values = _parsed(command, arguments)
        if command in IN_STEPS and not values.get("low_memory"):
            keep_freed_memory()
        settings, function = settings_class(COMMANDS[command]), COMMANDS[command]
        function(settings(**values)) if settings else function(**values)
    except UserError as error:
        fail(str(error), error.code)
    except Stopped as stopped:
        fail(str(stopped), stopped.code)
    except KeyboardInterrupt:
        fail(STOPPED.get(command, "stopped"), 130)


def _parsed(command: str, arguments: list[str]) -> dict[str, Any]:
    """The values of a command's flags and config."""
    parser = parser_of(command)
    try:
        values = vars(parser.instantiate_classes(parser.parse_args(arguments)))
    except (OverflowError, RecursionError) as error:
        raise UserError(f"a setting is a number or a list beyond all bounds ({error}); see {parser.prog} --help") from error
    values.pop("config", None)
    check_trainer(values.get("trainer") or {})
    return values
