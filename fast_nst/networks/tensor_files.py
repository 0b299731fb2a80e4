"""Weight files as data: safetensors, or PyTorch's own format read with ``weights_only=True``. Nothing is ever unpickled.

A weight file is untrusted. What it claims is compared with its size before memory is allocated: by safetensors itself, and
here for the directory of a ``.pth``, which is a zip archive, and for the shape of every tensor in it.
"""

from __future__ import annotations

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
from fast_nst.system.files import atomic_path, check_readable

MAX_BYTES = 4 << 30
WRAPPERS = ("state_dict", "model", "model_state_dict", "network", "net", "params")  # names that others give to a state dict
PARALLEL = "module."  # prefix of every name in a state dict of DataParallel


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a ``.safetensors`` file, or of a state dict in PyTorch's format (``.pth``, ``.pt``, ``.model``).

    Raises:
        UserError: no such file, too large, damaged, or something else than a state dict.
    """
    path = Path(path)
    state = _read_safetensors(path) if path.suffix == ".safetensors" else read_checkpoint(path)
    state = unwrap_state(state)
    if not is_state(state) or not state:
        raise UserError(f"{path} holds no state dict (names and tensors); save one with torch.save(model.state_dict(), ...)")
    return state


def unwrap_state(content: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict in ``content``, which may lie under one of ``WRAPPERS``, without the prefix of DataParallel."""
    state = next((content[name] for name in WRAPPERS if _is_wrapped(content.get(name))), content)
    if state and all(isinstance(name, str) and name.startswith(PARALLEL) for name in state):
        return {name.removeprefix(PARALLEL): value for name, value in state.items()}
    return dict(state)


def _is_wrapped(value: object) -> bool:
    return is_state(value) and bool(value)


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
        tensors = list(_tensors_in(content))
        for tensor in tensors:
            _check_extent(tensor)
        _check_storages(tensors)
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
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from error


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


def _check_storages(tensors: list[Tensor]) -> None:
    """Raise a ValueError for tensors that share storages, such as thousands of one, which copies would multiply.

    Twice the bytes of all storages, each counted once, leaves room for weights that a network shares.
    """
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors) > 2 * sum(storages.values()):
        raise ValueError("tensors that share their values")


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{path} is not a readable safetensors file ({reason}); download or export it again")


def _existing(path: str | Path) -> Path:
    path = Path(path)
    check_readable(path, "weight file")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES >> 30} GiB; weight files of these networks are far smaller")
    return path
