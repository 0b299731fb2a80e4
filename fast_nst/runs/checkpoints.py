"""Checkpoint files: written whole and synced to the disk, and found again where the newest is damaged.

Damage is detected by the checksums in PyTorch's format, which torch.load does not verify.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fast_nst.errors import UserError
from fast_nst.networks.tensor_files import read_checkpoint
from fast_nst.runs.folder import RunFolder, step_of
from fast_nst.system.files import atomic_path

PICTURES_AND_CURVES = 2_000_000  # bytes


def write_checkpoint(content: dict[str, Any], path: str | Path) -> None:
    """Write tensors and plain values in PyTorch's format: whole or not at all, and to stay.

    Raises:
        DiskFull: no room for it.
    """
    buffer = io.BytesIO()  # torch.save to a file tells a full disk as a RuntimeError
    torch.save(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_whole(path: Path) -> dict[str, Any] | None:
    """The checkpoint at ``path``, or None if it is not as it was written."""
    try:
        with zipfile.ZipFile(path) as parts:
            return read_checkpoint(path) if parts.testzip() is None else None
    except (zipfile.BadZipFile, OSError, EOFError, UserError, NotImplementedError):
        return None


def to_stderr(text: str) -> None:
    """Print a line that is no result."""
    print(text, file=sys.stderr)


def newest_whole(folder: RunFolder, say: Callable[[str], None] = to_stderr) -> tuple[Path, dict[str, Any]] | None:
    """The furthest whole checkpoint of a run and what it holds; None where the run ended before its first.

    ``say`` gets a line where there is none, or where a damaged one is passed over.

    Raises:
        UserError: there are some, and none is whole.
    """
    newest: tuple[Path, dict[str, Any]] | None = None
    damaged: list[str] = []
    for path in folder.checkpoints():
        if newest and step_of(path) <= _step(newest[1]):
            break  # last.ckpt is as far
        content = read_whole(path)
        if content is None:
            damaged.append(path.name)
        else:
            newest = path, content
    if damaged and not newest:
        raise UserError(f"no checkpoint in {folder.path} is whole ({', '.join(damaged)}); start again with --overwrite")
    if not newest:
        say(f"no checkpoint in {folder.path} yet: starting from the beginning")
    elif damaged:
        say(f"{', '.join(damaged)} damaged, passed over: going on from {newest[0].name}")
    return newest


def _step(content: dict[str, Any]) -> float:
    step = content.get("global_step", 0)
    return step if type(step) is int else float("inf")  # whoever goes on from it says what is wrong


def room_for(network: nn.Module) -> int:
    """Bytes that a training of ``network`` writes until its next checkpoint and its model.

    Weights, their average and Adam's two for the checkpoint and ``last.ckpt``, the weights once more for the model, and
    some for pictures and curves.
    """
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    return (2 * 4 + 1) * weights + PICTURES_AND_CURVES
