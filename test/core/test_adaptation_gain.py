"""Whether the gain of an adaptation is more than chance: blocks of time, the interval, and what is said."""

from __future__ import annotations

import numpy as np
import pytest

from orpose_core.adaptation.gain import BLOCK_S, FEWEST_BLOCKS, gain_of, time_blocks
from orpose_core.adaptation.splitting import Shot
from orpose_core.metrics.pck_interval import FrameCounts
from orpose_core.reports.adaptation_words import gain_words, outcome_words

NOW_NS = 1_795_000_000_000_000_000


def shots(stamps_s: list[float], recording: str = "monday", camera: str = "") -> list[Shot]:
    return [Shot(recording, NOW_NS + int(stamp * 1e9), camera) for stamp in stamps_s]


def test_a_test_part_is_cut_into_blocks_of_about_a_minute() -> None:
    block = time_blocks(shots([2.0 * k for k in range(180)]))  # 358 s
    assert block is not None
    assert block.tolist() == sorted(block.tolist()) and np.bincount(block).tolist() == [30] * 6


def test_a_long_pause_begins_a_new_block_and_a_short_one_does_not() -> None:
    block = time_blocks(shots([0, 10, 20, 20 + BLOCK_S, 21 + 2 * BLOCK_S, 31 + 2 * BLOCK_S]))
    assert block is not None and block.tolist() == [0, 0, 0, 0, 1, 1]


def test_cameras_share_the_blocks_of_their_session_and_other_sessions_have_their_own() -> None:
    times = [float(k) for k in range(0, 240, 10)]
    first, second = shots(times, "camera_1"), shots([t + 0.1 for t in times], "camera_2")
    later = shots([t + 86_400 for t in times], "tuesday")
    block = time_blocks([*first, *second, *later])
    assert block is not None
    one, two, other = np.split(block, 3)
    assert one.tolist() == two.tolist() and set(one) == {0, 1, 2, 3} and set(other) == {4, 5, 6, 7}


def test_images_without_times_have_no_blocks() -> None:
    assert time_blocks([*shots([1.0, 2.0]), Shot("folder", 0)]) is None


def counts(correct: list[int], blocks: list[int]) -> FrameCounts:
    """Return the counts of frames with ten joints of each kind, all kinds alike."""
    each = np.repeat(np.array(correct)[:, None], 10, axis=1)
    return FrameCounts(each, np.full_like(each, 10), np.array(blocks))


def test_the_interval_is_as_wide_as_that_of_student_s_t() -> None:
    """Three blocks gain 20 points and three none: 10 points with a standard error of 4.5.

    The resamples' gains are 20/6 times a binomial number of six. 95 % of them are within 1 to 5 of six, and a
    plain percentile interval would call the gain decided. That of Student's t is 10 +- 11.5, which is not.
    """
    blocks = [0, 1, 2, 3, 4, 5]
    gain = gain_of(counts([5] * 6, blocks), counts([7, 7, 7, 5, 5, 5], blocks), timed=True)
    assert gain["points"] == pytest.approx(10) and gain["blocks"] == 6 == FEWEST_BLOCKS
    assert gain["interval"] == pytest.approx([0, 20])
    words = gain_words({"gain": {"teacher": gain}}, "teacher")
    assert words == (
        "+10.0 points of PCK against the teacher's labels, 95 % interval +0.0 to +20.0 (paired bootstrap "
        "over 6 blocks of about 60 s). The change is not decided: the interval contains zero."
    )


@pytest.mark.parametrize(("after", "said"), [(7, "The gain is decided"), (3, "The loss is decided")])
def test_what_every_block_shows_is_decided(after: int, said: str) -> None:
    blocks = [k // 3 for k in range(24)]
    gain = gain_of(counts([5] * 24, blocks), counts([after] * 24, blocks), timed=True)
    assert gain["interval"] == pytest.approx([10 * (after - 5)] * 2)
    assert said in gain_words({"gain": {"truth": gain}}, "truth")


def test_frames_of_one_block_do_not_count_as_many() -> None:
    """100 frames of one block, of which all gain, say nothing of other moments."""
    gain = gain_of(counts([5] * 100, [0] * 100), counts([9] * 100, [0] * 100), timed=True)
    assert (gain["points"], gain["blocks"], gain["interval"]) == (pytest.approx(40), 1, None)
    words = gain_words({"gain": {"teacher": gain}}, "teacher")
    assert "without an interval: the test part is too short. It has 1 block of about 60 s" in words
    assert "an interval needs 6." in words and words.endswith("Whether the change is chance is not known.")


def test_blocks_without_people_do_not_count() -> None:
    before, after = counts([5] * 8, list(range(8))), counts([6] * 8, list(range(8)))
    for one in (before, after):
        one.counted[5:] = 0
        one.correct[5:] = 0
    assert gain_of(before, after, timed=True)["blocks"] == 5
    before.counted[:], after.counted[:] = 0, 0
    assert gain_of(before, after, timed=True) == {}


def test_without_times_it_is_said_that_nobody_knows() -> None:
    gain = gain_of(counts([5] * 50, [0] * 50), counts([6] * 50, [0] * 50), timed=False)
    words = gain_words({"gain": {"teacher": gain}}, "teacher")
    assert "the images have no times" in words and gain["interval"] is None


def test_the_outcome_is_said_in_words() -> None:
    assert "unchanged" in outcome_words({"kept": True, "share": 0.0}, "fastpose_64x48")
    assert "new thresholds alone" in outcome_words({"kept": False, "share": 0.0}, "fastpose_64x48")
    assert "(75 %)" in outcome_words({"kept": False, "share": 0.75}, "fastpose_64x48")
    assert outcome_words({"kept": False}, "fastpose_64x48") == "", "of an earlier release"
    assert gain_words({}, "teacher") == ""
    gain = {"points": 0.0, "interval": None}
    words = gain_words({"kept": True, "gain": {"teacher": gain}}, "teacher")
    assert words == "+0.0 points of PCK against the teacher's labels: the network is unchanged."
