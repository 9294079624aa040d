"""The table of single settings: rows of the shipped experiment, trained at miniature size."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.commands.recipes import train
from orpose_core.reports.design_report import write_design_report
from orpose_core.training.experiment import read_experiment, words_of

RECIPES = Path(__file__).resolve().parents[2] / "training"
MINIATURE = {
    "engine.steps": "2", "engine.batch": "2", "model.widths": "[8,16]", "model.input_hw": "[24,32]",
    "data.render_hw": "[96,128]", "data.crop_hw": "[16,20]", "data.cache.frames": "2",
    "data.domains": "[general]", "data.domain_shares": "[]", "data.domain_crowds": "[]",
    "validation.split": "general-val-v1", "validation.final_frames": "5",
}  # fmt: skip
ROWS = ("fastpose", "super_resolution", "coco_joints")


def test_each_row_says_what_is_different_and_what_it_is_worth(tmp_path: Path) -> None:
    steps = {step.name: step for step in read_experiment(RECIPES / "experiment_fastpose.yaml", MINIATURE)}
    for name in ROWS:
        words = words_of(steps[name], tmp_path)
        config = words.index("--config") + 1
        words[config] = str(RECIPES / f"{words[config]}.yaml")
        assert train("depthpose", words[2:]) == 0
    again = shutil.copytree(tmp_path / "coco_joints", tmp_path / "coco_joints_2")
    results = json.loads((again / "results.json").read_text())
    results["recipe"]["engine"]["seed"] = 1
    results["scores"]["pck_average"] += 4.0
    (again / "results.json").write_text(json.dumps(results))

    out = tmp_path / "table.md"
    text = write_design_report([tmp_path / n for n in (*ROWS, again.name)], out, threads=1, backend="torch")
    assert out.read_text() == text and "not alike" not in text
    minutes = results["recipe"]["engine"]["max_minutes"]
    assert f"for {minutes:g} minutes of one processor with 1 thread(s)" in text
    assert "5 frames of 5 rooms" in text
    rows = {line.split("|")[1].strip(): line.split("|") for line in text.splitlines() if line[:1] == "|"}
    assert set(rows) == {"", "---", *ROWS}
    assert rows["fastpose"][2].strip() == "" and rows["fastpose"][4].strip() == ""
    assert rows["super_resolution"][2].strip() == "`model.sr_scale` 4, `loss.hr_weight` 1.0"
    assert rows["coco_joints"][2].strip() == '`model.skeleton` "coco17"'
    number = r"[+-]?\d+\.\d"
    for name in ROWS[1:]:
        assert re.fullmatch(rf" {number} \({number} to {number}\) ", rows[name][4]), rows[name]
    average = json.loads((tmp_path / "coco_joints/results.json").read_text())["scores"]["pck_average"]
    assert rows["coco_joints"][3].startswith(f" {average + 2:.1f} (")
    assert "1 or 2 seeds" in text and "torch" in text
    parameters = [float(rows[name][7].split()[0]) for name in ROWS]
    assert parameters[1] > parameters[0] > 0 and rows["fastpose"][10].strip() == "4"
    kept = load_checkpoint(tmp_path / "coco_joints" / "weights.safetensors").config
    assert kept.skeleton == "coco17" and kept.keypoint_channels == 18

    with pytest.raises(ValueError, match="nowhere: expected the scored results of a finished run"):
        write_design_report([tmp_path / "nowhere"], out)
