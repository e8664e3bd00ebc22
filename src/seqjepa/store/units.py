"""Numbers that are in another unit than their format says, as far as the numbers show it."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from seqjepa.actions import ActionSpace, Group
from seqjepa.errors import DataError
from seqjepa.render.raycast import EYE_RADIUS
from seqjepa.render.scene import LATENTS, TRANSLATION

TURN = 2 * math.pi
OBJECTS = 1000  # whose poses are looked at, roughly
# Actions are of order one where their root mean square lies between these.
LEAST, MOST = 0.01, 10.0

# The largest size of a latent, whatever was rendered: hues are in turns, angles in radians, and an
# object farther off than the camera is seldom seen.
LARGEST = dict(zip(LATENTS, (TURN, TURN, TURN, 1.0, math.pi, TURN, 1.0), strict=True))
LARGEST |= dict.fromkeys(TRANSLATION, EYE_RADIUS)
SLACK = 1.01  # for rounding

Floats = npt.NDArray[np.float32]


def doubts(poses: Floats, space: ActionSpace, source: Path) -> Iterator[str]:
    """Yield warnings of poses that are most likely in another unit.

    Args:
        poses: [N, V, P] finite, with V of at least 2.
        space: the groups that say what the columns are.
        source: their file, for messages.

    Raises:
        DataError: if they cannot be in the unit that a group's kind asks for.
    """
    some = poses[:: max(1, len(poses) // OBJECTS)]
    for group in space.groups:
        values = some[..., space.columns(group)]
        where = f"{source}: group {group.name!r}"
        if group.kind == "euler":
            yield from _angles(values, where)
        elif group.kind == "quaternion":
            yield from _lengths(values, where)
            if group.dims[0].lower().endswith("w"):
                yield (
                    f"{where} names {', '.join(group.dims)}; a quaternion is x, y, z, w: name its "
                    "columns in that order in `dims`, whatever their order in the pose"
                )
        else:
            if group.kind == "circular":
                yield from _periods(values, group, where)
            yield from _spread(values, group, where)


def require_latents(latents: Floats, source: Path) -> None:
    """Raise a DataError if latent vectors [..., 7 or 10] are in other units than 3DIEBench's."""
    # Those without a translation have fewer columns.
    for column, (name, most) in zip(np.moveaxis(latents, -1, 0), LARGEST.items(), strict=False):
        found = float(np.abs(column).max())
        if found > SLACK * most:
            raise DataError(
                f"{source}: {name} reaches {found:.4g}, in its unit at most {most:.4g}. Latents "
                "hold angles in radians and hues in turns (0 to 1), and translations in the "
                "scene's units: convert them"
            )


def _angles(values: Floats, where: str) -> Iterator[str]:
    """Look for Euler angles in degrees."""
    most = float(np.abs(values).max())
    cure = "multiply degrees by pi / 180, or wrap what is in radians into -pi to pi"
    if most > SLACK * 2 * TURN:
        raise DataError(f"{where} has angles up to {most:.4g}, Euler angles are in radians: {cure}")

    # Few degrees are as small as radians, but nobody measures whole radians.
    whole = most >= 2 and bool((values == np.round(values)).all())
    if most > SLACK * TURN or whole:
        what = f"only whole numbers, up to {most:.4g}" if whole else f"angles up to {most:.4g}"
        yield f"{where} has {what}; Euler angles are in radians: {cure}"


def _lengths(values: Floats, where: str) -> Iterator[str]:
    """Look for quaternions that are not of unit length."""
    lengths = np.linalg.norm(values, axis=-1)
    if np.abs(lengths - 1).max() > 0.05:
        yield (
            f"{where} has quaternions of length {lengths.min():.3g} to {lengths.max():.3g}, those "
            "of rotations have length 1; they are scaled to it. Are the columns x, y, z, w?"
        )


def _periods(values: Floats, group: Group, where: str) -> Iterator[str]:
    """Look for circular factors whose period is in another unit."""
    for name, column in zip(group.dims, np.moveaxis(values, -1, 0), strict=True):
        span = float(np.ptp(column))
        # Over the whole of another period: radians, or turns, where it is in degrees.
        other = any(0.9 * one < span < SLACK * one <= group.period / 50 for one in (1.0, TURN))
        if span > 2 * SLACK * group.period or other:
            yield (
                f"{where}: {name} spans {span:.4g}, its period is {group.period:.4g}, that is "
                f"{span / group.period:.2g} turns; if the period is in another unit, correct it"
            )


def _spread(values: Floats, group: Group, where: str) -> Iterator[str]:
    """Look for actions that are far from order one."""
    start, end = torch.from_numpy(values[:, :-1]).double(), torch.from_numpy(values[:, 1:]).double()
    sizes = group.between(start, end).square().mean((0, 1)).sqrt().tolist()
    # What never changes makes no action.
    if any(size > MOST or 0 < size < LEAST for size in sizes):
        shown = ", ".join(f"{dim} {size:.2g}" for dim, size in zip(group.dims, sizes, strict=True))
        scales = [
            float(f"{scale * (size or 1):.1g}")
            for scale, size in zip(group.scales, sizes, strict=True)
        ]
        scale = scales[0] if len(set(scales)) == 1 else scales
        yield (
            f"{where} makes actions far from order one (root mean square: {shown}): methods learn "
            f'little from them. Give the group "scale": {scale}'
        )
