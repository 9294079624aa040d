"""Ends a process with status 0 soon after it is told to stop, whatever it is doing.

The work runs in a thread of its own; the main thread only waits for SIGINT, SIGTERM and SIGHUP. Signals may
come repeatedly (Ctrl-C to a group, systemd, docker), while a model loads, or during clean-up: none of them
raises an exception. Work that does not end within :data:`GRACE_S` is abandoned. Python is not torn down
afterwards, because that takes seconds with PyTorch.

The end of the launch that started the process has the same effect as a signal.

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
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

GRACE_S = 1.5
"""Time for the work to end after the first signal, s; a busy machine may add a second."""

LAUNCH_PID = "ORPOSE_LAUNCH_PID"
"""Environment variable: process id of the launch that started this process."""

_LOOK_S = 1.0
"""Interval of checking whether the launch still runs, s, if the kernel has no pidfd."""

_told = threading.Event()
_working = False
_watched = False


def end_when_told() -> None:
    """Make signals end this process with status 0; at once if no work has started.

    An ignored SIGHUP, as under nohup, stays ignored.
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
        do: the work. Its argument is the event that is set when it must end; it returns an exit status.
    """
    global _working
    over, status = threading.Event(), [1]

    def run() -> None:
        try:
            status[0] = do(_told)
        except Exception:  # here, because the process ends before the thread's own hook has written it
            traceback.print_exc()
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
    """End the process at once, without waiting for threads or running destructors."""
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
