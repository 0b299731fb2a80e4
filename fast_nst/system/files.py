"""Files that appear whole or not at all, and questions about paths that always have an answer."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fast_nst.errors import DiskFull, UserError, escape_name

SHIPPED = Path(__file__).parents[1] / "pretrained"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, the quota, the limit of a file's size
MAX_CARD = 1 << 20  # bytes
MAX_NAME = 255  # bytes of a file's name
UNFINISHED = ".*-????????.part*"  # temporary files, as _temporary_beside names them


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; when the block ends without error, it replaces ``path``.

    A reader sees the old file or the new one, never a part. The file is on the disk before it gets its name: a full disk
    or a power cut leaves the old one. The suffix is kept, as writers choose their format by it.

    Raises:
        DiskFull: no room for the file.
        UserError: the folder cannot be made or written to.
    """
    path = Path(path)
    temporary = _temporary_beside(path)
    try:
        yield temporary
        _sync(temporary, os.O_RDWR)
        os.replace(temporary, path)
        with suppress(OSError):  # not every file system syncs folders
            _sync(path.parent)
    except OSError as error:
        raise refusal(path, error, temporary) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes | memoryview) -> None:
    """Write ``content`` whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def clear_unfinished(folder: Path) -> None:
    """Remove the temporary files that killed processes left in ``folder``; nobody may be writing there."""
    for path in folder.glob(UNFINISHED):
        path.unlink(missing_ok=True)


def is_unfinished(path: Path) -> bool:
    """Whether ``path`` is named like a temporary file of ``atomic_path``."""
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


def check_readable(path: str | Path, kind: str = "file") -> None:
    """Raise a UserError unless ``path`` is a file that may be read.

    Args:
        kind: what the file should be, for the message.
    """
    name = escape_name(path)
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode):
            with open(path, "rb"):
                return
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"no {kind} at {name}; check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UserError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}; check the path") from error
    raise UserError(f"{name} is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'}; name a {kind}")


def check_folder(path: str | Path, kind: str = "folder", flag: str = "the path") -> None:
    """Raise a UserError unless ``path`` is a folder that may be listed.

    Args:
        kind: what the folder should be, for the message.
        flag: what named it.
    """
    name = escape_name(path)
    try:
        if os.path.isdir(path):
            with os.scandir(path):
                return
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"no {kind} at {name}; check {flag}") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UserError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}; check {flag}") from error
    raise UserError(f"{name} is a file, no {kind}; check {flag}")


def check_new(path: str | Path, overwrite: bool, flag: str = "--output") -> None:
    """Raise a UserError where ``path``, an argument of ``flag``, cannot be written, or exists without ``overwrite``."""
    check_writable(path)
    if not overwrite and os.path.exists(path):
        raise UserError(f"{escape_name(path)} exists; choose another {flag}, or replace it with --overwrite")


def check_writable(path: str | Path) -> None:
    """Raise a UserError where ``path`` cannot be written later; nothing is made now."""
    path = Path(path)
    _check_name(path)
    nearest = next(parent for parent in path.absolute().parents if os.path.exists(parent))
    if not os.path.isdir(nearest) or not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(
            f"cannot write {escape_name(path)}: {escape_name(nearest)} is no folder that can be written to; "
            "choose another output path"
        )


def refusal(path: Path, error: OSError, temporary: Path | None = None) -> UserError:
    """The UserError for a write of ``path`` that failed with ``error``; ``temporary`` is what was written so far."""
    name, reason = escape_name(path), error.strerror or error
    if not is_full(error):
        return UserError(f"cannot write {name}: {reason}; choose another output path")
    written = temporary.stat().st_size if temporary and temporary.exists() else 0
    room = f"more than {in_megabytes(written)} are needed, {in_megabytes(written + free_room(path.parent))} are free"
    return DiskFull(f"cannot write {name}: {reason}: {room}; make room or choose another output path")


def _check_name(path: Path) -> None:
    if "\0" in str(path):
        raise UserError(f"cannot write {escape_name(path)}: a path has no NUL character; choose another output path")
    if len(os.fsencode(path.name)) > MAX_NAME:
        raise UserError(
            f"cannot write {escape_name(path)}: File name too long, at most {MAX_NAME} bytes; choose a shorter one"
        )
    if os.path.isdir(path):
        raise UserError(f"cannot write {escape_name(path)}: it is a folder; name a file in it")


def _temporary_beside(path: Path) -> Path:
    """A new, empty file beside ``path``, with the permissions that the system gives to new files."""
    _check_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}.part{path.suffix[:20]}")
            with suppress(FileExistsError):
                os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                return temporary
    except OSError as error:
        raise refusal(path, error) from error


def _sync(path: Path, access: int = os.O_RDONLY) -> None:
    """Wait until ``path``, a file or a folder, is on the disk."""
    handle = os.open(path, access)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_card(path: str | Path) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        UserError: no such file, over ``MAX_CARD`` bytes, or no JSON object.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_CARD:  # a pipe would be waited for
            raise ValueError("no file, or too large")
        card = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{escape_name(path)} cannot be read as a card; remove it, or write it again") from error
    if not isinstance(card, dict):
        raise UserError(f"{escape_name(path)} is no card, which is a JSON object; remove it, or write it again")
    return card


def is_plain_name(name: str) -> bool:
    """Whether ``name`` can be a file's or a folder's on every system: one word, visible, no path, no device of Windows."""
    stem = name.split(".")[0].strip().upper()
    device = stem in {"CON", "PRN", "AUX", "NUL"} or (stem[:3] in {"COM", "LPT"} and len(stem) == 4 and stem[3].isdigit())
    plain = name.isprintable() and name == Path(name).name and not set('\\:<>"|?*') & set(name)
    return bool(plain and not device and not name.startswith(".") and name.strip() and len(name.encode()) <= 200)
