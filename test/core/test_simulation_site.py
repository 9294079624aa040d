"""The domain "site": one room that a camera can see, with other people each day."""

from __future__ import annotations

import numpy as np
import pytest

from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.simulation.stream import scene_of
from orpose_core.types import Visibility

pytestmark = pytest.mark.timeout(900)  # the first run compiles for a minute of processor time
SITES, DAYS = range(4), 4


@pytest.mark.parametrize("seed", SITES)
def test_a_site_is_possible(seed):
    """Its camera sees whom it was hung for past the furniture, and its depth reaches them."""
    config = StreamConfig("site", (120, 160), "depth", seed)
    people = seen = measured = 0
    for day in range(DAYS):
        frame = simulate_frame(config, day)
        people += len(scene_of(config, day).people)
        visible = (frame.poses.visibility == Visibility.VISIBLE).mean(axis=1)
        seen += int((visible > 0.2).sum())
        own = frame.people >= 0
        measured += np.isfinite(frame.frame.depth_m[own]).sum() / max(own.sum(), 1)
    assert seen >= 0.8 * people
    assert measured >= 0.7 * DAYS


def test_the_room_stays_and_the_people_change():
    config = StreamConfig("site", seed=3)
    first, second = scene_of(config, 0), scene_of(config, 1)
    assert np.array_equal(first.cameras[0].room_from_camera, second.cameras[0].room_from_camera)
    assert np.array_equal(first.sensors[0].traits, second.sensors[0].traits)
    assert [p.dimensions for p in first.people] != [p.dimensions for p in second.people]
