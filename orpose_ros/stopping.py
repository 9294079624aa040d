"""Ends a process with status 0 soon after it is told to, whatever runs in it.

The work runs in a thread of its own; the main thread only waits for SIGINT, SIGTERM and SIGHUP. Signals may
come twice (Ctrl-C to a group, systemd, docker), while a model loads, or in the middle of cleaning up: none of
them raises an exception anywhere. What does not end by itself within :data:`GRACE_S` is left as it is. Python
is not torn down afterwards, which takes seconds where PyTorch is loaded.

The end of the launch that started the process is told like a signal.

This module imports neither ROS nor PyTorch, so that a script can call :func:`end_when_told` before it imports
them.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

GRACE_S = 1.5
"""The work has this long to end after the first signal; a busy machine may add a second to it."""

LAUNCH_PID = "ORPOSE_LAUNCH_PID"
"""Environment variable: process id of the launch that started this process."""

_LOOK_S = 1.0
"""How often to look whether the launch is there, where the kernel cannot tell."""

_told = threading.Event()
_working = False
_watched = False


def end_when_told() -> None:
    """From now on a signal ends this process with status 0; at once while no work has begun.

    SIGHUP stays ignored where it is, as under nohup.
    """
    global _watched
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGINT, _tell)
    signal.signal(signal.SIGTERM, _tell)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _tell)
    launch = os.environ.get(LAUNCH_PID, "")
    if launch.isdecimal() and not _watched:
        _watched = True
        threading.Thread(target=_outlive, args=(int(launch),), name="launch", daemon=True).start()


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
        leave(0)
    if _told.is_set():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # Python sets its own handlers back before it ends
    return status[0]


def leave(status: int) -> NoReturn:
    """End the process at once: no thread is waited for, and no destructor is run."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a pipe that nobody reads, or a closed stream
            stream.flush()
    os._exit(status)


def _tell(number: int, frame: object) -> None:
    _told.set()
    if not _working:
        leave(0)


def _outlive(launch: int) -> None:
    """Wait until the launch has ended, then tell this process to stop."""
    try:
        select.select([os.pidfd_open(launch)], [], [])
    except ProcessLookupError:
        pass  # it has ended already
    except OSError:  # an old kernel, or a sandbox that does not allow it
        while _exists(launch):
            time.sleep(_LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True
