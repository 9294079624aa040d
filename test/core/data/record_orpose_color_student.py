"""Record what detectron2 gives for the seeded student of test_convert_orpose_color.py.

    python record_orpose_color_student.py DETECTRON2_CHECKOUT ORPOSE_COLOR_CHECKOUT

Needs the packages that detectron2 imports (fvcore, iopath, omegaconf, yacs, cloudpickle); none of its
compiled operators is used. Writes orpose_color_student_outputs.json beside itself.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import PIL.Image
import torch

HERE = Path(__file__).resolve().parent


def main(detectron2: str, orpose_color: str) -> None:
    """Build the authors' network, fill it, run it, write what it says."""
    sys.path[:0] = [detectron2, orpose_color]
    sys.modules["IPython"] = types.ModuleType("IPython")  # the authors' drawing code wants a notebook
    display = types.ModuleType("IPython.display")
    display.HTML = display.display = None  # type: ignore[attr-defined]
    sys.modules["IPython.display"] = display
    PIL.Image.LINEAR = PIL.Image.BILINEAR  # type: ignore[attr-defined]  # gone from Pillow 10
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model
    from keypoints_3d import add_keypoints3d_config

    spec = importlib.util.spec_from_file_location("seeded", HERE.parent / "test_convert_orpose_color.py")
    assert spec and spec.loader
    seeded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(seeded)
    statistics = seeded.seeded_statistics()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps({k: v.tolist() for k, v in statistics.items()}))
        file.flush()
        cfg = get_cfg()
        add_keypoints3d_config(cfg)
        cfg.merge_from_file(str(Path(orpose_color) / "configs" / "orpose_fixed_12x.yaml"))
        cfg.DATASETS.H36_STATS_PATH = file.name
        cfg.MODEL.DEVICE = "cpu"
        cfg.TEST.DETECTIONS_PER_IMAGE = seeded.PEOPLE
        model = build_model(cfg).eval()
    model.load_state_dict(seeded.seeded_tensors(), strict=False)
    missing = set(dict(seeded.key_list())) ^ set(model.state_dict())
    assert not missing, missing
    bgr = np.ascontiguousarray(seeded.seeded_image()[:, :, ::-1].transpose(2, 0, 1))
    height, width = seeded.IMAGE_HW
    with torch.no_grad():
        found = model.inference([{"image": torch.from_numpy(bgr).float(), "height": height, "width": width}])[
            0
        ]["instances"]
    joints = np.zeros((len(found), 96))
    used = statistics["dim_to_use_3d"]
    joints[:, used] = found.pred_keypoints_h36_3d.numpy() * statistics["data_std_3d"][used]
    joints[:, used] += statistics["data_mean_3d"][used]
    joints = np.concatenate([np.zeros((len(found), 3)), joints[:, used]], axis=1).reshape(-1, 17, 3)
    recorded = {
        "boxes": found.pred_boxes.tensor, "scores": found.scores,
        "keypoints": found.pred_keypoints[..., :2], "keypoint_scores": found.pred_keypoints[..., 2],
        "joints_3d_mm": joints,
    }  # fmt: skip
    text = json.dumps({k: np.asarray(v, float).tolist() for k, v in recorded.items()})
    (HERE / "orpose_color_student_outputs.json").write_text(text + "\n")
    print(np.asarray(found.pred_boxes.tensor), np.asarray(found.scores))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
