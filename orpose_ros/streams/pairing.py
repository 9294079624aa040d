"""Pairing of messages by approximate stamps.

There are two implementations of one interface: ``message_filters`` is used if it is installed, and
:class:`BuiltInPairing` otherwise. Both limit their queues, both restart when time jumps back (a bag that
starts again), and neither calls the caller's function under a lock. message_filters itself does in Python, so
that a callback which raises or waits would block it forever.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

JUMP_BACK_NS = 1_000_000_000
"""Step backwards in the stamps of a stream that counts as a restart, s; smaller steps count as reordering."""

PairedMessages = dict[str, Any]


class Pairing:
    """Receives messages of several streams, and passes on one of each when all are within the slop.

    The two implementations differ only in :meth:`_match` and :meth:`_clear`.
    """

    def __init__(
        self,
        streams: Sequence[str],
        paired: Callable[[PairedMessages], None],
        slop_s: float = 0.02,
        queue_size: int = 10,
        jumped_back: Callable[[], None] | None = None,
    ) -> None:
        """See :func:`make_pairing`."""
        if not streams or len(set(streams)) != len(streams):
            raise ValueError(f"pairing: expected different names of streams, got {list(streams)}")
        if slop_s < 0 or queue_size < 1:
            raise ValueError(f"pairing: expected slop >= 0 and queue >= 1, got {slop_s} s and {queue_size}")
        self._streams = tuple(streams)
        self._paired = paired
        self._slop_ns = round(slop_s * 1e9)
        self._queue_size = queue_size
        self._jumped_back = jumped_back
        self._newest_ns: dict[str, int] = {}
        self._added = self._sets = self._waiting = 0

    def add(self, stream: str, message: Any) -> None:
        """Add a message with a header; calls back with the set that it completes."""
        if stream not in self._streams:
            raise ValueError(f"pairing: expected a message of {self._streams}, got one of {stream!r}")
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        newest = self._newest_ns.get(stream)
        if newest is not None and stamp_ns < newest - JUMP_BACK_NS:
            self._clear()
            self._newest_ns = {}
            self._waiting = 0
            if self._jumped_back:
                self._jumped_back()
        self._newest_ns[stream] = max(stamp_ns, self._newest_ns.get(stream, stamp_ns))
        self._added += 1
        self._waiting += 1
        for match in self._match(stream, stamp_ns, message):
            self._sets += 1
            self._waiting = 0
            self._paired(match)

    @property
    def unpaired(self) -> int:
        """Number of messages without a partner so far, including waiting ones."""
        return self._added - self._sets * len(self._streams)

    @property
    def problem(self) -> str:
        """Why the streams cannot be paired at the moment; empty if they can."""
        if self._waiting < 3 * len(self._streams) or len(self._newest_ns) < len(self._streams):
            return ""  # a stream that is silent is named by InputWatch
        apart_s = (max(self._newest_ns.values()) - min(self._newest_ns.values())) / 1e9
        return (
            f"{' and '.join(self._streams)} arrive but do not pair: their newest stamps are "
            f"{apart_s:.3f} s apart, {self._slop_ns / 1e9:g} s are allowed"
        )

    def _match(self, stream: str, stamp_ns: int, message: Any) -> list[PairedMessages]:
        raise NotImplementedError

    def _clear(self) -> None:
        raise NotImplementedError


class BuiltInPairing(Pairing):
    """Pairs a message with the nearest of each other stream; messages older than a pair are dropped."""

    def __init__(self, streams: Sequence[str], *arguments: Any, **options: Any) -> None:
        super().__init__(streams, *arguments, **options)
        self._stamps: dict[str, list[int]] = {s: [] for s in streams}  # ascending
        self._messages: dict[str, list[Any]] = {s: [] for s in streams}  # in the same order

    def _match(self, stream: str, stamp_ns: int, message: Any) -> list[PairedMessages]:
        place = bisect.bisect_right(self._stamps[stream], stamp_ns)
        self._stamps[stream].insert(place, stamp_ns)
        self._messages[stream].insert(place, message)
        if len(self._stamps[stream]) > self._queue_size:
            del self._stamps[stream][0], self._messages[stream][0]
        chosen = {s: self._nearest(s, stamp_ns) for s in self._streams}
        if any(index is None for index in chosen.values()) or stamp_ns not in self._stamps[stream]:
            return []
        found = {s: index for s, index in chosen.items() if index is not None}
        stamps = [self._stamps[s][index] for s, index in found.items()]
        if max(stamps) - min(stamps) > self._slop_ns:
            return []
        match = {s: self._messages[s][index] for s, index in found.items()}
        for s, index in found.items():
            del self._stamps[s][: index + 1], self._messages[s][: index + 1]
        return [match]

    def _nearest(self, stream: str, stamp_ns: int) -> int | None:
        stamps = self._stamps[stream]
        if not stamps:
            return None
        right = min(bisect.bisect_left(stamps, stamp_ns), len(stamps) - 1)
        left = max(right - 1, 0)
        return min((right, left), key=lambda i: abs(stamps[i] - stamp_ns))

    def _clear(self) -> None:
        for stream in self._streams:
            self._stamps[stream].clear()
            self._messages[stream].clear()


class MessageFiltersPairing(Pairing):
    """ApproximateTimeSynchronizer of message_filters, whose callback only stores the set."""

    def __init__(self, streams: Sequence[str], *arguments: Any, **options: Any) -> None:
        super().__init__(streams, *arguments, **options)
        import message_filters  # only where ROS is installed

        self._found: list[PairedMessages] = []
        self._filters = {s: message_filters.SimpleFilter() for s in streams}
        # Its slop is exclusive, ours is not.
        slop_s = (self._slop_ns + 1) / 1e9
        self._synchronizer = message_filters.ApproximateTimeSynchronizer(
            list(self._filters.values()), self._queue_size, slop_s
        )
        self._synchronizer.registerCallback(partial(self._note))

    def _note(self, *messages: Any) -> None:
        self._found.append(dict(zip(self._streams, messages, strict=True)))

    def _match(self, stream: str, stamp_ns: int, message: Any) -> list[PairedMessages]:
        self._filters[stream].signalMessage(message)
        found, self._found = self._found, []
        return found

    def _clear(self) -> None:
        # Left to itself it drops the smallest stamp of a full queue: after a jump back, that is every new
        # message.
        with self._synchronizer.lock:
            for queue in self._synchronizer.queues:
                queue.clear()


def message_filters_there() -> bool:
    """Return whether message_filters is installed and imports cleanly."""
    try:
        import message_filters  # noqa: F401
    except ImportError as error:
        if not isinstance(error, ModuleNotFoundError):
            logging.getLogger(__name__).info("message_filters does not import (%s); pairing built in", error)
        return False
    return True


def make_pairing(
    streams: Sequence[str],
    paired: Callable[[PairedMessages], None],
    slop_s: float = 0.02,
    queue_size: int = 10,
    jumped_back: Callable[[], None] | None = None,
) -> Pairing:
    """Return a pairing: with message_filters if it is installed, otherwise the built-in one.

    Args:
        streams: names of the streams; a single stream is passed on immediately.
        paired: called with ``{stream: message}``, in the thread that adds a message.
        slop_s: largest difference of the stamps of one set, s.
        queue_size: largest number of messages of a stream that wait for the others.
        jumped_back: called when the time of a stream jumps back, before that message is added.
    """
    kind = MessageFiltersPairing if message_filters_there() else BuiltInPairing
    return kind(streams, paired, slop_s, queue_size, jumped_back)
