"""From boxes and keypoint maps to people: where the half pixels go, and what nobody looks like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orpose_core.decoding.oks_nms import oks_matrix, suppress_by_oks
from orpose_core.decoding.roi import (
    LIFTER_INPUT,
    RoiDecoderConfig,
    decode_roi,
    heatmaps_to_keypoints,
    lifter_input,
    map_spread,
)
from orpose_core.decoding.roi_peaks import highest_resampled
from orpose_core.models.student.config import SMALL_STUDENT, StudentConfig
from orpose_core.models.student.heads import BranchMaps
from orpose_core.models.student.network import Student, StudentOutput, mirror_boxes
from orpose_core.skeleton import BODY24, COCO17, H36M17, convert_joints
from orpose_core.training.student.losses import keypoint_cells
from orpose_core.types import Poses, Source3D

SIDE = 56
CONFIG = replace(SMALL_STUDENT, full_hw=(96, 128), lifter_width=32)


def peaks(xy: torch.Tensor, boxes: torch.Tensor, height: float = 20.0) -> torch.Tensor:
    """Logit maps (R, K, 56, 56), quadratic bumps of a standard deviation of 2 cells at the joints."""
    size = (boxes[:, 2:] - boxes[:, :2])[:, None]
    place = (xy - boxes[:, None, :2]) / size * SIDE - 0.5  # (R, K, 2), cells
    cell = torch.arange(SIDE, dtype=torch.float32)
    dx, dy = cell - place[..., :1], cell - place[..., 1:]
    return height * torch.exp(-(dy[..., :, None] ** 2 + dx[..., None, :] ** 2) / 8)


def output_of(xy: torch.Tensor, boxes: torch.Tensor, counts: tuple[int, ...]) -> StudentOutput:
    maps = peaks(xy, boxes)
    scores = torch.linspace(0.9, 0.5, len(boxes)) if len(boxes) else torch.zeros(0)
    return StudentOutput(boxes, scores, counts, BranchMaps(maps, maps.clone()), CONFIG.full_hw)


@pytest.fixture(scope="module")
def model() -> Student:
    torch.manual_seed(0)
    return Student(CONFIG).eval()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_peak_comes_back_where_it_was_drawn(seed: int) -> None:
    """Within the px grid of the box plus a cell's rounding, for boxes larger and smaller than the map."""
    g = torch.Generator().manual_seed(seed)
    boxes = torch.rand(2, 4, generator=g) * 50
    boxes[:, 2:] += boxes[:, :2] + torch.rand(2, 2, generator=g) * 90 + 20
    share = 0.1 + 0.8 * torch.rand(2, 17, 2, generator=g)
    xy = boxes[:, None, :2] + share * (boxes[:, 2:] - boxes[:, :2])[:, None]
    found = heatmaps_to_keypoints(peaks(xy, boxes), boxes)
    step = ((boxes[:, 2:] - boxes[:, :2]) / SIDE)[:, None].clamp(min=1.0)
    assert ((found[..., :2] - xy).abs() <= 0.75 * step).all()
    assert (found[..., 2] > 0.001).all()


def test_cells_of_the_losses_and_the_decoder_agree() -> None:
    """What is trained into a cell is decoded at that cell: drawing, cutting into cells, decoding."""
    boxes = torch.tensor([[10.0, 20.0, 66.0, 76.0]])  # one px per cell
    xy = torch.tensor([[[10.5, 20.5], [65.5, 75.5], [40.5, 31.5]]])
    cells, inside = keypoint_cells(xy, boxes, SIDE)
    assert inside.all() and cells.tolist() == [[0, SIDE * SIDE - 1, 11 * SIDE + 30]]
    maps = torch.zeros(1, 3, SIDE * SIDE).scatter(2, cells[..., None], 30.0).view(1, 3, SIDE, SIDE)
    torch.testing.assert_close(heatmaps_to_keypoints(maps, boxes)[..., :2], xy)


