"""Connection to Ray: a cluster by its address, or one of this machine's own that ends with the command."""

from __future__ import annotations

import logging
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fast_nst.errors import UserError, printable

ADDRESS = re.compile(r"(?:ray://)?(?P<host>\[[0-9a-fA-F:]+\]|[\w.-]+):(?P<port>\d{1,5})")
PATIENCE = 10.0  # seconds for an address to answer
OWN_STORE = 512 << 20  # bytes of shared memory for a cluster of one's own: tables of paths go through it, no pictures


def load_ray() -> Any:
    """The module of Ray.

    Raises:
        UserError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it would write over the progress bar
    try:
        import ray
    except ImportError as error:
        raise UserError("--ray needs Ray: pip install 'fast_nst[ray]'") from error
    return ray


def check_address(address: str) -> None:
    """Raise a UserError unless ``address`` looks like one of Ray: host:port, ray://host:port or auto."""
    if address != "auto" and not ADDRESS.fullmatch(address):
        raise UserError(
            "--ray takes an address such as 10.0.0.1:6379, or auto, or nothing for this machine alone, got "
            f"{printable(address)}; put --ray last"
        )


@contextmanager
def connected(address: str | bool) -> Iterator[Any]:
    """Ray's module, connected; a connection that this process has already is taken, and left open.

    Args:
        address: of a cluster, auto for the one on this machine or of the environment; True for a cluster of one's own.
    Raises:
        UserError: no Ray answers there, or another version.
    """
    ray = load_ray()
    if ray.is_initialized():
        yield ray
        return
    if isinstance(address, str):
        check_address(address)
        _check_answer(address)
    try:
        _start(ray, address)
        yield ray
    finally:
        ray.shutdown()


def _start(ray: Any, address: str | bool) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    own = {"num_cpus": _cores(), "include_dashboard": False, "object_store_memory": OWN_STORE}
    try:
        ray.init(address=address, **quiet) if isinstance(address, str) else ray.init("local", **quiet, **own)
    except Exception as error:
        raise _refused(address, error) from error


def _cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_answer(address: str) -> None:
    """Raise a UserError where nothing listens at ``address``; Ray itself would ask for a minute."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        return
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"no Ray answers at {address} ({getattr(error, 'strerror', None) or error}); start one with ray start --head, "
            "or leave out the address for this machine alone"
        ) from error


def _refused(address: str | bool, error: Exception) -> UserError:
    text = " ".join(str(error).split())
    where = address if isinstance(address, str) else f"this machine ({tempfile.gettempdir()})"
    if "ersion mismatch" in text:  # Ray has no class for it; tests hold the sentence
        versions = re.findall(r"Ray: (\S+).*?Python: (\S+)", text)
        told = "; ".join(f"Ray {ray}, Python {python}" for ray, python in versions)
        return UserError(f"the Ray at {where} is of another version than here ({told or text[:300]}); install the same")
    return UserError(f"no Ray can be used at {where}: {text[:300]}; check ray status there")
