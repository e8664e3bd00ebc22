"""Poses in another unit than their format says, and good ones, of which nothing is said."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from seqjepa.actions import ActionSpace, Group
from seqjepa.errors import DataError
from seqjepa.render.scene import sample_latents
from seqjepa.store.units import doubts, require_latents

RANDOM = np.random.default_rng(0)
N, V = 50, 6


def said(kind: str, values: np.ndarray, **fields: object) -> list[str]:
    """Return the doubts about a group whose columns hold these values."""
    names = tuple("abcd"[: values.shape[-1]])
    group = Group(name="g", dims=names, kind=kind, **fields)
    return list(doubts(values.astype(np.float32), ActionSpace(names, (group,)), Path("poses.npy")))


def uniform(low: float, high: float, columns: int) -> np.ndarray:
    return RANDOM.uniform(low, high, (N, V, columns))


def quaternions() -> np.ndarray:
    found = RANDOM.normal(size=(N, V, 4))
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("kind", "values", "fields"),
    [
        ("euler", uniform(-math.pi, math.pi, 3), {}),
        ("euler", uniform(0, 2 * math.pi, 3), {}),
        ("euler", np.zeros((N, V, 3)), {}),
        ("euler", RANDOM.integers(-1, 2, (N, V, 3)), {}),
        ("quaternion", quaternions(), {}),
        ("quaternion", quaternions().round(2), {}),
        ("circular", uniform(0, 1, 1), {}),
        ("circular", uniform(-math.pi, math.pi, 1), {"period": math.tau}),
        ("circular", uniform(-math.tau, math.tau, 1), {"period": math.tau}),
        ("circular", uniform(0, 360, 1), {"period": 360, "scale": 100.0}),
        ("circular", uniform(-2, 2, 1), {"period": 360}),
        ("difference", uniform(-1, 1, 2), {}),
        ("difference", uniform(-5, 5, 2), {}),
        ("difference", uniform(-5000, 5000, 2), {"scale": 4000.0}),
        ("difference", uniform(-0.1, 0.1, 2), {}),
        ("difference", np.full((N, V, 2), 7.0), {}),
    ],
)
def test_nothing_is_said_of_good_poses(kind: str, values: np.ndarray, fields: dict) -> None:
    assert said(kind, values, **fields) == []


@pytest.mark.parametrize(
    ("kind", "values", "fields", "message"),
    [
        ("euler", uniform(-10, 10, 3), {}, "angles up to .*radians"),
        ("euler", RANDOM.integers(-5, 6, (N, V, 3)), {}, "only whole numbers, up to 5.*radians"),
        ("quaternion", 2 * quaternions(), {}, "length 2 to 2"),
        ("quaternion", uniform(-1, 1, 4), {}, "x, y, z, w"),
        ("circular", uniform(0, 360, 1), {"period": math.tau}, "a spans .* 57 turns"),
        ("circular", uniform(0, 255, 1), {}, "period is 1, that is 2.5e"),
        ("circular", uniform(0, math.tau, 1), {}, "period is 1, that is 6.* turns"),
        ("circular", uniform(0, math.tau, 1), {"period": 360}, "period is 360"),
        ("circular", uniform(0, 360, 1), {"period": 360}, r'a 1e\+02.*"scale": 100\.0'),
        ("difference", uniform(-5000, 5000, 2), {}, r'"scale": 4000\.0'),
        ("difference", uniform(-5000, 5000, 2), {"scale": 10.0}, r'"scale": 4000\.0'),
        ("difference", uniform(-1e-4, 1e-4, 2), {}, r'"scale": 8e-05'),
        (
            "difference",
            uniform(-1, 1, 2) * [1, 1e6],
            {},
            r'a 0\.\d+, b \d.*"scale": \[0\.[89], [89]00000\.0\]',
        ),
    ],
)
def test_doubts_name_file_group_and_cure(
    kind: str, values: np.ndarray, fields: dict, message: str
) -> None:
    found = said(kind, values, **fields)
    assert all(text.startswith("poses.npy: group 'g'") for text in found)
    assert any(re.search(message, text) for text in found), found


@pytest.mark.parametrize("values", [uniform(-180, 180, 3), uniform(0, 360, 3), uniform(0, 14, 3)])
def test_degrees_are_no_euler_angles(values: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"poses\.npy: group 'g' has angles .*pi / 180"):
        said("euler", values)


def test_quaternions_begin_with_x() -> None:
    names = ("w", "x", "y", "z")
    poses = quaternions().astype(np.float32)
    for dims, number in ((names, 1), ((*names[1:], "w"), 0)):
        space = ActionSpace(names, (Group(name="g", dims=dims, kind="quaternion"),))
        found = list(doubts(poses, space, Path("poses.npy")))
        assert len(found) == number and all("names w, x, y, z; a" in doubt for doubt in found)


def test_translations_are_in_the_units_of_the_scene() -> None:
    latents = RANDOM.uniform(-0.5, 0.5, (100, 10)).astype(np.float32)
    require_latents(latents, Path("set"))
    latents[3, 8] = 300
    with pytest.raises(DataError, match=r"set: trans_y reaches 300, in its unit at most 2\.5"):
        require_latents(latents, Path("set"))


def test_latents_are_in_the_units_of_3diebench() -> None:
    latents = sample_latents(np.random.default_rng(0), 100)
    require_latents(latents, Path("set"))
    # The published test out of distribution turns objects further.
    turned = latents.copy()
    turned[:, :3] *= 2
    require_latents(turned, Path("set"))

    for column, factor in [(0, 180 / math.pi), (3, 360), (3, 255), (4, 180 / math.pi), (6, 255)]:
        wrong = latents.copy()
        wrong[:, column] *= factor
        with pytest.raises(DataError, match=r"set: .* angles in radians and hues in turns"):
            require_latents(wrong, Path("set"))
