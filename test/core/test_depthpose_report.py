"""The table of DepthPose's runs: which findings of the paper it shows."""

from __future__ import annotations

import json
from dataclasses import replace

from orpose_core.reports.depthpose_report import Row, report
from orpose_core.reports.pages import number, table, verdict
from orpose_core.training.depthpose.recipe import DepthPoseRecipe
from orpose_core.training.engine.recipe_run import recipe_values


def scores(average: float) -> dict[str, float]:
    parts = ("head", "shoulder", "hip", "elbow", "wrist", "average")
    return {f"pck_{part}": average for part in parts} | {"strict_pck_average": average, "frames": 2}


def test_the_table_says_which_findings_show() -> None:
    """Of results as runs write them; runs that are not alike give no findings."""
    rows = [
        Row(name, {"steps": 3, "images": 6, "domains": ["or"], "processes": 1, "scores": scores(average),
                   "images_per_s": 1.0, "share_waiting_for_data": 0.0, "minutes": 1.0, "data": "rooms",
                   "recipe": recipe_values(DepthPoseRecipe())}, 10, 1.0, 1.0)
        for name, average in (("RTPose_640x480", 50.0), ("RTPose_64x48", 45.0), ("DepthPose_64x48", 49.2))
    ]  # fmt: skip
    text = report(rows, threads=1)
    assert "**shows**: DepthPose_64x48 is -0.8 points above RTPose_640x480" in text
    assert "**shows**: DepthPose_64x48 is +4.2 points above RTPose_64x48 (wanted +4 or more" in text
    assert "SR+RTPose_64x48 (wanted" not in text and "the best average is 50.0" in text
    assert ", between" not in text
    for row, correct in zip(rows, (50, 45, 49), strict=True):
        row.results["per_frame"] = {"correct": [[correct] * 10, [0] * 10], "counted": [[100] * 10, [0] * 10]}
    assert ", between" not in report(rows, threads=1)  # it was not recorded which room a frame shows
    for row in rows:
        row.results["per_frame"]["room"] = [0, 1]
    assert "above RTPose_64x48, between +4.0 and +4.0 (wanted" in report(rows, threads=1)
    again = replace(rows[2], results=json.loads(json.dumps(rows[2].results)))
    again.results["recipe"]["engine"]["seed"] = 1
    again.results["scores"] = scores(47.2)
    again.results["per_frame"]["correct"] = [[47] * 10, [0] * 10]
    text = report([*rows, again], threads=1)
    assert "DepthPose_64x48 is +3.2 points above RTPose_64x48, between +2.0 and +4.0 (wanted" in text
    assert "with 1 or 2 seeds" in text and "| 49.2, 47.2 |" in text and "**DepthPose_64x48** (seed 1)" in text
    rows[2].results["scores"] = scores(48.9)
    assert "**does not show**: DepthPose_64x48 is +3.9 points above RTPose_64x48" in report(rows, threads=1)
    rows[2].results["window_hw"] = [32, 40]
    assert "not alike in: windows" in report(rows, threads=1) and "**shows**" not in report(rows, threads=1)


def test_tables_and_verdicts_are_written_in_one_way() -> None:
    assert (
        table(["", "AP"], [["all", "1.0"], ["none", ""]]) == "| | AP |\n|---|---|\n| all | 1.0 |\n| none | |"
    )
    assert [verdict(True), verdict(False, True), verdict(False)] == [
        "**shows**", "**shows in part**", "**does not show**"
    ]  # fmt: skip
    assert verdict(True, can_tell=False) == "**cannot tell**"
    assert number(None) == "-" and number(0.1234, 1, 100) == "12.3"
