"""How people are built and how they stand in the synthetic rooms: the table of fusion/body_prior.py.

python benchmarks/body_prior.py --rooms 400
"""

from __future__ import annotations

import argparse

import numpy as np

from orpose_core.fusion.body_prior import BONES, HEIGHTS_M
from orpose_core.simulation import StreamConfig
from orpose_core.simulation.people.kinematics import joints_of
from orpose_core.simulation.people.motion import pose_at
from orpose_core.simulation.stream import scene_of
from orpose_core.skeleton import BODY24

_SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "eye", "ear")


def bodies(rooms: int, seed: int) -> np.ndarray:
    """Return float64 (m, 24, 3), BODY24 joints of clinicians at random times, room frame, m."""
    rng, found = np.random.default_rng(seed), []
    for number in range(rooms):
        scene = scene_of(StreamConfig("or", seed=seed), number)
        for person, actor in zip(scene.people, scene.actors, strict=True):
            if person.role == "clinician":
                times_s = rng.uniform(0, 60, 6)
                poses = [pose_at(actor, person.dimensions, float(t)) for t in times_s]
                found += [joints_of(pose, person.dimensions)[0] for pose in poses]
    return np.array(found)


def body_axes(joints: np.ndarray) -> np.ndarray:
    """Return float64 (m, 3, 3): rows are forward, left and up, left by shoulders and hips, level."""
    at = {j: joints[:, BODY24.index(j)] for j in BODY24.joints}
    left = at["left_shoulder"] - at["right_shoulder"] + at["left_hip"] - at["right_hip"]
    left[:, 2] = 0.0
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    up = np.broadcast_to([0.0, 0.0, 1.0], left.shape)
    return np.stack([np.cross(left, up), left, up], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rooms", type=int, default=400)
    parser.add_argument("--seed", type=int, default=4242)
    args = parser.parse_args()
    joints = bodies(args.rooms, args.seed)
    axes = body_axes(joints)
    print(f"{len(joints)} bodies; offset forward, left, up and its deviation; length and its deviation, m")
    for joint, bone in BONES.items():
        side = "left_" if joint in _SIDED else ""
        parent = f"left_{bone.parent}" if bone.parent in _SIDED else bone.parent
        apart = joints[:, BODY24.index(side + joint)] - joints[:, BODY24.index(parent)]
        offset, length = np.einsum("mij,mj->mi", axes, apart), np.linalg.norm(apart, axis=1)
        print(
            f"{joint:10s} from {bone.parent:9s} {np.round(offset.mean(0), 3)} {np.round(offset.std(0), 3)} "
            f"{length.mean():.3f} {length.std():.3f}"
        )
    for joint in HEIGHTS_M:
        z = joints[:, BODY24.index(f"left_{joint}" if joint in _SIDED else joint), 2]
        print(f"{joint:10s} at height {z.mean():.3f} {z.std():.3f}")


if __name__ == "__main__":
    main()
