"""MoveNet: the published graph is read and converted, its maps are decoded, and real people are found."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from orpose_core.checkpoints.movenet.conversion import convert_movenet, module_of
from orpose_core.checkpoints.movenet.files import load_movenet, save_movenet
from orpose_core.checkpoints.movenet.tfjs import read_graph_model
from orpose_core.decoding.movenet import decode_multipose, decode_single
from orpose_core.models.movenet import MULTIPOSE, THUNDER, MoveNet, MoveNetMaps, random_movenet
from orpose_core.skeleton import COCO17
from orpose_core.teacher.movenet import (
    MultiPoseConfig,
    MultiPoseDetector,
    ThunderConfig,
    ThunderKeypoints,
    load_multipose,
    load_thunder,
)

EXTRACTOR = "StatefulPartitionedCall/center_net_mobile_net_v2fpn_feature_extractor/model_1"
HEADS = ("center", "box_scale", "box_offset", "kpt_heatmap", "kpt_regress", "kpt_offset")


def published_names(model: MoveNet) -> dict[str, str]:
    """The name of each convolution in the published graphs, by the module that it is here."""
    names = {"stem": f"{EXTRACTOR}/model/Conv1_relu/Relu6", "top": f"{EXTRACTOR}/model/out_relu/Relu6"}
    ends = {
        "expand": "expand_relu/Relu6",
        "depthwise": "depthwise/depthwise",
        "project": "project_BN/FusedBatchNormV3",
    }
    for k, block in enumerate(model.blocks):
        base = f"{EXTRACTOR}/model/" + ("expanded_conv_" if k == 0 else f"block_{k}_")
        names |= {
            f"blocks.{k}.{part}": base + end for part, end in ends.items() if getattr(block, part) is not None
        }

    def number(k: int) -> str:
        return f"_{k}" if k else ""

    for k in range(4):
        names[f"laterals.{3 - k}"] = f"{EXTRACTOR}/conv2d{number(k)}/BiasAdd"
    for k in range(3):
        names[f"smooth.{2 - k}.depthwise"] = (
            f"{EXTRACTOR}/separable_conv2d{number(k)}/separable_conv2d/depthwise"
        )
        names[f"smooth.{2 - k}.pointwise"] = f"{EXTRACTOR}/re_lu{number(k)}/Relu"
    ours = ("center", "box_size", "box_offset", "heatmaps", "regression", "offsets")
    for k, (head, mine) in enumerate(zip(HEADS, ours, strict=True), start=3):
        if getattr(model, mine) is not None:
            base = f"StatefulPartitionedCall/{head}_0"
            names[f"{mine}.0.depthwise"] = f"{base}/separable_conv2d_{k}/separable_conv2d/depthwise"
            names[f"{mine}.0.pointwise"] = f"{base}/re_lu_{k}/Relu"
            names[f"{mine}.1"] = f"{base}/conv2d_{k + 1}/BiasAdd"
    return names


def write_graph(folder: Path, model: MoveNet) -> Path:
    """Write a network as TensorFlow.js has it; what the converter must read back."""
    state, nodes, manifest, data = model.state_dict(), [{"name": "input", "op": "Placeholder"}], [], b""
    for module, node in published_names(model).items():
        inputs = ["input"]
        for part in ("weight", "bias"):
            value = state.get(f"{module}.conv.{part}")
            if value is None:
                continue
            array = value.numpy().astype("<f2")
            if part == "weight":
                array = array.transpose((2, 3, 0, 1) if module.endswith("depthwise") else (2, 3, 1, 0))
            name = f"{node}/{part}"
            manifest.append(
                {
                    "name": name,
                    "shape": list(array.shape),
                    "dtype": "float32",
                    "quantization": {"dtype": "float16"},
                }
            )
            data += np.ascontiguousarray(array).tobytes()
            inputs.append(name)
        nodes.append({"name": node, "op": "Conv2D", "input": [*inputs, "^input"]})
    content = {
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["net.bin"], "weights": manifest}],
    }
    (folder / "net.bin").write_bytes(data)
    (folder / "net.json").write_text(json.dumps(content))
    return folder / "net.json"


@pytest.mark.parametrize(("name", "config"), [("movenet_multipose", MULTIPOSE), ("movenet_thunder", THUNDER)])
def test_a_published_graph_becomes_the_same_network(tmp_path, name, config):
    model = random_movenet(config)
    source = write_graph(tmp_path, model)
    told = convert_movenet(source, tmp_path / "weights.safetensors", name)
    assert name in told and "not the published ones" in told
    back, _ = load_movenet(tmp_path / "weights.safetensors", name)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[key], value.half().float(), msg=key)


def test_operations_that_are_no_convolutions_have_no_module():
    assert module_of("StatefulPartitionedCall/MaxPool") is None
    assert module_of(f"{EXTRACTOR}/up_sampling2d/mul") is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("weightsManifest"), "weightsManifest"),
        (lambda c: c["weightsManifest"][0].update(paths=["../net.bin"]), "beside it"),
        (lambda c: c["weightsManifest"][0].update(paths=["gone.bin"]), "gone.bin"),
        (lambda c: c["weightsManifest"][0]["weights"][0].update(shape=[9, 9, 999, 999]), "end before"),
        (lambda c: c["weightsManifest"][0]["weights"].pop(), "bytes of weights"),
        (
            lambda c: c["weightsManifest"][0]["weights"][0].update(quantization={"dtype": "object"}),
            "'object'",
        ),
    ],
)
def test_a_damaged_graph_is_refused_by_name(tmp_path, change, says):
    source = write_graph(tmp_path, random_movenet(replace(THUNDER, width=0.25)))
    content = json.loads(source.read_text())
    change(content)
    source.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=says) as error:
        read_graph_model(source)
    assert str(source) in str(error.value)


def test_a_graph_of_another_network_is_refused(tmp_path):
    source = write_graph(tmp_path, random_movenet(THUNDER))
    with pytest.raises(ValueError, match="do not fit"):
        convert_movenet(source, tmp_path / "weights.safetensors", "movenet_multipose")
    assert not (tmp_path / "weights.safetensors").exists()


def test_weights_of_another_movenet_are_refused(tmp_path):
    save_movenet(tmp_path / "thunder.safetensors", random_movenet(THUNDER), "movenet_thunder", {})
    with pytest.raises(ValueError, match="detector"):
        load_movenet(tmp_path / "thunder.safetensors", "movenet_multipose")


def maps_with(people: list[tuple[int, int]], height: int = 24, width: int = 32) -> MoveNetMaps:
    """Maps of people whose boxes are 12 x 8 cells, their joints in a column through the center."""
    n = len(COCO17)
    center = torch.full((1, 1, height, width), -9.0)
    heatmaps = torch.full((1, n, height, width), -9.0)
    regression, offsets = torch.zeros(1, 2 * n, height, width), torch.full((1, 2 * n, height, width), 0.25)
    for row, column in people:
        center[0, 0, row, column] = 4.0
        for j in range(n):
            dy = j % 10 - 5
            heatmaps[0, j, row + dy, column] = 3.0
            regression[0, 2 * j, row, column] = dy
    size = torch.tensor([12.0, 8.0]).reshape(1, 2, 1, 1).expand(1, 2, height, width)
    return MoveNetMaps(center, heatmaps, regression, offsets, size, torch.full((1, 2, height, width), 0.5))


def test_people_are_decoded_where_they_are():
    places = [(8, 6), (12, 20)]
    (found,) = decode_multipose(maps_with(places), most_people=5)
    sure = found.person_scores > 0.5
    assert sure.sum() == 2
    for row, column in places:
        wanted = np.array([[column + 0.25, row + j % 10 - 5 + 0.25] for j in range(17)]) * 4
        assert any(np.allclose(xy, wanted, atol=1e-4) for xy in found.xy_px[sure])
    boxes = found.boxes_px[sure]
    assert np.allclose(boxes[:, 2:] - boxes[:, :2], [32, 48])
    assert found.scores[sure].min() > 0.9


def test_the_single_decoder_takes_the_person_nearest_the_center():
    maps = maps_with([(12, 15), (8, 3)])
    xy, scores = decode_single(maps)
    assert np.allclose(xy[0, :, 0], 15.25 * 4) and scores.min() > 0.9


def test_maps_without_boxes_are_refused():
    with pytest.raises(ValueError, match="with boxes"):
        decode_multipose(maps_with([])._replace(box_size=None))


def test_nobody_is_nobody_and_images_of_any_size_pass():
    detector = MultiPoseDetector(random_movenet(MULTIPOSE), "x", False, MultiPoseConfig((64,), min_score=1.0))
    thunder = ThunderKeypoints(random_movenet(THUNDER), "y", False)
    for shape in ((31, 77, 3), (480, 640, 3), (1, 1, 3)):
        image = np.full(shape, 99, np.uint8)
        people = detector.detect([image])
        assert len(people[0]) == 0
        assert len(thunder.keypoints([image], people)[0]) == 0


@pytest.fixture(scope="module")
def stages() -> tuple[MultiPoseDetector, ThunderKeypoints]:
    return load_multipose(), load_thunder()


def test_a_mirrored_image_gives_mirrored_people(stages, people_picture):
    detector, thunder = stages
    found = thunder.keypoints([people_picture], detector.detect([people_picture]))[0]
    mirrored = np.ascontiguousarray(people_picture[:, ::-1])
    other = thunder.keypoints([mirrored], detector.detect([mirrored]))[0].mirrored(people_picture.shape[1])
    assert len(found) >= 1
    best = found.xy_px[0]
    apart = [np.nanmedian(np.linalg.norm(best - xy, axis=-1)) for xy in other.xy_px]
    height = found.boxes_px[0, 3] - found.boxes_px[0, 1]
    assert min(apart) < 0.05 * height


@pytest.fixture(scope="module")
def people_picture() -> np.ndarray:
    from orpose_core.simulation import StreamConfig, simulate_frame

    frame = simulate_frame(StreamConfig("general", (240, 320), "color", seed=3), 0).frame
    assert frame.rgb is not None
    return frame.rgb


def test_joints_far_from_multiposes_lose_their_score(stages, people_picture):
    detector, thunder = stages
    (people,) = detector.detect([people_picture])
    assert len(people) >= 1 and people.hints is not None
    moved = replace(people, hints=people.hints + np.array([500.0, 0, 0]))
    near, far = (thunder.keypoints([people_picture], [p])[0] for p in (people, moved))
    assert far.scores.mean() < 0.7 * near.scores.mean()
    trusting = ThunderKeypoints(thunder._model, "x", config=ThunderConfig(disagreeing=1.0))
    assert np.allclose(
        trusting.keypoints([people_picture], [moved])[0].scores.max(), near.scores.max(), atol=0.3
    )


def coco_sample(realdata: Path) -> Path:
    folder = realdata / "coco_sample"
    if not folder.is_dir():
        pytest.skip(f"the sample of COCO is not at {folder}")
    return folder


def test_real_photographs_reach_the_promised_keypoint_ap(realdata, stages):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    folder = coco_sample(realdata)
    detector, thunder = stages
    truth, results = COCO(str(folder / "test_coco.json")), []
    for image_id in truth.getImgIds():
        path = folder / truth.loadImgs(image_id)[0]["file_name"]
        image = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        poses = thunder.keypoints([image], detector.detect([image]))[0]
        rows = np.concatenate([poses.xy_px, poses.scores[..., None]], axis=-1)
        results += [
            {
                "image_id": image_id,
                "category_id": 1,
                "keypoints": row.reshape(-1).tolist(),
                "score": float(score),
            }
            for row, score in zip(rows, poses.person_scores, strict=True)
        ]
    evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] >= 0.75
