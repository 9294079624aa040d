"""No image outlives its use in a process: freed memory is overwritten, and buffers are wiped by hand."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orpose_core.resources import find_resource

_M_PERTURB = -6  # of glibc's malloc.h
_FILL = 0x5A
_PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")  # Fast DDS 2 and 3


def overwrite_freed_memory() -> bool:
    """Make the allocator overwrite whatever this process frees from now on, in Python, OpenCV and DDS alike.

    Large blocks that glibc maps by themselves go back to the kernel, which clears them. Costs a pass over
    each block that is freed. Does nothing without glibc.

    Returns:
        Whether the allocator took the setting.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    return bool(ctypes.CDLL(None).mallopt(_M_PERTURB, _FILL) == 1)


def keep_no_received_image() -> None:
    """Let Fast DDS free the buffers of received messages instead of keeping them for the next ones.

    It reads the profile when the node is made. A profile that the user has set stays.
    """
    profile = find_resource("config", "gateway_memory", ".xml")
    if profile is None or any(name in os.environ for name in _PROFILES):
        return
    os.environ.update(dict.fromkeys(_PROFILES, str(profile)), RMW_FASTRTPS_USE_QOS_FROM_XML="1")


def wipe_message(message: Any) -> None:
    """Overwrite the data field of an image message that nobody needs any more."""
    data = np.frombuffer(memoryview(message.data).cast("B"), np.uint8)
    if data.flags.writeable:
        data[:] = 0


def wipe(*images: NDArray | None) -> None:
    """Overwrite arrays that nobody needs any more."""
    for image in images:
        if image is not None and image.flags.writeable:
            image[...] = 0
