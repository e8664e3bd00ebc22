"""The compiled part of the ray caster: unit solids, tracing and shading.

All kernels are in this one file: numba's cache notices a change of the file that holds a function,
but not of the files it calls. They use no fast-math, no BLAS and no transcendental function, so the
same arguments give the same bytes on any number of threads.

A picture is drawn from two tables of numbers, because passing many arrays costs numba more than the
arithmetic:

- `solids` [n, 24] has a row for each primitive, with the columns KIND to SHADE;
- `stage` [10, 3] has the rows EYE and LIGHT (pinholes: position, right, up, forward), TINT (colour
  of the light) and FLOOR (colour of the floor).

A ray is o + t d. Rays of sight advance by 1 along `forward`, so t is depth; shadow rays reach their
point at t = 1. A primitive is tested only by rays inside the rectangle that its box covers in the
picture plane of the eye or the light.
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
Vec = tuple[float, float, float]
F = TypeVar("F", bound=Callable[..., Any])

BOX, BALL, TUBE = 0, 1, 2

# First columns of `solids`. INVERSE [3, 3] takes offsets from CENTRE to the primitive's own frame,
# SOURCE [3] is the light in that frame, and SHADE (left, right, bottom, top) is the rectangle that
# the primitive's box covers as the light sees it.
KIND, TAPER, CENTRE, INVERSE, COLOUR, SOURCE, SHADE, COLUMNS = 0, 1, 2, 5, 14, 17, 20, 24
# First rows of `stage`, and the rows of a pinhole from its first on.
EYE, LIGHT, TINT, FLOOR = 0, 4, 8, 9
POSITION, RIGHT, UP, FORWARD = 0, 1, 2, 3

# Half a sensor over the focal length of Blender's default camera: 36 mm and 50 mm.
EYE_SLOPE = 18 / 50
FLOOR_Z = -1.0
# Cosines of the spotlight's cone: it is dark beyond the outer one and full within the inner one.
SPOT_OUTER = math.cos(math.radians(16.5))
SPOT_INNER = math.cos(math.radians(14.0))
SPOT_GAIN, AMBIENT, SUN_GAIN = 0.85, 0.45, 0.4
# Unit vector towards the sun: above, to the front and to one side, so that a box's faces differ.
SUN = (0.36, 0.48, 0.8)
SHADOW_END = 1 - 1e-3  # a shadow ray ends short of its point, which must not shade itself
CONTRAST = 12.0  # a pixel that differs this much (of 255) from a neighbour is sampled more finely


def _inline(function: F) -> F:
    """Compile a function into its callers, which makes pictures twice as fast.

    mypy still sees the plain function.
    """
    return cast(F, numba.njit(error_model="numpy", forceinline=True)(function))


def _kernel(function: F) -> F:
    """Compile a function once for all processes; it runs without the GIL."""
    try:
        return cast(F, numba.njit(error_model="numpy", cache=True, nogil=True)(function))
    except RuntimeError:
        # Neither this folder nor the user's own can be written: each process compiles for itself.
        return cast(F, numba.njit(error_model="numpy", nogil=True)(function))


@_inline
def _dot(a: Vec, b: Vec) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@_inline
def enter_box(o: Vec, d: Vec) -> float:
    """Return the t at which o + t d enters the box [-1, 1]^3, inf if it misses."""
    (ox, oy, oz), (dx, dy, dz) = o, d

    # Between the planes x = -1 and x = 1 the ray is for t from min(x0, x1) to max(x0, x1); likewise
    # for y and z. A ray along a plane divides by zero: the infinities that come out are right.
    ix, iy, iz = 1 / dx, 1 / dy, 1 / dz
    x0, x1 = (-1 - ox) * ix, (1 - ox) * ix
    y0, y1 = (-1 - oy) * iy, (1 - oy) * iy
    z0, z1 = (-1 - oz) * iz, (1 - oz) * iz

    # It is in the box where the three intervals overlap.
    near = max(min(x0, x1), min(y0, y1), min(z0, z1))
    far = min(max(x0, x1), max(y0, y1), max(z0, z1))
    return near if near < far else math.inf


@_inline
def enter_ball(o: Vec, d: Vec) -> float:
    """Return the t at which o + t d enters the unit ball, inf if it misses."""
    # |o + t d|^2 = 1 is a t^2 + 2 b t + c = 0 with c = o o - 1; the ray enters at the lesser root.
    # An ellipsoid is this ball in its own frame, where t stays what it is.
    a, b = _dot(d, d), _dot(o, d)
    root = b * b - a * (_dot(o, o) - 1)
    return (-b - math.sqrt(root)) / a if root > 0 else math.inf


@_inline
def enter_tube(o: Vec, d: Vec, taper: float) -> float:
    """Return the t at which o + t d enters the tube, inf if it misses.

    The tube's radius is m + s z for |z| <= 1: 1 at z = -1 and `taper` at z = 1.
    """
    (ox, oy, oz), (dx, dy, dz) = o, d
    m, s = (taper + 1) / 2, (taper - 1) / 2

    # Along the ray the radius is radius + growth t, and inside the infinite cone is
    # x^2 + y^2 - (radius + growth t)^2 = a t^2 + 2 b t + c <= 0.
    radius, growth = m + s * oz, s * dz
    a = dx * dx + dy * dy - growth * growth
    # A ray along the wall has a = 0. With a little more, its far root is merely very far.
    a = a if a != 0 else 1e-300
    b, c = ox * dx + oy * dy - radius * growth, ox * ox + oy * oy - radius * radius
    root = b * b - a * c
    if root <= 0:
        return math.inf

    # The roots are q / a and c / q; this q adds numbers of one sign, so that no digits cancel.
    q = -b - math.sqrt(root) if b > 0 else -b + math.sqrt(root)
    first, last = min(q / a, c / q), max(q / a, c / q)
    # A ray steeper than the wall (a < 0) is inside before the lesser root or after the greater one,
    # whichever side has a positive radius.
    if a < 0:
        first, last = (last, math.inf) if growth > 0 else (-math.inf, first)

    # The tube is the part of the cone between the planes z = -1 and z = 1.
    z0, z1 = (-1 - oz) / dz, (1 - oz) / dz
    near, far = max(first, min(z0, z1)), min(last, max(z0, z1))
    return near if near < far else math.inf


@_inline
def _enter(kind: float, taper: float, o: Vec, d: Vec) -> float:
    """Return the t at which o + t d enters a unit solid, inf if it misses."""
    if kind == BOX:
        return enter_box(o, d)
    if kind == BALL:
        return enter_ball(o, d)
    return enter_tube(o, d, taper)


@_inline
def _vec(table: Floats, row: int, column: int = 0) -> Vec:
    return table[row, column], table[row, column + 1], table[row, column + 2]


@_inline
def _put(table: Floats, row: int, column: int, v: Vec) -> None:
    table[row, column], table[row, column + 1], table[row, column + 2] = v


@_inline
def _minus(a: Vec, b: Vec) -> Vec:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@_inline
def _times(table: Floats, row: int, column: int, d: Vec) -> Vec:
    """Return a matrix times a vector; the matrix is nine numbers of a row from a column on.

    That at INVERSE takes directions to a primitive's own frame.
    """
    return (
        _dot(_vec(table, row, column), d),
        _dot(_vec(table, row, column + 3), d),
        _dot(_vec(table, row, column + 6), d),
    )


@_inline
def _local(solids: Floats, k: int, p: Vec) -> Vec:
    """Return a point of the world in the frame of primitive k."""
    return _times(solids, k, INVERSE, _minus(p, _vec(solids, k, CENTRE)))


@_inline
def _normal(solids: Floats, k: int, p: Vec) -> Vec:
    """Return the outward unit normal of primitive k at a point of its surface."""
    # A ball's normal in its own frame is the point itself.
    x, y, z = _local(solids, k, p)
    if solids[k, KIND] == BOX:
        # The point is on the face of its largest coordinate.
        ax, ay, az = abs(x), abs(y), abs(z)
        x, y, z = (
            (x if ax >= ay and ax >= az else 0.0),
            (y if ay > ax and ay >= az else 0.0),
            (z if az > ax and az > ay else 0.0),
        )
    elif solids[k, KIND] == TUBE:
        # On a cap it is the axis; on the wall half the gradient of x^2 + y^2 - (m + s z)^2, where
        # s = slope and m = 1 + slope (see `enter_tube`).
        slope = (solids[k, TAPER] - 1) / 2
        x, y, z = (0.0, 0.0, z) if abs(z) > 1 - 1e-6 else (x, y, -slope * (1 + slope + slope * z))

    # Normals are gradients: where points go to the frame by A, normals come back by A transposed.
    nx = solids[k, INVERSE] * x + solids[k, INVERSE + 3] * y + solids[k, INVERSE + 6] * z
    ny = solids[k, INVERSE + 1] * x + solids[k, INVERSE + 4] * y + solids[k, INVERSE + 7] * z
    nz = solids[k, INVERSE + 2] * x + solids[k, INVERSE + 5] * y + solids[k, INVERSE + 8] * z
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    return nx / length, ny / length, nz / length


@_inline
def _project(stage: Floats, eye: int, p: Vec) -> tuple[float, float]:
    """Return the slopes (right, up) at which a pinhole, from row `eye` on, sees a point."""
    d = _minus(p, _vec(stage, eye + POSITION))
    depth = _dot(d, _vec(stage, eye + FORWARD))
    return _dot(d, _vec(stage, eye + RIGHT)) / depth, _dot(d, _vec(stage, eye + UP)) / depth


@_inline
def _rectangle(
    solids: Floats, k: int, stage: Floats, eye: int
) -> tuple[float, float, float, float]:
    """Return the rectangle (left, right, bottom, top) of primitive k in a pinhole's picture plane.

    It is the least one, in slopes, that holds the box around the primitive.
    """
    left, right, bottom, top = math.inf, -math.inf, math.inf, -math.inf
    centre = _vec(solids, k, CENTRE)
    a, b, c = _half_axis(solids, k, 0), _half_axis(solids, k, 1), _half_axis(solids, k, 2)
    for corner in range(8):
        # The three bits of `corner` are the signs of its half-axes.
        i, j, h = 2 * (corner & 1) - 1, (corner & 2) - 1, (corner & 4) / 2 - 1
        x = centre[0] + i * a[0] + j * b[0] + h * c[0]
        y = centre[1] + i * a[1] + j * b[1] + h * c[1]
        z = centre[2] + i * a[2] + j * b[2] + h * c[2]
        u, v = _project(stage, eye, (x, y, z))
        left, right, bottom, top = min(left, u), max(right, u), min(bottom, v), max(top, v)
    return left, right, bottom, top


@_inline
def _half_axis(solids: Floats, k: int, i: int) -> Vec:
    """Return half-axis i of primitive k.

    Its row of the inverse is r = axis / |axis|^2, as the axes are orthogonal, so it is
    r / |r|^2.
    """
    r = _vec(solids, k, INVERSE + 3 * i)
    square = _dot(r, r)
    return r[0] / square, r[1] / square, r[2] / square


@_inline
def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """Return the first and last sample of the picture whose slope lies in [low, high]."""
    # Sample j of a row has the slope (j + 0.5) / scale - EYE_SLOPE.
    scale = size / (2 * EYE_SLOPE)
    first = math.ceil((low + EYE_SLOPE) * scale - 0.5)
    last = math.floor((high + EYE_SLOPE) * scale - 0.5)
    return max(0, first), min(size - 1, last)


@_inline
def _trace(solids: Floats, stage: Floats, size: int) -> tuple[Floats, Ints]:
    """Return depth and index of the nearest primitive for each sample, [size, size] both.

    They are inf and -1 where a ray meets none.
    """
    depth, index = np.full((size, size), math.inf), np.full((size, size), -1)
    step = 2 * EYE_SLOPE / size
    for k in range(len(solids)):
        # The eye and its axes in the primitive's frame make a ray's direction there cheap:
        # ahead + u right + v up.
        kind, taper, origin = solids[k, KIND], solids[k, TAPER], _local(solids, k, _vec(stage, EYE))
        right = _times(solids, k, INVERSE, _vec(stage, EYE + RIGHT))
        up = _times(solids, k, INVERSE, _vec(stage, EYE + UP))
        ahead = _times(solids, k, INVERSE, _vec(stage, EYE + FORWARD))

        # Rows count downwards, slopes upwards.
        rectangle = _rectangle(solids, k, stage, EYE)
        first, last = _span(rectangle[0], rectangle[1], size)
        bottom, top = _span(rectangle[2], rectangle[3], size)
        for i in range(size - 1 - top, size - bottom):
            v = EYE_SLOPE - (i + 0.5) * step
            x, y, z = ahead[0] + v * up[0], ahead[1] + v * up[1], ahead[2] + v * up[2]
            for j in range(first, last + 1):
                u = (j + 0.5) * step - EYE_SLOPE
                direction = (x + u * right[0], y + u * right[1], z + u * right[2])
                t = _enter(kind, taper, origin, direction)
                if 0 < t < depth[i, j]:
                    depth[i, j], index[i, j] = t, k
    return depth, index


@_inline
def _lit(solids: Floats, stage: Floats, p: Vec) -> bool:
    """Return whether nothing stands between the light and a point."""
    u, v = _project(stage, LIGHT, p)
    d = _minus(p, _vec(stage, LIGHT))
    for k in range(len(solids)):
        # Most primitives are ruled out by their rectangle, at the price of four comparisons.
        if not (
            solids[k, SHADE] <= u <= solids[k, SHADE + 1]
            and solids[k, SHADE + 2] <= v <= solids[k, SHADE + 3]
        ):
            continue

        source, direction = _vec(solids, k, SOURCE), _times(solids, k, INVERSE, d)
        if 0 < _enter(solids[k, KIND], solids[k, TAPER], source, direction) < SHADOW_END:
            return False
    return True


@_inline
def _spot(stage: Floats, p: Vec, normal: Vec) -> float:
    """Return the spotlight's share at a point, in [0, 1], without shadows."""
    d = _minus(p, _vec(stage, LIGHT))
    length = math.sqrt(_dot(d, d))
    facing, inside = -_dot(normal, d) / length, _dot(_vec(stage, LIGHT + FORWARD), d) / length
    if facing <= 0 or inside <= SPOT_OUTER:
        return 0.0

    # Lambert's cosine, times a smoothstep from 0 to 1 between the outer and the inner cone.
    rim = min(1.0, (inside - SPOT_OUTER) / (SPOT_INNER - SPOT_OUTER))
    return facing * rim * rim * (3 - 2 * rim)


