"""The color image: several lamps with shadows, textured materials, exposure and a color sensor's noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orpose_core.simulation.arithmetic import applied, lattice_value, smooth_noise
from orpose_core.simulation.dice import Dice
from orpose_core.simulation.sensing.cameras import Camera
from orpose_core.simulation.sensing.raycast import View, look
from orpose_core.simulation.sensing.solids import Solids
from orpose_core.types import Float64Array, Intrinsics

PLAIN, CLOTH, TILES, PANELS, SCREEN = 0.0, 1.0, 2.0, 3.0, 4.0
"""Textures, as in the last column of the material table."""

_SHADOW_SIZE = 384
_SHADOW_FOCAL = 107.0  # px; sees 122 degrees, so that a lamp under the ceiling lights a whole room


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


def look_from(light: Light, solids: Solids, behind: View | None = None, first: int = 0) -> View:
    """Return what a lamp sees, straight down: its shadow map. ``behind`` and ``first`` as in raycast.look."""
    centre = (_SHADOW_SIZE - 1) / 2.0
    lens = Intrinsics(_SHADOW_FOCAL, _SHADOW_FOCAL, centre, centre, _SHADOW_SIZE, _SHADOW_SIZE)
    return look(solids, _lamp_from_room(light), lens, behind, first)


def _lamp_from_room(light: Light) -> Float64Array:
    """Return the frame of a lamp, float64 (4, 4): optical axis straight down, image x along room x."""
    x, y, z = light.position_m
    return np.array([[1.0, 0.0, 0.0, -x], [0.0, -1.0, 0.0, y], [0.0, 0.0, -1.0, z], [0.0, 0.0, 0.0, 1.0]])


def _composed(a: Float64Array, b: Float64Array) -> Float64Array:
    """Return the rigid transform ``a`` after ``b``; summed in a fixed order."""
    out = np.eye(4)
    for j in range(3):
        out[:3, j] = applied(np.ascontiguousarray(a[:3, :3]), b[0, j], b[1, j], b[2, j])
    out[:3, 3] = applied(np.ascontiguousarray(a[:3, :3]), b[0, 3], b[1, 3], b[2, 3]) + a[:3, 3]
    return out


@njit(cache=True)
def _seam(position: float, pitch: float) -> bool:
    """Whether a coordinate lies on a joint between plates of this pitch, metres."""
    part = position / pitch
    return abs(part - math.floor(part + 0.5)) * pitch < 0.006


@njit(cache=True)
def _texture(
    pattern: float, lx: float, ly: float, lz: float, x: float, y: float, z: float, seed: int
) -> float:
    """Return the factor of the albedo at a point; l* in metres on the solid's axes, x, y, z in the room."""
    if pattern == CLOTH:  # folds and wear
        return 0.70 + 0.42 * smooth_noise(8.0 * lx + 5.0 * lz, 8.0 * ly + 3.0 * lz, seed)
    if pattern == TILES:  # sheets of vinyl with stains
        if _seam(x, 1.2) or _seam(y, 1.8):
            return 0.82
        return 0.93 + 0.14 * (smooth_noise(1.7 * x, 1.7 * y, seed) - 0.5)
    if pattern == PANELS:
        return 0.86 if _seam(x + y, 0.9) or _seam(z, 1.1) else 0.96
    return 1.0


@njit(cache=True)
def _lit(shadow: NDArray, lx: float, ly: float, lz: float, jitter: float) -> float:
    """Share of a lamp's light that reaches a point of its frame: 2 taps of its shadow map."""
    if lz < 0.03:
        return 0.0
    size = shadow.shape[0]
    scale = _SHADOW_FOCAL / lz
    u, v = scale * lx + 0.5 * size, scale * ly + 0.5 * size
    if u < 2.0 or v < 2.0 or u >= size - 2.0 or v >= size - 2.0:
        return 0.5  # outside of the map: half shaded, as at the foot of a wall
    reach = lz - 0.02 - 0.03 * lz
    total = 0.0
    if reach < shadow[int(v - 0.6 + jitter), int(u - 0.6 - jitter)]:
        total += 0.5
    if reach < shadow[int(v + 0.6 - jitter), int(u + 0.6 + jitter)]:
        total += 0.5
    return total


