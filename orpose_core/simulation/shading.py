"""The color image: several lamps with shadows, materials with texture, exposure and the noise of a color sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import applied, lattice_value, smooth_noise
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.raycast import Solids, View, look
from orpose_core.types import Intrinsics

Float64Array = NDArray[np.float64]

PLAIN, CLOTH, TILES, SPECKLED, SCREEN, SKIN_LIKE = 0.0, 1.0, 2.0, 3.0, 4.0, 5.0
"""Textures, as in the last column of the material table."""

_SHADOW_SIZE = 320
_SHADOW_FOCAL = 95.0  # px; sees 118 degrees, so that a lamp under the ceiling lights a whole room


@dataclass(frozen=True)
class Light:
    """A lamp that shines downwards.

    Attributes:
        position_m: in the room.
        color: red, green, blue intensity at 1 m.
        spot: share of the light that only goes into a narrow cone straight down (a surgical lamp).
    """

    position_m: tuple[float, float, float]
    color: tuple[float, float, float]
    spot: float = 0.0


@dataclass(frozen=True)
class Exposure:
    """How a color camera turns light into numbers.

    Attributes:
        gain: of all channels.
        balance: gain of red, green, blue.
        noise: standard deviation at full scale, in shares of it.
        ambient: red, green, blue light from everywhere.
        vignette: loss of light in the corners.
    """

    gain: float
    balance: tuple[float, float, float]
    noise: float
    ambient: tuple[float, float, float]
    vignette: float


def draw_exposure(dice: Dice) -> Exposure:
    """Draw a color camera's exposure, white balance, noise and the room's ambient light."""
    warm = dice.near(0.0, 0.06)
    level = dice.between(0.25, 0.42)
    return Exposure(
        gain=dice.between(0.85, 1.25),
        balance=(1.0 + warm, 1.0, 1.0 - warm),
        noise=dice.between(0.006, 0.03),
        ambient=(level * (1.0 + dice.near(0.0, 0.04)), level, level * (1.0 + dice.near(0.02, 0.05))),
        vignette=dice.between(0.05, 0.25),
    )


def _light_view(light: Light, solids: Solids) -> tuple[Float64Array, Float64Array]:
    """Return what a lamp sees, float64 (size, size), and its ``lamp_from_room``, float64 (4, 4)."""
    x, y, z = light.position_m
    # Optical axis straight down, image x along room x: rows are the camera's axes in the room.
    lamp_from_room = np.array(
        [[1.0, 0.0, 0.0, -x], [0.0, -1.0, 0.0, y], [0.0, 0.0, -1.0, z], [0.0, 0.0, 0.0, 1.0]]
    )
    centre = (_SHADOW_SIZE - 1) / 2.0
    lens = Intrinsics(_SHADOW_FOCAL, _SHADOW_FOCAL, centre, centre, _SHADOW_SIZE, _SHADOW_SIZE)
    return look(solids, lamp_from_room, lens).depth_m, lamp_from_room


def _composed(a: Float64Array, b: Float64Array) -> Float64Array:
    """Return the rigid transform ``a`` after ``b``; summed in a fixed order."""
    out = np.eye(4)
    for j in range(3):
        out[:3, j] = applied(np.ascontiguousarray(a[:3, :3]), b[0, j], b[1, j], b[2, j])
    out[:3, 3] = applied(np.ascontiguousarray(a[:3, :3]), b[0, 3], b[1, 3], b[2, 3]) + a[:3, 3]
    return out


@njit(cache=True)
def _texture(pattern, lx, ly, lz, x, y, z, seed):
    """Return the factor of the albedo at a point; l* is local to the solid, x, y, z is in the room."""
    if pattern == 1.0:  # cloth: folds and wear
        wide = smooth_noise(7.0 * lx + 3.0 * lz, 7.0 * ly + 2.0 * lz, seed)
        fine = smooth_noise(31.0 * lx + 11.0 * ly, 23.0 * lz, seed + 1)
        return 0.72 + 0.36 * wide + 0.12 * (fine - 0.5)
    if pattern == 2.0:  # floor: vinyl sheets with seams and stains
        seam = (
            abs(x / 1.2 - math.floor(x / 1.2 + 0.5)) < 0.006
            or abs(y / 1.8 - math.floor(y / 1.8 + 0.5)) < 0.004
        )
        return 0.82 if seam else 0.93 + 0.14 * (smooth_noise(1.7 * x, 1.7 * y, seed) - 0.5)
    if pattern == 3.0:  # wall: tiles or panels
        t = x + y
        seam = (
            abs(t / 0.9 - math.floor(t / 0.9 + 0.5)) < 0.006
            or abs(z / 1.1 - math.floor(z / 1.1 + 0.5)) < 0.006
        )
        return 0.86 if seam else 0.96 + 0.06 * (smooth_noise(0.8 * t, 0.8 * z, seed) - 0.5)
    return 1.0


@njit(cache=True)
def _lit(shadow, lx, ly, lz):
    """Share of a lamp's light that reaches a point of its frame: 4 taps of its shadow map."""
    if lz < 0.03:
        return 0.0
    centre = 0.5 * (shadow.shape[0] - 1)
    u, v = 95.0 * lx / lz + centre, 95.0 * ly / lz + centre
    total = 0.0
    for du in (-0.7, 0.7):
        for dv in (-0.7, 0.7):
            iu, iv = int(math.floor(u + du + 0.5)), int(math.floor(v + dv + 0.5))
            if iu < 0 or iv < 0 or iu >= shadow.shape[1] or iv >= shadow.shape[0]:
                total += 0.12
            elif lz < shadow[iv, iu] + 0.02 + 0.03 * lz:
                total += 0.25
    return total


