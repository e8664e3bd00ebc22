"""A small ray caster: a few convex solids above a coloured floor, under a sun and one coloured
spotlight that casts shadows.

The scene is that of 3DIEBench (Garrido et al. 2023, methods.md 3.1.2): the camera stands at radius
2.5, 45 degrees above the y axis, and looks at the origin, where the object is; the floor is z = -1
with colour HSV (hue, .6, .6); the spotlight stands at radius 4 and looks at the origin. Two
departures, decided by looking: the spotlight is HSV (hue, .6, .8) where 3DIEBench has saturation 1,
which blackens whatever lacks its hue, and its cone is just wider than the object, so that its rim
on the floor tells where the light is.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numba
import numpy as np
import numpy.typing as npt

from seqjepa.errors import ConfigError
from seqjepa.render.kernels import BALL, BOX, TUBE, Bytes, Floats, Ints, draw

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
CHUNK = 32  # pictures per task: small enough to share a batch evenly, large enough that the threads do not meet over the GIL


@dataclass(frozen=True)
class Objects:
    """N objects made of at most K primitives each; entries from `count` on are padding.

    A primitive is a unit solid in its own frame: the box [-1, 1]^3, the ball of radius 1, or the
        tube along z whose radius goes from 1 at
    z = -1 to `taper` at z = 1. Its frame is given by its centre and its three orthogonal half-axes.
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
            value, dtype = (
                getattr(self, name),
                np.dtype(np.int64 if name in ("kind", "count") else np.float64),
            )
            if value.shape != shape or value.dtype != dtype:
                got, want = f"{value.shape} of {value.dtype}", f"{shape} of {dtype}"
                raise ConfigError(
                    f"Objects.{name} is {got}, expected {want}, for `kind` says N={n}, K={k}"
                )
        _check_range("Objects.count", self.count, k)

    def __len__(self) -> int:
        return len(self.count)

    def rows(self, index: Ints) -> Floats:
        """The primitives of objects `index` [B] as the kernel reads them, [B, K, 17]: kind, taper,
        centre, half-axes, colour.
        """
        axes = self.axes.reshape(*self.kind.shape, 9)[index]
        return np.concatenate(
            [
                self.kind[index, :, None],
                self.taper[index, :, None],
                self.centre[index],
                axes,
                self.colour[index],
            ],
            -1,
        )


def hsv_to_rgb(hue: Floats, saturation: float | Floats, value: float | Floats) -> Floats:
    """RGB [..., 3] in [0, 1] of HSV colours; hue [...] in turns, so that 1 is 0 again."""
    k = (np.array([5.0, 3.0, 1.0]) + 6 * np.asarray(hue, np.float64)[..., None]) % 6
    s, v = np.asarray(saturation, np.float64)[..., None], np.asarray(value, np.float64)[..., None]
    return cast(Floats, v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1))


def pinholes(radius: float, theta: Floats, phi: Floats) -> Floats:
    """Pinholes [B, 4, 3] that look at the origin: rows position, right (which is level), up,
    forward.

    They stand at a radius, theta [B] from the zenith and phi [B] from the x axis, in radians.
    """
    sin_theta, cos_theta, sin_phi, cos_phi = np.sin(theta), np.cos(theta), np.sin(phi), np.cos(phi)
    forward = [-sin_theta * cos_phi, -sin_theta * sin_phi, -cos_theta]
    right, up = (
        [-sin_phi, cos_phi, np.zeros_like(phi)],
        [-cos_theta * cos_phi, -cos_theta * sin_phi, sin_theta],
    )
    return np.stack(
        [np.stack(row, -1) for row in ([-radius * f for f in forward], right, up, forward)], -2
    )


def stages(floor_hue: Floats, light_theta: Floats, light_phi: Floats, light_hue: Floats) -> Floats:
    """Camera, light and floor of B pictures as the kernels read them, [B, 10, 3]; hues [B] in
    turns, angles [B] in radians.
    """
    n = len(floor_hue)
    eyes, lights = (
        pinholes(EYE_RADIUS, np.full(n, EYE_THETA), np.full(n, EYE_PHI)),
        pinholes(LIGHT_RADIUS, light_theta, light_phi),
    )
    tint, floor = (
        hsv_to_rgb(light_hue, LIGHT_SATURATION, LIGHT_VALUE),
        hsv_to_rgb(floor_hue, FLOOR_SATURATION, FLOOR_VALUE),
    )
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
) -> Bytes:
    """Pictures [B, S, S, 3], RGB, of objects `object_index` [B] turned by `rotation` [B, 3, 3]
    (x_world = rotation @ x_object).

    Hues [B] are in turns, angles [B] in radians. The pictures are bit for bit the same on any
    number of `threads`; the default is one for each core, or NUMBA_NUM_THREADS. The threads are
    Python's own, as the kernel releases the GIL: numba's pools do not survive a fork.

    Raises ConfigError where an argument's length is not B or an index is not that of an object.
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
    stage = stages(**{name: _checked(name, value, (n,)) for name, value in factors.items()})
    models, count = objects.rows(index), objects.count[index]
    out = np.empty((n, image_size, image_size, 3), np.uint8)

    def draw_from(start: int) -> None:
        part = slice(start, start + CHUNK)
        draw(models[part], count[part], turns[part], stage[part], out[part])

    with ThreadPoolExecutor(threads or numba.config.NUMBA_NUM_THREADS) as pool:  # type: ignore[attr-defined]  # numba makes it on import
        for _ in pool.map(draw_from, range(0, n, CHUNK)):
            pass  # the loop is there to raise what a thread raised
    return out


def _checked(name: str, value: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    array = np.ascontiguousarray(value, np.float64)
    if array.shape != shape:
        raise ConfigError(
            f"{name} has shape {array.shape}, expected {shape}, for object_index has {shape[0]} entries"
        )
    return array


def _check_range(name: str, value: Ints, last: int) -> None:
    if value.size and not (value.min() >= 0 and value.max() <= last):
        raise ConfigError(
            f"{name} reaches from {value.min()} to {value.max()}, expected 0 to {last}"
        )
