"""OpenVINO's core, one for the whole process."""

from __future__ import annotations

from functools import cache

import openvino


@cache
def openvino_core() -> openvino.Core:
    """Return the core of this process. It is never destroyed.

    A core gives its thread an alternate signal stack, and puts back the one before when it is destroyed
    (seen in 2026.4). Where two overlap, the second puts back the stack of the first, which is no longer
    there: the next signal that Python handles, SIGTERM for example, kills the process without a word.
    """
    return openvino.Core()
