"""The one exception that a caller's mistake raises: its text is one sentence and says what to do.

The command line prints it as one line and exits with its code; nothing else is ever shown without a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """What came, what is needed, what to do: in one line, for the person who runs the command."""

    code = 2


class PartlyDone(UserError):
    """Some of many failed, and are listed; the rest is done."""

    code = 1


class DiskFull(UserError):
    """A file did not find room."""


class Stopped(BaseException):
    """A signal asked the process to end; its text is one sentence on how to go on.

    Args:
        signum: the signal's number; the exit code is 128 more, as a shell has it.
    """

    def __init__(self, signum: int, text: str = "stopped") -> None:
        super().__init__(text)
        self.signum, self.code = signum, 128 + signum


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
    """An error for a ``name`` that is none of ``choices``; it names the nearest choice, then all of them."""
    choices = list(choices)
    nearest = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    return UserError(f"unknown {kind} {name!r}; {hint}choose from: {', '.join(choices)}")


def printable(text: str, most: int = 2000) -> str:
    """``text`` for a terminal: control characters, which could move its cursor or hide words, become ``?``; lines stay."""
    shown = text if len(text) <= most else f"{text[:most]}..."
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in shown)
