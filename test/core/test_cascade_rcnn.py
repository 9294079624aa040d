"""The teacher's cascade detector: detectron2's parameter names, its outputs, its files."""

from __future__ import annotations

import importlib.util
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from orpose_core.checkpoints.detectron_files import load_cascade, read_detectron_file
from orpose_core.cli import main
from orpose_core.models.cascade.config import CASCADES, SMALL_CASCADE, X152, CascadeConfig
from orpose_core.models.cascade.rcnn import CascadeRcnn, ShortestSide
from orpose_core.teacher.detector import (
    DetectorConfig,
    TorchvisionDetector,
    load_detector,
    random_detector,
)

DATA = Path(__file__).parent / "data"
RECORD = json.loads((DATA / "cascade_rcnn.json").read_text())
SMALL = "cascade_mask_rcnn_small"
TINY = replace(SMALL_CASCADE, depths=(1, 1, 1, 1), mask_convs=1, box_convs=1, proposals=20)
Tensors = dict[str, np.ndarray]


def _recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record_cascade_rcnn", DATA / "record_cascade_rcnn.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recorder = _recorder()


@pytest.mark.parametrize("name", RECORD)
def test_parameters_are_those_of_detectron2(name: str) -> None:
    with torch.device("meta"):
        model = CascadeRcnn(CASCADES[name])
    expected = RECORD[name]
    assert len(model.state_dict()) == expected["keys"]
    assert recorder.keys_sha256(model) == expected["keys_sha256"]
    assert sum(p.numel() for p in model.parameters()) == expected["parameters"]


@pytest.mark.parametrize("name", RECORD)
def test_outputs_are_those_of_detectron2(name: str) -> None:
    _, changes, image_hw = recorder.RECORDED[name]
    with torch.device("meta"):
        model = CascadeRcnn(recorder.config_of(name, changes))
    model = recorder.fill_seeded(model.to_empty(device="cpu"))
    got = recorder.run_ours(model, recorder.seeded_image(*image_hw))
    expected = RECORD[name]
    found = {key: torch.tensor(expected[key]) for key in ("proposals", "boxes", "scores", "classes")}
    assert all(got[key].shape == value.shape for key, value in found.items())
    got, _ = recorder.matched(found, got)
    for key, numbers in expected["maps"].items():
        mine, tolerance = recorder.numbers_of(got[key]), 1e-4 * numbers["std"]
        for what in ("mean", "std", "values"):
            assert mine[what] == pytest.approx(numbers[what], abs=tolerance), (key, what)
    for key, tolerance in (("proposals", 1e-3), ("boxes", 1e-3), ("scores", 1e-5), ("classes", 0)):
        assert (got[key] - found[key]).abs().max() <= tolerance, key
    assert (got["classes"] == 0).any() and len(got["classes"].unique()) > 10  # people, and others


def _state(config: CascadeConfig, seed: int = 0) -> Tensors:
    torch.manual_seed(seed)
    return {key: value.numpy() for key, value in CascadeRcnn(config).state_dict().items()}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Tensors:
    """A detector that can be chosen by the name ``tiny``, and arrays for it."""
    monkeypatch.setitem(CASCADES, "tiny", TINY)
    return _state(TINY)


def _write(path: Path, arrays: Tensors, protocol: int = 2) -> Path:
    with path.open("wb") as file:
        pickle.dump({"model": arrays, "__author__": "Detectron2 Model Zoo"}, file, protocol)
    return path


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_file_of_the_zoo_fills_every_parameter(tmp_path: Path, tiny: Tensors, protocol: int) -> None:
    model, sha256 = load_cascade("tiny", _write(tmp_path / "mine.pkl", tiny, protocol))
    assert not model.training and len(sha256) == 64
    assert set(model.state_dict()) == set(tiny)
    for key, value in model.state_dict().items():
        assert np.array_equal(value.numpy(), tiny[key]), key


def test_a_trained_pth_of_detectron2_is_read_too(tmp_path: Path, tiny: Tensors) -> None:
    tensors = {key: torch.from_numpy(value) for key, value in tiny.items()}
    torch.save({"model": tensors, "iteration": 7}, tmp_path / "model_final.pth")
    model, _ = load_cascade("tiny", tmp_path / "model_final.pth")
    assert all(torch.equal(value, tensors[key]) for key, value in model.state_dict().items())


