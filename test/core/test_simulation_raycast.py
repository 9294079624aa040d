"""Each solid against its closed-form depth, alone before a camera."""

from __future__ import annotations

import math

import numpy as np
import pytest

from orpose_core.simulation import arithmetic
from orpose_core.simulation.sensing import solids as shapes
from orpose_core.simulation.sensing.raycast import look, normals_of
from orpose_core.simulation.sensing.solids import Solids
from orpose_core.types import Intrinsics

pytestmark = pytest.mark.timeout(900)  # the first run compiles for a minute of processor time

CAMERA = Intrinsics(300.0, 290.0, 79.3, 60.6, 160, 120)
SIMPLE = np.eye(4)


def rays() -> tuple[np.ndarray, np.ndarray]:
    u, v = np.meshgrid(np.arange(160), np.arange(120))
    return (u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy


def seen(kind, origin, scale, params=(0.0, 0.0, 0.0), axes=None, pose=SIMPLE) -> np.ndarray:
    solids = Solids.with_room_for(1)
    solids.add(kind, origin, np.eye(3) if axes is None else axes, scale, 0, params)
    return look(solids, pose, CAMERA).depth_m


def sphere_depth(centre, radius) -> np.ndarray:
    x, y = rays()
    a = x * x + y * y + 1
    b = x * centre[0] + y * centre[1] + centre[2]
    h = b * b - a * (np.dot(centre, centre) - radius**2)
    return np.where(h >= 0, (b - np.sqrt(np.maximum(h, 0))) / a, np.inf)


def turn(axis: int, angle: float) -> np.ndarray:
    return arithmetic.rotation_about(axis, angle)


def test_sphere_is_exact_also_where_its_rectangle_cuts_the_border():
    for centre in ((0.1, -0.05, 2.0), (0.55, 0.4, 2.0), (-0.6, 0.0, 2.1)):
        for kind, scale, params in (
            (shapes.ROUNDED_CONE, (1, 1, 1), (0.0, 0.3, 0.3)),
            (shapes.ELLIPSOID, (0.3, 0.3, 0.3), (0, 0, 0)),
        ):
            np.testing.assert_allclose(
                seen(kind, centre, scale, params), sphere_depth(centre, 0.3), rtol=1e-9
            )


def test_plane_depth():
    normal, distance = turn(0, 0.4)[2], 2.0
    x, y = rays()
    expected = distance * normal[2] / (normal[0] * x + normal[1] * y + normal[2])
    depth = seen(shapes.RECTANGLE, (0, 0, distance), (9, 9, 1), axes=turn(0, 0.4))
    np.testing.assert_allclose(depth, expected, rtol=1e-12)


def test_box_faces_the_camera_with_its_front_and_ends_at_its_edges():
    depth = seen(shapes.BOX, (0.0, 0.0, 2.0), (0.3, 0.2, 0.5))
    x, y = rays()
    inside = (np.abs(1.5 * x) < 0.299) & (np.abs(1.5 * y) < 0.199)
    outside = (np.abs(1.5 * x) > 0.301) | (np.abs(1.5 * y) > 0.201)
    np.testing.assert_allclose(depth[inside], 1.5)
    assert np.isinf(depth[outside]).all()


def test_upright_cylinder_depth():
    axes = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])  # its axis along the camera's y
    depth = seen(shapes.CYLINDER, (0, 0, 2.0), (0.3, 0.3, 5.0), axes=axes)
    x, _ = rays()
    h = 4 - (x * x + 1) * (4 - 0.09)
    expected = np.where(h >= 0, (2 - np.sqrt(np.maximum(h, 0))) / (x * x + 1), np.inf)
    np.testing.assert_allclose(depth, expected, rtol=1e-9)


def test_flat_end_of_a_cylinder_and_of_a_frustum_is_a_plane():
    for kind, scale, params in (
        (shapes.CYLINDER, (0.25, 0.25, 0.4), (0, 0, 0)),
        (shapes.FRUSTUM, (1, 1, 1), (0.8, 0.25, 0.1)),
    ):
        origin = (0, 0, 2.0) if kind == shapes.CYLINDER else (0, 0, 1.6)
        depth = seen(kind, origin, scale, params)
        x, y = rays()
        inside = 1.6 * np.hypot(x, y) < 0.249
        np.testing.assert_allclose(depth[inside], 1.6)
        assert np.isinf(depth[1.6 * np.hypot(x, y) > 0.251]).all()


def test_rounded_cone_is_the_union_of_the_spheres_between_its_ends():
    """The hull of two spheres is swept by spheres of linearly changing radius: their nearest depth is its."""
    axis, a, b, ra, rb = turn(1, 0.9), np.array([-0.25, 0.1, 2.0]), None, 0.22, 0.08
    length = 0.55
    b = a + length * axis[2]
    depth = seen(shapes.ROUNDED_CONE, tuple(a), (1, 1, 1), (length, ra, rb), axes=axis)
    swept = np.full(depth.shape, np.inf)
    for s in np.linspace(0, 1, 4001):
        swept = np.minimum(swept, sphere_depth(a + s * (b - a), ra + s * (rb - ra)))
    both = np.isfinite(depth) & np.isfinite(swept)
    assert (np.isfinite(depth) != np.isfinite(swept)).mean() < 1e-3  # grazing rays between two of the samples
    np.testing.assert_allclose(depth[both], swept[both], atol=2e-4)
    assert (swept[both] >= depth[both] - 1e-9).all()


