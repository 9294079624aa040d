"""``SkeletonInfo`` and ``PoseModelInfo``: what the poses are of, and what computes them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from orpose_core.data.skeleton_messages.message_types import MessageTypes
from orpose_core.skeleton import SKELETONS, Skeleton


class ModelDescription(Protocol):
    """What a ``PoseModelInfo`` tells; :class:`orpose_core.estimators.ModelInfo` has it all."""

    @property
    def name(self) -> str:
        """Of the weights."""

    @property
    def sha256(self) -> str:
        """Of the weights file."""

    @property
    def licence(self) -> str:
        """Of the weights."""

    @property
    def backend(self) -> str:
        """What computes."""

    @property
    def device(self) -> str:
        """Really used."""

    @property
    def modality(self) -> str:
        """What enters the network: depth or color."""

    @property
    def input_hw(self) -> tuple[int, int]:
        """(height, width) of the image that enters the network."""

    @property
    def skeleton(self) -> Skeleton:
        """Joint set of the poses."""

    @property
    def trained(self) -> bool:
        """False = the poses mean nothing."""


def to_skeleton_info(skeleton: Skeleton, types: MessageTypes) -> Any:
    """Return the ``SkeletonInfo`` of a joint set."""
    return types.SkeletonInfo(
        skeleton_model=skeleton.name,
        joints=list(skeleton.joints),
        edges=types.numbers([i for edge in skeleton.edges for i in edge], np.uint16),
        flip_pairs=types.numbers([i for pair in skeleton.flip_pairs for i in pair], np.uint16),
        sigmas=types.numbers([float(s) for s in skeleton.sigmas], np.float32),
    )


def to_model_info(model: ModelDescription, types: MessageTypes, *, max_pixels: int) -> Any:
    """Return the ``PoseModelInfo`` of a model; the name of one without training begins with "untrained".

    Args:
        model: what computes.
        types: message classes.
        max_pixels: the node's limit, px of width times height; 0 = none.
    """
    name = model.name
    if not model.trained and not name.startswith("untrained"):
        name = f"untrained:{name}"
    return types.PoseModelInfo(
        name=name,
        sha256=model.sha256,
        licence=model.licence,
        backend=model.backend,
        device=model.device,
        modality=model.modality,
        skeleton_model=model.skeleton.name,
        input_width=int(model.input_hw[1]),
        input_height=int(model.input_hw[0]),
        max_pixels=int(max_pixels),
        trained=bool(model.trained),
    )


def from_skeleton_info(message: Any) -> Skeleton:
    """Return the joint set that a ``SkeletonInfo`` describes; one of ours where it is the same."""
    known = SKELETONS.get(message.skeleton_model)
    if known is not None and list(known.joints) == list(message.joints):
        return known
    edges = [int(i) for i in message.edges]
    return Skeleton(
        message.skeleton_model,
        tuple(message.joints),
        tuple(zip(edges[::2], edges[1::2], strict=True)),
        tuple(float(s) for s in message.sigmas),
    )
