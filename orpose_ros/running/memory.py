"""Images in memory: they are overwritten after use, and Fast DDS has enough space for those in transit."""

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
    """Make the allocator overwrite all memory that this process frees, in Python, OpenCV and DDS.

    Large blocks that glibc maps separately are returned to the kernel, which clears them. The cost is a pass
    over each freed block. Without glibc this does nothing.

    Returns:
        Whether the allocator accepted the setting.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    return bool(ctypes.CDLL(None).mallopt(_M_PERTURB, _FILL) == 1)


def keep_no_received_image() -> None:
    """Make Fast DDS free the buffers of received messages instead of reusing them."""
    if _use_profile("gateway_memory"):
        os.environ["RMW_FASTRTPS_USE_QOS_FROM_XML"] = "1"


def make_room_for_full_size_images() -> None:
    """Give Fast DDS more shared memory, for a process that publishes full-size images.

    Its default of 0.5 MiB is less than a depth image of 640x480 px, so that a busy machine loses most
    best-effort images.
    """
    _use_profile("full_size_images")


def _use_profile(name: str) -> bool:
    """Make Fast DDS read a profile when the first node is created, unless the user has set one."""
    profile = find_resource("config", name, ".xml")
    if profile is None or any(variable in os.environ for variable in _PROFILES):
        return False
    os.environ.update(dict.fromkeys(_PROFILES, str(profile)))
    return True


def wipe_message(message: Any) -> None:
    """Overwrite the data field of an image message that is no longer needed."""
    data = np.frombuffer(memoryview(message.data).cast("B"), np.uint8)
    if data.flags.writeable:
        data[:] = 0


def wipe(*images: NDArray | None) -> None:
    """Overwrite arrays that are no longer needed."""
    for image in images:
        if image is not None and image.flags.writeable:
            image[...] = 0