@njit(cache=True)
def _shade(
    depth, solid, normals, maps, offsets, material_of, materials, fx, fy, cx, cy, room_from_camera, lamp_from_camera,
    lamps, shadows, ambient, camera, bytes4, seed, rgb,
):  # fmt: skip
    """Write the color image; see :func:`shade` for what the arguments are."""
    height, width = depth.shape
    for v in range(height):
        ry = (v - cy) / fy
        for u in range(width):
            i = solid[v, u]
            noise = bytes4[v, u]
            r, g, b = 0.0, 0.0, 0.0
            if i >= 0:
                t = depth[v, u]
                px, py, pz = (u - cx) / fx * t, ry * t, t
                m = maps[i]
                lx = offsets[i, 0] + m[0, 0] * px + m[0, 1] * py + m[0, 2] * pz
                ly = offsets[i, 1] + m[1, 0] * px + m[1, 1] * py + m[1, 2] * pz
                lz = offsets[i, 2] + m[2, 0] * px + m[2, 1] * py + m[2, 2] * pz
                c = room_from_camera
                x = c[0, 0] * px + c[0, 1] * py + c[0, 2] * pz + c[0, 3]
                y = c[1, 0] * px + c[1, 1] * py + c[1, 2] * pz + c[1, 3]
                z = c[2, 0] * px + c[2, 1] * py + c[2, 2] * pz + c[2, 3]
                nx, ny, nz = normals[v, u, 0], normals[v, u, 1], normals[v, u, 2]
                row = material_of[i]
                pattern, gloss = materials[row, 5], materials[row, 4]
                up = c[2, 0] * nx + c[2, 1] * ny + c[2, 2] * nz
                sky = 0.72 + 0.28 * up
                low = 0.75 + 0.25 * min(z / 0.6, 1.0)  # corners near the floor are darker
                r, g, b = ambient[0] * sky * low, ambient[1] * sky * low, ambient[2] * sky * low
                shine = 0.0
                for k in range(len(lamps)):
                    q = lamp_from_camera[k]
                    qx = q[0, 0] * px + q[0, 1] * py + q[0, 2] * pz + q[0, 3]
                    qy = q[1, 0] * px + q[1, 1] * py + q[1, 2] * pz + q[1, 3]
                    qz = q[2, 0] * px + q[2, 1] * py + q[2, 2] * pz + q[2, 3]
                    far = math.sqrt(qx * qx + qy * qy + qz * qz) + 1e-6
                    # The way to the lamp in the camera frame: q is a rotation, so its transpose takes it back.
                    wx = -(q[0, 0] * qx + q[1, 0] * qy + q[2, 0] * qz) / far
                    wy = -(q[0, 1] * qx + q[1, 1] * qy + q[2, 1] * qz) / far
                    wz = -(q[0, 2] * qx + q[1, 2] * qy + q[2, 2] * qz) / far
                    facing = nx * wx + ny * wy + nz * wz
                    if facing <= 0.0:
                        continue
                    down = max(qz / far, 0.0)
                    beam = down * (1.0 - lamps[k, 3]) + lamps[k, 3] * max(0.0, (down - 0.86) / 0.14)
                    light = _lit(shadows[k], qx, qy, qz) * beam * facing / (0.35 + 0.16 * far * far)
                    r += lamps[k, 0] * light
                    g += lamps[k, 1] * light
                    b += lamps[k, 2] * light
                    if gloss > 0.0:
                        ray = math.sqrt(px * px + py * py + pz * pz)
                        hx, hy, hz = wx - px / ray, wy - py / ray, wz - pz / ray
                        half = math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
                        s = (nx * hx + ny * hy + nz * hz) / half
                        s = s * s
                        s = s * s
                        s = s * s
                        s = s * s
                        shine += gloss * s * s * light
                factor = _texture(
                    pattern,
                    lx * (1.0 / max(abs(m[0, 0]) + abs(m[0, 1]) + abs(m[0, 2]), 1e-6)),
                    ly * (1.0 / max(abs(m[1, 0]) + abs(m[1, 1]) + abs(m[1, 2]), 1e-6)),
                    lz * (1.0 / max(abs(m[2, 0]) + abs(m[2, 1]) + abs(m[2, 2]), 1e-6)),
                    x,
                    y,
                    z,
                    seed + row,
                )
                if pattern == 4.0:  # a screen shines by itself
                    block = lattice_value(int(math.floor(lx * 4.0)), int(math.floor(lz * 3.0)), seed + row)
                    wave = smooth_noise(9.0 * lx, 9.0 * lz, seed + row)
                    r, g, b = (
                        0.1 * r + 0.5 * block * wave,
                        0.1 * g + 0.6 * block * wave,
                        0.1 * b + 0.8 * wave * wave,
                    )
                else:
                    r *= materials[row, 0] * factor
                    g *= materials[row, 1] * factor
                    b *= materials[row, 2] * factor
                r, g, b = r + 0.8 * shine, g + 0.8 * shine, b + 0.8 * shine
            du, dv = (u - 0.5 * width) / (0.5 * width), (v - 0.5 * height) / (0.5 * height)
            fall = camera[0] * (1.0 - camera[5] * 0.5 * (du * du + dv * dv))
            common = int((noise >> 24) & 255) - 127.5
            for channel in range(3):
                value = (r if channel == 0 else (g if channel == 1 else b)) * camera[1 + channel] * fall
                value = value / (1.0 + 0.32 * value)  # highlights saturate softly
                value = math.sqrt(max(value, 0.0))
                grain = 0.6 * common + (int((noise >> (8 * channel)) & 255) - 127.5)
                value += camera[4] * grain * 0.012
                rgb[v, u, channel] = int(min(max(value, 0.0), 1.0) * 255.0 + 0.5)


