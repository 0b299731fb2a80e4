"""Shell completion: a script for bash, zsh or fish that completes commands, options and their choices.

The words are those of the command table, and the styles at hand when the script is written; where an option takes a file,
the shell completes files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType
from typing import Literal, get_args, get_origin

from fast_nst.cli.commands import COMMANDS
from fast_nst.cli.help import COMMON
from fast_nst.cli.options import Option, help_of
from fast_nst.cli.parser import SHORT, SPELLINGS, Parser
from fast_nst.settings.values import branches
from fast_nst.stylize.library import find_styles

PLAIN = re.compile(r"[\w.+@-]+")  # words that no shell takes apart

BASH = """_fast_nst() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words=""
    if [[ $COMP_CWORD -eq 1 ]]; then
        words="{commands}"
    elif [[ $current == -* ]]; then
        case "$command" in
{flags}
        esac
    else
        case "$command $previous" in
{choices}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _fast_nst fast-nst
"""
ZSH = """#compdef fast-nst
_fast_nst() {{
    local current=$words[CURRENT] previous=$words[CURRENT-1] command=$words[2]
    if (( CURRENT == 2 )); then
        compadd -- {commands}
    elif [[ $current == -* ]]; then
        case "$command" in
{flags}
        esac
    else
        case "$command $previous" in
{choices}
        (*) _files ;;
        esac
    fi
}}
compdef _fast_nst fast-nst
"""


def script(shell: str) -> str:
    """The completion script for ``shell``: bash, zsh or fish."""
    return {"bash": bash, "zsh": zsh, "fish": fish}[shell]()


def bash() -> str:
    """The script for bash; without words of its own, readline completes files."""
    flags = [f'        {name}) words="{" ".join(flags_of(parser))}" ;;' for name, parser in _parsers()]
    choices = [f'        {pattern}) words="{" ".join(words)}" ;;' for pattern, words in _patterns()]
    return BASH.format(commands=" ".join(COMMANDS), flags="\n".join(flags), choices="\n".join(choices))


def zsh() -> str:
    """The script for zsh."""
    flags = [f"        ({name}) compadd -- {' '.join(flags_of(parser))} ;;" for name, parser in _parsers()]
    choices = [f"        ({pattern}) compadd -- {' '.join(words)} ;;" for pattern, words in _patterns()]
    return ZSH.format(commands=" ".join(COMMANDS), flags="\n".join(flags), choices="\n".join(choices))


def fish() -> str:
    """The script for fish, which shows a sentence with every word."""
    lines = [
        f"complete -c fast-nst -n __fish_use_subcommand -f -a {name} -d {_quoted(help_of(COMMANDS[name].function)[0])}"
        for name in COMMANDS
    ]
    for name, parser in _parsers():
        here = f'complete -c fast-nst -n "__fish_seen_subcommand_from {name}"'
        for option in parser.options.values():
            names = "".join(f" -l {flag[2:]}" if flag.startswith("--") else f" -s {flag[1:]}" for flag in _names(option))
            words = choices_of(parser, option)
            values = f' -x -a "{" ".join(words)}"' if words else "" if option.kind is bool else " -r"
            lines.append(f"{here}{names}{values} -d {_quoted(option.help)}")
            if words and _is_first(parser, option):
                lines.append(f'{here} -f -a "{" ".join(words)}"')
    return "\n".join(lines) + "\n"


def flags_of(parser: Parser) -> list[str]:
    """All flags of a command, those that every command has last."""
    own = [flag for option in parser.options.values() for flag in _names(option)]
    return own + [word for flags, _ in COMMON for word in re.findall(r"-{1,2}\w+", flags)]


def choices_of(parser: Parser, option: Option) -> list[str]:
    """The words that may stand after an option; none where it takes a file, a number or any text."""
    if option.name == "style" and parser.name in ("stylize", "engines"):
        return [name for name in find_styles() if PLAIN.fullmatch(name)] + ["all"] * (parser.name == "stylize")
    kinds = [kind for kind in branches(option.kind) if kind is not NoneType]
    return [str(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]


def _parsers() -> Iterator[tuple[str, Parser]]:
    return ((name, Parser(name, command)) for name, command in COMMANDS.items())


def _patterns() -> Iterator[tuple[str, list[str]]]:
    """(pattern of ``command previous-word``, words) of each option that has choices, and of each positional one."""
    for name, parser in _parsers():
        for option in parser.options.values():
            words = choices_of(parser, option)
            before = _names(option) + [name] * _is_first(parser, option)
            if words:
                yield "|".join(f'"{name} {word}"' for word in before), words


def _is_first(parser: Parser, option: Option) -> bool:
    """Whether an option may stand without a flag right after the command."""
    return option.name in parser.command.positional[:1]


def _names(option: Option) -> list[str]:
    """The flags of an option: its name, short forms and other spellings."""
    short = [flag for flag, name in SHORT.items() if name == option.name]
    other = [f"--{other}" for other, names in SPELLINGS.items() if option.name in names]
    mapped = ["--device"] * (option.is_mapping and f"{option.name}.accelerator" in SPELLINGS["device"])
    return [*short, f"--{option.name}" + "." * option.is_mapping, *other, *mapped]


def _quoted(text: str) -> str:
    """The first sentence of ``text`` in single quotes, for fish."""
    sentence = re.split(r"(?<=\w)[.;:] |\(", text)[0].strip().rstrip(".")
    return "'" + sentence.replace("\\", "\\\\").replace("'", "\\'") + "'"
