"""The compiled part of the ray caster: unit solids, pinholes, tracing and shading of one picture.

All kernels are in this one file because numba's cache notices a change of the file that holds a function, not of the files it calls. No fast-math
and no transcendental function in here: the same arguments give the same bytes on any number of threads.

A pinhole is an array [4, 3] with the rows position, right, up, forward. A ray is o + t d; with d scaled to advance by 1 along `forward`, t is depth.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
F = TypeVar("F", bound=Callable[..., Any])

BOX, BALL, TUBE = 0, 1, 2

EYE_SLOPE = 18 / 50  # half a sensor over the focal length of Blender's default camera: 36 mm and 50 mm
FLOOR_Z = -1.0
LIGHT_RADIUS = 4.0
SPOT_OUTER, SPOT_INNER = math.cos(math.radians(16.5)), math.cos(math.radians(14.0))  # dark beyond the first, full within the second
SPOT_GAIN, AMBIENT, SUN_GAIN = 0.85, 0.45, 0.4
SUN = (0.36, 0.48, 0.8)  # unit vector towards the sun: above, to the front and to one side, so that the faces of a box differ
SAMPLES = 2  # rays per pixel side
SHADOW_END = 1 - 1e-3  # a shadow ray ends short of its point, which must not shade itself


def _jit(function: F) -> F:
    """`numba.njit` for mypy's eyes: the compiled function has the signature of the plain one."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


@_jit
def _pinhole(position: Floats) -> Floats:
    """Rows position, right, up, forward [4, 3] of a pinhole that looks from `position` at the origin."""
    frame = np.empty((4, 3))
    frame[0] = position
    forward = -position / math.sqrt(np.sum(position * position))
    # Straight above the origin no direction is "up"; any will do there, for only the light comes that close to the zenith.
    flat = math.sqrt(forward[0] ** 2 + forward[1] ** 2)
    right = np.array([forward[1], -forward[0], 0.0]) / flat if flat > 1e-9 else np.array([1.0, 0.0, 0.0])
    frame[1] = right
    frame[2, 0] = right[1] * forward[2] - right[2] * forward[1]
    frame[2, 1] = right[2] * forward[0] - right[0] * forward[2]
    frame[2, 2] = right[0] * forward[1] - right[1] * forward[0]
    frame[3] = forward
    return frame


@_jit
def _project(pinhole: Floats, x: float, y: float, z: float) -> tuple[float, float]:
    """The slopes (right, up) under which the pinhole sees a point."""
    x, y, z = x - pinhole[0, 0], y - pinhole[0, 1], z - pinhole[0, 2]
    depth = x * pinhole[3, 0] + y * pinhole[3, 1] + z * pinhole[3, 2]
    right = x * pinhole[1, 0] + y * pinhole[1, 1] + z * pinhole[1, 2]
    up = x * pinhole[2, 0] + y * pinhole[2, 1] + z * pinhole[2, 2]
    return right / depth, up / depth


@_jit
def _bounds(pinhole: Floats, centre: Floats, axes: Floats) -> Floats:
    """The rectangle (left, right, bottom, top) [n, 4], in slopes, that the box of each primitive covers in the pinhole's picture plane."""
    rectangle = np.empty((len(centre), 4))
    for k in range(len(centre)):
        left, right, bottom, top = math.inf, -math.inf, math.inf, -math.inf
        for corner in range(8):
            p = centre[k].copy()
            for i in range(3):
                p += axes[k, i] if corner >> i & 1 else -axes[k, i]
            u, v = _project(pinhole, p[0], p[1], p[2])
            left, right, bottom, top = min(left, u), max(right, u), min(bottom, v), max(top, v)
        rectangle[k, 0], rectangle[k, 1], rectangle[k, 2], rectangle[k, 3] = left, right, bottom, top
    return rectangle