def test_what_old_files_hold_beside_the_parameters_is_checked_and_left(tmp_path: Path, tiny: Tensors) -> None:
    anchors = {f"proposal_generator.anchor_generator.cell_anchors.{i}": np.ones((3, 4)) for i in range(5)}
    means = np.array(TINY.pixel_mean, np.float32).reshape(3, 1, 1)
    pixels = {"pixel_mean": means, "pixel_std": np.ones((3, 1, 1), np.float32)}
    load_cascade("tiny", _write(tmp_path / "old.pkl", {**tiny, **anchors, **pixels}))
    pixels["pixel_mean"] = means[::-1]
    with pytest.raises(ValueError, match=r"old\.pkl: expected pixel_mean \[103\.5.* of tiny, got \[123\.6"):
        load_cascade("tiny", _write(tmp_path / "old.pkl", {**tiny, **pixels}))


def test_frozen_statistics_are_absent_altogether_or_not_at_all(tmp_path: Path, tiny: Tensors) -> None:
    bare = {k: v for k, v in tiny.items() if not k.endswith(("running_mean", "running_var"))}
    model, _ = load_cascade("tiny", _write(tmp_path / "caffe2.pkl", bare))
    norm: Any = model.backbone.bottom_up.stem.conv1.norm
    assert (norm.running_mean == 0).all() and (norm.running_var == 1).all()
    some = {**bare, "backbone.bottom_up.stem.conv1.norm.running_var": np.ones(16, np.float32)}
    with pytest.raises(ValueError, match=r"no backbone\.bottom_up\.stem\.conv1\.norm\.running_mean"):
        load_cascade("tiny", _write(tmp_path / "caffe2.pkl", some))


def _without_last_head(arrays: Tensors) -> Tensors:
    return {k: v for k, v in arrays.items() if not k.startswith("roi_heads.box_predictor.2.cls_score")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_last_head, r"no roi_heads\.box_predictor\.2\.cls_score\.weight"),
        (lambda a: {**a, "backbone.fc.bias": np.zeros(3)}, r"unexpected backbone\.fc\.bias"),
        (
            lambda a: {**a, "roi_heads.mask_head.predictor.bias": np.zeros(3, np.float32)},
            r"predictor\.bias of shape \(3,\) instead of \(80,\)",
        ),
        (
            lambda a: {**a, "roi_heads.mask_head.predictor.bias": np.full(80, np.nan, np.float32)},
            r"predictor\.bias holds values that are not finite",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, tiny: Tensors, change: Callable[[Tensors], Tensors], message: str
) -> None:
    with pytest.raises(ValueError, match=r"odd\.pkl: .*" + message):
        load_cascade("tiny", _write(tmp_path / "odd.pkl", change(tiny)))


