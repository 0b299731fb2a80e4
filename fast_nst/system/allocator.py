"""Settings of glibc's malloc for steps that allocate and free the same amount of memory again and again."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 2**31 - 1  # bytes, what fits in an int


def keep_freed_memory() -> bool:
    """Keep freed memory in the process, where glibc's malloc would return large blocks to the system.

    Every step of a training or an optimization needs as much memory for its features as the one before. Returned blocks
    would have to be mapped and cleared anew, page by page (mallopt(3): M_MMAP_THRESHOLD and M_TRIM_THRESHOLD).

    Returns:
        whether this process uses glibc's malloc; another is left as it is.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST))
