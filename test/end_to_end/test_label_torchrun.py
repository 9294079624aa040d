"""`orpose label` under torchrun: real processes write the files of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from orpose_core.cli import main

_TEACHER = [
    "--detector", "untrained:fasterrcnn_mobilenet_v3_large_320_fpn", "--min-box-score", "0",
    "--keypoints", "untrained:pose_hrnet_w4_64x64", "--hard-score", "0.02", "--no-flip",
    "--batch", "1", "--limit", "4", "--motion", "0.2", "--quiet", "--device", "cpu",
]  # fmt: skip


def _files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_two_processes_write_the_files_of_one(tmp_path: Path) -> None:
    source = tmp_path / "ward"
    source.mkdir()
    rng = np.random.default_rng(0)
    for k in range(6):
        image = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
        for twin in range(1 + k % 2):  # each second one twice: nothing moved
            cv2.imwrite(str(source / f"{k}{twin}.png"), image)
    command = ["label", str(source), *_TEACHER, "--out"]
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "orpose_core.cli", *command, str(tmp_path / "two")],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=250, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.count("written to") == 1
    assert main([*command, str(tmp_path / "one")]) == 0
    one = _files(tmp_path / "one")
    assert _files(tmp_path / "two") == one
    assert sum(name.startswith("images/") for name in one) == 4
