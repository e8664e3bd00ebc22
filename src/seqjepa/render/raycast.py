"""A small ray caster: a few convex solids above a coloured floor, under a sun and a spotlight.

The spotlight is coloured and casts shadows. The scene is that of 3DIEBench (Garrido et al. 2023,
methods.md 3.1.2): the camera stands at radius 2.5, 45 degrees above the y axis, and looks at the
origin, where the object is; the floor is z = -1 with colour HSV (hue, .6, .6); the spotlight stands
at radius 4 and looks at the origin.

Two departures were decided by looking. The spotlight is HSV (hue, .6, .8); 3DIEBench's saturation
of 1 blackens whatever lacks its hue. Its cone is just wider than the object, so that its rim on the
floor shows where the light is.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numba
import numpy as np
import numpy.typing as npt

from seqjepa.errors import ConfigError
from seqjepa.render.kernels import BALL, BOX, CENTRE, TUBE, Bytes, Floats, Ints, draw

__all__ = [
    "BALL",
    "BOX",
    "TUBE",
    "Bytes",
    "Floats",
    "Ints",
    "Objects",
    "hsv_to_rgb",
    "pinholes",
    "render",
    "stages",
]

EYE_RADIUS, EYE_THETA, EYE_PHI = 2.5, math.pi / 4, math.pi / 2
LIGHT_RADIUS, LIGHT_SATURATION, LIGHT_VALUE = 4.0, 0.6, 0.8
FLOOR_SATURATION, FLOOR_VALUE = 0.6, 0.6
# Pictures per task: few enough to share a batch evenly, enough to seldom wait for the GIL.
CHUNK = 32


@dataclass(frozen=True)
class Objects:
    """N objects made of at most K primitives each; entries from `count` on are padding.

    A primitive is a unit solid in its own frame: the box [-1, 1]^3, the ball of radius 1, or the
    tube along z whose radius goes from 1 at z = -1 to `taper` at z = 1. Its frame is given by its
    centre and its three orthogonal half-axes.
    """

    kind: Ints  # [N, K]: BOX, BALL or TUBE
    taper: Floats  # [N, K] in [0, 1], read for tubes only
    centre: Floats  # [N, K, 3]
    axes: Floats  # [N, K, 3, 3]: row i is half-axis i
    colour: Floats  # [N, K, 3]: RGB in [0, 1]
    count: Ints  # [N]

    def __post_init__(self) -> None:
        n, k = self.kind.shape
        shapes = {
            "kind": (n, k),
            "taper": (n, k),
            "centre": (n, k, 3),
            "axes": (n, k, 3, 3),
            "colour": (n, k, 3),
            "count": (n,),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            dtype = np.dtype(np.int64 if name in ("kind", "count") else np.float64)
            if value.shape != shape or value.dtype != dtype:
                got, want = f"{value.shape} of {value.dtype}", f"{shape} of {dtype}"
                raise ConfigError(
                    f"Objects.{name} is {got}, expected {want}, as `kind` has N={n}, K={k}"
                )

        _check_range("Objects.count", self.count, k)

    def __len__(self) -> int:
        return len(self.count)

    def rows(self, index: Ints) -> Floats:
        """Return the primitives of objects `index` [B] as the kernel reads them, [B, K, 17].

        The columns are kind, taper, centre, half-axes and colour.
        """
        kind, taper = self.kind[index, :, None], self.taper[index, :, None]
        axes = self.axes.reshape(*self.kind.shape, 9)[index]
        columns = [kind, taper, self.centre[index], axes, self.colour[index]]
        return np.concatenate(columns, -1)


def hsv_to_rgb(hue: Floats, saturation: float | Floats, value: float | Floats) -> Floats:
    """Return RGB [..., 3] in [0, 1] of HSV colours; hue [...] is in turns, so 1 is 0 again."""
    # Closed form: channel = v - v s clip(min(k, 4 - k), 0, 1) with k = (n + 6 hue) mod 6 and
    # n = 5, 3, 1 for red, green and blue.
    k = (np.array([5.0, 3.0, 1.0]) + 6 * np.asarray(hue, np.float64)[..., None]) % 6
    s, v = np.asarray(saturation, np.float64)[..., None], np.asarray(value, np.float64)[..., None]
    return cast(Floats, v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1))


def pinholes(radius: float, theta: Floats, phi: Floats) -> Floats:
    """Return pinholes [B, 4, 3] that look at the origin: position, right (level), up, forward.

    They stand at a radius, theta [B] from the zenith and phi [B] from the x axis, in radians.
    """
    sin_theta, cos_theta, sin_phi, cos_phi = np.sin(theta), np.cos(theta), np.sin(phi), np.cos(phi)
    forward = [-sin_theta * cos_phi, -sin_theta * sin_phi, -cos_theta]
    position = [-radius * f for f in forward]
    right = [-sin_phi, cos_phi, np.zeros_like(phi)]
    up = [-cos_theta * cos_phi, -cos_theta * sin_phi, sin_theta]
    return np.stack([np.stack(row, -1) for row in (position, right, up, forward)], -2)


def stages(
    floor_hue: Floats,
    light_theta: Floats,
    light_phi: Floats,
    light_hue: Floats,
    eye_radius: float = EYE_RADIUS,
) -> Floats:
    """Return camera, light and floor of B pictures as the kernels read them, [B, 10, 3].

    Hues [B] are in turns, angles [B] in radians; `eye_radius` is the camera's distance from the
    origin.
    """
    n = len(floor_hue)
    eyes = pinholes(eye_radius, np.full(n, EYE_THETA), np.full(n, EYE_PHI))
    lights = pinholes(LIGHT_RADIUS, light_theta, light_phi)
    tint = hsv_to_rgb(light_hue, LIGHT_SATURATION, LIGHT_VALUE)
    floor = hsv_to_rgb(floor_hue, FLOOR_SATURATION, FLOOR_VALUE)
    return np.concatenate([eyes, lights, tint[:, None], floor[:, None]], 1)


def render(
    objects: Objects,
    object_index: npt.ArrayLike,
    rotation: npt.ArrayLike,
    floor_hue: npt.ArrayLike,
    light_theta: npt.ArrayLike,
    light_phi: npt.ArrayLike,
    light_hue: npt.ArrayLike,
    image_size: int,
    threads: int | None = None,
    *,
    translation: npt.ArrayLike | None = None,
    eye_radius: float = EYE_RADIUS,
) -> Bytes:
    """Return pictures [B, S, S, 3], RGB, of turned and moved objects.

    The pictures are bit for bit the same on any number of threads. The threads are Python's own, as
    the kernel releases the GIL: numba's pools do not survive a fork.

    Args:
        objects: to choose from.
        object_index: [B], the object of each picture.
        rotation: [B, 3, 3], x_world = rotation @ x_object + translation.
        floor_hue: [B], in turns.
        light_theta: [B], from the zenith, in radians.
        light_phi: [B], from the x axis, in radians.
        light_hue: [B], in turns.
        image_size: S.
        threads: default: one for each core, or NUMBA_NUM_THREADS.
        translation: [B, 3]; objects stay at the origin without it.
        eye_radius: distance of the camera from the origin.

    Raises:
        ConfigError: if an argument's length is not B, or an index is not that of an object.
    """
    index = np.ascontiguousarray(object_index, np.int64)
    n = len(index)
    _check_range("object_index", index, len(objects) - 1)

    turns = _checked("rotation", rotation, (n, 3, 3)).reshape(n, 9)
    factors = {
        "floor_hue": floor_hue,
        "light_theta": light_theta,
        "light_phi": light_phi,
        "light_hue": light_hue,
    }
    checked = {name: _checked(name, value, (n,)) for name, value in factors.items()}
    stage = stages(**checked, eye_radius=eye_radius)

    models, count = objects.rows(index), objects.count[index]
    if translation is not None:
        # The kernel turns a model about the origin: R (x + R^-1 t) = R x + t. The product, that of
        # the row t with R, is written out: BLAS would round otherwise on other machines.
        moves = _checked("translation", translation, (n, 3))
        own = (moves[:, :, None] * turns.reshape(n, 3, 3)).sum(1)
        models[..., CENTRE : CENTRE + 3] += own[:, None]
    out = np.empty((n, image_size, image_size, 3), np.uint8)

    def draw_from(start: int) -> None:
        part = slice(start, start + CHUNK)
        draw(models[part], count[part], turns[part], stage[part], out[part])

    cores = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # numba makes it on import
    with ThreadPoolExecutor(threads or cores) as pool:
        for _ in pool.map(draw_from, range(0, n, CHUNK)):
            pass  # the loop is there to raise what a thread raised
    return out


def _checked(name: str, value: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Return an argument as an array of float64; raise ConfigError if it has another shape."""
    array = np.ascontiguousarray(value, np.float64)
    if array.shape != shape:
        raise ConfigError(
            f"{name} has shape {array.shape}, expected {shape}, "
            f"as object_index has {shape[0]} entries"
        )
    return array


def _check_range(name: str, value: Ints, last: int) -> None:
    if value.size and not (value.min() >= 0 and value.max() <= last):
        raise ConfigError(
            f"{name} reaches from {value.min()} to {value.max()}, expected 0 to {last}"
        )
