"""Exceptions that are answers to the person who runs a command, and the text that may be shown in a terminal.

The command line prints a ``UserError`` as one line and exits with its code. Whatever code has to tell apart is a
subclass with fields, never a search in the text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A user's mistake in one line: what came, what is needed, what to do."""

    code = 2


class PartlyDone(UserError):
    """Some of many failed, and are listed; the rest is done."""

    code = 1


class DiskFull(UserError):
    """No room for a file."""


class ImageTooLarge(UserError):
    """More pixels than may be decoded.

    Args:
        name: the image's name.
        pixels: of all its frames together; None where they were not counted.
        limit: pixels that may be decoded.
    """

    def __init__(self, name: object, pixels: int | None, limit: int) -> None:
        found = "too many" if pixels is None else f"{pixels / 1e6:.3g}"
        super().__init__(f"{escape_name(name)} has {found} megapixels, at most {limit / 1e6:.3g} are read; make it smaller")
        self.name, self.pixels, self.limit = name, pixels, limit


class PackageMissing(UserError):
    """A file's format is read by a package that is not installed.

    Args:
        name: the file's name.
        needs: the format, and how to install what reads it.
    """

    def __init__(self, name: object, needs: str) -> None:
        super().__init__(f"cannot read {escape_name(name)}: it is {needs}")
        self.name, self.needs = name, needs


class Stopped(BaseException):
    """A signal asked the process to end; its text is one sentence on how to go on.

    Args:
        signum: the signal's number; the exit code is 128 more, as in a shell.
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


def escape_name(name: object) -> str:
    r"""A file's name for a message: control characters, newlines and undecodable bytes as escapes (``\n``, ``\udcff``).

    A message that prints names as they are could move the cursor, or look like several lines.
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(name))


def printable(text: str, longest: int = 2000) -> str:
    """``text`` for a terminal: lines stay, other control characters become ``?``, a line ends after ``longest`` letters."""
    lines = (line if len(line) <= longest else f"{line[:longest]}..." for line in text.split("\n"))
    return "\n".join("".join(letter if letter.isprintable() else "?" for letter in line) for line in lines)
