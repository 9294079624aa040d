"""Ends a process with status 0 soon after it is told to, whatever runs in it.

The work runs in a thread of its own; the main thread only waits for SIGINT and SIGTERM. Signals may come
twice (Ctrl-C to a group, systemd, docker), while a model loads, or in the middle of cleaning up: none of
them raises an exception anywhere. What does not end by itself within :data:`GRACE_S` is left as it is.

This module imports neither ROS nor PyTorch, so that a script can call :func:`end_when_told` before it imports
them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

GRACE_S = 2.5
"""The work has this long to end after the first signal."""

_told = threading.Event()
_working = False


def end_when_told() -> None:
    """From now on SIGINT and SIGTERM end this process with status 0; at once while nothing has begun."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _tell)
        signal.signal(signal.SIGTERM, _tell)


def work(do: Callable[[threading.Event], int]) -> int:
    """Run ``do`` in a thread until it ends, or until the process is told to stop; return its exit status.

    Args:
        do: the work. It gets the event that is set when it shall end, and returns an exit status.
    """
    global _working
    over, status = threading.Event(), [1]

    def run() -> None:
        try:
            status[0] = do(_told)
        finally:
            over.set()

    end_when_told()
    _working = True
    thread = threading.Thread(target=run, name="work", daemon=True)
    thread.start()
    while not (over.is_set() or _told.is_set()):
        over.wait(0.1)  # a signal's handler runs meanwhile, in this thread
    if not over.wait(GRACE_S):
        sys.stderr.write(f"still at work {GRACE_S:g} s after the signal to stop: ended as it is\n")
        _leave()
    if _told.is_set():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # Python sets its own handlers back before it ends
    return status[0]


def _tell(number: int, frame: object) -> None:
    _told.set()
    if not _working:
        _leave()


def _leave() -> None:
    """End without waiting for threads, and without the destructors that would wait for them."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
