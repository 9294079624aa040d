"""``vision_msgs``: people as detections of the class "person", in the image and in space."""

from __future__ import annotations

import math

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, Vector3
from numpy.typing import NDArray
from vision_msgs.msg import (
    BoundingBox2D,
    BoundingBox3D,
    Detection2D,
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
)

from orpose_ros.bridges.people import ImagePeople, SpacePeople

PERSON = "person"

_UNKNOWN = -1.0  # first element of a covariance that is not known, as in other messages of ROS
_ANY_ANGLE_RAD2 = math.pi**2


def to_detections_2d(people: ImagePeople) -> Detection2DArray:
    """Return all people in an image with a box, px, integer = pixel centre, without poses."""
    detections = []
    poses = people.poses
    for row, box in enumerate(poses.boxes_px.astype(np.float64)):
        if not np.isfinite(box).all():
            continue
        x1, y1, x2, y2 = box.tolist()
        centre = Pose2D(position=Point2D(x=(x1 + x2) / 2, y=(y1 + y2) / 2), theta=0.0)
        pose = PoseWithCovariance(pose=_upright(Point()))
        pose.covariance[0] = _UNKNOWN
        detections.append(
            Detection2D(
                header=people.header,
                results=[_hypothesis(float(poses.person_scores[row]), pose)],
                bbox=BoundingBox2D(center=centre, size_x=x2 - x1, size_y=y2 - y1),
                id=_id(-1 if poses.track_ids is None else int(poses.track_ids[row])),
            )
        )
    return Detection2DArray(header=people.header, detections=detections)


def to_detections_3d(people: SpacePeople) -> Detection3DArray:
    """Return all people with at least one known joint; boxes along the frame's axes enclose the known joints.

    The pose is that of the pelvis, or of the box's centre; the orientation is unknown (variance pi^2).
    """
    detections = []
    for row, points in enumerate(people.xyz_m):
        known = np.isfinite(points).all(axis=-1)
        if not known.any():
            continue
        low, high = points[known].min(axis=0), points[known].max(axis=0)
        centre, root = (low + high) / 2, people.roots_m[row]
        at = root if np.isfinite(root).all() else centre
        pose = PoseWithCovariance(pose=_upright(_point(at)))
        pose.covariance[:] = _covariance(people.sigma_m[row][known])
        detections.append(
            Detection3D(
                header=people.header,
                results=[_hypothesis(people.scores[row], pose)],
                bbox=BoundingBox3D(center=_upright(_point(centre)), size=_size(high - low)),
                id=_id(people.track_ids[row]),
            )
        )
    return Detection3DArray(header=people.header, detections=detections)


def _covariance(sigma_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a covariance, 36 numbers: the median variance of the joints' positions, angles unknown."""
    sigma_m = sigma_m[np.isfinite(sigma_m)]
    out = np.zeros((6, 6))
    if not len(sigma_m):
        out[0, 0] = _UNKNOWN
        return out.ravel()
    out[[0, 1, 2], [0, 1, 2]] = float(np.median(sigma_m)) ** 2
    out[[3, 4, 5], [3, 4, 5]] = _ANY_ANGLE_RAD2
    return out.ravel()


def _hypothesis(score: float, pose: PoseWithCovariance) -> ObjectHypothesisWithPose:
    return ObjectHypothesisWithPose(
        hypothesis=ObjectHypothesis(class_id=PERSON, score=min(max(score, 0.0), 1.0)), pose=pose
    )


def _id(track_id: int) -> str:
    return str(track_id) if track_id >= 0 else ""


def _upright(position: Point) -> Pose:
    return Pose(position=position, orientation=Quaternion(w=1.0))


def _point(xyz: NDArray[np.float64]) -> Point:
    x, y, z = (float(v) for v in xyz)
    return Point(x=x, y=y, z=z)


def _size(xyz: NDArray[np.float64]) -> Vector3:
    x, y, z = (float(v) for v in xyz)
    return Vector3(x=x, y=y, z=z)
