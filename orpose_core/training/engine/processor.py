"""Settings of the process that make training on a CPU faster."""

from __future__ import annotations

import ctypes
import os
import platform

import cv2

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
_TOP_PAD_BYTES = 500_000_000
_LARGEST_INT = 2**31 - 1


def prepare_processor() -> bool:
    """Make this process keep the memory that it frees, and its child processes use one thread each.

    Every step allocates and frees the same large tensors. By default glibc returns them to the system each
    time, and allocating them again costs a page fault for every 4 KiB, which is slowest in virtual machines.
    Without glibc this does nothing.

    Returns:
        Whether the allocator accepted the settings.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's; PyTorch does not use it
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _LARGEST_INT), (_M_TOP_PAD, _TOP_PAD_BYTES))
    taken = [mallopt(name, value) == 1 for name, value in settings]
    return all(taken)


def prepare_worker(number: int) -> None:
    """Make a process that prepares data use one thread, as PyTorch does there.

    OpenCV would start one thread per core in each of them.

    Args:
        number: of the worker process; not used.
    """
    cv2.setNumThreads(1)
