"""Training, validation and test parts of a site's images: apart in time, or whole recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

PARTS = ("train", "validate", "test")
FEWEST_RECORDINGS = 5
"""From so many on, whole recordings are set aside."""

_SEARCH_SHARE = 0.05
_LEAST_GAP_S = 2.0


class Shot(NamedTuple):
    """Where an image comes from.

    Attributes:
        recording: its name.
        stamp_ns: 0 = unknown.
    """

    recording: str
    stamp_ns: int


@dataclass(frozen=True)
class Parts:
    """Which images belong to which part.

    Attributes:
        train: numbers of images.
        validate: likewise.
        test: likewise.
        left_out: how many lie too near a border in time.
        by: "time" or "recording".
    """

    train: tuple[int, ...]
    validate: tuple[int, ...]
    test: tuple[int, ...]
    left_out: int
    by: str

    def __post_init__(self) -> None:
        empty = [name for name in PARTS if not getattr(self, name)]
        if empty:
            raise ValueError(
                f"split by {self.by}: expected images in every part, got none to {' and '.join(empty)}; "
                "label more frames or recordings"
            )


def divided(
    shots: Sequence[Shot], split: str, validate_share: float, test_share: float, gap_s: float = _LEAST_GAP_S
) -> Parts:
    """Divide images; what comes last is tested, as it will be in use.

    By time, each recording ends with its validation and test parts. A border is moved by up to a twentieth
    of the recording to the longest pause there, and images within ``gap_s`` after it are left out: the next
    moment of the same scene is no test. By recording, the last recordings are the test part and those
    before them the validation part.

    Args:
        shots: of the images, in the order of the recordings.
        split: "time", "recording" or "auto".
        validate_share: of the images.
        test_share: of the images.
        gap_s: seconds.

    Raises:
        ValueError: a part would be empty.
    """
    recordings = list(dict.fromkeys(shot.recording for shot in shots))
    if split == "auto":
        split = "recording" if len(recordings) >= FEWEST_RECORDINGS else "time"
    if split == "recording":
        return _by_recording(shots, recordings, validate_share, test_share)
    parts: dict[str, list[int]] = {name: [] for name in PARTS}
    left_out = 0
    for recording in recordings:
        own = [i for i, shot in enumerate(shots) if shot.recording == recording]
        own.sort(key=lambda i: shots[i].stamp_ns)
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
    return Parts(train, validate, test, left_out, "time")


def _by_recording(
    shots: Sequence[Shot], recordings: Sequence[str], validate_share: float, test_share: float
) -> Parts:
    """Set whole recordings aside, from the last one on, until each part has its share."""
    part_of: dict[str, str] = {}
    wanted = [("test", test_share * len(shots)), ("validate", validate_share * len(shots))]
    taken = 0
    for recording in reversed(recordings):
        if wanted:
            part_of[recording] = wanted[0][0]
            taken += sum(shot.recording == recording for shot in shots)
            if taken >= wanted[0][1]:
                taken = 0
                wanted.pop(0)
        else:
            part_of[recording] = "train"
    train, validate, test = (
        tuple(i for i, shot in enumerate(shots) if part_of[shot.recording] == name) for name in PARTS
    )
    return Parts(train, validate, test, 0, "recording")


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
    return [i for i in piece if shots[i].stamp_ns - last_ns >= gap_s * 1e9]
