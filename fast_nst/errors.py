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


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
    """An error for a ``name`` that is none of ``choices``; it names the nearest choice, then all of them."""
    choices = list(choices)
    nearest = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    return UserError(f"unknown {kind} {name!r}; {hint}choose from: {', '.join(choices)}")
