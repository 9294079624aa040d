"""One id per person in the room: fuses the views of the cameras and predicts people in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from orpose_core.fusion.config import FusionConfig
from orpose_core.fusion.fuse import Expected, fuse
from orpose_core.fusion.kalman import apart, correct, expect, middle, predict
from orpose_core.fusion.people import RoomPeople
from orpose_core.fusion.rig import RoomCamera, View
from orpose_core.skeleton import Skeleton
from orpose_core.types import Float64Array, Source3D

_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip", "neck", "pelvis", "thorax", "spine")
_OVERLAP_S = 1.0  # a second track may have begun this long before the first is not seen any more
_IN_VIEW = 0.5  # a camera should see people of whom so large a share lies in its image
_BODY_M = 0.25  # a joint hides what lies this much farther, and this near beside it


@dataclass(frozen=True)
class RoomTrackerConfig:
    """Settings of the tracking in the room.

    Attributes:
        acceleration: density of the white acceleration of a joint, m/s^2 per root Hz: higher values follow
            faster, lower values are smoother.
        speed_m_s: deviation of the velocity of a new person.
        steady_share: this share of a measurement's deviation is the same for a while (a camera's calibration,
            a person's size), so that no number of measurements makes a joint surer than it.
        slack_m: added to a joint's deviation where detections are assigned.
        confirm_hits: number of moments after which a person seen by one camera is published.
        confirm_hits_several: the same for a person seen by several cameras.
        tentative_gap_s: an unconfirmed person not seen for longer is forgotten.
        max_gap_s: a confirmed person not seen for longer is lost, and no longer published.
        remember_s: somebody new who stands near where a lost person was last seen, at most this long ago, is
            that person and gets the id back. No other id is used twice.
        return_m: how near that is, at first; and how far off, as a deviation, somebody unseen is at most.
        return_m_s: how much farther it may be with every second.
        most_return_m: and how far at most.
        resume_s: somebody who appeared within ``return_m`` of a person after that person was last seen, or
            at most a second before if it is not seen for longer than this, is that person.
        doubt_score: a person whom one and the same camera alone has ever seen may be furniture, and is
            published while the log odds of the opposite, 0 at first, are not negative. The median confidence
            of the joints, as far as it is above this, adds to them at every moment at which it is seen.
        sight_nats: what it adds is multiplied by this.
        missed_nats: a camera that should see the person and does not takes this off, times the share of the
            joints in its view.
        most_nats: bound of the log odds, either way.
        coast_s: while nobody sees a person, velocities decay with this time constant: what a person does
            next is not known, and a velocity from a few measurements may be wrong.
        same_person_m: two tracked people whose trunks are nearer than this for a second are one.
    """

    acceleration: float = 2.0
    speed_m_s: float = 0.7
    steady_share: float = 0.7
    slack_m: float = 0.06
    confirm_hits: int = 3
    confirm_hits_several: int = 2
    tentative_gap_s: float = 1.2
    max_gap_s: float = 2.0
    remember_s: float = 30.0
    return_m: float = 0.5
    return_m_s: float = 0.2
    most_return_m: float = 1.0
    resume_s: float = 0.5
    doubt_score: float = 0.15
    sight_nats: float = 4.0
    missed_nats: float = 0.35
    most_nats: float = 3.0
    coast_s: float = 0.3
    same_person_m: float = 0.25

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            may_be_0 = name in ("steady_share", "doubt_score", "sight_nats", "missed_nats", "most_nats")
            if not (value >= 0 if may_be_0 else value > 0):
                raise ValueError(f"RoomTrackerConfig.{name}: expected a positive number, got {value}")


@dataclass(frozen=True, eq=False)
class _Lost:
    """Somebody confirmed whom nobody has seen for long."""

    track_id: int
    place: Float64Array  # (3,), where the trunk was when it was last seen
    seen_ns: int


@dataclass(eq=False)
class _Track:
    track_id: int
    mean: Float64Array
    covariance: Float64Array
    steady: Float64Array  # (n, 3, 3), what no number of measurements takes away
    began_ns: int
    seen_ns: int
    joint_seen_ns: NDArray[np.int64]
    scores: Float64Array
    person_score: float
    views: NDArray[np.int64]
    seen_by: NDArray[np.bool_]
    credit: float = 0.0  # 1 = seen often enough to be published
    cameras: set[str] = field(default_factory=set)  # that have ever seen this person
    nats: float = 0.0  # log odds that this is somebody, as long as one camera alone has
    lost: _Lost | None = None  # who this is, should it be confirmed
    place: Float64Array = field(default_factory=lambda: np.full(3, np.nan))  # of the trunk when last seen
    together_s: float = 0.0  # how long somebody older has stood in the same place

    @property
    def confirmed(self) -> bool:
        return self.credit >= 1 and (len(self.cameras) > 1 or self.nats >= 0)


class RoomTracker:
    """Tracks everybody in the room."""

    def __init__(
        self,
        skeleton: Skeleton,
        fusion: FusionConfig | None = None,
        config: RoomTrackerConfig | None = None,
    ) -> None:
        self.skeleton = skeleton
        self.fusion = fusion or FusionConfig()
        self.config = config or RoomTrackerConfig()
        self._tracks: list[_Track] = []
        self._lost: list[_Lost] = []
        self._now_ns: int | None = None
        self._next_id = 1
        trunk = [skeleton.index(joint) for joint in _TRUNK if joint in skeleton.joints]
        self._trunk = np.array(trunk or range(len(skeleton)), np.int64)

    def reset(self) -> None:
        """Forget everybody; ids go on."""
        self._tracks, self._lost, self._now_ns = [], [], None

    def update(self, views: Sequence[View], stamp_ns: int) -> RoomPeople:
        """Add the views of cameras and return all confirmed people at ``stamp_ns``.

        A person whom no camera sees is predicted (PREDICTED) for ``max_gap_s``. A stamp before the last
        one (a bag that starts again) forgets everybody first.

        Args:
            views: at most one of each camera, with their own stamps.
            stamp_ns: the moment.
        """
        if self._now_ns is not None and stamp_ns < self._now_ns:
            self.reset()
        dt_s = 0.0 if self._now_ns is None else (stamp_ns - self._now_ns) * 1e-9
        self._now_ns = stamp_ns
        self._forget(stamp_ns)
        for track in self._tracks:
            if not track.seen_by.any():
                track.mean[:, 3:] *= np.exp(-dt_s / self.config.coast_s)
            predict(track.mean, track.covariance, dt_s, self.config.acceleration)
            track.views, track.seen_by = np.zeros_like(track.views), np.zeros(len(views), bool)
        seen = fuse(views, self.fusion, self.skeleton, stamp_ns, self._expected())
        for row in range(len(seen)):
            self._take(seen, row, stamp_ns, len(views))
        self._doubt(views)
        self._resume(stamp_ns)
        self._merge(dt_s)
        return self._published(stamp_ns, len(views))

    def _forget(self, stamp_ns: int) -> None:
        """Give up people who have not been seen for long; those who were confirmed are remembered."""
        gone = [t for t in self._tracks if (stamp_ns - t.seen_ns) * 1e-9 > self._patience_s(t)]
        for track in gone:
            self._tracks.remove(track)
            if track.confirmed:
                self._lost.append(_Lost(track.track_id, track.place, track.seen_ns))
            elif track.lost is not None:  # it was not them
                self._lost.append(track.lost)
        self._lost = [p for p in self._lost if (stamp_ns - p.seen_ns) * 1e-9 <= self.config.remember_s]

    def _returned(self, place: Float64Array, stamp_ns: int) -> _Lost | None:
        """Return the lost person who is likeliest to stand at a place, or None; they are lost no longer."""
        best, least = None, 1.0
        for person in self._lost:
            gap_s = (stamp_ns - person.seen_ns) * 1e-9
            reach_m = self.config.return_m + self.config.return_m_s * gap_s
            share = float(np.linalg.norm(place - person.place)) / min(reach_m, self.config.most_return_m)
            if share < least:  # NaN is not
                best, least = person, share
        if best is not None:
            self._lost.remove(best)
        return best

    def _patience_s(self, track: _Track) -> float:
        return self.config.max_gap_s if track.credit >= 1 else self.config.tentative_gap_s

    def _expected(self) -> Expected:
        if not self._tracks:
            return Expected.nobody(len(self.skeleton))
        means = np.array([track.mean[:, :3] for track in self._tracks])
        spread_m, velocity_m_s = np.empty(means.shape[:2]), np.empty((len(means), 3))
        for i, track in enumerate(self._tracks):
            expect(track.mean, track.covariance, track.steady, self._trunk, spread_m[i], velocity_m_s[i])
        # After a second unseen the filter has somebody anywhere in the room, and nobody would be found again.
        spread_m = np.minimum(np.sqrt(spread_m**2 + self.config.slack_m**2), self.config.return_m)
        return Expected(means, spread_m, velocity_m_s)

    def _take(self, seen: RoomPeople, row: int, stamp_ns: int, views: int) -> None:
        """Enter one fused person into its track; somebody new begins one."""
        assert seen.track_ids is not None
        if not (seen.scores[row] > 0).any():
            return
        n = len(self.skeleton)
        number = int(seen.track_ids[row])
        if number >= 0:
            track = self._tracks[number]
        else:
            lost = self._returned(middle(seen.xyz_room_m[row], self._trunk), stamp_ns)
            track_id = self._next_id if lost is None else lost.track_id
            track = _Track(
                track_id, np.full((n, 6), np.nan), np.zeros((n, 6, 6)), np.zeros((n, 3, 3)), stamp_ns,
                stamp_ns, np.zeros(n, np.int64), np.zeros(n), 0.0, np.zeros(n, np.int64),
                np.zeros(views, bool), lost=lost,
            )  # fmt: skip
            self._next_id += lost is None
            self._tracks.append(track)
        there = seen.scores[row] > 0
        correct(track.mean, track.covariance, seen.xyz_room_m[row], seen.covariance_m2[row],
                self.config.speed_m_s)  # fmt: skip
        track.steady[there] = self.config.steady_share**2 * seen.covariance_m2[row][there]
        track.joint_seen_ns[there], track.seen_ns = stamp_ns, stamp_ns
        track.scores[there], track.person_score = seen.scores[row][there], float(seen.person_scores[row])
        track.views, track.seen_by = seen.views[row], seen.seen_by[row]
        track.place = middle(track.mean, self._trunk)
        several = seen.seen_by[row].sum() > 1
        hits = self.config.confirm_hits_several if several else self.config.confirm_hits
        track.credit += 1 / hits + 1e-9

    def _doubt(self, views: Sequence[View]) -> None:
        """Weigh what speaks for and against those whom one camera alone has ever seen."""
        for track in self._tracks:
            if len(track.cameras) > 1:
                continue
            for view, sees in zip(views, track.seen_by, strict=True):
                if sees:
                    score = float(np.median(track.scores[track.scores > 0]))
                    track.nats += self.config.sight_nats * max(score - self.config.doubt_score, 0.0)
                    track.cameras.add(view.camera.name)
                elif (share := self._share_in_view(view.camera, track)) >= _IN_VIEW:
                    track.nats -= self.config.missed_nats * share
            track.nats = min(max(track.nats, -self.config.most_nats), self.config.most_nats)

    def _share_in_view(self, camera: RoomCamera, track: _Track) -> float:
        """Return the share of a person's joints that lie in a camera's image with nobody in front of them."""
        xyz = track.mean[np.isfinite(track.mean[:, 0]), :3]
        px = camera.image_of(xyz)
        clear = camera.shows(px)
        for other in self._tracks:
            if other is track or not other.confirmed:
                continue
            front = camera.image_of(other.mean[np.isfinite(other.mean[:, 0]), :3])
            front = front[front[:, 2] > 0]  # what is behind the camera hides nothing
            near_px = _BODY_M * camera.intrinsics.fx / np.maximum(front[:, 2], _BODY_M)
            over = np.linalg.norm(px[:, None, :2] - front[None, :, :2], axis=-1) < near_px
            clear &= ~(over & (front[None, :, 2] < px[:, None, 2] - _BODY_M)).any(axis=1)
        return float(clear.mean()) if len(clear) else 0.0

    def _resume(self, stamp_ns: int) -> None:
        """Give the id of somebody whom nobody sees any more to whoever appeared in the same place.

        Two views of one person can be so far apart that one of them begins a second track.
        """
        seen = [t for t in self._tracks if t.seen_by.any() and t.confirmed]
        for old in [t for t in self._tracks if not t.seen_by.any() and t.confirmed]:
            lasts = (stamp_ns - old.seen_ns) * 1e-9 > self.config.resume_s
            for new in seen:
                after_s = (new.began_ns - old.seen_ns) * 1e-9
                same = new.began_ns > old.began_ns and (after_s > 0 or (lasts and after_s > -_OVERLAP_S))
                if same and np.linalg.norm(new.place - old.place) < self.config.return_m:
                    new.track_id, new.began_ns = old.track_id, old.began_ns
                    new.cameras |= old.cameras
                    self._tracks.remove(old)
                    break

    def _merge(self, dt_s: float) -> None:
        """Forget whoever has stood in the place of somebody followed for longer, for a second."""
        for younger in list(self._tracks):
            near = any(
                older.began_ns < younger.began_ns
                and apart(older.mean, younger.mean, self._trunk) < self.config.same_person_m
                for older in self._tracks
            )
            younger.together_s = younger.together_s + dt_s if near else 0.0
            if younger.together_s >= 1.0:
                self._tracks.remove(younger)

    def _published(self, stamp_ns: int, views: int) -> RoomPeople:
        tracks = sorted((t for t in self._tracks if t.confirmed), key=lambda t: t.track_id)
        m, n = len(tracks), len(self.skeleton)
        xyz = np.array([t.mean[:, :3] for t in tracks]).reshape(m, n, 3)
        covariance = np.array([t.covariance[:, :3, :3] + t.steady for t in tracks]).reshape(m, n, 3, 3)
        seen_ns = np.array([t.joint_seen_ns for t in tracks], np.int64).reshape(m, n)
        variance = np.trace(covariance, axis1=2, axis2=3) / 3
        known = np.isfinite(xyz[..., 0]) & ((stamp_ns - seen_ns) * 1e-9 <= self.config.max_gap_s)
        known &= (variance > 0) & (variance <= self.fusion.max_sigma_m**2)
        now = known & (seen_ns == stamp_ns)
        source = np.where(now, Source3D.FUSED, np.where(known, Source3D.PREDICTED, Source3D.NONE))
        scores = np.array([t.scores for t in tracks], np.float64).reshape(m, n)
        count = np.array([t.views for t in tracks], np.int64).reshape(m, n)
        seen_by = np.array([t.seen_by for t in tracks], bool).reshape(m, views)
        ids = np.array([t.track_id for t in tracks], np.int64).reshape(m)
        person_scores = np.array([t.person_score for t in tracks], np.float64).reshape(m)
        people = RoomPeople(
            self.skeleton,
            np.where(known[..., None], xyz, np.nan),
            np.where(known[..., None, None], covariance, np.nan),
            np.where(known, scores, 0.0),
            person_scores,
            source.astype(np.uint8),
            np.where(now, count, 0),
            seen_by,
            ids,
        )
        return _with_joints(people)


def _with_joints(people: RoomPeople) -> RoomPeople:
    """Return the people of whom a joint is known."""
    rows = np.asarray((people.scores > 0).any(axis=1))
    if rows.all():
        return people
    chosen = {
        name: value[rows] for name, value in vars(people).items() if name != "skeleton" and value is not None
    }
    return replace(people, **chosen)
