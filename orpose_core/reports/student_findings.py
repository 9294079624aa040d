"""The findings of ORPose compared with our runs: each claim with its numbers and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orpose_core.reports.pages import verdict

SCALES = (1, 8, 10, 12)

Scores = Mapping[str, float]
"""``box_ap``, ``keypoint_ap`` and ``pck`` in percent, ``mpjpe_mm``."""

LEAST_GAIN = {1: 5.0, 8: 0.0, 10: 0.0, 12: 10.0}
"""Points of keypoint AP that distillation must gain at each scale to count as the paper's finding."""

NEAR_FIXED = 1.5
"""Points of keypoint AP that ORPose_all may lose against a model of one scale."""

NOT_WORSE_MM = 1.0
"""Difference of MPJPE, mm, up to which two branches count as not worse than the best single branch."""

NO_ROOM = 10.0
"""Keypoint AP below which claims that two networks score alike cannot be verified."""

ABLATION = ("single_hard", "single_soft", "single_hard_soft")

Table = Mapping[str, Mapping[int, Scores]]
"""Row to scale to scores."""


def findings(table: Table) -> list[str]:
    """Return one Markdown list item for each claim of the paper that can be checked with the rows."""
    claims = (_distillation, _space, _all_against_fixed, _teacher, _branches, _truth)
    return [line for line in (claim(table) for claim in claims) if line]


def _verdict(good: bool, part: bool = False, best_ap: float = 100.0) -> str:
    can_tell = best_ap >= NO_ROOM
    return verdict(good, part, can_tell) + ("" if can_tell else " (keypoint AP too low)")


def _distillation(table: Table) -> str:
    before, after = table.get("undistilled", {}), table.get("all", {})
    scales = [s for s in SCALES if s in before and s in after]
    if not scales:
        return ""
    gains = {s: after[s]["keypoint_ap"] - before[s]["keypoint_ap"] for s in scales}
    enough = [gains[s] > LEAST_GAIN[s] for s in scales]
    listed = ", ".join(f"{gains[s]:+.1f} at {s}x" for s in scales)
    return (
        f"- {_verdict(all(enough), all(g > 0 for g in gains.values()))}: the distilled student (`all`) is "
        f"above the undistilled one at every scale, by at least {LEAST_GAIN[1]:g} points of keypoint AP at "
        f"1x and {LEAST_GAIN[12]:g} at 12x: {listed}. PCK@0.2: {_listed(before, after, scales)}."
    )


def _listed(before: Mapping[int, Scores], after: Mapping[int, Scores], scales: Sequence[int]) -> str:
    return ", ".join(f"{after[s]['pck'] - before[s]['pck']:+.1f} at {s}x" for s in scales)


def _space(table: Table) -> str:
    before, after = table.get("undistilled", {}), table.get("all", {})
    scales = [s for s in SCALES if s in before and s in after]
    if not scales:
        return ""
    gains = {s: before[s]["mpjpe_mm"] - after[s]["mpjpe_mm"] for s in scales}
    listed = ", ".join(f"{-gains[s]:+.0f} at {s}x" for s in scales)
    good = [g > 0 for g in gains.values()]
    return (
        f"- {_verdict(all(good), any(good))}: distillation lowers the error in space: {listed} mm of MPJPE."
    )


def _all_against_fixed(table: Table) -> str:
    ours = table.get("all", {})
    lost = {
        s: table[f"fixed_{s}x"][s]["keypoint_ap"] - ours[s]["keypoint_ap"]
        for s in SCALES
        if s in ours and s in table.get(f"fixed_{s}x", {})
    }
    if not lost:
        return ""
    near = [value <= NEAR_FIXED for value in lost.values()]
    best = max(ours[s]["keypoint_ap"] for s in lost)
    listed = ", ".join(f"{-value:+.1f} at {s}x" for s, value in lost.items())
    return (
        f"- {_verdict(all(near), any(near), best)}: `all` loses at most {NEAR_FIXED:g} points of keypoint AP "
        f"against the model of each single scale (here what it gains): {listed}. PCK@0.2: "
        + _listed({s: table[f"fixed_{s}x"][s] for s in lost}, ours, list(lost))
        + "."
    )


def _teacher(table: Table) -> str:
    teacher, student = table.get("teacher", {}), table.get("all", {})
    if 12 not in teacher or 12 not in student:
        return ""
    mine, theirs = student[12]["keypoint_ap"], teacher[12]["keypoint_ap"]
    pck = student[12]["pck"] > teacher[12]["pck"]
    line = (
        f"- {_verdict(mine > theirs and pck, mine > theirs or pck)}: at 12x the student (`all`) is above its "
        f"teacher: {mine:.1f} against {theirs:.1f} keypoint AP"
    )
    if 1 in teacher and 1 in student:
        line += f" (at 1x {student[1]['keypoint_ap']:.1f} against {teacher[1]['keypoint_ap']:.1f})"
    return f"{line}. PCK@0.2 at 12x: {student[12]['pck']:.1f} against {teacher[12]['pck']:.1f}."


def _branches(table: Table) -> str:
    two = table.get("all", {}).get(1)
    singles = {row: table[row][1] for row in ABLATION if 1 in table.get(row, {})}
    if two is None or not singles:
        return ""
    best = max(singles, key=lambda row: singles[row]["keypoint_ap"])
    nearest = min(singles, key=lambda row: singles[row]["mpjpe_mm"])
    ap, mm = singles[best]["keypoint_ap"], singles[nearest]["mpjpe_mm"]
    good_2d, good_3d = two["keypoint_ap"] >= ap, two["mpjpe_mm"] <= mm + NOT_WORSE_MM
    verdict = _verdict(good_2d and good_3d, good_2d or good_3d, max(ap, two["keypoint_ap"]))
    return (
        f"- {verdict}: at 1x two branches are at least as good as "
        f"the best single one in 2D ({two['keypoint_ap']:.1f} against {ap:.1f} keypoint AP of `{best}`) and "
        f"not worse in 3D ({two['mpjpe_mm']:.0f} against {mm:.0f} mm of `{nearest}`). PCK@0.2: "
        f"{two['pck']:.1f} against {max(s['pck'] for s in singles.values()):.1f} of the best."
    )


def _truth(table: Table) -> str:
    """Return the gain of the same student with the ground truth instead of the teacher's labels."""
    before, ours, best = (table.get(row, {}) for row in ("undistilled", "all", "exact"))
    scales = [s for s in SCALES if s in before and s in ours and s in best]
    if not scales:
        return ""
    listed = ", ".join(f"{best[s]['keypoint_ap'] - before[s]['keypoint_ap']:+.1f} at {s}x" for s in scales)
    lost = ", ".join(f"{best[s]['keypoint_ap'] - ours[s]['keypoint_ap']:.1f} at {s}x" for s in scales)
    return (
        f"- Upper bound: taught by the truth of the same images, the same student gains {listed} in keypoint "
        f"AP (PCK@0.2: {_listed(before, best, scales)}). What separates it from `all`, {lost}, is the "
        "quality of the teacher's labels."
    )