@_inline
def _sight(stage: Floats, row: int, column: int, size: int) -> Vec:
    """Return the direction of the ray of sight through a sample, of `size` a side."""
    step = 2 * EYE_SLOPE / size
    right, up = (column + 0.5) * step - EYE_SLOPE, EYE_SLOPE - (row + 0.5) * step
    dx = stage[EYE + FORWARD, 0] + right * stage[EYE + RIGHT, 0] + up * stage[EYE + UP, 0]
    dy = stage[EYE + FORWARD, 1] + right * stage[EYE + RIGHT, 1] + up * stage[EYE + UP, 1]
    dz = stage[EYE + FORWARD, 2] + right * stage[EYE + RIGHT, 2] + up * stage[EYE + UP, 2]
    return dx, dy, dz


@_inline
def _tone(stage: Floats, colour: Vec, normal: Vec, spot: float) -> Vec:
    """Return the colour, RGB in [0, 255], of a surface that gets `spot` [0, 1] of the spotlight.

    colour * (ambient + sun * max(0, normal . SUN) + gain * spot * tint), cut at white.
    """
    plain, gain = AMBIENT + SUN_GAIN * max(0.0, _dot(normal, SUN)), SPOT_GAIN * spot
    red = plain + gain * stage[TINT, 0]
    green = plain + gain * stage[TINT, 1]
    blue = plain + gain * stage[TINT, 2]
    return (
        255 * min(1.0, colour[0] * red),
        255 * min(1.0, colour[1] * green),
        255 * min(1.0, colour[2] * blue),
    )


