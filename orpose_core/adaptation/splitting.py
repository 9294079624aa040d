"""Training, validation and test parts of a site's images: apart in time, or whole recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

PARTS = ("train", "validate", "test")
FEWEST_RECORDINGS = 5
"""From so many on, whole recordings are set aside."""

_SEARCH_SHARE = 0.05
_LEAST_GAP_S = 2.0
_CALENDAR_NS = 946_684_800_000_000_000
"""2000-01-01. A clock that is behind it began with the recording, and is not compared with others."""


class Shot(NamedTuple):
    """Where an image comes from.

    Attributes:
        recording: its name.
        stamp_ns: 0 = unknown.
        camera: of the recording.
    """

    recording: str
    stamp_ns: int
    camera: str = ""

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Shot:
        """Return it from an image's entry in a label file."""
        recording, camera = (str(entry.get(key, "")) for key in ("recording", "camera"))
        return cls(recording, int(entry.get("stamp_ns", 0)), camera)


@dataclass(frozen=True)
class Parts:
    """Which images belong to which part.

    Attributes:
        train: numbers of images.
        validate: likewise.
        test: likewise.
        left_out: how many lie too near a border in time.
        by: "time" or "recording".
        sessions: how many there are; recordings of the same time are one.
    """

    train: tuple[int, ...]
    validate: tuple[int, ...]
    test: tuple[int, ...]
    left_out: int
    by: str
    sessions: int

    def __post_init__(self) -> None:
        empty = [name for name in PARTS if not getattr(self, name)]
        if empty:
            raise ValueError(
                f"split by {self.by}: expected images in every part, got none to {' and '.join(empty)} from "
                f"{self.sessions} recordings (those of the same time count as one); label more frames or "
                "recordings"
            )


def divided(
    shots: Sequence[Shot], split: str, validate_share: float, test_share: float, gap_s: float = _LEAST_GAP_S
) -> Parts:
    """Divide images; what comes last is tested, as it will be in use.

    Recordings that overlap in time, or follow each other within ``gap_s``, are one session: several cameras
    may have recorded the same moments, and a long recording may come in parts. By time, each session ends
    with its validation and test parts. A border is moved by up to a twentieth of the session to the longest
    pause there, and images within ``gap_s`` after it are left out: the next moment of the same scene is no
    test. By recording, the last sessions are the test part and those before them the validation part.

    A recording without times is divided by the order of its images, each camera by itself: the cameras may
    show the same moments.

    Args:
        shots: of the images, in the order of the recordings.
        split: "time", "recording" or "auto".
        validate_share: of the images.
        test_share: of the images.
        gap_s: seconds.

    Raises:
        ValueError: a part would be empty.
    """
    found = sessions(shots, gap_s)
    if split == "auto":
        split = "recording" if len(found) >= FEWEST_RECORDINGS else "time"
    if split == "recording":
        return _by_recording(shots, found, validate_share, test_share)
    parts: dict[str, list[int]] = {name: [] for name in PARTS}
    left_out = 0
    for session in found:
        for own in _sequences(shots, session):
            stamps = [shots[i].stamp_ns for i in own]
            second = _border(stamps, 1.0 - test_share)
            first = min(_border(stamps, 1.0 - test_share - validate_share), second)
            pieces = {"train": own[:first]}
            for name, piece in (("validate", own[first:second]), ("test", own[second:])):
                before = own[: first if name == "validate" else second]
                pieces[name] = _apart(piece, shots, before, gap_s)
                left_out += len(piece) - len(pieces[name])
            for name, piece in pieces.items():
                parts[name] += piece
    train, validate, test = (tuple(parts[name]) for name in PARTS)
    return Parts(train, validate, test, left_out, "time", len(found))


def sessions(shots: Sequence[Shot], gap_s: float = _LEAST_GAP_S) -> list[list[int]]:
    """Return the images of each session, in the order of their first recordings.

    Recordings that overlap in time, or follow each other within ``gap_s``, are one session.
    """
    images: dict[str, list[int]] = {}
    for i, shot in enumerate(shots):
        images.setdefault(shot.recording, []).append(i)
    session_of = _joined({name: [shots[i].stamp_ns for i in own] for name, own in images.items()}, gap_s)
    found: dict[str, list[int]] = {}
    for name, own in images.items():
        found.setdefault(session_of[name], []).extend(own)
    return list(found.values())


def _joined(stamps_ns: Mapping[str, Sequence[int]], gap_s: float) -> dict[str, str]:
    """Return for each recording the one that stands for its session."""
    spans = sorted(
        (min(stamps), max(stamps), name) for name, stamps in stamps_ns.items() if min(stamps) >= _CALENDAR_NS
    )
    session_of = {name: name for name in stamps_ns}
    end_ns, first = 0, ""
    for start_ns, last_ns, name in spans:
        if not first or start_ns - end_ns >= gap_s * 1e9:
            first, end_ns = name, last_ns
        session_of[name], end_ns = first, max(end_ns, last_ns)
    return session_of


def _sequences(shots: Sequence[Shot], session: Sequence[int]) -> list[list[int]]:
    """Return the images of a session in order of time; without times, those of each camera in their order."""
    if all(shots[i].stamp_ns for i in session):
        return [sorted(session, key=lambda i: shots[i].stamp_ns)]
    cameras: dict[str, list[int]] = {}
    for i in session:
        cameras.setdefault(shots[i].camera, []).append(i)
    return list(cameras.values())


def _by_recording(
    shots: Sequence[Shot], found: Sequence[Sequence[int]], validate_share: float, test_share: float
) -> Parts:
    """Set whole sessions aside, from the last one on, until each part has its share."""
    pieces: dict[str, list[int]] = {name: [] for name in PARTS}
    wanted = [("test", test_share * len(shots)), ("validate", validate_share * len(shots))]
    for session in reversed(found):
        name = wanted[0][0] if wanted else "train"
        pieces[name] += session
        if wanted and len(pieces[name]) >= wanted[0][1]:
            wanted.pop(0)
    train, validate, test = (tuple(sorted(pieces[name])) for name in PARTS)
    return Parts(train, validate, test, 0, "recording", len(found))


def _border(stamps_ns: Sequence[int], share: float) -> int:
    """Return the first image after a border at about this share, at the longest pause that is near."""
    count = len(stamps_ns)
    middle, reach = round(share * count), int(_SEARCH_SHARE * count)
    near = range(max(1, middle - reach), min(count - 1, middle + reach) + 1)
    if not near:
        return middle
    return max(near, key=lambda i: (stamps_ns[i] - stamps_ns[i - 1], -abs(i - middle)))


def _apart(piece: Sequence[int], shots: Sequence[Shot], before: Sequence[int], gap_s: float) -> list[int]:
    """Return the images of a piece that are not within a time after those before it."""
    if not before or not shots[before[-1]].stamp_ns:
        return list(piece)
    last_ns = shots[before[-1]].stamp_ns
    return [i for i in piece if not shots[i].stamp_ns or shots[i].stamp_ns - last_ns >= gap_s * 1e9]
