"""MoveNet's maps to people: the decoders of the published graphs, with as many people as asked for.

A cell (row, column) of the maps and an offset in cells give a point in px of the network's image at
``(cell + offset) * 4``. As in the published graphs, that point counts from the image's corner.

One thing differs from the published graph of MultiPose: where the boxes of two people overlap, it gives a
joint the higher of the scores that the two have at its cell. Here each person's own score counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from orpose_core.models.movenet import STRIDE, MoveNetMaps
from orpose_core.types import Float64Array

_PEAK_WINDOW = 5
_SPREAD_SHARE = 0.3
"""The variance of the Gaussian around a regressed joint, as a share of the maps' shorter side, in cells^2."""
_SCORED_ABOVE = 0.127
"""A joint above it counts for the score of its person."""
_NEAR = 1.8
"""Softens the weight 1 / (distance + 1.8 cells) of the single-person decoder."""


@dataclass(frozen=True)
class MoveNetPeople:
    """People in one image, best first.

    Attributes:
        xy_px: float64 (m, 17, 2), px of the network's image from its corner, COCO's order.
        scores: float64 (m, 17), in [0, 1].
        boxes_px: float64 (m, 4), x1 y1 x2 y2, from the corner too.
        person_scores: float64 (m,), in [0, 1], the center's score times the mean of the joints that count.
    """

    xy_px: Float64Array
    scores: Float64Array
    boxes_px: Float64Array
    person_scores: Float64Array


def decode_multipose(maps: MoveNetMaps, most_people: int = 20) -> list[MoveNetPeople]:
    """Return the people in each image of a batch.

    A person is a peak of the center map. Each joint is the cell inside the person's box where the joint's
    map, times a Gaussian around the place that the center's cell regresses, is highest.

    Args:
        maps: of a network with boxes, batch B.
        most_people: number of peaks considered per image.

    Returns:
        B entries.
    """
    if maps.box_size is None or maps.box_offset is None:
        raise ValueError("decode_multipose: expected the maps of a network with boxes")
    center = torch.sigmoid(maps.center.float())
    peaks = center * (F.max_pool2d(center, _PEAK_WINDOW, 1, _PEAK_WINDOW // 2) == center)
    count = min(most_people, peaks[0].numel())
    order = peaks.flatten(1).topk(count).indices  # (B, k)
    return [_multipose_of_image(maps, b, order[b]) for b in range(len(center))]


def _multipose_of_image(maps: MoveNetMaps, b: int, cells: Tensor) -> MoveNetPeople:
    assert maps.box_size is not None and maps.box_offset is not None
    height, width = maps.center.shape[-2:]
    row, column = cells // width, cells % width
    offset, size = maps.box_offset[b, :, row, column].float(), maps.box_size[b, :, row, column].float()
    middle = torch.stack([row + offset[0], column + offset[1]])  # (2, k)
    limit = torch.tensor([height, width], dtype=torch.float32)[:, None]
    low = torch.minimum((middle - size / 2).clamp(min=0), limit)
    high = torch.minimum((middle + size / 2).clamp(min=0), limit)
    rows, columns = torch.arange(height).float(), torch.arange(width).float()
    inside_row = (rows >= low[0][:, None]) & (rows < high[0][:, None])  # (k, h)
    inside_column = (columns >= low[1][:, None]) & (columns < high[1][:, None])  # (k, w)
    inside = inside_row[:, :, None] & inside_column[:, None, :]  # (k, h, w)
    near_row, near_column = _distances(maps.regression[b, :, row, column].float(), row, column, height, width)
    spread = _SPREAD_SHARE * min(height, width)
    # The Gaussian is a product of one factor per axis.
    weight = torch.exp(-near_row / spread)[..., None] * torch.exp(-near_column / spread)[:, :, None]
    heat = torch.sigmoid(maps.heatmaps[b].float())  # (n, h, w)
    weighted = heat[None] * weight * inside[:, None]
    scores, best = weighted.flatten(2).max(dim=2)  # (k, n)
    xy = _refined(maps.offsets[b].float(), best, width)
    counted = scores > _SCORED_ABOVE
    person = (scores * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
    person = person * torch.sigmoid(maps.center[b, 0, row, column].float())
    boxes = torch.stack([low[1], low[0], high[1], high[0]], dim=1) * STRIDE
    ranked = torch.argsort(person, descending=True, stable=True)
    return MoveNetPeople(
        *(value[ranked].double().numpy() for value in (xy * STRIDE, scores.clamp(0, 1), boxes, person))
    )


def decode_single(maps: MoveNetMaps) -> tuple[Float64Array, Float64Array]:
    """Return the joints of the person nearest the center of each image of a batch.

    Args:
        maps: batch B, of square images.

    Returns:
        float64 (B, 17, 2), px of the network's image from its corner; and scores, float64 (B, 17), in [0, 1].
    """
    height, width = maps.center.shape[-2:]
    rows, columns = torch.arange(height).float(), torch.arange(width).float()
    from_center = torch.hypot(rows[:, None] - height / 2, columns[None] - width / 2)
    center = torch.sigmoid(maps.center[:, 0].float()) / (from_center + _NEAR)
    cells = center.flatten(1).argmax(dim=1)  # (B,)
    xy, scores = [], []
    for b, cell in enumerate(cells):
        row, column = (cell // width)[None], (cell % width)[None]
        near_row, near_column = _distances(
            maps.regression[b, :, row, column].float(), row, column, height, width
        )
        distance = torch.sqrt(near_row[..., None] + near_column[:, :, None])  # (1, n, h, w)
        heat = torch.sigmoid(maps.heatmaps[b].float())
        best = (heat / (distance[0] + _NEAR)).flatten(1).argmax(dim=1)  # (n,)
        scores.append(heat.flatten(1).gather(1, best[:, None])[:, 0])
        xy.append(_refined(maps.offsets[b].float(), best[None], width)[0] * STRIDE)
    return torch.stack(xy).double().numpy(), torch.stack(scores).double().numpy()


def _distances(
    regression: Tensor, row: Tensor, column: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Return the squared distances of rows (k, n, h) and columns (k, n, w) from regressed joints, cells^2."""
    place = regression.unflatten(0, (-1, 2)).permute(2, 0, 1)  # (k, n, 2): y, x
    y, x = place[..., 0] + row[:, None], place[..., 1] + column[:, None]
    near_row = (torch.arange(height).float() - y[..., None]) ** 2
    near_column = (torch.arange(width).float() - x[..., None]) ** 2
    return near_row, near_column


def _refined(offsets: Tensor, best: Tensor, width: int) -> Tensor:
    """Return x and y in cells (k, n, 2) of cells (k, n), moved by each joint's own offset."""
    both = offsets.unflatten(0, (-1, 2)).flatten(2)  # (n, 2, h * w): y, x
    joint = torch.arange(both.shape[0])
    moved = both[joint, :, best]  # (k, n, 2)
    return torch.stack([best % width + moved[..., 1], best // width + moved[..., 0]], dim=-1)