@_inline
def _shade(solids: Floats, stage: Floats, depth: Floats, index: Ints, row: int, column: int) -> Vec:
    """Return the colour, RGB in [0, 255], that the eye sees at a sample.

    It is that of the primitive traced there, or else of the floor.
    """
    k = index[row, column]
    d = _sight(stage, row, column, len(depth))
    t = depth[row, column] if k >= 0 else (FLOOR_Z - stage[EYE, 2]) / d[2]
    p = (stage[EYE, 0] + t * d[0], stage[EYE, 1] + t * d[1], stage[EYE, 2] + t * d[2])
    normal = _normal(solids, k, p) if k >= 0 else (0.0, 0.0, 1.0)
    colour = _vec(solids, k, COLOUR) if k >= 0 else _vec(stage, FLOOR)

    # A shadow ray is dear: only points that the spotlight would reach send one.
    spot = _spot(stage, p, normal)
    if spot > 0 and not _lit(solids, stage, p):
        spot = 0.0
    return _tone(stage, colour, normal, spot)


@_inline
def _even(rough: Floats, index: Ints, i: int, j: int) -> bool:
    """Return whether one sample is enough for a pixel.

    It is where the pixel shows one primitive and differs little from its four neighbours.
    """
    k, row, column, last = index[2 * i, 2 * j], 2 * i, 2 * j, len(rough) - 1
    right, below, across = (row, column + 1), (row + 1, column), (row + 1, column + 1)
    if index[right] != k or index[below] != k or index[across] != k:
        return False

    above, under = (max(0, i - 1), j), (min(last, i + 1), j)
    before, after = (i, max(0, j - 1)), (i, min(last, j + 1))
    for y, x in (above, under, before, after):
        for c in range(3):
            if abs(rough[y, x, c] - rough[i, j, c]) > CONTRAST:
                return False
    return True


