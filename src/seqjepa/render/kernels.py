"""The compiled part of the ray caster: unit solids, tracing and shading.

All kernels are in this one file because numba's cache notices a change of the file that holds a
function, not of the files it calls. No fast-math, no BLAS and no transcendental function in here:
the same arguments give the same bytes on any number of threads.

A picture is drawn from two tables of numbers, for handing many arrays around costs numba more than
the arithmetic:

- `solids` [n, 24] has a row for each primitive, with the columns KIND to SHADE;
- `stage` [10, 3] has the rows EYE and LIGHT (pinholes: position, right, up, forward), TINT (colour
  of the light) and FLOOR (of the floor).

A primitive is looked for only inside the rectangle that its box covers in a pinhole's picture
plane, by rays of sight and by shadow rays alike. A ray is o + t d. Rays of sight advance by 1 along
`forward`, so that t is depth; shadow rays reach their point at t = 1.
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

# First columns of `solids`: INVERSE [3, 3] takes offsets from CENTRE to the primitive's own frame, SOURCE [3] is the light in that frame,
# and SHADE (left, right, bottom, top) is the primitive's rectangle as the light sees it.
KIND, TAPER, CENTRE, INVERSE, COLOUR, SOURCE, SHADE, COLUMNS = 0, 1, 2, 5, 14, 17, 20, 24
EYE, LIGHT, TINT, FLOOR = 0, 4, 8, 9
POSITION, RIGHT, UP, FORWARD = 0, 1, 2, 3

EYE_SLOPE = (
    18 / 50
)  # half a sensor over the focal length of Blender's default camera: 36 mm and 50 mm
FLOOR_Z = -1.0
SPOT_OUTER, SPOT_INNER = (
    math.cos(math.radians(16.5)),
    math.cos(math.radians(14.0)),
)  # dark beyond the first, full within the second
SPOT_GAIN, AMBIENT, SUN_GAIN = 0.85, 0.45, 0.4
SUN = (
    0.36,
    0.48,
    0.8,
)  # unit vector towards the sun: above, to the front and to one side, so that the faces of a box differ
SHADOW_END = 1 - 1e-3  # a shadow ray ends short of its point, which must not shade itself
CONTRAST = 12.0  # a pixel that differs this much (of 255) from a neighbour is sampled more finely


def _inline(function: F) -> F:
    """Compiled into its caller, which makes pictures twice as fast; to mypy still the plain
    function.
    """
    return cast(F, numba.njit(error_model="numpy", forceinline=True)(function))


def _kernel(function: F) -> F:
    """Compiled once for all processes, and run without the GIL."""
    return cast(F, numba.njit(error_model="numpy", cache=True, nogil=True)(function))


@_inline
def _dot(a: Vec, b: Vec) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@_inline
def enter_box(o: Vec, d: Vec) -> float:
    """Ray parameter t at which o + t d enters the box [-1, 1]^3; inf if it misses."""
    (ox, oy, oz), (dx, dy, dz) = o, d
    ix, iy, iz = 1 / dx, 1 / dy, 1 / dz
    x0, x1, y0, y1, z0, z1 = (
        (-1 - ox) * ix,
        (1 - ox) * ix,
        (-1 - oy) * iy,
        (1 - oy) * iy,
        (-1 - oz) * iz,
        (1 - oz) * iz,
    )
    near = max(min(x0, x1), min(y0, y1), min(z0, z1))
    far = min(max(x0, x1), max(y0, y1), max(z0, z1))
    return near if near < far else math.inf


@_inline
def enter_ball(o: Vec, d: Vec) -> float:
    """Ray parameter t at which o + t d enters the unit ball; inf if it misses."""
    a, b = _dot(d, d), _dot(o, d)
    root = b * b - a * (_dot(o, o) - 1)
    return (-b - math.sqrt(root)) / a if root > 0 else math.inf


@_inline
def enter_tube(o: Vec, d: Vec, taper: float) -> float:
    """Ray parameter t at which o + t d enters the tube, whose radius is m + s z for |z| <= 1; inf
    if it misses.
    """
    (ox, oy, oz), (dx, dy, dz) = o, d
    m, s = (taper + 1) / 2, (taper - 1) / 2
    radius, growth = m + s * oz, s * dz
    # Inside the infinite cone a t^2 + 2 b t + c <= 0. A ray along the wall has a = 0: a little more, and the far root is merely very far.
    a = dx * dx + dy * dy - growth * growth
    a = a if a != 0 else 1e-300
    b, c = ox * dx + oy * dy - radius * growth, ox * ox + oy * oy - radius * radius
    root = b * b - a * c
    if root <= 0:
        return math.inf
    q = -b - math.sqrt(root) if b > 0 else -b + math.sqrt(root)  # no cancellation
    first, last = min(q / a, c / q), max(q / a, c / q)
    # A ray steeper than the wall (a < 0) is inside before the lesser root or after the greater, on the side where the radius is positive.
    if a < 0:
        first, last = (last, math.inf) if growth > 0 else (-math.inf, first)
    z0, z1 = (-1 - oz) / dz, (1 - oz) / dz
    near, far = max(first, min(z0, z1)), min(last, max(z0, z1))
    return near if near < far else math.inf


@_inline
def _enter(kind: float, taper: float, o: Vec, d: Vec) -> float:
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
    """A matrix, the nine numbers of a row from a column on, times a vector; that at INVERSE takes
    directions to a primitive's own frame.
    """
    return (
        _dot(_vec(table, row, column), d),
        _dot(_vec(table, row, column + 3), d),
        _dot(_vec(table, row, column + 6), d),
    )


@_inline
def _local(solids: Floats, k: int, p: Vec) -> Vec:
    """A point of the world in the frame of primitive k."""
    return _times(solids, k, INVERSE, _minus(p, _vec(solids, k, CENTRE)))


@_inline
def _normal(solids: Floats, k: int, p: Vec) -> Vec:
    """The outward unit normal of primitive k at a point of its surface."""
    x, y, z = _local(solids, k, p)
    if solids[k, KIND] == BOX:
        ax, ay, az = abs(x), abs(y), abs(z)
        x, y, z = (
            (x if ax >= ay and ax >= az else 0.0),
            (y if ay > ax and ay >= az else 0.0),
            (z if az > ax and az > ay else 0.0),
        )
    elif solids[k, KIND] == TUBE:
        slope = (solids[k, TAPER] - 1) / 2
        x, y, z = (0.0, 0.0, z) if abs(z) > 1 - 1e-6 else (x, y, -slope * (1 + slope + slope * z))
    nx = solids[k, INVERSE] * x + solids[k, INVERSE + 3] * y + solids[k, INVERSE + 6] * z
    ny = solids[k, INVERSE + 1] * x + solids[k, INVERSE + 4] * y + solids[k, INVERSE + 7] * z
    nz = solids[k, INVERSE + 2] * x + solids[k, INVERSE + 5] * y + solids[k, INVERSE + 8] * z
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    return nx / length, ny / length, nz / length


@_inline
def _project(stage: Floats, eye: int, p: Vec) -> tuple[float, float]:
    """The slopes (right, up) under which the pinhole that starts at row `eye` sees a point."""
    d = _minus(p, _vec(stage, eye + POSITION))
    depth = _dot(d, _vec(stage, eye + FORWARD))
    return _dot(d, _vec(stage, eye + RIGHT)) / depth, _dot(d, _vec(stage, eye + UP)) / depth


@_inline
def _rectangle(
    solids: Floats, k: int, stage: Floats, eye: int
) -> tuple[float, float, float, float]:
    """The rectangle (left, right, bottom, top), in slopes, that the box of primitive k covers in a
    pinhole's picture plane.
    """
    left, right, bottom, top = math.inf, -math.inf, math.inf, -math.inf
    centre, a, b, c = (
        _vec(solids, k, CENTRE),
        _half_axis(solids, k, 0),
        _half_axis(solids, k, 1),
        _half_axis(solids, k, 2),
    )
    for corner in range(8):
        i, j, h = 2 * (corner & 1) - 1, (corner & 2) - 1, (corner & 4) / 2 - 1
        x = centre[0] + i * a[0] + j * b[0] + h * c[0]
        y = centre[1] + i * a[1] + j * b[1] + h * c[1]
        z = centre[2] + i * a[2] + j * b[2] + h * c[2]
        u, v = _project(stage, eye, (x, y, z))
        left, right, bottom, top = min(left, u), max(right, u), min(bottom, v), max(top, v)
    return left, right, bottom, top


@_inline
def _half_axis(solids: Floats, k: int, i: int) -> Vec:
    """A half-axis from its row r of the inverse, which is r = axis / |axis|^2: the axes are
    orthogonal.
    """
    r = _vec(solids, k, INVERSE + 3 * i)
    square = _dot(r, r)
    return r[0] / square, r[1] / square, r[2] / square


@_inline
def _span(low: float, high: float, size: int) -> tuple[int, int]:
    """First and last sample of the picture whose slope can lie in [low, high]."""
    scale = size / (2 * EYE_SLOPE)
    return max(0, math.ceil((low + EYE_SLOPE) * scale - 0.5)), min(
        size - 1, math.floor((high + EYE_SLOPE) * scale - 0.5)
    )


@_inline
def _trace(solids: Floats, stage: Floats, size: int) -> tuple[Floats, Ints]:
    """Depth [size, size] and index [size, size] of the nearest primitive on the ray of each sample;
    inf and -1 where there is none.
    """
    depth, index = np.full((size, size), math.inf), np.full((size, size), -1)
    step = 2 * EYE_SLOPE / size
    for k in range(len(solids)):
        kind, taper, origin = solids[k, KIND], solids[k, TAPER], _local(solids, k, _vec(stage, EYE))
        right, up = (
            _times(solids, k, INVERSE, _vec(stage, EYE + RIGHT)),
            _times(solids, k, INVERSE, _vec(stage, EYE + UP)),
        )
        ahead = _times(solids, k, INVERSE, _vec(stage, EYE + FORWARD))
        rectangle = _rectangle(solids, k, stage, EYE)
        first, last = _span(rectangle[0], rectangle[1], size)
        bottom, top = _span(rectangle[2], rectangle[3], size)
        for i in range(size - 1 - top, size - bottom):
            v = EYE_SLOPE - (i + 0.5) * step
            x, y, z = ahead[0] + v * up[0], ahead[1] + v * up[1], ahead[2] + v * up[2]
            for j in range(first, last + 1):
                u = (j + 0.5) * step - EYE_SLOPE
                t = _enter(
                    kind, taper, origin, (x + u * right[0], y + u * right[1], z + u * right[2])
                )
                if 0 < t < depth[i, j]:
                    depth[i, j], index[i, j] = t, k
    return depth, index


@_inline
def _lit(solids: Floats, stage: Floats, p: Vec) -> bool:
    """Whether nothing stands between the light and a point."""
    u, v = _project(stage, LIGHT, p)
    d = _minus(p, _vec(stage, LIGHT))
    for k in range(len(solids)):
        near = (
            solids[k, SHADE] <= u <= solids[k, SHADE + 1]
            and solids[k, SHADE + 2] <= v <= solids[k, SHADE + 3]
        )
        if (
            near
            and 0
            < _enter(
                solids[k, KIND],
                solids[k, TAPER],
                _vec(solids, k, SOURCE),
                _times(solids, k, INVERSE, d),
            )
            < SHADOW_END
        ):
            return False
    return True


@_inline
def _spot(stage: Floats, p: Vec, normal: Vec) -> float:
    """What the spotlight gives a point, shadows apart: Lambert's cosine, within the cone; in [0,
    1].
    """
    d = _minus(p, _vec(stage, LIGHT))
    length = math.sqrt(_dot(d, d))
    facing, inside = -_dot(normal, d) / length, _dot(_vec(stage, LIGHT + FORWARD), d) / length
    if facing <= 0 or inside <= SPOT_OUTER:
        return 0.0
    rim = min(1.0, (inside - SPOT_OUTER) / (SPOT_INNER - SPOT_OUTER))
    return facing * rim * rim * (3 - 2 * rim)


@_inline
def _sight(stage: Floats, row: int, column: int, size: int) -> Vec:
    """The direction of the ray of sight through a sample, of `size` a side."""
    step = 2 * EYE_SLOPE / size
    right, up = (column + 0.5) * step - EYE_SLOPE, EYE_SLOPE - (row + 0.5) * step
    dx = stage[EYE + FORWARD, 0] + right * stage[EYE + RIGHT, 0] + up * stage[EYE + UP, 0]
    dy = stage[EYE + FORWARD, 1] + right * stage[EYE + RIGHT, 1] + up * stage[EYE + UP, 1]
    dz = stage[EYE + FORWARD, 2] + right * stage[EYE + RIGHT, 2] + up * stage[EYE + UP, 2]
    return dx, dy, dz


@_inline
def _tone(stage: Floats, colour: Vec, normal: Vec, spot: float) -> Vec:
    """The colour, RGB in [0, 255], of a surface under the sun and what it gets of the spotlight, in
    [0, 1].
    """
    plain, gain = AMBIENT + SUN_GAIN * max(0.0, _dot(normal, SUN)), SPOT_GAIN * spot
    red, green, blue = (
        plain + gain * stage[TINT, 0],
        plain + gain * stage[TINT, 1],
        plain + gain * stage[TINT, 2],
    )
    return (
        255 * min(1.0, colour[0] * red),
        255 * min(1.0, colour[1] * green),
        255 * min(1.0, colour[2] * blue),
    )


@_inline
def _shade(solids: Floats, stage: Floats, depth: Floats, index: Ints, row: int, column: int) -> Vec:
    """The colour, RGB in [0, 255], that the eye sees at a sample: that of the primitive traced
    there, or else the floor's.
    """
    k = index[row, column]
    d = _sight(stage, row, column, len(depth))
    t = depth[row, column] if k >= 0 else (FLOOR_Z - stage[EYE, 2]) / d[2]
    p = (stage[EYE, 0] + t * d[0], stage[EYE, 1] + t * d[1], stage[EYE, 2] + t * d[2])
    normal = _normal(solids, k, p) if k >= 0 else (0.0, 0.0, 1.0)
    colour = _vec(solids, k, COLOUR) if k >= 0 else _vec(stage, FLOOR)
    spot = _spot(stage, p, normal)
    if spot > 0 and not _lit(solids, stage, p):
        spot = 0.0
    return _tone(stage, colour, normal, spot)


@_inline
def _even(rough: Floats, index: Ints, i: int, j: int) -> bool:
    """Whether a pixel shows one primitive and differs little from its neighbours, so that one
    sample speaks for all of it.
    """
    k, row, column, last = index[2 * i, 2 * j], 2 * i, 2 * j, len(rough) - 1
    if (
        index[row, column + 1] != k
        or index[row + 1, column] != k
        or index[row + 1, column + 1] != k
    ):
        return False
    for y, x in (
        (max(0, i - 1), j),
        (min(last, i + 1), j),
        (i, max(0, j - 1)),
        (i, min(last, j + 1)),
    ):
        for c in range(3):
            if abs(rough[y, x, c] - rough[i, j, c]) > CONTRAST:
                return False
    return True


@_inline
def _picture(solids: Floats, stage: Floats, out: Bytes) -> None:
    """Draws one picture into `out` [S, S, 3].

    Two by two samples of each pixel are traced, but shaded only where the pixel is not even:
        shading takes most of the time.
    """
    size = len(out)
    depth, index = _trace(solids, stage, 2 * size)
    rough = np.empty((size, size, 3))
    for i in range(size):
        for j in range(size):
            rough[i, j, 0], rough[i, j, 1], rough[i, j, 2] = _shade(
                solids, stage, depth, index, 2 * i, 2 * j
            )
    for i in range(size):
        for j in range(size):
            red, green, blue = rough[i, j, 0], rough[i, j, 1], rough[i, j, 2]
            if not _even(rough, index, i, j):
                for row, column in ((2 * i, 2 * j + 1), (2 * i + 1, 2 * j), (2 * i + 1, 2 * j + 1)):
                    more = _shade(solids, stage, depth, index, row, column)
                    red, green, blue = red + more[0], green + more[1], blue + more[2]
                red, green, blue = red / 4, green / 4, blue / 4
            # Half a unit to round, as the conversion cuts.
            out[i, j, 0], out[i, j, 1], out[i, j, 2] = (
                np.uint8(red + 0.5),
                np.uint8(green + 0.5),
                np.uint8(blue + 0.5),
            )


@_kernel
def draw(models: Floats, count: Ints, rotation: Floats, stage: Floats, out: Bytes) -> None:
    """Draws B pictures `out` [B, S, S, 3] of one model each, turned by `rotation` [B, 9], on
    `stage` [B, 10, 3].

    Of `models` [B, K, SOURCE], of `count` [B] primitives, the columns are those of `solids`, but
    half-axes in place of the inverse.
    """
    for b in range(len(out)):
        model, place, solids = models[b], stage[b], np.empty((count[b], COLUMNS))
        for k in range(len(solids)):
            solids[k, :SOURCE] = model[k]
            _put(solids, k, CENTRE, _times(rotation, b, 0, _vec(model, k, CENTRE)))
            for column in (INVERSE, INVERSE + 3, INVERSE + 6):
                axis = _times(rotation, b, 0, _vec(model, k, column))
                square = _dot(axis, axis)
                _put(solids, k, column, (axis[0] / square, axis[1] / square, axis[2] / square))
            _put(solids, k, SOURCE, _local(solids, k, _vec(place, LIGHT)))
            solids[k, SHADE], solids[k, SHADE + 1], solids[k, SHADE + 2], solids[k, SHADE + 3] = (
                _rectangle(solids, k, place, LIGHT)
            )
        _picture(solids, place, out[b])


@_kernel
def sights(stage: Floats, size: int) -> Floats:
    """Directions [size * size, 3] of the rays of sight of a picture, row by row from the top left;
    `stage` is one picture's.
    """
    out = np.empty((size * size, 3))
    for row in range(size):
        for column in range(size):
            _put(out, row * size + column, 0, _sight(stage, row, column, size))
    return out


@_kernel
def spots(stage: Floats, points: Floats, normals: Floats) -> Floats:
    """What the spotlight gives points [n, 3] with unit normals [n, 3], shadows apart: [n] in [0,
    1].
    """
    out = np.empty(len(points))
    for i in range(len(points)):
        out[i] = _spot(stage, _vec(points, i), _vec(normals, i))
    return out


@_kernel
def tones(stage: Floats, colours: Floats, normals: Floats, spot: Floats) -> Floats:
    """Colours [n, 3], RGB in [0, 255], of surfaces with colours [n, 3] in [0, 1] and unit normals
    [n, 3] that get `spot` [n].
    """
    out = np.empty((len(colours), 3))
    for i in range(len(colours)):
        _put(out, i, 0, _tone(stage, _vec(colours, i), _vec(normals, i), spot[i]))
    return out