def shade(
    solids: Solids,
    view: View,
    normals: NDArray[np.float32],
    materials: Float64Array,
    intrinsics: Intrinsics,
    room_from_camera: Float64Array,
    lights: list[Light],
    exposure: Exposure,
    generator: np.random.Generator,
    seed: int,
) -> NDArray[np.uint8]:
    """Return the color image of a view, uint8 (H, W, 3), red first.

    Args:
        solids: of the scene.
        view: what the camera sees of them.
        normals: float32 (H, W, 3), camera frame, see :func:`raycast.normals_of`.
        materials: float64 (n, 6), see :class:`rooms.Room`.
        intrinsics: of the camera.
        room_from_camera: float64 (4, 4).
        lights: lamps of the room; each casts shadows.
        exposure: of the camera.
        generator: of this frame's noise.
        seed: of the textures, the same for a whole sequence.
    """
    shadows, transforms = [], []
    for light in lights:
        shadow, lamp_from_room = _light_view(light, solids)
        shadows.append(shadow)
        transforms.append(_composed(lamp_from_room, room_from_camera))
    lamps = np.array([[*light.color, light.spot] for light in lights]).reshape(len(lights), 4)
    rgb = np.empty((*view.depth_m.shape, 3), np.uint8)
    noise = generator.integers(0, 1 << 32, view.depth_m.shape, dtype=np.uint32)
    camera = np.array([exposure.gain, *exposure.balance, exposure.noise, exposure.vignette])
    _shade(
        view.depth_m, view.solid, normals, view.maps, view.offsets, solids.materials[: solids.count], materials,
        intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy, room_from_camera,
        np.array(transforms).reshape(len(lights), 4, 4), lamps,
        np.array(shadows).reshape(len(lights), _SHADOW_SIZE, _SHADOW_SIZE), np.array(exposure.ambient), camera,
        noise, seed, rgb,
    )  # fmt: skip
    return rgb