def test_frustum_side_lies_on_its_cone():
    axes = turn(0, 1.1)
    origin = np.array([0.0, -0.2, 2.0])
    depth = seen(shapes.FRUSTUM, tuple(origin), (1, 0.7, 1), (0.5, 0.15, 0.3), axes=axes)
    x, y = rays()
    hit = np.isfinite(depth)
    points = np.stack([x * depth, y * depth, depth], -1)[hit] - origin
    local = points @ axes.T / np.array([1, 0.7, 1])
    side = np.abs(np.hypot(local[:, 0], local[:, 1]) - (0.15 + 0.3 * local[:, 2]))
    end = np.minimum(np.abs(local[:, 2]), np.abs(local[:, 2] - 0.5))
    assert hit.sum() > 1000
    assert (np.minimum(side, end) < 1e-9).all()


def test_squashed_ellipsoid_satisfies_its_equation_and_its_normals_are_its_gradient():
    axes, centre, radii = turn(2, 0.5) @ turn(0, 0.7), np.array([0.1, 0.0, 1.8]), np.array([0.3, 0.15, 0.22])
    solids = Solids.with_room_for(1)
    solids.add(shapes.ELLIPSOID, tuple(centre), axes, tuple(radii), 0)
    view = look(solids, SIMPLE, CAMERA)
    normals = normals_of(view, solids, CAMERA)
    x, y = rays()
    hit = view.solid == 0
    local = (np.stack([x * view.depth_m, y * view.depth_m, view.depth_m], -1)[hit] - centre) @ axes.T
    np.testing.assert_allclose(((local / radii) ** 2).sum(-1), 1.0, atol=1e-9)
    gradient = (local / radii**2) @ axes
    gradient /= np.linalg.norm(gradient, axis=-1, keepdims=True)
    np.testing.assert_allclose(normals[hit], gradient, atol=1e-5)
    assert (normals[~hit] == 0).all()


def test_what_is_behind_the_camera_or_hidden_is_not_seen():
    assert np.isinf(seen(shapes.ELLIPSOID, (0, 0, -2.0), (0.5, 0.5, 0.5))).all()
    solids = Solids.with_room_for(2)
    solids.add(shapes.ELLIPSOID, (0, 0, 3.0), np.eye(3), (0.1, 0.1, 0.1), 0)
    solids.add(shapes.BOX, (0, 0, 2.0), np.eye(3), (0.5, 0.5, 0.1), 0)
    assert set(np.unique(look(solids, SIMPLE, CAMERA).solid)) <= {-1, 1}


def test_moving_camera_and_solid_together_changes_nothing():
    pose = np.eye(4)
    pose[:3, :3] = turn(1, 0.3) @ turn(0, -0.2)
    pose[:3, 3] = (0.2, -0.4, 0.5)
    axes, origin, scale = turn(0, 0.5), np.array([0.0, 0.1, 2.0]), (0.3, 0.2, 0.4)
    still = seen(shapes.BOX, tuple(origin), scale, axes=axes)
    back = np.linalg.inv(pose)
    moved = seen(
        shapes.BOX, tuple(back[:3, :3] @ origin + back[:3, 3]), scale, axes=axes @ pose[:3, :3], pose=pose
    )
    both = np.isfinite(still) & np.isfinite(moved)
    assert (np.isfinite(still) == np.isfinite(moved)).mean() > 0.999
    np.testing.assert_allclose(moved[both], still[both], rtol=1e-6)


def test_adding_solids_to_a_known_view_equals_looking_at_all():
    solids = Solids.with_room_for(2)
    solids.add(shapes.RECTANGLE, (0, 0, 3.0), np.eye(3), (5, 5, 1), 0)
    behind = look(solids, SIMPLE, CAMERA)
    solids.add(shapes.ELLIPSOID, (0.1, 0, 2.0), np.eye(3), (0.3, 0.3, 0.3), 0)
    whole, added = look(solids, SIMPLE, CAMERA), look(solids, SIMPLE, CAMERA, behind, 1)
    np.testing.assert_array_equal(added.depth_m, whole.depth_m)
    np.testing.assert_array_equal(added.solid, whole.solid)
    assert (behind.solid == 0).all()  # the known view is not changed


def test_a_full_list_is_refused():
    solids = Solids.with_room_for(0)
    with pytest.raises(ValueError, match="at most 0"):
        solids.add(shapes.BOX, (0, 0, 1), np.eye(3), (1, 1, 1), 0)


def test_sine_and_angle_agree_with_the_library():
    for angle in np.linspace(-50, 50, 1001):
        s, c = arithmetic.sine_cosine(float(angle))
        assert abs(s - math.sin(angle)) < 5e-15 * max(1, abs(angle))
        assert abs(c - math.cos(angle)) < 5e-15 * max(1, abs(angle))
    for angle in np.linspace(-3.1, 3.1, 200):
        assert arithmetic.angle_of(2 * math.cos(angle), 2 * math.sin(angle)) == pytest.approx(
            angle, abs=1e-12
        )