@_inline
def _picture(solids: Floats, stage: Floats, out: Bytes) -> None:
    """Draw one picture into `out` [S, S, 3].

    Two by two samples of each pixel are traced, but all four are shaded only where the pixel is not
    even: shading takes most of the time.
    """
    size = len(out)
    depth, index = _trace(solids, stage, 2 * size)

    # One sample of each pixel first: the neighbours' colours decide which pixels get more.
    rough = np.empty((size, size, 3))
    for i in range(size):
        for j in range(size):
            first = _shade(solids, stage, depth, index, 2 * i, 2 * j)
            rough[i, j, 0], rough[i, j, 1], rough[i, j, 2] = first

    for i in range(size):
        for j in range(size):
            red, green, blue = rough[i, j, 0], rough[i, j, 1], rough[i, j, 2]
            if not _even(rough, index, i, j):
                for row, column in ((2 * i, 2 * j + 1), (2 * i + 1, 2 * j), (2 * i + 1, 2 * j + 1)):
                    more = _shade(solids, stage, depth, index, row, column)
                    red, green, blue = red + more[0], green + more[1], blue + more[2]
                red, green, blue = red / 4, green / 4, blue / 4
            # Half a unit to round, as the conversion cuts.
            out[i, j, 0] = np.uint8(red + 0.5)
            out[i, j, 1] = np.uint8(green + 0.5)
            out[i, j, 2] = np.uint8(blue + 0.5)


