"""Record keys and outputs of detectron2's own Cascade Mask R-CNN in cascade_rcnn.json.

    python test/core/data/record_cascade_rcnn.py DETECTRON2_CHECKOUT

Needs the packages that detectron2 imports (fvcore, iopath, omegaconf, yacs, cloudpickle). On the CPU
detectron2 calls torchvision for RoIAlign, deformable convolution and suppression. Its own compiled module
is not used; an empty one stands in for it. Both networks get the same seeded weights.
"""

from __future__ import annotations

import hashlib
import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from orpose_core.models.cascade.config import CASCADES, X152, CascadeConfig
from orpose_core.models.cascade.rcnn import CascadeRcnn

HERE = Path(__file__).parent
SMALL = "cascade_mask_rcnn_small"
RECORDED = {  # few proposals and small images: the tests run these
    SMALL: (SMALL, {"proposals": 25}, (120, 160)),
    X152: (X152, {"proposals": 12, "short_side_px": 64, "long_side_px": 1333}, (90, 120)),
}
COMPARED = {  # and this is run here, on the spot
    "small, 1000 proposals": (SMALL, {"proposals": 1000, "proposals_per_level": 1000}, (150, 200)),
    "X152, 300 proposals": (X152, {"proposals": 300, "short_side_px": 240}, (480, 640)),
}


def config_of(name: str, changes: dict[str, Any]) -> CascadeConfig:
    return replace(CASCADES[name], **changes)


def fill_seeded(model: nn.Module) -> nn.Module:
    """Give every tensor a value that depends on the sorted names alone.

    The taps look up to some cells away, the scores of the regions are spread, the boxes move.
    """
    generator = torch.Generator().manual_seed(30)
    for key, value in sorted(model.state_dict().items()):
        if key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
            value.uniform_(0.3, 0.7, generator=generator)
        else:
            value.normal_(generator=generator)
            value.mul_(1 / value[0].numel() ** 0.5 if value.ndim > 1 else 0.1)
        if "stem.conv1.weight" in key:
            value.mul_(0.03)  # grey levels enter
        elif key.endswith("cls_score.weight"):
            value.mul_(12.0)
        elif key.endswith("cls_score.bias"):
            value[0] += 6  # some are people
        elif key.endswith("conv3.norm.weight"):
            value.mul_(0.5)  # 50 blocks, one upon the other
    return model.eval()


