"""Which of somebody's sides is left, as the network before the training sees it.

A site shows few people, and most of them face the table. A network that is taught their sides learns them by
the place, and takes the left side of other people for their right one. The network before the training has
learned sides from thousands of people. So the labels say where joints are, and that network says how likely
each side is the left one (Li and Hoiem 2016, "Learning without Forgetting", for the sides alone).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from orpose_core.decoding.flip import keypoint_flip_order, paf_exchange_order
from orpose_core.skeleton import Skeleton

_DOUBT = 0.1
"""So much of an answer is always the label's: where the network sees nobody, the label's sides hold."""
_CONTRAST = 4.0
"""Chances are raised to this power: at a few px the maps of left and right blur into each other, and a share
of 0.64 for the sides of a label is as good as 0.9. With 1, training blurs them further (docs/adapting.md)."""
_EVEN = 1e-3
"""Of somebody's maps; with less between left and right there are no sides to be told apart."""


def label_share(labels: Tensor, answer: Tensor, people: Tensor, skeleton: Skeleton) -> Tensor:
    """Return how far a network's answer gives people the sides that their labels do.

    Each cell in which the label's maps of a left and a right joint differ is asked which of the two the
    network sees there. All joints of a person decide together.

    Args:
        labels: float32 (B, n + 1, h, w), keypoint maps of the labels.
        answer: float (B, n + 1, h, w), those of the network.
        people: int64 (B, h, w), whose each cell is; -1 = nobody's.
        skeleton: the joints of the maps.

    Returns:
        float32 (B, m) of persons 0 to m - 1 in ``people``, in [0, 1]: 1 = the label's sides, 0 = the other
        ones, 0.5 = one is as likely as the other. 1 where there are no sides to be told apart.
    """
    left, right = (list(side) for side in zip(*skeleton.flip_pairs, strict=True))
    answer = answer.float().clamp(min=0.0)
    apart, whole = labels[:, left] - labels[:, right], labels[:, left] + labels[:, right]
    seen_apart, seen = answer[:, left] - answer[:, right], answer[:, left] + answer[:, right]
    sums = torch.stack(
        [
            (apart * seen_apart).sum(1),
            (apart.abs() * seen).sum(1),
            apart.square().sum(1),
            (apart.abs() * whole).sum(1),
        ]
    )  # (4, B, h, w)
    count = max(int(people.max()) + 1, 1)
    of_people = sums.new_zeros((4, len(people), count + 1))  # those of nobody come first
    places = (people + 1).flatten(1).expand(4, -1, -1)
    of_people.scatter_add_(2, places, sums.flatten(2))
    agree, all_seen, label_agree, all_labelled = of_people[..., 1:]
    agree, all_seen = agree + _DOUBT * label_agree, all_seen + _DOUBT * all_labelled
    # Gaussians that overlap make even the labels' own answer less than certain: relative to that one.
    certainty = agree * all_labelled / (all_seen * label_agree).clamp(min=_EVEN * _EVEN)
    share = (0.5 + 0.5 * certainty).clamp(0.0, 1.0)
    ours, other = share**_CONTRAST, (1.0 - share) ** _CONTRAST
    return torch.where(label_agree > _EVEN, ours / (ours + other), 1.0)


def with_sides_of(answer: Tensor, batch: Mapping[str, Tensor], skeleton: Skeleton) -> dict[str, Tensor]:
    """Return a batch whose labels leave the sides of people to a network.

    Args:
        answer: float (B, n + 1, h, w), the network's keypoint maps of ``batch["image"]``.
        batch: of samples with ``people`` (:class:`orpose_core.training.depthpose.samples.SampleMaker`).
        skeleton: of the maps.

    Returns:
        The batch, its maps between those of the labels and those of the labels with left and right exchanged,
        by :func:`label_share` of each person.
    """
    people = batch["people"][:, 0].round().long()
    share = label_share(batch["keypoint_maps"], answer, people, skeleton)
    ours = torch.cat([share.new_ones((len(share), 1)), share], dim=1)  # nobody's cells stay as they are
    weight = ours.gather(1, (people + 1).flatten(1)).view_as(people)[:, None]
    keypoints, (pafs, paf_signs) = keypoint_flip_order(skeleton), paf_exchange_order(skeleton)
    one = share.new_ones(())
    exchanged = {
        "keypoint_maps": (keypoints, one),
        "known_keypoints": (keypoints, one),
        "paf_maps": (pafs, share.new_tensor(paf_signs)[:, None, None]),
        "known_pafs": (pafs, one),
    }
    return dict(batch) | {
        name: weight * batch[name] + (1.0 - weight) * sign * batch[name][:, list(order)]
        for name, (order, sign) in exchanged.items()
        if name in batch
    }
