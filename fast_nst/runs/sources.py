"""Digests of photographs, style pictures and weights, by which a resumed run knows them in another place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

SOURCES = ("style", "data", "loss_weights", "base")  # the settings that are paths of such files


def digest_of_files(paths: Sequence[str | Path]) -> str:
    """Of the content of files; of several also of their names, which name the styles."""
    digest = hashlib.sha256()
    for path in map(Path, paths):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
        if len(paths) > 1:
            digest.update(path.stem.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def digest_of_photos(paths: Iterable[Path]) -> str:
    """Of the names and sizes of photographs, in the order in which a run counts them."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size if path.exists() else -1
        digest.update(f"{path.name}\0{size}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]