def seeded_image(height: int, width: int) -> np.ndarray:
    """Rectangles of one color on noise, uint8 (height, width, 3), red first."""
    rng = np.random.default_rng(31)
    image = rng.integers(60, 120, (height, width, 3))
    for _ in range(12):
        y, x = rng.integers(0, height), rng.integers(0, width)
        image[y : y + rng.integers(8, height // 2), x : x + rng.integers(8, width // 2)] += rng.integers(
            -60, 130, 3
        )
    return image.clip(0, 255).astype(np.uint8)


def keys_sha256(model: nn.Module) -> str:
    lines = [f"{key}\t{tuple(value.shape)}\n" for key, value in sorted(model.state_dict().items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def numbers_of(maps: Tensor) -> dict[str, Any]:
    """A checksum that tolerates the last digits: moments, and values spread over the maps."""
    flat = maps.double().flatten()
    some = flat[:: max(1, len(flat) // 8)][:8]
    return {"mean": flat.mean().item(), "std": flat.std().item(), "values": some.tolist()}


@torch.no_grad()
def run_ours(model: CascadeRcnn, rgb: np.ndarray) -> dict[str, Tensor]:
    """Everything between the image and the people in it; boxes in px of the image."""
    image = torch.from_numpy(rgb).permute(2, 0, 1).float() / 255
    resized = model.transform(image)
    image_hw = (int(resized.shape[-2]), int(resized.shape[-1]))
    features = model.features(resized)
    (proposals,) = model.proposal_generator(features, image_hw)
    (found,) = model([image])
    _, probabilities = model.roi_heads(features[:4], proposals, image_hw)
    pooled = features[0][:, :, :14, :14]
    return {
        **{f"p{i}": x for i, x in enumerate(features, start=2)},
        "proposals": proposals, "probabilities": probabilities, "boxes": found["boxes"],
        "scores": found["scores"], "classes": found["labels"] - 1, "mask": model.roi_heads.mask_head(pooled),
    }  # fmt: skip


def matched(expected: dict[str, Tensor], got: dict[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """Bring proposals and detections into the expected order, and say how many changed their rank.

    Scores that differ in the last digit alone may change places.
    """
    exact = "donot_use_mm_for_euclid_dist"
    proposals = torch.cdist(expected["proposals"], got["proposals"], compute_mode=exact).argmin(dim=1)
    named = [torch.cat([x["boxes"], 1e3 * x["classes"][:, None]], dim=1) for x in (expected, got)]
    detections = torch.cdist(*named, compute_mode=exact).argmin(dim=1)
    moved = sum(int((order != torch.arange(len(order))).sum()) for order in (proposals, detections))
    ordered = {key: got[key][proposals] for key in ("proposals", "probabilities")}
    ordered |= {key: got[key][detections] for key in ("boxes", "scores", "classes")}
    return {**got, **ordered}, moved


def original(checkout: str, name: str, config: CascadeConfig) -> Any:
    """Build detectron2's own network from the published config file."""
    sys.path.insert(0, checkout)
    import detectron2

    detectron2._C = sys.modules.setdefault("detectron2._C", types.ModuleType("detectron2._C"))
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    cfg = get_cfg()
    cfg.merge_from_file(f"{checkout}/configs/Misc/{X152}.yaml")
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.RPN.PRE_NMS_TOPK_TEST, cfg.MODEL.RPN.POST_NMS_TOPK_TEST = (
        config.proposals_per_level, config.proposals,
    )  # fmt: skip
    cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST = config.short_side_px, config.long_side_px
    if name == SMALL:
        resnet, head, mask = cfg.MODEL.RESNETS, cfg.MODEL.ROI_BOX_HEAD, cfg.MODEL.ROI_MASK_HEAD
        resnet.DEPTH, resnet.NUM_GROUPS, resnet.WIDTH_PER_GROUP = 50, config.groups, config.group_width
        resnet.STEM_OUT_CHANNELS, resnet.RES2_OUT_CHANNELS = config.stem_channels, config.res2_channels
        cfg.MODEL.FPN.OUT_CHANNELS = config.pyramid_channels
        head.CONV_DIM, head.FC_DIM = config.box_channels, config.box_features
        mask.NUM_CONV, mask.CONV_DIM = config.mask_convs, config.mask_channels
    return cfg, build_model(cfg)


@torch.no_grad()
def run_theirs(cfg: Any, model: Any, rgb: np.ndarray) -> dict[str, Tensor]:
    """The same from detectron2, prepared as its DefaultPredictor does."""
    from detectron2.data.transforms import ResizeShortestEdge

    height, width = rgb.shape[:2]
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    resize = ResizeShortestEdge([cfg.INPUT.MIN_SIZE_TEST] * 2, cfg.INPUT.MAX_SIZE_TEST)
    resized = resize.get_transform(bgr).apply_image(bgr)
    tensor = torch.as_tensor(resized.astype("float32").transpose(2, 0, 1))
    inputs = [{"image": tensor, "height": height, "width": width}]
    images = model.preprocess_image(inputs)
    features = model.backbone(images.tensor)
    proposals, _ = model.proposal_generator(images, features, None)
    heads = model.roi_heads
    near, scores = proposals, []
    for k in range(heads.num_cascade_stages):
        said = heads._run_stage([features[f] for f in heads.box_in_features], near, k)
        scores.append(heads.box_predictor[k].predict_probs(said, near)[0])
        boxes = heads.box_predictor[k].predict_boxes(said, near)
        near = heads._create_proposals_from_boxes(boxes, [p.image_size for p in proposals])
    found = model.inference(inputs)[0]["instances"]
    return {
        **features, "proposals": proposals[0].proposal_boxes.tensor, "probabilities": sum(scores) / 3,
        "boxes": found.pred_boxes.tensor, "scores": found.scores, "classes": found.pred_classes,
        "mask": heads.mask_head.layers(features["p2"][:, :, :14, :14]),
    }  # fmt: skip


def pair(checkout: str, name: str, changes: dict[str, Any]) -> tuple[Any, Any, CascadeRcnn]:
    config = config_of(name, changes)
    cfg, theirs = original(checkout, name, config)
    fill_seeded(theirs)
    with torch.device("meta"):
        ours = CascadeRcnn(config)
    ours.load_state_dict(theirs.state_dict(), strict=True, assign=True)
    return cfg, theirs, ours.eval()


def main(checkout: str) -> None:
    record = {}
    for title, (name, changes, image_hw) in {**COMPARED, **RECORDED}.items():
        cfg, theirs, ours = pair(checkout, name, changes)
        rgb = seeded_image(*image_hw)
        expected, got = run_theirs(cfg, theirs, rgb), run_ours(ours, rgb)
        print(title, {k: list(v.shape) for k, v in expected.items()})
        assert all(value.shape == got[key].shape for key, value in expected.items()), title
        got, moved = matched(expected, got)
        print(f"  {moved} proposals and detections at another rank")
        differences = {}
        for key, value in expected.items():
            differences[key] = (value - got[key]).abs().max().item()
            size = value.abs().max().item()
            print(f"  {key}: largest difference {differences[key]:.1e}, largest value {size:.3g}")
        if title in RECORDED:
            record[name] = {
                "keys": len(theirs.state_dict()),
                "keys_sha256": keys_sha256(theirs),
                "parameters": sum(p.numel() for p in theirs.parameters()),
                "differences": differences,
                "maps": {
                    k: numbers_of(expected[k])
                    for k in ("p2", "p3", "p4", "p5", "p6", "probabilities", "mask")
                },
                **{k: expected[k].tolist() for k in ("proposals", "boxes", "scores", "classes")},
            }
    (HERE / "cascade_rcnn.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
