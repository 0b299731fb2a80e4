"""Stores of pictures: a folder, which all machines of a cluster share, or a bucket (``s3://``, ``gs://``) through pyarrow.

Paths in a store are relative, with slashes. A store is plain enough to be sent to other machines.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from fast_nst.errors import UserError, escape_name
from fast_nst.imaging.scanning import FOUND, images_by_folder
from fast_nst.stylize.choices import number_of
from fast_nst.system.files import check_folder, clear_unfinished, write_bytes

PROBE = ".fast-nst-may-write"


@dataclass(frozen=True)
class Pictures:
    """The pictures of one folder of a store.

    Attributes:
        folder: empty for the store itself.
        names: sorted.
        problems: paths in the store that cannot be read, and why.
    """

    folder: str
    names: list[str]
    problems: dict[str, str] = field(default_factory=dict)


class Store(Protocol):
    """A place of pictures."""

    @property
    def name(self) -> str:
        """Its path or address."""

    def pictures(self, recursive: bool) -> Iterator[Pictures]:
        """The pictures, folder by folder."""

    def names_in(self, folder: str) -> set[str]:
        """The names of the files in a folder; none where it is not there."""

    def is_there(self, path: str) -> bool:
        """Whether there is a file, as far as that is known at once."""

    def check_writable(self) -> None:
        """Raise a UserError where no file can be written."""

    def fetch(self, path: str, scratch: Path) -> Path:
        """A file of this machine with the content of ``path``; in ``scratch``, if it has to be copied."""

    def place(self, path: str, scratch: Path) -> Path:
        """Where on this machine a file is to be written that becomes ``path``."""

    def deliver(self, local: Path, path: str) -> None:
        """Let what was written to ``place`` be ``path``, whole."""

    def read(self, path: str) -> bytes:
        """The content of a small file."""

    def write(self, path: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""

    def clear(self, folder: str) -> None:
        """Remove what killed processes left unfinished in a folder."""


def open_store(name: str) -> Store:
    """The store that ``name`` means: a folder's path, or the address of a bucket and a folder in it."""
    return Bucket(name) if "://" in name else Folder(os.path.abspath(os.path.expanduser(name)))


def joined(folder: str, name: str) -> str:
    """The path of ``name`` in ``folder``."""
    return f"{folder}/{name}" if folder else name


def check_apart(source: str, target: str) -> None:
    """Raise a UserError where the output would lie in the input, or the input in the output."""
    inner, outer = _steps(target), _steps(source)
    if inner[: len(outer)] == outer or outer[: len(inner)] == inner:
        raise UserError(f"--output {escape_name(target)} and the pictures in {escape_name(source)} lie in one another")


def _steps(name: str) -> list[str]:
    """The folders on the way to a store, without links."""
    plain = name if "://" in name else os.path.realpath(os.path.expanduser(name))
    return [step for step in plain.partition("?")[0].split("/") if step]


