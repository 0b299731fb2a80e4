"""What ``auto`` found out about engines, in the user's cache folder, or where ``FAST_NST_CACHE`` says.

An entry holds for one model on one processor with one set of packages. Whatever is wrong with the folder costs a
measurement, never more.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from platformdirs import user_cache_path

from fast_nst.errors import UserError
from fast_nst.files import write_text

PACKAGES = ("fast_nst", "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "openvino")


def entry_of(model: Path, *circumstances: object) -> Path:
    """The file that remembers what was found for ``model`` here, under ``circumstances``, which are plain values.

    Raises:
        UserError: ``model`` cannot be read.
    """
    try:
        digest = hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"no model at {model}; give an .onnx file") from error
    here = [digest, {package: _version(package) for package in PACKAGES}, cpu_name(), os.cpu_count(), circumstances]
    folder = Path(os.environ.get("FAST_NST_CACHE") or user_cache_path("fast_nst", appauthor=False)) / "engines"
    return folder / f"{hashlib.sha256(json.dumps(here).encode()).hexdigest()[:32]}.json"


def remembered(entry: Path) -> dict[str, str]:
    """The plain texts that ``entry`` holds; none where it is absent or damaged."""
    with suppress(OSError, ValueError):
        found = json.loads(entry.read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
            return found
    return {}


def remember(entry: Path, **found: str) -> None:
    """Write ``found`` to ``entry``, if that can be."""
    with suppress(UserError):
        write_text(entry, json.dumps(found) + "\n")


def cpu_name() -> str:
    """The processor's name, as far as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