@njit(cache=True)
def _lamps(
    px: float,
    py: float,
    pz: float,
    nx: float,
    ny: float,
    nz: float,
    gloss: float,
    jitter: float,
    places: Float64Array,
    turns: Float64Array,
    lamps: Float64Array,
    shadows: Float64Array,
    out: Float64Array,
) -> None:
    """Add the light of all lamps at a point, camera frame, to ``out``: red, green, blue and the highlight."""
    for k in range(len(lamps)):
        wx, wy, wz = places[k, 0] - px, places[k, 1] - py, places[k, 2] - pz
        facing = nx * wx + ny * wy + nz * wz
        if facing <= 0.0:
            continue
        q = turns[k]
        lz = -(q[2, 0] * wx + q[2, 1] * wy + q[2, 2] * wz)
        far2 = wx * wx + wy * wy + wz * wz
        far = math.sqrt(far2)
        down = lz / far
        beam = max(down, 0.0) * (1.0 - lamps[k, 3]) + lamps[k, 3] * max(0.0, (down - 0.86) * 7.0)
        if beam <= 0.0:
            continue
        lx = -(q[0, 0] * wx + q[0, 1] * wy + q[0, 2] * wz)
        ly = -(q[1, 0] * wx + q[1, 1] * wy + q[1, 2] * wz)
        light = _lit(shadows[k], lx, ly, lz, jitter) * beam * facing / (far * (0.35 + 0.16 * far2))
        out[0] += lamps[k, 0] * light
        out[1] += lamps[k, 1] * light
        out[2] += lamps[k, 2] * light
        if gloss > 0.05 and light > 0.0:  # Blinn and Phong, exponent 32
            ray = math.sqrt(px * px + py * py + pz * pz)
            hx, hy, hz = wx / far - px / ray, wy / far - py / ray, wz / far - pz / ray
            s = nx * hx + ny * hy + nz * hz
            s = s * s / (hx * hx + hy * hy + hz * hz + 1e-9)
            s = s * s
            s = s * s
            s = s * s
            out[3] += gloss * s * s * light