def test_edges_belong_to_the_box() -> None:
    boxes = torch.tensor([[0.0, 0.0, 56.0, 56.0]])
    xy = torch.tensor([[[56.0, 56.0], [56.01, 5.0], [-0.01, 5.0], [0.0, 0.0]]])
    _, inside = keypoint_cells(xy, boxes, SIDE)
    assert inside.tolist() == [[True, False, False, True]]


def test_score_tells_sharp_from_flat() -> None:
    boxes = torch.tensor([[0.0, 0.0, 56.0, 56.0]])
    flat = torch.zeros(1, 1, SIDE, SIDE)
    assert heatmaps_to_keypoints(flat, boxes)[0, 0, 2] == pytest.approx(1 / SIDE**2, rel=1e-4)
    sharp = flat.clone()
    sharp[0, 0, 9, 9] = 30.0
    assert heatmaps_to_keypoints(sharp, boxes)[0, 0, 2] > 0.9


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_mean_of_a_peak_is_where_it_was_drawn(seed: int) -> None:
    """To half a cell: sharpened, a sharp peak is hardly wider than one."""
    g = torch.Generator().manual_seed(seed)
    boxes = torch.rand(2, 4, generator=g) * 50
    boxes[:, 2:] += boxes[:, :2] + torch.rand(2, 2, generator=g) * 90 + 20
    size = boxes[:, 2:] - boxes[:, :2]
    xy = boxes[:, None, :2] + (0.2 + 0.6 * torch.rand(2, 17, 2, generator=g)) * size[:, None]
    found = heatmaps_to_keypoints(peaks(xy, boxes), boxes, "mean")
    assert ((found[..., :2] - xy).abs() <= 0.5 * (size / SIDE)[:, None]).all()
    assert (found[..., 2] > 0.001).all()


def test_two_peaks_alike_make_the_peak_jump_but_not_the_mean() -> None:
    boxes = torch.tensor([[0.0, 0.0, 56.0, 56.0]])
    xy = torch.tensor([[[12.5, 20.5]], [[40.5, 20.5]]])
    left, right = (peaks(at[None], boxes) for at in xy)
    one, other = torch.maximum(1.001 * left, right), torch.maximum(left, 1.001 * right)
    jump = heatmaps_to_keypoints(other, boxes) - heatmaps_to_keypoints(one, boxes)
    drift = heatmaps_to_keypoints(other, boxes, "mean") - heatmaps_to_keypoints(one, boxes, "mean")
    assert jump[0, 0, 0] == pytest.approx(28.0, abs=0.1) and 0 < drift[0, 0, 0] < 1.5
    assert drift[0, 0, 2].abs() < 1e-3


def test_the_highest_sample_is_that_of_the_map_enlarged_by_torch() -> None:
    """What detectron2 does person by person: enlarge the whole map, then look for its maximum."""
    g = torch.Generator().manual_seed(3)
    maps = torch.nn.functional.interpolate(
        torch.randn(6, 17, 14, 14, generator=g) * 4, scale_factor=4.0, mode="bilinear"
    )
    maps[5, 3] = 1.0  # flat: every sample is the highest
    grids = torch.tensor([[200, 90], [56, 56], [31, 12], [1, 1], [57, 300], [40, 40]])
    found = torch.from_numpy(highest_resampled(maps.numpy(), grids.numpy()))
    for i, (height, width) in enumerate(grids.tolist()):
        fine = torch.nn.functional.interpolate(maps[i : i + 1], (height, width), mode="bicubic")[0]
        highest, where = fine.flatten(1).max(dim=1)
        torch.testing.assert_close(found[i, :, 2], highest, rtol=0, atol=2e-5)
        there = found[i, :, 1].long() * width + found[i, :, 0].long()
        same = there == where
        equal = fine.flatten(1)[torch.arange(17), there] >= highest - 2e-5
        assert same.float().mean() > 0.9 and (same | equal).all(), "only samples alike may be exchanged"


