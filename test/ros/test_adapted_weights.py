"""Weights of a site, as `orpose adapt` writes them, in a real pose node."""

from __future__ import annotations

import array
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from orpose_core.adaptation.finishing import write_site_weights
from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.data import image_messages
from orpose_core.data.skeleton_messages import from_skeletons
from orpose_core.estimators import EstimatorConfig, load_estimator
from orpose_core.estimators.map_settings import MapSettings
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.training.depthpose.mixing import mixed
from orpose_core.types import RgbdFrame
from orpose_ros.parameters.pose import PoseParameters

_OWN = ("keypoint_threshold", "paf_threshold", "min_joints", "min_mean_score", "min_person_score")


@pytest.mark.timeout(900)  # the first run compiles the renderer
def test_adapted_weights_give_the_skeletons_of_the_estimator(
    pose_bench: Callable[..., Any], tmp_path: Path
) -> None:
    start, path = load_checkpoint("fastpose_64x48"), tmp_path / "ward.safetensors"
    settings = MapSettings.from_header(start.name, start.metadata)
    settings = dataclasses.replace(settings, decoder=dataclasses.replace(settings.decoder, min_joints=5))
    network = dataclasses.replace(start, model=mixed(start.model, start.model, 0.5))
    write_site_weights(path, network, settings, {"minutes": 1.0, "site": {}})
    depth_m = simulate_frame(StreamConfig("or", (48, 64), seed=3), 0).frame.depth_m
    assert depth_m is not None
    same = EstimatorConfig("cpu", half_precision=False)  # like the bench: joints near a threshold may differ
    expected = load_estimator(str(path), same).estimate([RgbdFrame(None, depth_m, None)])[0]
    assert len(expected) > 0

    usual = PoseParameters()
    thresholds = {name: getattr(usual, name) for name in (*_OWN, "max_people")}
    bench = pose_bench(model=str(path), flip_test="always", **thresholds)
    fields = image_messages.encode_depth(depth_m, "32FC1")
    data = array.array("B", fields.pop("data").tobytes())
    flat, _ = bench.send(Image(header=Header(stamp=Time(sec=7), frame_id="ceiling"), data=data, **fields))
    assert len(flat.skeletons) == len(expected)
    by_score = np.argsort(-expected.person_scores, kind="stable")
    found = from_skeletons(flat)
    np.testing.assert_allclose(found.xy_px, expected.xy_px[by_score], atol=0.5)
    assert bench.node.parameters.model == str(path)
