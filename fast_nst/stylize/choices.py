"""Choices by hashes of a picture's path: its styles, and its part of a run that is split.

A path is relative to the folder that was named, so a choice is the same on every machine, in any order and in any number
of parts. Style n of a picture is the one with the n-th highest hash of seed, path and style (highest random weight; Thaler
and Ravishankar 1998): a style that is added to the library takes 1/n of the pictures, and the others keep theirs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable


def chosen_styles(path: str, styles: Iterable[str], seed: int, count: int) -> list[str]:
    """``count`` different ``styles`` for the picture at ``path``; with a larger count the first ones stay."""
    return sorted(styles, key=lambda style: (number_of("style", str(seed), path, style), style), reverse=True)[:count]


def in_part(path: str, part: int, parts: int) -> bool:
    """Whether the picture at ``path`` falls into ``part``, 1 to ``parts``."""
    return number_of("part", path) % parts == part - 1


def number_of(*words: str) -> int:
    """The first 8 bytes of SHA-256, as a number."""
    return int.from_bytes(hashlib.sha256(b"\0".join(map(os.fsencode, words))).digest()[:8], "big")
