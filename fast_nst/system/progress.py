"""Messages about work that takes seconds."""

from __future__ import annotations

import sys


def announce(step: str) -> None:
    """Print on standard error that ``step`` begins."""
    print(f"{step} ...", file=sys.stderr, flush=True)
