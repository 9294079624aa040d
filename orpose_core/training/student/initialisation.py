"""Initial weights of a student, and the statistics that standardise its joints."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from torch import Tensor

from orpose_core.checkpoints.convert_orpose_color import read_h36_statistics
from orpose_core.checkpoints.files import load_checkpoint
from orpose_core.models.student.network import Student
from orpose_core.training.student.samples import StudentSamples, joint_statistics

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudentInitConfig:
    """Initial weights and statistics.

    Attributes:
        weights: name in ``weights/`` or file of a student with the same layers, to fine-tune it, or the
            published weights after `orpose convert`. A network with one branch can start from one with two.
        h36_statistics: the authors' ``h36stats.json``; None = the statistics of ``weights``, or, without
            those, of the training labels.
    """

    weights: str | None = None
    h36_statistics: str | None = None


def initialise_student(model: Student, config: StudentInitConfig, samples: StudentSamples) -> None:
    """Set the initial weights and statistics of a new student, in place.

    Raises:
        ValueError: the file contains another network, or one whose layers do not fit; the labels have no 3D.
    """
    if config.weights is not None:
        source = load_checkpoint(config.weights).model
        if not isinstance(source, Student):
            raise ValueError(f"{config.weights}: expected a student, got {type(source).__name__}")
        _copy(model, _fitting_branches(source, model), config.weights)
    elif model.config.norm == "frozen_batch":
        raise ValueError(
            "init.weights: a network whose norms are frozen needs weights to start from (the published ones, "
            "see `orpose convert`); to train from nothing set model.norm to 'batch'"
        )
    if config.h36_statistics is not None:
        model.statistics.set(**read_h36_statistics(config.h36_statistics))
    elif config.weights is None:
        model.statistics.set(*joint_statistics(samples))


def _fitting_branches(source: Student, target: Student) -> dict[str, Tensor]:
    """Return the source's weights under the target's names.

    A single branch starts from the mean of both deconvolutions, which gives the mean of both maps exactly,
    and from the soft lifter.
    """
    state = source.state_dict()
    if source.config.branches == target.config.branches or target.config.branches != "single":
        return state
    single: dict[str, Tensor] = {}
    for name, value in state.items():
        if ".soft." not in name and ".hard." not in name:
            single[name] = value
        elif ".soft." in name and name.startswith("keypoint_head"):
            single[name.replace(".soft.", ".single.")] = (value + state[name.replace(".soft.", ".hard.")]) / 2
        elif ".soft." in name:
            single[name.replace(".soft.", ".single.")] = value
    return single


def _copy(model: Student, state: dict[str, Tensor], name: str) -> None:
    own = model.state_dict()
    odd = [k for k in own if k not in state or state[k].shape != own[k].shape]
    odd += [k for k in state if k not in own]
    if odd:
        raise ValueError(
            f"{name}: these weights do not fit the network: missing, unknown or of another shape {odd[:3]}; "
            "trunk, widths, heads and norm must be the same"
        )
    model.load_state_dict(state)
    logger.info("%d tensors from %s", len(state), name)
