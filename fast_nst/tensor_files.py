"""Weight files as data: safetensors, or PyTorch's own format read with ``weights_only=True``. Nothing is ever unpickled."""

from __future__ import annotations

import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from fast_nst.errors import UserError
from fast_nst.files import atomic_path

MAX_BYTES = 4 << 30


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a ``.safetensors`` file, or of a state dict in PyTorch's format (``.pth``, ``.pt``, ``.model``).

    Raises:
        UserError: no such file, too large, damaged, or something else than a state dict.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    state = read_checkpoint(path)
    state = state.get("state_dict", state)
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path} holds no state dict (names and tensors); save one with torch.save(model.state_dict(), ...)")
    return state


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A dictionary of tensors and plain values in PyTorch's format.

    Raises:
        UserError: no such file, too large, damaged, or holding anything but tensors and plain values.
    """
    path = _existing(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is not a readable weight file: it is damaged or holds more than tensors") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, not a state dict; save one with model.state_dict()")
    return content


def read_metadata(path: str | Path) -> dict[str, str]:
    """The texts that a ``.safetensors`` file carries beside its tensors.

    Raises:
        UserError: no such file, too large or damaged.
    """
    path = _existing(path)
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write a ``.safetensors`` file, whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(contiguous, temporary, metadata)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    path = _existing(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is not a readable safetensors file ({error}); download or export it again")


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no weight file at {path}; check the path")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES >> 30} GiB; weight files of these networks are far smaller")
    return path