def test_spread_is_in_px_of_the_box() -> None:
    boxes = torch.tensor([[0.0, 0.0, 112.0, 112.0]])  # 2 px per cell
    cell = torch.arange(SIDE, dtype=torch.float32) - 27.5
    gauss = -(cell[:, None] ** 2 + cell[None] ** 2) / (2 * 3.0**2)  # log of a Gaussian of 3 cells
    torch.testing.assert_close(map_spread(gauss[None, None], boxes), torch.tensor([[6.0]]), rtol=1e-3, atol=0)


def test_lifters_read_the_joints_of_the_skeleton_rules() -> None:
    xy = np.random.default_rng(0).random((3, 17, 2), np.float32) * 100
    expected, _ = convert_joints(xy, np.ones((3, 17), np.float32), COCO17, H36M17)
    got = lifter_input(torch.from_numpy(xy)).numpy()
    np.testing.assert_allclose(got, expected[:, [H36M17.index(j) for j in LIFTER_INPUT]], rtol=1e-5)


def test_people_in_source_px(model: Student) -> None:
    """A joint at the middle of the network's image is at the middle of the source, pixel centres integer."""
    boxes = torch.tensor([[32.0, 16.0, 96.0, 80.0], [0.0, 0.0, 64.0, 64.0], [10.0, 10.0, 50.0, 90.0]])
    xy = torch.full((3, 17, 2), 0.0) + (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    sizes = [(40, 53), (480, 640)]
    first, second = decode_roi(model, output_of(xy, boxes, (1, 2)), sizes)
    assert (len(first), len(second)) == (1, 2)
    assert first.skeleton == BODY24
    corners = [53 / 4 - 0.5, 40 / 6 - 0.5, 53 * 3 / 4 - 0.5, 40 * 5 / 6 - 0.5]
    np.testing.assert_allclose(first.boxes_px[0], corners, rtol=1e-5)
    np.testing.assert_allclose(first.xy_px[0], np.broadcast_to([26.0, 19.5], (24, 2)), atol=0.3)
    np.testing.assert_allclose(second.boxes_px[0], [-0.5, -0.5, 319.5, 319.5], rtol=1e-5)
    assert first.xyz_root_m is not None and first.source_3d is not None
    lifted = ~np.isnan(first.xyz_root_m[0]).any(axis=-1)
    known = {BODY24.joints[i] for i in np.flatnonzero(lifted)}
    assert set(H36M17.joints) <= known and "nose" not in known
    assert ((first.source_3d[0] == Source3D.LIFTED) == lifted).all()
    np.testing.assert_array_equal(first.xyz_root_m[0, BODY24.index("pelvis")], 0)


def test_nobody(model: Student) -> None:
    for poses in decode_roi(
        model, output_of(torch.zeros(0, 17, 2), torch.zeros(0, 4), (0, 0)), [(40, 53)] * 2
    ):
        assert len(poses) == 0 and poses.skeleton == BODY24 and poses.xyz_root_m is not None
    boxes = torch.tensor([[32.0, 16.0, 96.0, 80.0]])
    output = output_of(torch.full((1, 17, 2), 40.0), boxes, (0, 1))
    nobody, one = decode_roi(model, output, [(40, 53)] * 2)
    assert (len(nobody), len(one)) == (0, 1)
    weak = decode_roi(model, output, [(40, 53)] * 2, RoiDecoderConfig(min_person_score=0.95))
    assert [len(p) for p in weak] == [0, 0]


def test_mirrored_people(model: Student) -> None:
    """Mirroring maps and boxes mirrors 2D and, with the flip test, 3D."""
    torch.manual_seed(4)
    boxes = torch.tensor([[20.0, 10.0, 90.0, 94.0], [40.0, 30.0, 100.0, 80.0]])
    xy = boxes[:, None, :2] + (0.15 + 0.7 * torch.rand(2, 17, 2)) * (boxes[:, 2:] - boxes[:, :2])[:, None]
    there = output_of(xy, boxes, (2,))
    order = list(CONFIG.flip_permutation)
    maps = BranchMaps(*(m[:, order].flip(-1) for m in there.maps))
    back = there._replace(boxes=mirror_boxes(boxes, 128), maps=maps)
    a = decode_roi(model, there, [(96, 128)], flip_test=True)[0]
    b = decode_roi(model, back, [(96, 128)], flip_test=True)[0]
    flip = list(BODY24.flip_permutation)
    np.testing.assert_allclose(127 - b.xy_px[:, flip, 0], a.xy_px[..., 0], atol=1e-3)
    np.testing.assert_allclose(b.xy_px[:, flip, 1], a.xy_px[..., 1], atol=1e-3)
    assert a.xyz_root_m is not None and b.xyz_root_m is not None
    np.testing.assert_allclose(b.xyz_root_m[:, flip] * [-1, 1, 1], a.xyz_root_m, atol=1e-4)


def test_options(model: Student) -> None:
    boxes = torch.tensor([[20.0, 10.0, 90.0, 94.0], [21.0, 10.0, 90.0, 94.0]])
    xy = torch.tensor([[[55.0, 50.0]]]).expand(2, 17, 2)
    output = output_of(xy, boxes, (2,))
    size = [(96, 128)]
    assert len(decode_roi(model, output, size)[0]) == 2
    assert len(decode_roi(model, output, size, RoiDecoderConfig(oks_nms=0.9))[0]) == 1
    flat = output._replace(
        maps=BranchMaps(*(m * torch.tensor([1.0, 0.0])[:, None, None, None] for m in output.maps))
    )
    clear = RoiDecoderConfig(min_mean_keypoint_score=0.03)
    kept = decode_roi(model, flat, size, clear)[0]
    assert len(decode_roi(model, flat, size)[0]) == 2 and len(kept) == 1, "no joint of the other stands out"
    np.testing.assert_allclose(kept.boxes_px[0], boxes[0] - 0.5)
    coco = decode_roi(model, output, size, RoiDecoderConfig(skeleton="coco17"))[0]
    np.testing.assert_array_equal(coco.xy_px, decode_roi(model, output, size)[0].converted(COCO17).xy_px)
    absent = decode_roi(model, output, size, RoiDecoderConfig(min_keypoint_score=1.0))[0]
    assert (absent.scores == 0).all() and np.isnan(absent.xy_px).all()
    ranked = decode_roi(model, output, size, RoiDecoderConfig(person_score="box_times_keypoints"))[0]
    assert (ranked.person_scores < coco.person_scores).all()
    with pytest.raises(ValueError, match="person_score"):
        RoiDecoderConfig(person_score="mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="oks_nms"):
        RoiDecoderConfig(oks_nms=2.0)


def test_oks_suppression_keeps_the_better() -> None:
    rng = np.random.default_rng(3)
    xy = rng.uniform(0, 100, (3, 17, 2)).astype(np.float32)
    xy[2] = xy[0] + 0.1
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    poses = Poses(COCO17, xy, np.ones((3, 17), np.float32), np.array([0.5, 0.6, 0.7], np.float32), boxes)
    similarity = oks_matrix(poses)
    np.testing.assert_allclose(similarity, similarity.T)
    np.testing.assert_allclose(np.diag(similarity), 1)
    kept = suppress_by_oks(poses, 0.9)
    np.testing.assert_allclose(kept.person_scores, [0.7, 0.6])


def test_config_is_checked() -> None:
    with pytest.raises(ValueError, match="trunk"):
        StudentConfig(trunk="vgg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown"):
        StudentConfig.from_dict({"keypoint": 17})
    with pytest.raises(ValueError, match="flip_permutation"):
        replace(SMALL_STUDENT, keypoints=16)