@_jit
def enter_box(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Ray parameter t at which o + t d enters the box [-1, 1]^3; inf if it misses."""
    ix, iy, iz = 1 / dx, 1 / dy, 1 / dz
    x0, x1, y0, y1, z0, z1 = (-1 - ox) * ix, (1 - ox) * ix, (-1 - oy) * iy, (1 - oy) * iy, (-1 - oz) * iz, (1 - oz) * iz
    near = max(min(x0, x1), min(y0, y1), min(z0, z1))
    far = min(max(x0, x1), max(y0, y1), max(z0, z1))
    return near if near < far else math.inf


@_jit
def enter_ball(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Ray parameter t at which o + t d enters the unit ball; inf if it misses."""
    a = dx * dx + dy * dy + dz * dz
    b = ox * dx + oy * dy + oz * dz
    root = b * b - a * (ox * ox + oy * oy + oz * oz - 1)
    return (-b - math.sqrt(root)) / a if root > 0 else math.inf


@_jit
def enter_tube(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, taper: float) -> float:
    """Ray parameter t at which o + t d enters the tube, whose radius is m + s z for |z| <= 1; inf if it misses."""
    m, s = (taper + 1) / 2, (taper - 1) / 2
    radius, growth = m + s * oz, s * dz
    a = dx * dx + dy * dy - growth * growth
    b = ox * dx + oy * dy - radius * growth
    root = b * b - a * (ox * ox + oy * oy - radius * radius)
    if root <= 0:
        return math.inf
    root = math.sqrt(root)
    first, last = (-b - root) / a, (-b + root) / a
    # A ray steeper than the wall of the cone (a < 0) leaves it through one root only; it stays inside on the side where the radius grows.
    if a < 0:
        first, last = (first, math.inf) if growth > 0 else (-math.inf, last)
    z0, z1 = (-1 - oz) / dz, (1 - oz) / dz
    near, far = max(first, min(z0, z1)), min(last, max(z0, z1))
    return near if near < far else math.inf


@_jit
def _enter(kind: int, taper: float, o: Floats, dx: float, dy: float, dz: float) -> float:
    if kind == BOX:
        return enter_box(o[0], o[1], o[2], dx, dy, dz)
    if kind == BALL:
        return enter_ball(o[0], o[1], o[2], dx, dy, dz)
    return enter_tube(o[0], o[1], o[2], dx, dy, dz, taper)


@_jit
def _normal(kind: int, taper: float, inverse: Floats, x: float, y: float, z: float) -> tuple[float, float, float]:
    """The outward unit normal, in the world, at a point of the surface given in the primitive's own frame."""
    if kind == BOX:
        ax, ay, az = abs(x), abs(y), abs(z)
        x, y, z = (x if ax >= ay and ax >= az else 0.0), (y if ay > ax and ay >= az else 0.0), (z if az > ax and az > ay else 0.0)
    elif kind == TUBE:
        if abs(z) > 1 - 1e-6:
            x, y = 0.0, 0.0
        else:
            slope = (taper - 1) / 2
            z = -slope * ((taper + 1) / 2 + slope * z)
    nx = inverse[0, 0] * x + inverse[1, 0] * y + inverse[2, 0] * z
    ny = inverse[0, 1] * x + inverse[1, 1] * y + inverse[2, 1] * z
    nz = inverse[0, 2] * x + inverse[1, 2] * y + inverse[2, 2] * z
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    return nx / length, ny / length, nz / length


@_jit
def _invert(axes: Floats) -> Floats:
    """The matrices [n, 3, 3] that take the world to each primitive's own frame: for orthogonal half-axes a_i the rows are a_i / |a_i|^2."""
    inverse = np.empty_like(axes)
    for k in range(len(axes)):
        for i in range(3):
            a = axes[k, i]
            inverse[k, i] = a / (a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    return inverse


@_jit
def _origins(inverse: Floats, centre: Floats, position: Floats) -> Floats:
    """A point of the world in the frame of each primitive, [n, 3]."""
    origin = np.empty_like(centre)
    for k in range(len(centre)):
        for i in range(3):
            m = inverse[k, i]
            origin[k, i] = m[0] * (position[0] - centre[k, 0]) + m[1] * (position[1] - centre[k, 1]) + m[2] * (position[2] - centre[k, 2])
    return origin


@_jit
def _trace(kind: Ints, taper: Floats, inverse: Floats, origin: Floats, rectangle: Floats, eye: Floats, size: int) -> tuple[Floats, Ints]:
    """Depth [size, size] and index [size, size] of the nearest primitive on the ray of each sample; inf and -1 where there is none."""
    depth, index = np.full((size, size), math.inf), np.full((size, size), -1)
    step = 2 * EYE_SLOPE / size
    for k in range(len(kind)):
        d, du, dv = inverse[k] @ eye[3], inverse[k] @ eye[1], inverse[k] @ eye[2]
        first, last = _span(rectangle[k, 0], rectangle[k, 1], step, size)
        bottom, top = _span(rectangle[k, 2], rectangle[k, 3], step, size)
        for i in range(size - 1 - top, size - bottom):
            v = EYE_SLOPE - (i + 0.5) * step
            x, y, z = d[0] + v * dv[0], d[1] + v * dv[1], d[2] + v * dv[2]
            for j in range(first, last + 1):
                u = (j + 0.5) * step - EYE_SLOPE
                t = _enter(kind[k], taper[k], origin[k], x + u * du[0], y + u * du[1], z + u * du[2])
                if 0 < t < depth[i, j]:
                    depth[i, j], index[i, j] = t, k
    return depth, index


@_jit
def _span(low: float, high: float, step: float, size: int) -> tuple[int, int]:
    """First and last sample, inside the picture, whose slope can lie in [low, high]."""
    first = math.floor((low + EYE_SLOPE) / step - 0.5)
    last = math.ceil((high + EYE_SLOPE) / step - 0.5)
    return max(0, first), min(size - 1, last)


@_jit
def _lit(kind: Ints, taper: Floats, inverse: Floats, origin: Floats, rectangle: Floats, light: Floats, x: float, y: float, z: float) -> bool:
    """Whether nothing stands between the light and a point; `origin` and `rectangle` are those of the light."""
    u, v = _project(light, x, y, z)
    dx, dy, dz = x - light[0, 0], y - light[0, 1], z - light[0, 2]
    for k in range(len(kind)):
        if rectangle[k, 0] <= u <= rectangle[k, 1] and rectangle[k, 2] <= v <= rectangle[k, 3]:
            m = inverse[k]
            ax = m[0, 0] * dx + m[0, 1] * dy + m[0, 2] * dz
            ay = m[1, 0] * dx + m[1, 1] * dy + m[1, 2] * dz
            az = m[2, 0] * dx + m[2, 1] * dy + m[2, 2] * dz
            if 0 < _enter(kind[k], taper[k], origin[k], ax, ay, az) < SHADOW_END:
                return False
    return True


@_jit
def _spot(light: Floats, nx: float, ny: float, nz: float, x: float, y: float, z: float) -> float:
    """The spotlight's share of the light at a point with the given normal, shadows apart: Lambert's cosine within the cone, in [0, 1]."""
    lx, ly, lz = light[0, 0] - x, light[0, 1] - y, light[0, 2] - z
    length = math.sqrt(lx * lx + ly * ly + lz * lz)
    facing = (nx * lx + ny * ly + nz * lz) / length
    inside = -(light[3, 0] * lx + light[3, 1] * ly + light[3, 2] * lz) / length
    if facing <= 0 or inside <= SPOT_OUTER:
        return 0.0
    rim = min(1.0, (inside - SPOT_OUTER) / (SPOT_INNER - SPOT_OUTER))
    return facing * rim * rim * (3 - 2 * rim)


@_jit
def _picture(
    kind: Ints, taper: Floats, centre: Floats, axes: Floats, colour: Floats, eye: Floats, light: Floats, floor_rgb: Floats, light_rgb: Floats, out: Bytes
) -> None:
    """Draws one posed object of n primitives into `out` [S, S, 3]."""
    inverse = _invert(axes)
    seen, from_light = _origins(inverse, centre, eye[0]), _origins(inverse, centre, light[0])
    shade = _bounds(light, centre, axes)
    size = SAMPLES * len(out)
    depth, index = _trace(kind, taper, inverse, seen, _bounds(eye, centre, axes), eye, size)
    step = 2 * EYE_SLOPE / size
    total = np.empty(3)
    for i in range(len(out)):
        for j in range(len(out)):
            total[:] = 0.5
            for sample in range(SAMPLES * SAMPLES):
                row, column = i * SAMPLES + sample // SAMPLES, j * SAMPLES + sample % SAMPLES
                u, v = (column + 0.5) * step - EYE_SLOPE, EYE_SLOPE - (row + 0.5) * step
                dx = eye[3, 0] + u * eye[1, 0] + v * eye[2, 0]
                dy = eye[3, 1] + u * eye[1, 1] + v * eye[2, 1]
                dz = eye[3, 2] + u * eye[1, 2] + v * eye[2, 2]
                k, t = index[row, column], depth[row, column]
                nx, ny, nz = 0.0, 0.0, 1.0
                albedo = floor_rgb
                if k >= 0:
                    m, o = inverse[k], seen[k]
                    px = o[0] + t * (m[0, 0] * dx + m[0, 1] * dy + m[0, 2] * dz)
                    py = o[1] + t * (m[1, 0] * dx + m[1, 1] * dy + m[1, 2] * dz)
                    pz = o[2] + t * (m[2, 0] * dx + m[2, 1] * dy + m[2, 2] * dz)
                    nx, ny, nz = _normal(kind[k], taper[k], m, px, py, pz)
                    albedo = colour[k]
                else:
                    t = (FLOOR_Z - eye[0, 2]) / dz
                x, y, z = eye[0, 0] + t * dx, eye[0, 1] + t * dy, eye[0, 2] + t * dz
                spot = _spot(light, nx, ny, nz, x, y, z)
                if spot > 0 and not _lit(kind, taper, inverse, from_light, shade, light, x, y, z):
                    spot = 0.0
                plain = AMBIENT + SUN_GAIN * max(0.0, nx * SUN[0] + ny * SUN[1] + nz * SUN[2])
                for c in range(3):
                    total[c] += min(255.0, 255 * albedo[c] * (plain + SPOT_GAIN * spot * light_rgb[c])) / (SAMPLES * SAMPLES)
            for c in range(3):
                out[i, j, c] = np.uint8(total[c])


@_jit
def draw(
    kind: Ints, taper: Floats, centre: Floats, axes: Floats, colour: Floats, count: Ints, index: Ints,
    rotation: Floats, eye: Floats, light: Floats, floor_rgb: Floats, light_rgb: Floats, out: Bytes,
) -> None:  # fmt: skip
    """Draws pictures `out` [B, S, S, 3] of objects `index` [B], turned by `rotation` [B, 3, 3], seen from `eye` [3] under lights at `light` [B, 3]."""
    camera = _pinhole(eye)
    for b in range(len(out)):
        o, n = index[b], count[index[b]]
        turned_centre, turned_axes = np.empty((n, 3)), np.empty((n, 3, 3))
        for k in range(n):
            turned_centre[k] = rotation[b] @ centre[o, k]
            for i in range(3):
                turned_axes[k, i] = rotation[b] @ axes[o, k, i]
        _picture(
            kind[o, :n], taper[o, :n], turned_centre, turned_axes, colour[o, :n], camera, _pinhole(light[b]), floor_rgb[b], light_rgb[b], out[b]
        )