@njit(cache=True)
def _shade(
    depth: Float64Array,
    solid: NDArray[np.int32],
    normals: NDArray[np.float32],
    maps: Float64Array,
    offsets: Float64Array,
    scales: Float64Array,
    material_of: NDArray[np.int64],
    materials: Float64Array,
    lens: Float64Array,
    room_from_camera: Float64Array,
    places: Float64Array,
    turns: Float64Array,
    lamps: Float64Array,
    shadows: Float64Array,
    ambient: Float64Array,
    camera: Float64Array,
    bytes4: NDArray[np.uint32],
    seed: int,
    rgb: NDArray[np.uint8],
) -> None:
    """Write the color image; see :func:`shade` for what the arguments are."""
    height, width = depth.shape
    c = room_from_camera
    light = np.empty(4)
    for v in range(height):
        ry = (v - lens[3]) / lens[1]
        dv = (v - 0.5 * height) / (0.5 * height)
        for u in range(width):
            i = solid[v, u]
            noise = bytes4[v, u]
            # Light changes slowly: every second pixel takes its neighbour's where both show the same solid.
            same = u % 2 == 1 and solid[v, u - 1] == i
            if not same:
                light[:] = 0.0
            if i >= 0 and not same:
                pz = depth[v, u]
                px, py = (u - lens[2]) / lens[0] * pz, ry * pz
                m = maps[i]
                lx = (offsets[i, 0] + m[0, 0] * px + m[0, 1] * py + m[0, 2] * pz) * scales[i, 0]
                ly = (offsets[i, 1] + m[1, 0] * px + m[1, 1] * py + m[1, 2] * pz) * scales[i, 1]
                lz = (offsets[i, 2] + m[2, 0] * px + m[2, 1] * py + m[2, 2] * pz) * scales[i, 2]
                x = c[0, 0] * px + c[0, 1] * py + c[0, 2] * pz + c[0, 3]
                y = c[1, 0] * px + c[1, 1] * py + c[1, 2] * pz + c[1, 3]
                z = c[2, 0] * px + c[2, 1] * py + c[2, 2] * pz + c[2, 3]
                nx, ny, nz = normals[v, u, 0], normals[v, u, 1], normals[v, u, 2]
                row = material_of[i]
                pattern = materials[row, 5]
                # Light from everywhere: less from below, less in the corners near the floor.
                sky = 0.72 + 0.28 * (c[2, 0] * nx + c[2, 1] * ny + c[2, 2] * nz)
                sky *= 0.75 + 0.25 * min(z / 0.6, 1.0)
                light[0], light[1], light[2] = ambient[0] * sky, ambient[1] * sky, ambient[2] * sky
                jitter = (int(noise & 255) - 127.5) * 0.01
                _lamps(
                    px, py, pz, nx, ny, nz, materials[row, 4], jitter, places, turns, lamps, shadows, light
                )
                if pattern == SCREEN:  # shines by itself
                    block = lattice_value(math.floor(lx * 18.0), math.floor(lz * 18.0), seed + row)
                    wave = smooth_noise(30.0 * lx, 30.0 * lz, seed + row)
                    light[0] = 0.1 * light[0] + 0.5 * block * wave
                    light[1] = 0.1 * light[1] + 0.6 * block * wave
                    light[2] = 0.1 * light[2] + 0.8 * wave * wave
                else:
                    factor = _texture(pattern, lx, ly, lz, x, y, z, seed + row)
                    for channel in range(3):
                        light[channel] *= materials[row, channel] * factor
            du = (u - 0.5 * width) / (0.5 * width)
            fall = camera[0] * (1.0 - camera[5] * 0.5 * (du * du + dv * dv))
            common = 0.6 * (int(noise >> 24) - 127.5)
            for channel in range(3):
                value = (light[channel] + 0.8 * light[3]) * camera[1 + channel] * fall
                value = math.sqrt(value / (1.0 + 0.32 * value))  # highlights saturate softly; gamma 2
                value += camera[4] * 0.012 * (common + int((noise >> (8 * channel)) & 255) - 127.5)
                rgb[v, u, channel] = int(min(max(value, 0.0), 1.0) * 255.0 + 0.5)


def shade(
    solids: Solids,
    view: View,
    normals: NDArray[np.float32],
    materials: Float64Array,
    camera: Camera,
    intrinsics: Intrinsics,
    lights: list[Light],
    shadow_maps: list[View],
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
        camera: that looks.
        intrinsics: of the image.
        lights: lamps of the room.
        shadow_maps: what each of the lamps sees, see :func:`look_from`.
        exposure: of the camera.
        generator: of this frame's noise.
        seed: of the textures, the same for a whole sequence.
    """
    count = len(lights)
    turns = [_composed(_lamp_from_room(light), camera.room_from_camera)[:3, :3] for light in lights]
    to_camera = camera.camera_from_room
    places = [applied(to_camera[:3, :3].copy(), *light.position_m) + to_camera[:3, 3] for light in lights]
    lamps = np.array([[*light.color, light.spot] for light in lights]).reshape(count, 4)
    rgb = np.empty((*view.depth_m.shape, 3), np.uint8)
    noise = generator.integers(0, 1 << 32, view.depth_m.shape, dtype=np.uint32)
    _shade(
        view.depth_m, view.solid, normals, view.maps, view.offsets, solids.scales[: solids.count],
        solids.materials[: solids.count], materials,
        np.array([intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy]), camera.room_from_camera,
        np.array(places).reshape(count, 3), np.array(turns).reshape(count, 3, 3), lamps,
        np.array([m.depth_m for m in shadow_maps]).reshape(count, _SHADOW_SIZE, _SHADOW_SIZE),
        np.array(exposure.ambient),
        np.array([exposure.gain, *exposure.balance, exposure.noise, exposure.vignette]), noise, seed, rgb,
    )  # fmt: skip
    return rgb
