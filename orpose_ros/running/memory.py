"""Where images are in memory: none outlives its use, and Fast DDS has room for those on their way."""

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
    """Let Fast DDS free the buffers of received messages instead of keeping them for the next ones."""
    if _use_profile("gateway_memory"):
        os.environ["RMW_FASTRTPS_USE_QOS_FROM_XML"] = "1"


def make_room_for_full_size_images() -> None:
    """Let Fast DDS share more memory with other processes, for a process that publishes full-size images.

    Its usual half a MiB holds no image of 640x480 px depth as a whole, so that a busy machine loses most
    of the best-effort ones.
    """
    _use_profile("full_size_images")


def _use_profile(name: str) -> bool:
    """Let Fast DDS read a profile when the first node is made; one that the user has set stays."""
    profile = find_resource("config", name, ".xml")
    if profile is None or any(variable in os.environ for variable in _PROFILES):
        return False
    os.environ.update(dict.fromkeys(_PROFILES, str(profile)))
    return True


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
