"""Record keys and outputs of the authors' own HRNet and Simple Baselines in teacher_networks.json.

    python test/core/data/record_teacher_networks.py HRNET_CHECKOUT SIMPLE_BASELINES_CHECKOUT

The checkouts are leoxiaobin/deep-high-resolution-net.pytorch and
microsoft/human-pose-estimation.pytorch. Both networks get the same seeded weights; ours are compared on the
spot, at the released size too.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import yaml
from torch import Tensor, nn

HERE = Path(__file__).parent
SMALL_HW = (64, 96)
NAMES = (
    "pose_hrnet_w32_256x192",
    "pose_hrnet_w48_384x288",
    "pose_resnet_50_256x192",
    "pose_resnet_50_caffe_256x192",
    "pose_resnet_101_256x192",
    "pose_resnet_152_384x288",
)


def fill_seeded(model: nn.Module) -> nn.Module:
    """Give every tensor a value that depends on the sorted names alone, and keeps the maps near 1."""
    generator = torch.Generator().manual_seed(20)
    for key, value in sorted(model.state_dict().items()):
        if key.endswith("num_batches_tracked"):
            value.fill_(7)
        elif key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
            value.copy_(torch.rand(value.shape, generator=generator) * 0.4 + 0.3)
        elif value.ndim > 1:
            value.copy_(torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5)
        else:
            value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    return model.eval()


def seeded_input(height: int, width: int) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(21))


def keys_sha256(model: nn.Module) -> str:
    lines = [f"{key}\t{tuple(value.shape)}\n" for key, value in sorted(model.state_dict().items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def numbers_of(maps: Tensor) -> dict[str, Any]:
    """A checksum that tolerates the last digits: moments, and values spread over the maps."""
    flat = maps.double().flatten()
    some = flat[:: len(flat) // 16][:16]
    return {"mean": flat.mean().item(), "std": flat.std().item(), "values": some.tolist()}


class _Config(dict):
    __getattr__ = dict.__getitem__


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def original(name: str, hrnet: Path, baselines: Path) -> nn.Module:
    if "hrnet" in name:
        file = hrnet / f"experiments/coco/hrnet/{name.removeprefix('pose_hrnet_')}_adam_lr1e-3.yaml"
        return _module(hrnet / "lib/models/pose_hrnet.py").PoseHighResolutionNet(
            yaml.safe_load(file.read_text())
        )
    layers = next(n for n in (50, 101, 152) if f"_{n}_" in name)
    extra = _Config(
        NUM_LAYERS=layers, DECONV_WITH_BIAS=False, NUM_DECONV_LAYERS=3, NUM_DECONV_FILTERS=[256] * 3,
        NUM_DECONV_KERNELS=[4] * 3, FINAL_CONV_KERNEL=1,
    )  # fmt: skip
    style = "caffe" if "caffe" in name else "pytorch"
    config = _Config(MODEL=_Config(NUM_JOINTS=17, INIT_WEIGHTS=False, STYLE=style, EXTRA=extra))
    return _module(baselines / "lib/models/pose_resnet.py").get_pose_net(config, False)


@torch.inference_mode()
def main(hrnet: Path, baselines: Path) -> None:
    from orpose_core.checkpoints.keypoint_networks import keypoint_config
    from orpose_core.models.keypoint_networks import build_keypoint_network

    record = {}
    for name in NAMES:
        config = keypoint_config(name)
        theirs = fill_seeded(original(name, hrnet, baselines))
        ours = build_keypoint_network(config).eval()
        ours.load_state_dict(theirs.state_dict(), strict=True)
        image = seeded_input(*config.input_hw)
        expected, difference = theirs(image), (theirs(image) - ours(image)).abs().max().item()
        print(f"{name}: largest difference {difference:.1e}, largest value {expected.abs().max().item():.2f}")
        record[name] = {
            "keys": len(theirs.state_dict()),
            "keys_sha256": keys_sha256(theirs),
            "parameters": sum(p.numel() for p in theirs.parameters()),
            "difference_at_released_size": difference,
            "maps": numbers_of(theirs(seeded_input(*SMALL_HW))),
        }
    (HERE / "teacher_networks.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