@_kernel
def draw(models: Floats, count: Ints, rotation: Floats, stage: Floats, out: Bytes) -> None:
    """Draw B pictures `out` [B, S, S, 3], each of one turned model on its own stage.

    Args:
        models: [B, K, SOURCE]; the columns are those of `solids`, with half-axes in place of the
            inverse.
        count: [B], primitives of each model; the rest of its K rows is padding.
        rotation: [B, 9], matrices row by row.
        stage: [B, 10, 3].
        out: is written to.
    """
    for b in range(len(out)):
        model, place, solids = models[b], stage[b], np.empty((count[b], COLUMNS))
        for k in range(len(solids)):
            # Turn centre and half-axes; the inverse of orthogonal axes has rows axis / |axis|^2.
            solids[k, :SOURCE] = model[k]
            _put(solids, k, CENTRE, _times(rotation, b, 0, _vec(model, k, CENTRE)))
            for column in (INVERSE, INVERSE + 3, INVERSE + 6):
                axis = _times(rotation, b, 0, _vec(model, k, column))
                square = _dot(axis, axis)
                _put(solids, k, column, (axis[0] / square, axis[1] / square, axis[2] / square))

            # The light in the primitive's frame, and the rectangle as the light sees it.
            _put(solids, k, SOURCE, _local(solids, k, _vec(place, LIGHT)))
            left, right, bottom, top = _rectangle(solids, k, place, LIGHT)
            solids[k, SHADE], solids[k, SHADE + 1] = left, right
            solids[k, SHADE + 2], solids[k, SHADE + 3] = bottom, top
        _picture(solids, place, out[b])


@_kernel
def sights(stage: Floats, size: int) -> Floats:
    """Return the directions [size * size, 3] of a picture's rays of sight, by rows from the top.

    `stage` is one picture's.
    """
    out = np.empty((size * size, 3))
    for row in range(size):
        for column in range(size):
            _put(out, row * size + column, 0, _sight(stage, row, column, size))
    return out


@_kernel
def spots(stage: Floats, points: Floats, normals: Floats) -> Floats:
    """Return the spotlight's share [n] in [0, 1] at points [n, 3], without shadows.

    `normals` [n, 3] are unit vectors.
    """
    out = np.empty(len(points))
    for i in range(len(points)):
        out[i] = _spot(stage, _vec(points, i), _vec(normals, i))
    return out


@_kernel
def tones(stage: Floats, colours: Floats, normals: Floats, spot: Floats) -> Floats:
    """Return the colours [n, 3], RGB in [0, 255], of surfaces that get `spot` [n].

    `colours` [n, 3] are in [0, 1], `normals` [n, 3] unit vectors.
    """
    out = np.empty((len(colours), 3))
    for i in range(len(colours)):
        _put(out, i, 0, _tone(stage, _vec(colours, i), _vec(normals, i), spot[i]))
    return out