@dataclass(frozen=True)
class Folder:
    """A folder by its path."""

    name: str

    def pictures(self, recursive: bool) -> Iterator[Pictures]:
        check_folder(self.name, "folder of pictures", "the path")
        problems: dict[Path, OSError] = {}
        for found in images_by_folder(self.name, recursive, problems):
            if found:
                yield Pictures(self._relative(found[0].parent), [path.name for path in found])
        if problems:
            told = {self._relative(path): error.strerror or str(error) for path, error in problems.items()}
            yield Pictures("", [], told)

    def _relative(self, path: Path) -> str:
        relative = path.relative_to(self.name).as_posix()
        return "" if relative == "." else relative

    def names_in(self, folder: str) -> set[str]:
        try:
            return set(os.listdir(self._path(folder)))
        except FileNotFoundError:
            return set()

    def is_there(self, path: str) -> bool:
        return os.path.lexists(self._path(path))

    def check_writable(self) -> None:
        write_bytes(self._path(PROBE), b"")
        os.remove(self._path(PROBE))

    def fetch(self, path: str, scratch: Path) -> Path:
        return self._path(path)

    def place(self, path: str, scratch: Path) -> Path:
        return self._path(path)

    def deliver(self, local: Path, path: str) -> None:
        """Nothing is left to do: the file was put into its place whole."""

    def read(self, path: str) -> bytes:
        return self._path(path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        write_bytes(self._path(path), content)

    def clear(self, folder: str) -> None:
        clear_unfinished(self._path(folder))

    def _path(self, path: str) -> Path:
        return Path(self.name, path)


@dataclass(frozen=True)
class Bucket:
    """A bucket, or a folder in it, by its address; a query gives options: ``s3://bucket/photos?region=eu-west-1``.

    Rights come from the environment, as the tools of the store take them (``AWS_PROFILE``, ``AWS_ACCESS_KEY_ID``, the role
    of a machine; ``GOOGLE_APPLICATION_CREDENTIALS``).
    """

    name: str

    def __post_init__(self) -> None:
        kind = urlsplit(self.name).scheme
        if kind not in ("s3", "gs", "gcs"):
            raise UserError(f"{escape_name(self.name)} is in no store that is known; give a folder, s3://... or gs://...")

    def pictures(self, recursive: bool) -> Iterator[Pictures]:
        from pyarrow.fs import FileType

        folders, begin = [""], True
        while folders:
            folder = folders.pop()
            found = self._listed(folder, absent_is_error=begin)
            begin = False
            visible = [info for info in found if not info.base_name.startswith(".")]
            names = [info.base_name for info in visible if info.type == FileType.File and _is_picture(info.base_name)]
            yield Pictures(folder, sorted(names))
            if recursive:
                inner = sorted(info.base_name for info in visible if info.type == FileType.Directory)
                folders += [joined(folder, name) for name in reversed(inner)]

    def names_in(self, folder: str) -> set[str]:
        return {info.base_name for info in self._listed(folder, absent_is_error=False)}

    def is_there(self, path: str) -> bool:
        """False: asking takes as long as fetching a small picture, and one that is drawn again is the same."""
        return False

    def check_writable(self) -> None:
        self.write(PROBE, b"-")
        try:
            self._files.delete_file(self._path(PROBE))
        except OSError as error:
            raise self._refused("remove a file from", error) from error

    def fetch(self, path: str, scratch: Path) -> Path:
        local = self.place(path, scratch)
        with self._files.open_input_stream(self._path(path)) as remote, open(local, "wb") as file:
            shutil.copyfileobj(remote, file, 1 << 20)
        return local

    def place(self, path: str, scratch: Path) -> Path:
        name = path.rpartition("/")[2]
        return scratch / f"{number_of(path):016x}{Path(name).suffix}"

    def deliver(self, local: Path, path: str) -> None:
        self.write(path, local.read_bytes())
        local.unlink()

    def read(self, path: str) -> bytes:
        with self._files.open_input_stream(self._path(path)) as remote:
            return remote.readall()

    def write(self, path: str, content: bytes) -> None:
        """Write an object, which appears when all of it has arrived."""
        try:
            with self._files.open_output_stream(self._path(path)) as remote:
                remote.write(content)
        except OSError as error:
            raise self._refused("write to", error) from error

    def clear(self, folder: str) -> None:
        """Nothing is left to do: what does not arrive whole is no object."""

    def _listed(self, folder: str, absent_is_error: bool) -> list[Any]:
        from pyarrow.fs import FileSelector

        try:
            return self._files.get_file_info(FileSelector(self._path(folder), allow_not_found=not absent_is_error))
        except FileNotFoundError as error:
            raise UserError(f"no folder of pictures at {escape_name(self.name)}; check the address") from error
        except OSError as error:
            raise self._refused("list", error) from error

    def _path(self, path: str) -> str:
        return joined(self._opened[1].rstrip("/"), path) if path else self._opened[1]

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        """pyarrow's file system, and the path in it."""
        from pyarrow import ArrowException
        from pyarrow.fs import FileSystem

        try:
            return FileSystem.from_uri(self.name)
        except (ArrowException, OSError, ValueError) as error:
            raise self._refused("open", error) from error

    def __getstate__(self) -> dict[str, str]:
        return {"name": self.name}

    def _refused(self, verb: str, error: Exception) -> UserError:
        reason = " ".join(str(error).split())[:300]
        return UserError(f"cannot {verb} {escape_name(self.name)}: {reason}; check its name and your rights there")


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in FOUND
