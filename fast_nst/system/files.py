"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fast_nst.errors import DiskFull, UserError

SHIPPED = Path(__file__).parents[1] / "pretrained"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # no room on the disk, in the quota, under the limit of a file's size
MAX_CARD = 1 << 20  # bytes
UMASK = os.umask(0o077)  # only a change tells it: read once, at import, with a strict one for that moment, not by threads
os.umask(UMASK)
UNFINISHED = ".*-????????.part*"  # temporary files, as _temporary_beside names them


@contextmanager
def atomic_path(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends well, it takes the place of ``path``.

    A reader sees the old file or the new one, never a part. The suffix is kept, as writers choose their format by it.
    A ``durable`` file is on the disk when this returns, and survives a power cut.

    Raises:
        DiskFull: no room for the file.
        UserError: the folder cannot be made or written to.
    """
    path = Path(path)
    temporary = _temporary_beside(path)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~UMASK)  # temporary files are made for their owner alone
        if durable:
            _sync(temporary)
        os.replace(temporary, path)
        if durable:
            with suppress(OSError):  # not every file system syncs folders
                _sync(path.parent)
    except OSError as error:
        raise _refusal(path, error, temporary) from error
    finally:
        temporary.unlink(missing_ok=True)


def clear_unfinished(folder: Path) -> None:
    """Remove the temporary files that killed processes left in ``folder``; nobody may be writing there."""
    for path in folder.glob(UNFINISHED):
        path.unlink(missing_ok=True)


def is_unfinished(path: Path) -> bool:
    """Whether ``path`` is called like a temporary file of ``atomic_path``."""
    return path.match(UNFINISHED)


def is_full(error: BaseException | None) -> bool:
    """Whether ``error`` says that there is no room for a file."""
    return isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in FULL)


def free_room(folder: Path) -> int:
    """Bytes that may still be written in ``folder``."""
    return shutil.disk_usage(folder).free


def in_megabytes(count: int) -> str:
    """``count`` bytes to read: ``1.2 MB``, never rounded down to nothing."""
    return f"{max(count / 1e6, 0.1 if count else 0):.1f} MB"


def check_writable(path: str | Path) -> None:
    """Raise a UserError where ``path`` cannot be written later; nothing is made now."""
    path = Path(path)
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; name a file in it")
    nearest = next(parent for parent in path.absolute().parents if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UserError(f"cannot write {path}: {nearest} is no folder that can be written to; choose another output path")


def check_new(path: str | Path, overwrite: bool) -> None:
    """Raise a UserError where ``path`` cannot be written later, or exists and is not to be overwritten."""
    check_writable(path)
    if not overwrite and Path(path).exists():
        raise UserError(f"{path} exists; choose another --output, or replace it with --overwrite")


def _temporary_beside(path: Path) -> Path:
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; name a file in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=f".part{path.suffix}", dir=path.parent)
    except OSError as error:
        raise _refusal(path, error) from error
    os.close(handle)
    return Path(name)


def _refusal(path: Path, error: OSError, temporary: Path | None = None) -> UserError:
    reason = error.strerror or error
    if not is_full(error):
        return UserError(f"cannot write {path}: {reason}; choose another output path")
    written = temporary.stat().st_size if temporary and temporary.exists() else 0
    room = f"more than {in_megabytes(written)} are needed, {in_megabytes(written + free_room(path.parent))} are free"
    return DiskFull(f"cannot write {path}: {reason}: {room}; make room or choose another output path")


def _sync(path: Path) -> None:
    """Wait until ``path``, a file or a folder, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all, and to stay."""
    with atomic_path(path, durable=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_card(path: str | Path) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        UserError: no such file, over ``MAX_CARD`` bytes, or no JSON object.
    """
    try:
        if Path(path).stat().st_size > MAX_CARD:
            raise ValueError("too large")
        card = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as a card; remove it, or write it again") from error
    if not isinstance(card, dict):
        raise UserError(f"{path} is no card, which is a JSON object; remove it, or write it again")
    return card


def is_plain_name(name: str) -> bool:
    """Whether ``name`` can be a file's or a folder's on every system: one word, visible, no path, no device of Windows."""
    stem = name.split(".")[0].strip().upper()
    device = stem in {"CON", "PRN", "AUX", "NUL"} or (stem[:3] in {"COM", "LPT"} and len(stem) == 4 and stem[3].isdigit())
    plain = name.isprintable() and name == Path(name).name and not set('\\:<>"|?*') & set(name)
    return bool(plain and not device and not name.startswith(".") and name.strip() and len(name.encode()) <= 200)
