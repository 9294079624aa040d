"""Frames to poses: batch = single, any size, the mirror, metric 3D, and what is refused.

Poses of a small network that was never trained mean nothing, but everything that holds for any network can be
tested on it; where people must be found, the network is one that answers with drawn maps.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from orpose_core.checkpoints.files import Checkpoint, load_checkpoint, save_checkpoint
from orpose_core.data.targets import render_targets
from orpose_core.decoding.paf import PafDecoderConfig
from orpose_core.estimators import EstimatorConfig, PoseEstimator, load_estimator
from orpose_core.estimators import estimator as estimator_module
from orpose_core.estimators import readers as readers_module
from orpose_core.geometry import Metric3DConfig
from orpose_core.image_ops import low_resolution_depth, low_resolution_frame
from orpose_core.models import ModelConfig, build_model
from orpose_core.models.maps import PoseMaps, StageMaps
from orpose_core.models.student.config import SMALL_STUDENT
from orpose_core.simulation import StreamConfig, simulate_frame
from orpose_core.skeleton import BODY24, OPENPOSE18
from orpose_core.types import Poses, Resize, RgbdFrame

_NAME = "untrained:depthpose_64x48@0.0625"
# Random weights answer weakly; with these thresholds their noise becomes people.
_LOOSE = PafDecoderConfig(
    keypoint_threshold=0.0,
    paf_threshold=0.0,
    min_sample_share=0.0,
    min_joints=1,
    min_mean_score=0.0,
    min_person_score=0.0,
)
_CONFIG = EstimatorConfig(device="cpu", half_precision=False, threads=1, decoder=_LOOSE)


@pytest.fixture(scope="module")
def estimator():
    return load_estimator(_NAME, _CONFIG)


@pytest.fixture(scope="module")
def frames():
    config = StreamConfig(domain="or", size_hw=(480, 640), modality="rgbd", seed=5)
    return [simulate_frame(config, i).frame for i in range(3)]


def _assert_same(a, b, atol=1e-3):
    assert len(a) == len(b)
    np.testing.assert_allclose(a.xy_px, b.xy_px, atol=atol, equal_nan=True)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)
    if a.xyz_cam_m is not None:
        np.testing.assert_allclose(a.xyz_cam_m, b.xyz_cam_m, atol=atol, equal_nan=True)


def test_a_batch_gives_what_each_frame_gives_alone(estimator, frames):
    together = estimator.estimate(frames)
    assert sum(map(len, together)) > 0
    for frame, poses in zip(frames, together, strict=True):
        _assert_same(poses, estimator.estimate([frame])[0])


def test_frames_of_different_sizes_share_a_batch(estimator, frames):
    mixed = [frames[0], low_resolution_frame(frames[1], (48, 64))]
    for frame, poses in zip(mixed, estimator.estimate(mixed), strict=True):
        _assert_same(poses, estimator.estimate([frame])[0])


def test_what_the_gateway_shrank_gives_the_same_people_in_its_own_px(estimator, frames):
    large = estimator.estimate(frames[:1])[0]
    small = estimator.estimate([low_resolution_frame(frames[0], (48, 64))])[0]
    resize = Resize((480, 640), (48, 64))
    np.testing.assert_allclose(resize.to_target(large.xy_px), small.xy_px, atol=1e-3, equal_nan=True)
    np.testing.assert_allclose(large.xyz_cam_m, small.xyz_cam_m, atol=1e-3, equal_nan=True)


def test_with_the_flip_test_the_mirrored_frame_gives_mirrored_people(estimator, frames):
    depth = low_resolution_depth(frames[0].depth_m, (48, 64))
    poses = estimator.estimate([RgbdFrame(None, depth, None)])[0]
    mirrored = estimator.estimate([RgbdFrame(None, np.ascontiguousarray(depth[:, ::-1]), None)])[0]
    back = mirrored.xy_px[:, OPENPOSE18.flip_permutation] * np.float32([-1, 1]) + np.float32([63, 0])
    assert len(poses) == len(mirrored) > 0

    def ordered(xy):
        return np.sort(xy[~np.isnan(xy)])

    np.testing.assert_allclose(ordered(poses.xy_px), ordered(back), atol=1e-3)


def test_the_flip_test_may_be_chosen_for_each_call(frames):
    with_mirror, without = (load_estimator(_NAME, replace(_CONFIG, flip_test=flip)) for flip in (True, False))
    for flip, expected in ((True, with_mirror), (False, without)):
        wanted = expected.estimate(frames[:1])[0]
        for estimator in (with_mirror, without):
            _assert_same(estimator.estimate(frames[:1], flip_test=flip)[0], wanted)
    assert not np.allclose(
        *(e.run(e.prepare(frames[:1]).images).keypoint_maps for e in (with_mirror, without))
    )


def test_no_frames_no_poses(estimator):
    assert estimator.estimate([]) == []


def test_nothing_but_holes_is_no_error(estimator):
    blind = RgbdFrame(None, np.full((48, 64), np.nan, np.float32), None)
    assert isinstance(estimator.estimate([blind])[0], Poses)


def test_without_depth_or_intrinsics_there_is_no_metric_3d(estimator, frames):
    assert estimator.estimate([replace(frames[0], intrinsics=None)])[0].xyz_cam_m is None
    estimator_2d = PoseEstimator(load_checkpoint(_NAME), replace(_CONFIG, metric_3d=False))
    assert estimator_2d.estimate(frames[:1])[0].xyz_cam_m is None


def test_the_config_may_change_between_frames(frames):
    estimator = load_estimator(_NAME, _CONFIG)
    assert len(estimator.estimate(frames[:1])[0]) > 0
    estimator.config = replace(_CONFIG, decoder=PafDecoderConfig(min_person_score=1.0))
    assert len(estimator.estimate(frames[:1])[0]) == 0


def test_the_wrong_modality_and_too_small_images_are_refused_with_a_sentence(estimator, frames):
    with pytest.raises(
        ValueError, match=r"reads depth, but the frame of 'cam1_\w+' has only color|reads depth"
    ):
        estimator.estimate([replace(frames[0], depth_m=None)])
    with pytest.raises(ValueError, match="at least 64x48, but the frame is 53x40"):
        estimator.estimate([RgbdFrame(None, np.ones((40, 53), np.float32), None)])
    color = load_estimator("untrained:depthpose_color_64x48@0.0625", _CONFIG)
    with pytest.raises(ValueError, match="reads color, but the frame has only depth"):
        color.estimate([RgbdFrame(None, np.ones((48, 64), np.float32), None)])


@pytest.mark.parametrize(
    "name", ["rtpose_64x48", "sr_rtpose_64x48", "depthpose_color_64x48", "depthpose_80x60"]
)
def test_every_network_goes_the_same_way(name, frames):
    estimator = load_estimator(f"untrained:{name}@0.0625", replace(_CONFIG, flip_test=False))
    poses = estimator.estimate(frames[:1])[0]
    assert poses.skeleton == OPENPOSE18
    assert estimator.info.name.startswith("untrained:") and not estimator.info.trained
    assert estimator.info.input_hw == ((60, 80) if "80x60" in name else (48, 64))


def test_a_checkpoint_gives_what_the_network_gave(tmp_path, frames):
    checkpoint = load_checkpoint(_NAME)
    sha256 = save_checkpoint(tmp_path / "mine.safetensors", checkpoint.model, {"licence": "Apache-2.0"})
    loaded = load_estimator(tmp_path / "mine.safetensors", _CONFIG)
    assert (loaded.info.name, loaded.info.sha256, loaded.info.trained) == ("mine", sha256, True)
    _assert_same(loaded.estimate(frames[:1])[0], load_estimator(_NAME, _CONFIG).estimate(frames[:1])[0])


def test_warm_up_runs_and_threads_are_set(estimator):
    seen = []

    class Seeing:
        def __getattr__(self, name):
            return getattr(reader, name)

        def run(self, images, config, flip_test):
            seen.append(len(images) * (2 if flip_test else 1))
            return reader.run(images, config, flip_test)

    reader, estimator._reader = estimator._reader, Seeing()
    try:
        estimator.warm_up(4)
    finally:
        estimator._reader = reader
    assert set(seen) == {1, 2, 3, 4, 6, 8}, (
        "all that an engine compiles for: 1 to 4 images, with mirror images"
    )
    assert seen.count(8) == seen.count(3) == 1
    assert torch.get_num_threads() == 1
    with pytest.raises(ValueError, match="threads"):
        EstimatorConfig(threads=0)
    with pytest.raises(ValueError, match="device"):
        load_estimator(_NAME, EstimatorConfig(device="abacus"))


class _Oracle(nn.Module):
    """Answers with the maps drawn from the poses of the frame, mirrored where the image is."""

    def __init__(self, images, targets):
        super().__init__()
        self._known = list(zip(images, targets, strict=True))

    def forward(self, x):
        answers = []
        for image in x:
            distances = [float((image - known).abs().sum()) for known, _ in self._known]
            answers.append(self._known[int(np.argmin(distances))][1])
        paf, keypoints = (torch.stack([a[i] for a in answers]) for i in (0, 1))
        return PoseMaps((StageMaps(paf, keypoints),))


def test_people_of_a_synthetic_room_come_out_where_they_are():
    stream = StreamConfig(domain="general", size_hw=(480, 640), modality="depth", seed=21)
    simulated = [simulate_frame(stream, i) for i in range(8)]
    simulated = [s for s in simulated if 0 < len(s.poses) <= 2][:3]
    assert simulated
    build = load_estimator(_NAME, replace(_CONFIG, flip_test=False))
    images = build.prepare([s.frame for s in simulated]).images
    truths = [s.poses.converted(OPENPOSE18) for s in simulated]
    targets = []
    for truth in truths:
        drawn = render_targets(truth, (480, 640), (48, 64))
        targets.append((torch.from_numpy(drawn.paf_maps), torch.from_numpy(drawn.keypoint_maps)))
    config = ModelConfig(width=0.0625)
    oracle = Checkpoint(_Oracle(images, targets), config, "oracle", "", "", True, {})
    settings = replace(_CONFIG, backend="torch", flip_test=False, decoder=PafDecoderConfig())
    found = PoseEstimator(oracle, settings).estimate([s.frame for s in simulated])
    close = total = 0
    for poses, truth in zip(found, truths, strict=True):
        for m in range(len(truth)):
            present = truth.scores[m] > 0
            if present.sum() < 6 or not len(poses):
                continue
            distance = np.linalg.norm(poses.xy_px - truth.xy_px[m], axis=-1)
            best = distance[np.nanmean(distance, axis=1).argmin()]
            close += int((best[present] < 5).sum())
            total += int(present.sum())
            near = np.linalg.norm(poses.xyz_cam_m - truth.xyz_cam_m[m], axis=-1)
            seen = truth.visibility[m] == 2
            row = np.nanmean(distance, axis=1).argmin()
            assert np.nanmedian(near[row, seen]) < 0.1
    assert total > 15 and close / total > 0.9


def test_the_student_goes_the_same_way(frames):
    model = build_model(SMALL_STUDENT, seed=0).eval()
    checkpoint = Checkpoint(model, SMALL_STUDENT, "untrained:student", "", "", False, {})
    estimator = PoseEstimator(checkpoint, _CONFIG)
    small = low_resolution_frame(frames[0], (40, 53))
    together = estimator.estimate([small, frames[1]])
    assert [p.skeleton.name for p in together] == ["body24", "body24"]
    _assert_same(together[0], estimator.estimate([small])[0], atol=0.05)


@pytest.mark.parametrize("name", [_NAME, "untrained:depthpose_color_64x48@0.0625"])
def test_the_depth_of_a_frame_is_shrunk_once(name, frames, monkeypatch):
    shrunk = []

    def counted(depth_m, *rest):
        shrunk.append(depth_m.shape)
        return low_resolution_depth(depth_m, *rest)

    for module in (estimator_module, readers_module):
        monkeypatch.setattr(module, "low_resolution_depth", counted)
    poses = load_estimator(name, _CONFIG).estimate(frames[:1])[0]
    assert poses.xyz_cam_m is not None and shrunk == [(480, 640)]


def test_the_settings_of_the_look_up_reach_lifted_people(frames):
    checkpoint = Checkpoint(build_model(SMALL_STUDENT, seed=0).eval(), SMALL_STUDENT, "s", "", "", False, {})
    shape = (1, len(BODY24))
    xy = np.tile(np.float32([320, 240]), (*shape, 1))
    one, box = np.ones(1, np.float32), np.zeros((1, 4), np.float32)
    root = np.full((*shape, 3), np.nan, np.float32)
    root[:, [BODY24.index("left_hip"), BODY24.index("right_hip")]] = 0
    person = Poses(BODY24, xy, np.ones(shape, np.float32), one, box, xyz_root_m=root)
    flat = replace(frames[0], rgb=frames[0].rgb, depth_m=np.full((480, 640), 2.0, np.float32))
    placed = [
        PoseEstimator(checkpoint, replace(_CONFIG, lookup=lookup)).place(person, flat)
        for lookup in (Metric3DConfig(), Metric3DConfig(sensor_noise_per_m=0.5))
    ]
    nose = BODY24.index("nose")
    sigma_m = [p.sigma_m[0, nose] for p in placed]
    assert np.isfinite(sigma_m).all() and sigma_m[1] > 3 * sigma_m[0]


_START = """
import sys
import orpose_core
assert not {"numpy", "torch", "numba"} & set(sys.modules)
import numpy as np
estimator = orpose_core.load_estimator("fastpose_64x48", orpose_core.EstimatorConfig("cpu"))
estimator.estimate([orpose_core.RgbdFrame(None, np.ones((48, 64), np.float32), None)])
print(sorted({"torchvision", "torch._dynamo", "matplotlib", "nncf", "rosbags"} & set(sys.modules)))
"""


def test_what_depth_does_not_need_is_not_imported():
    """torchvision and the compiler of torch take as long to import as torch, and a node starts without."""
    done = subprocess.run([sys.executable, "-c", _START], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
