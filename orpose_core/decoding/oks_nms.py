"""Suppression of people that are the same: non-maximum suppression by object keypoint similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orpose_core.types import Poses


def oks_matrix(poses: Poses, areas_px2: NDArray | None = None) -> NDArray[np.float64]:
    """Return the similarity float64 (m, m) in [0, 1] of all pairs of people of one image.

    COCO's OKS over the joints that both have, with the mean of both people's areas; 0 where they share none.

    Args:
        poses: m people.
        areas_px2: (m,) of the people, px^2; None = of their boxes.
    """
    xy = poses.xy_px.astype(np.float64)
    sides = (poses.boxes_px[:, 2:] - poses.boxes_px[:, :2]).astype(np.float64)
    area = sides.prod(axis=1) if areas_px2 is None else np.asarray(areas_px2, np.float64)
    area = (area[:, None] + area[None]) / 2 + np.spacing(1)  # (m, m)
    variance = (2 * np.asarray(poses.skeleton.sigmas)) ** 2  # (n,)
    distance = np.square(xy[:, None] - xy[None]).sum(axis=-1)  # (m, m, n)
    similarity = np.exp(-distance / variance / area[..., None] / 2)
    shared = ~np.isnan(distance)
    return np.where(shared, similarity, 0).sum(axis=-1) / np.maximum(shared.sum(axis=-1), 1)


def suppress_by_oks(poses: Poses, threshold: float, areas_px2: NDArray | None = None) -> Poses:
    """Return the people without those whose similarity to a better one is above ``threshold``, best first."""
    similarity = oks_matrix(poses, areas_px2)
    kept: list[int] = []
    for i in np.argsort(-poses.person_scores, kind="stable"):
        if all(similarity[i, j] <= threshold for j in kept):
            kept.append(int(i))
    return poses.select(kept)
