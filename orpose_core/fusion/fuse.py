"""One moment of a room: the skeletons of several cameras become one per person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.association import grouped, pair_gains, track_gains
from orpose_core.fusion.body_prior import BodyTree, body_tree
from orpose_core.fusion.config import FusionConfig, Limits
from orpose_core.fusion.detections import Detections, gather
from orpose_core.fusion.people import RoomPeople
from orpose_core.fusion.placing import Alone, place_alone, place_groups, seen_joints
from orpose_core.fusion.rig import View
from orpose_core.skeleton import COCO17, Skeleton
from orpose_core.types import Float64Array, Source3D


@dataclass(frozen=True)
class Expected:
    """The people who are tracked, where they should be at the fused moment.

    Attributes:
        xyz_room_m: float64 (t, n, 3), room frame, NaN = unknown.
        spread_m: float64 (t, n), deviation along one axis.
        velocity_m_s: float64 (t, 3), of the whole person.
    """

    xyz_room_m: Float64Array
    spread_m: Float64Array
    velocity_m_s: Float64Array

    @classmethod
    def nobody(cls, joints: int) -> Expected:
        """Return an empty one."""
        return cls(np.zeros((0, joints, 3)), np.zeros((0, joints)), np.zeros((0, 3)))


@dataclass(eq=False)
class _Person:
    """Somebody: the detections that are of this person, and where the joints are."""

    rows: NDArray[np.int64]
    track: int
    x: Float64Array
    covariance: Float64Array
    cost: float
    flips: NDArray[np.bool_]
    residuals: Float64Array


@dataclass(frozen=True, eq=False)
class _Moment:
    """All that is known of the moment."""

    found: Detections
    alone: Alone
    straight: Float64Array
    crossed: Float64Array
    expected: Expected
    tree: BodyTree
    limits: Limits
    config: FusionConfig
    skeleton: Skeleton

    def placed(self, groups: Sequence[NDArray[np.int64]], tracks: Sequence[int]) -> list[_Person]:
        """Place people, one per group of detections; a track tells how they move, -1 = none."""
        if not groups:
            return []
        velocities = np.zeros((len(groups), 3))
        for i, track in enumerate(tracks):
            if track >= 0:
                velocities[i] = self.expected.velocity_m_s[track]
        rows = _padded(groups)
        placed = place_groups(
            rows, velocities, self.straight, self.crossed, self.found, self.alone, self.tree, self.limits
        )
        return [
            _Person(g, t, placed.x[i], placed.covariance[i], float(placed.cost[i]), placed.flips[i, : len(g)],
                    placed.residuals[i, : len(g)])
            for i, (g, t) in enumerate(zip(groups, tracks, strict=True))
        ]  # fmt: skip


def fuse(
    views: Sequence[View],
    config: FusionConfig | None = None,
    skeleton: Skeleton | None = None,
    stamp_ns: int | None = None,
    expected: Expected | None = None,
) -> RoomPeople:
    """Fuse what several cameras saw at about the same time.

    Args:
        views: at most one of each camera.
        config: settings.
        skeleton: of the result; None = the first view's.
        stamp_ns: the moment; None = the newest view's.
        expected: people who are tracked: they help to tell who is who, and ``track_ids`` of the result are
            their rows here, -1 = somebody new.

    Returns:
        Everybody, the surest first. Joints that one camera alone saw have the covariance that they deserve:
        long along the ray.
    """
    moment = _moment(views, config, skeleton, stamp_ns, expected)
    people = _confirmed(moment, moment.placed(*_groups(moment)))
    return _result(moment, people, len(views))


class Sight(NamedTuple):
    """Somebody as one view saw them.

    Attributes:
        view: number of the view.
        row: of the person in the view's poses.
        flipped: whether left and right are exchanged there.
    """

    view: int
    row: int
    flipped: bool


def same_people(views: Sequence[View], config: FusionConfig | None = None) -> list[list[Sight]]:
    """Return who of the views is whom: for each person whom two views or more saw, where they are."""
    moment = _moment(views, config, None, None, None)
    people = _confirmed(moment, moment.placed(*_groups(moment)))
    return [
        [
            Sight(int(moment.found.camera[row]), int(moment.found.row[row]), bool(flip))
            for row, flip in zip(person.rows, person.flips, strict=True)
        ]
        for person in people
        if len(person.rows) > 1
    ]


def _moment(
    views: Sequence[View],
    config: FusionConfig | None,
    skeleton: Skeleton | None,
    stamp_ns: int | None,
    expected: Expected | None,
) -> _Moment:
    config = config or FusionConfig()
    skeleton = skeleton or (views[0].poses.skeleton if views else COCO17)
    tree, limits = body_tree(skeleton), config.limits()
    moment_ns = max((view.stamp_ns for view in views), default=0) if stamp_ns is None else stamp_ns
    found = gather(views, skeleton, config, moment_ns)
    alone = place_alone(found, tree, limits)
    straight, crossed = pair_gains(found, alone, tree, limits)
    return _Moment(
        found, alone, straight, crossed, expected or Expected.nobody(len(skeleton)), tree, limits, config,
        skeleton,
    )  # fmt: skip


def _groups(moment: _Moment) -> tuple[list[NDArray[np.int64]], list[int]]:
    """Return which detections are one person, and which track each group is, -1 = none.

    A track takes part as the only detection of a view of its own.
    """
    found, expected = moment.found, moment.expected
    d, t = len(found.camera), len(expected.velocity_m_s)
    gains = np.full((t + d, t + d), -np.inf)
    gains[t:, t:] = np.maximum(moment.straight, moment.crossed)
    if t:
        gains[:t, t:] = track_gains(expected.xyz_room_m, expected.spread_m, expected.velocity_m_s, found,
                                    moment.alone, moment.tree, moment.limits)  # fmt: skip
        gains[t:, :t] = gains[:t, t:].T
    view = np.concatenate([np.full(t, -1, np.int64), found.camera])
    group = grouped(gains, view, moment.limits.min_gain)
    members = [np.flatnonzero(group == g) for g in np.unique(group)]
    seen = [rows for rows in members if rows[-1] >= t]
    return [rows[rows >= t] - t for rows in seen], [int(rows[0]) if rows[0] < t else -1 for rows in seen]


def _confirmed(moment: _Moment, people: list[_Person]) -> list[_Person]:
    """Send away views that do not fit, people seen too little, and those whom somebody surer already is."""
    kept: list[_Person] = []
    for person in people:
        while len(person.rows) > 1 and person.residuals.max() > moment.config.max_residual:
            worst = int(np.argmax(person.residuals))
            alone, person = moment.placed(
                [person.rows[[worst]], np.delete(person.rows, worst)], [-1, person.track]
            )
            kept.append(alone)
        kept.append(person)
    kept.sort(key=lambda p: (p.track < 0, -len(p.rows), p.cost))
    chosen: list[_Person] = []
    for person in kept:
        sure = len(person.rows) > 1 or person.track >= 0 or _sure_enough(moment, person)
        if sure and not (len(person.rows) == 1 and _taken(moment, person, chosen)):
            chosen.append(person)
    return chosen


def _sure_enough(moment: _Moment, person: _Person) -> bool:
    row = person.rows[0]
    there = moment.alone.sigma[row] > 0
    return bool(
        there.sum() >= moment.config.single_min_joints
        and moment.found.scores[row][there].mean() >= moment.config.single_min_score
    )


def _taken(moment: _Moment, person: _Person, chosen: list[_Person]) -> bool:
    """Return whether somebody chosen stands where this person would, within the deviations of both."""
    there = _there(moment, person).any(axis=0)
    slack = 0.01 * np.eye(3)
    for other in chosen:
        both = np.flatnonzero(there & _there(moment, other).any(axis=0))
        if len(both) < 3:
            continue
        apart = person.x[both] - other.x[both]
        spread = person.covariance[both] + other.covariance[both] + slack
        distance = np.sqrt(np.einsum("ji,jik,jk->j", apart, np.linalg.inv(spread), apart))
        if np.median(distance) < moment.config.same_place:
            return True
    return False


def _there(moment: _Moment, person: _Person) -> NDArray[np.bool_]:
    """Return which joints each view of a person has, bool (v, n), sides exchanged where they were."""
    there = moment.alone.sigma[person.rows] > 0
    mirrored = there[:, moment.tree.flip[: there.shape[1]]]
    return np.where(person.flips[:, None], mirrored, there)


def _stature(moment: _Moment, person: _Person, n: int) -> Float64Array:
    """Return what not knowing a person's size adds to the joints' covariances, (n, 3, 3), along the rays.

    All bones of a person are long or short together, which a tree of independent bones does not know. Depth
    that was measured leaves little of it.
    """
    row = person.rows[0]
    ray = person.x[:n] - moment.found.centres[moment.found.camera[row]]
    share = moment.config.stature_spread / (1 + np.count_nonzero(moment.found.sigma_z[row]))
    return share**2 * ray[:, :, None] * ray[:, None, :]


def _result(moment: _Moment, people: list[_Person], views: int) -> RoomPeople:
    """Return what is sure enough of the people."""
    skeleton, found = moment.skeleton, moment.found
    m, n = len(people), len(skeleton)
    x = np.array([person.x[:n] for person in people]).reshape(m, n, 3)
    covariance = np.array([person.covariance[:n] for person in people]).reshape(m, n, 3, 3)
    groups, flips = _padded([p.rows for p in people]), np.zeros((m, views), bool)
    seen_by, person_scores = np.zeros((m, views), bool), np.zeros(m)
    for i, person in enumerate(people):
        flips[i, : len(person.rows)] = person.flips
        seen_by[i, found.camera[person.rows]] = True
        person_scores[i] = found.person_scores[person.rows].max()
        if len(person.rows) == 1 and person.track < 0:
            covariance[i] += _stature(moment, person, n)
    best, count = seen_joints(groups, flips, moment.alone.sigma, found.scores, moment.tree.flip)
    sure = (count > 0) & (np.trace(covariance, axis1=2, axis2=3) / 3 <= moment.config.max_sigma_m**2)
    return RoomPeople(
        skeleton,
        np.where(sure[..., None], x, np.nan),
        np.where(sure[..., None, None], covariance, np.nan),
        np.where(sure, np.clip(best, 1e-6, 1.0), 0.0),
        np.clip(person_scores, 0, 1),
        np.where(sure, Source3D.FUSED, Source3D.NONE).astype(np.uint8),
        count,
        seen_by,
        np.array([person.track for person in people], np.int64).reshape(m),
    )


def _padded(groups: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return groups of rows as one array, int64 (m, most), -1 = no more."""
    rows = np.full((len(groups), max(map(len, groups), default=0)), -1, np.int64)
    for i, group in enumerate(groups):
        rows[i, : len(group)] = group
    return rows
