"""The factors of a 3DIEBench picture: their ranges, and the picture that they give.

There are seven (methods.md 3.1.2), and in 3DIEBench-T (EquiCaps, Konstantinou et al. 2025) ten: the
object's translation besides.
"""

import math

import numpy as np
from numpy.typing import NDArray

from seqjepa.actions import ActionSpace, Group
from seqjepa.errors import ConfigError
from seqjepa.render.raycast import EYE_RADIUS, Bytes, Floats, Ints, Objects, render

LATENTS: tuple[str, ...] = (
    "rot_x",
    "rot_y",
    "rot_z",
    "floor_hue",
    "light_theta",
    "light_phi",
    "light_hue",
)
"""Order of a latent vector. Angles are in radians, hues in turns."""

FACTORS = ActionSpace(
    LATENTS,
    (
        Group(name="rotation", dims=("rot_x", "rot_y", "rot_z"), kind="euler"),
        Group(name="floor_hue", dims=("floor_hue",)),
        Group(name="light_hue", dims=("light_hue",)),
        Group(name="light_direction", dims=("light_theta", "light_phi")),
    ),
)
"""Latent vectors as poses. As in the papers, hues do not wrap round: their actions are plain
differences."""

TRANSLATION = ("trans_x", "trans_y", "trans_z")
"""Latents that 3DIEBench-T appends, in the scene's units."""

TRANSLATED_FACTORS = ActionSpace(
    (*LATENTS, *TRANSLATION),
    (*FACTORS.groups, Group(name="translation", dims=TRANSLATION, scale=0.5)),
)
"""Latent vectors with a translation as poses. 3DIEBench-T moves objects by up to 0.5 along each
axis, so half a unit is the action 1 and no action is larger than 2."""

SPACES = {len(space.pose): space for space in (FACTORS, TRANSLATED_FACTORS)}
"""The factors of latent vectors, by their length."""

LOW = (-math.pi / 2, -math.pi / 2, -math.pi / 2, 0.0, 0.0, 0.0, 0.0)
HIGH = (math.pi / 2, math.pi / 2, math.pi / 2, 1.0, math.pi / 4, 2 * math.pi, 1.0)


def sample_latents(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
    """Draw n latent vectors [n, 7], each factor uniform and independent of the others."""
    return rng.uniform(LOW, HIGH, (n, len(LATENTS))).astype(np.float32)


def sample_translations(rng: np.random.Generator, n: int, reach: float) -> NDArray[np.float32]:
    """Draw n translations [n, 3], each axis uniform in +-`reach` and independent of the others."""
    return rng.uniform(-reach, reach, (n, len(TRANSLATION))).astype(np.float32)


def euler_to_matrix(angles: Floats) -> Floats:
    """Return rotations [n, 3, 3] of angles [n, 3] about x, then y, then z, the axes staying put.

    R = Rz Ry Rx, SciPy's lower-case "xyz".
    """
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles).T, np.sin(angles).T
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def render_latents(
    objects: Objects,
    object_index: Ints,
    latents: NDArray[np.float32],
    image_size: int,
    threads: int | None = None,
    eye_radius: float = EYE_RADIUS,
) -> Bytes:
    """Return pictures [B, S, S, 3] of objects `object_index` [B] under latent vectors [B, 7].

    Of vectors [B, 10], the last three numbers move the object within the scene. The number of
    threads changes nothing but the time.

    Raises:
        ConfigError: if the arguments do not fit each other.
    """
    if latents.ndim != 2 or latents.shape[1] not in SPACES:
        raise ConfigError(
            f"latents have shape {latents.shape}, "
            f"expected [B, {len(LATENTS)}]: {', '.join(LATENTS)}; "
            f"or [B, {len(LATENTS) + len(TRANSLATION)}], with {', '.join(TRANSLATION)}"
        )

    factors = latents.astype(np.float64)
    floor_hue, light_theta, light_phi, light_hue = factors[:, 3 : len(LATENTS)].T
    moved = latents.shape[1] > len(LATENTS)
    return render(
        objects,
        object_index,
        euler_to_matrix(factors[:, :3]),
        floor_hue,
        light_theta,
        light_phi,
        light_hue,
        image_size,
        threads,
        translation=factors[:, len(LATENTS) :] if moved else None,
        eye_radius=eye_radius,
    )