class _Code:
    """What a stranger's pickle may do."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call[0], self.call[1:]


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path, touched = tmp_path / "evil.pkl", tmp_path / "touched"
    for call in ((Path.touch, touched), (np.dtype, "O"), (np.save, str(touched), np.zeros(2))):
        path.write_bytes(pickle.dumps({"model": {"a": _Code(*call)}, "__author__": "me"}))
        with pytest.raises(ValueError, match=r"evil\.pkl: refused: expected a pickle of arrays alone, got "):
            read_detectron_file(path)
    assert not list(tmp_path.glob("touched*"))


def test_other_files_are_refused_with_a_sentence(tmp_path: Path, tiny: Tensors) -> None:
    path = _write(tmp_path / "model.pkl", tiny)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"model\.pkl: not a readable pickle, damaged or cut short"):
        read_detectron_file(path)
    path.write_bytes(pickle.dumps({"blobs": {"conv1_w": np.zeros(3)}}))
    with pytest.raises(ValueError, match=r"with arrays under 'model', got \['blobs'\]"):
        read_detectron_file(path)
    path.write_bytes(pickle.dumps({"model": {"a": "text"}}))
    with pytest.raises(ValueError, match="a: expected an array of numbers, got str"):
        read_detectron_file(path)
    _write(tmp_path / "model_0039999_e76410.pkl", tiny)
    with pytest.raises(ValueError, match=r"damaged: its md5 begins with \w{6}, its name says e76410"):
        load_cascade("tiny", tmp_path / "model_0039999_e76410.pkl")


def test_sizes_follow_detectron2_not_torchvision() -> None:
    resize = ShortestSide(800, 1333)
    # detectron2's own get_output_shape; torchvision would make the first 1066 wide
    for image_hw, expected in {
        (480, 640): (800, 1067), (640, 480): (1067, 800), (500, 500): (800, 800), (300, 900): (444, 1333),
        (1080, 1920): (750, 1333), (40, 53): (800, 1060),
    }.items():  # fmt: skip
        assert resize.size_hw(image_hw) == expected, image_hw
    same = ShortestSide(6, 99)
    image = torch.randint(0, 256, (3, 6, 8), generator=torch.Generator().manual_seed(1)).float()
    assert torch.equal(same(image / 255), image)


@pytest.fixture(scope="module")
def detector() -> TorchvisionDetector:
    return random_detector(SMALL, DetectorConfig(min_score=0.0, flip=False, max_people=10))


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [recorder.seeded_image(60, 80), recorder.seeded_image(90, 70)]


def test_people_alone_are_found_inside_the_image_whoever_else_is_in_the_batch(
    detector: TorchvisionDetector, pictures: list[np.ndarray]
) -> None:
    together = detector.detect(pictures)
    assert not detector.info.trained
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = detector.detect([picture])
        assert np.array_equal(alone.boxes, found.boxes) and np.array_equal(alone.scores, found.scores)
        height, width = picture.shape[:2]
        assert 0 < len(found) <= 10 and (np.diff(found.scores) <= 0).all()
        assert (found.boxes >= 0).all() and (found.boxes <= [width, height, width, height]).all()
    model = detector._model
    tensor = torch.from_numpy(pictures[0]).permute(2, 0, 1).float() / 255
    with torch.inference_mode():
        (everything,) = model([tensor])
    people = everything["labels"] == 1
    assert 0 < people.sum() < len(people)
    assert together[0].scores[0] == everything["scores"][people].max().item()
    strict = TorchvisionDetector(model, "strict", "0", False, DetectorConfig(0.99, 0.99, flip=False))
    assert len(strict.detect(pictures[:1])[0]) == 0


def test_scales_and_mirrors_are_merged(detector: TorchvisionDetector, pictures: list[np.ndarray]) -> None:
    model: Any = detector._model
    config = DetectorConfig(min_score=0.0, scales=(96, 128), flip=True, max_people=50)
    both = TorchvisionDetector(model, "small", "0", False, config)
    (found,), (mirrored,) = both.detect(pictures[:1]), both.detect([pictures[0][:, ::-1].copy()])
    assert model.transform.min_size == (SMALL_CASCADE.short_side_px,)  # as it was
    assert model.transform.max_size == SMALL_CASCADE.long_side_px
    assert len(found) == len(mirrored) > 0
    assert np.allclose(np.sort(found.scores), np.sort(mirrored.scores), atol=1e-5)
    (once,) = detector.detect(pictures[:1])
    assert not np.array_equal(once.scores, found.scores[: len(once)])


def test_the_command_labels_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.fromarray(recorder.seeded_image(60, 80)).save(tmp_path / "images" / "a.png")
    command = ["label", str(tmp_path / "images"), "--out", str(tmp_path / "out"), "--quiet", "--no-flip"]
    command += ["--keypoints", "untrained:pose_hrnet_w4_64x64", "--min-box-score", "0.05", "--detector"]
    assert main([*command, f"untrained:{SMALL}"]) == 0
    out, err = capsys.readouterr()
    assert "1 of 1 frames" in out and "random weights" in err
    assert main([*command, X152]) == 2
    err = capsys.readouterr().err
    assert (
        f"fetch https://dl.fbaipublicfiles.com/detectron2/Misc/{X152}/18131413/model_0039999_e76410.pkl"
        in err
    )
    assert main([*command, SMALL]) == 2
    assert "none are published" in capsys.readouterr().err


def test_a_file_gives_the_detector_its_weights(
    tmp_path: Path, detector: TorchvisionDetector, pictures: list[np.ndarray]
) -> None:
    arrays = {key: value.numpy() for key, value in detector._model.state_dict().items()}
    loaded = load_detector(SMALL, _write(tmp_path / "mine.pkl", arrays), detector.config)
    assert loaded.info.trained and loaded.info.name == SMALL
    assert loaded.info.sha256 not in ("", detector.info.sha256)
    expected, got = detector.detect(pictures[:1])[0], loaded.detect(pictures[:1])[0]
    assert np.array_equal(expected.boxes, got.boxes) and np.array_equal(expected.scores, got.scores)
    with pytest.raises(ValueError, match=rf"or a cascade: {X152}"):
        load_detector("cascade", tmp_path / "mine.pkl")


def test_configs_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match=r"box_channels: expected a multiple of norm_groups 32, got 40"):
        CascadeConfig(box_channels=40)
    with pytest.raises(ValueError, match=r"proposals: expected 1 or more, got 0"):
        CascadeConfig(proposals=0)
    with pytest.raises(ValueError, match=r"anchor_sizes_px: expected 5 levels, got 1"):
        CascadeConfig(anchor_sizes_px=(32.0,))
