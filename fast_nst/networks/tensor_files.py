"""Weight files as data: safetensors, or PyTorch's own format read with ``weights_only=True``. Nothing is ever unpickled.

A weight file is a stranger's. What it claims is held against its size before memory is given to it: the directory of a
``.pth``, which is a zip archive, the header of a safetensors file, and the shape of every tensor.
"""

from __future__ import annotations

import json
import math
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from fast_nst.errors import UserError
from fast_nst.system.files import atomic_path

MAX_BYTES = 4 << 30
MAX_HEADER = 16 << 20
MAX_DIMENSIONS = 16
BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8}


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
    if not is_state(state) or not state:
        raise UserError(f"{path} holds no state dict (names and tensors); save one with torch.save(model.state_dict(), ...)")
    return state


def is_state(value: object) -> bool:
    """Whether ``value`` maps names to tensors."""
    return isinstance(value, Mapping) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A dictionary of tensors and plain values in PyTorch's format.

    Raises:
        UserError: no such file, too large, damaged, or holding anything but tensors and plain values.
    """
    path = _existing(path)
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice to the file's author
            content = torch.load(path, map_location="cpu", weights_only=True)
        for tensor in _tensors_in(content):
            _check_extent(tensor)
    except Exception as error:  # the unpickler raises whatever a damaged file makes of it
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
        _check_header(path)
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
        _check_header(path)
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from error


def _check_header(path: Path) -> None:
    """Raise a ValueError where a safetensors file's header claims other bytes than follow it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        try:
            header = json.loads(file.read(length))
        except RecursionError as error:
            raise ValueError("a header of too many levels") from error
    if not isinstance(header, dict):
        raise ValueError("a header that names no tensors")
    claimed = sum(_claimed_bytes(name, entry) for name, entry in header.items() if name != "__metadata__")
    if claimed != size - 8 - length:
        raise ValueError(f"tensors of {claimed} bytes, and {size - 8 - length} in the file")


def _claimed_bytes(name: str, entry: Any) -> int:
    shape, kind = (entry.get("shape"), entry.get("dtype")) if isinstance(entry, dict) else (None, None)
    whole = isinstance(shape, list) and len(shape) <= MAX_DIMENSIONS and all(type(n) is int and n >= 0 for n in shape)
    if not whole or not isinstance(kind, str) or kind not in BITS:
        raise ValueError(f"a tensor of no known shape or type: {name[:80]}")
    return math.prod(shape) * BITS[kind] // 8


def _check_archive(path: Path) -> None:
    """Raise a ValueError where a zip archive claims more bytes than it has; PyTorch stores its tensors uncompressed."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return  # PyTorch's format before version 1.6
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("compressed members")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise ValueError("members larger than the file")


def _tensors_in(content: Any) -> Iterator[Tensor]:
    """Every tensor of nested dictionaries and lists, once, however deep they lie and however often they are named."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value


def _check_extent(tensor: Tensor) -> None:
    """Raise a ValueError for a tensor of more elements than it has bytes for, such as an expanded view."""
    if type(tensor) not in (Tensor, torch.nn.Parameter) or tensor.layout != torch.strided or tensor.is_quantized:
        raise ValueError("a tensor of another kind")
    if tensor.device.type != "cpu" or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError("a tensor larger than its values")


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{path} is not a readable safetensors file ({reason}); download or export it again")


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no weight file at {path}; check the path")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES >> 30} GiB; weight files of these networks are far smaller")
    return path
