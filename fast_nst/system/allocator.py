"""Memory that a step frees stays with the process, as the next step takes as much again."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 2**31 - 1  # bytes, what fits in an int


def keep_freed_memory() -> bool:
    """Keep what is freed, where glibc's malloc would return large pieces to the system at once.

    Every step of a training or an optimisation takes as much memory for its features as the one before. Returned pieces have
    to be mapped and cleared anew, page by page (mallopt(3): M_MMAP_THRESHOLD and M_TRIM_THRESHOLD).

    Returns:
        Whether this process has such a malloc; another is left alone.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST))
