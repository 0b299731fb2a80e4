"""Output of the commands: one line for an error, paths that are safe on a terminal, streams that take any text."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOBase
from pathlib import Path

from fast_nst.errors import PartlyDone, printable

CLOSED_PIPE = 141  # the exit code that a shell gives to a process that a closed pipe ended


def fail(message: str, code: int = 2) -> None:
    """Print what is wrong in one line, and exit with ``code``; only a list of failures has more lines, all of them."""
    partly = code == PartlyDone.code
    text = printable(message, len(message)) if partly else printable(" ".join(message.splitlines()))
    print(f"fast-nst: {text}", file=sys.stderr)
    raise SystemExit(code)


def shown(path: str | Path) -> str:
    """``path`` in one line of visible characters; from the present folder where it lies below it."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive of Windows
        relative = ".."
    return printable(str(path) if relative.startswith("..") else relative, 4000).replace("\n", "?")


def quoted(path: str | Path) -> str:
    """``shown`` for a command line: in quotes where a shell needs them."""
    return shlex.quote(shown(path))


def accept_any_text() -> None:
    """Let standard output and error escape what their encoding lacks, such as an umlaut in a POSIX locale."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _Silent(TextIOBase):
    """A stream that drops text; a picture on standard output still passes through its ``buffer``."""

    def __init__(self, stream: object) -> None:
        self.buffer = getattr(stream, "buffer", None)

    def write(self, text: str) -> int:
        return len(text)


@contextmanager
def silence() -> Iterator[None]:
    """Print nothing while the block runs."""
    with redirect_stdout(_Silent(sys.stdout)), redirect_stderr(_Silent(sys.stderr)):
        yield


def leave_closed_pipe() -> None:
    """Exit as a process does whose output nobody reads any more, without a word."""
    if sys.stdout is not None and hasattr(sys.stdout, "fileno"):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered goes there
    raise SystemExit(CLOSED_PIPE)
