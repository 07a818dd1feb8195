"""glibc keeps freed memory: torch makes and frees large tensors all the time on a CPU, and each would be mapped and zeroed anew."""

from __future__ import annotations

import ctypes
import os
import platform

# malloc.h of glibc
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD = 256 * 2**20  # bytes asked of the kernel at a time
SETTINGS = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_TOP_PAD: TOP_PAD}
VARIABLES = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")


def keep_freed_memory() -> bool:
    """Set it for this process, unless the user chose settings of their own; whether it was set. Other C libraries are left alone."""
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in VARIABLES):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    accepted = [mallopt(parameter, value) == 1 for parameter, value in SETTINGS.items()]
    return all(accepted)
