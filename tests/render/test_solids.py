"""The object classes: pure functions of class and seed, framed and painted alike.

None has a rotational symmetry."""

import colorsys
import hashlib
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.transform import Rotation

from seqjepa.errors import ConfigError
from seqjepa.render.raycast import BALL, TUBE, Objects, render
from seqjepa.render.scene import euler_to_matrix
from seqjepa.render.solids import CLASSES, PALETTES, UNSEEN_CLASSES, make_objects
from seqjepa.render.solids.objects import BUILDERS, RADIUS

NAMES = CLASSES + UNSEEN_CLASSES
FIELDS = ("kind", "taper", "centre", "axes", "colour", "count")


def individuals(number, palette="natural") -> Objects:
    """Several of each class, class by class."""
    return make_objects(
        np.repeat(np.arange(len(NAMES)), number), np.tile(np.arange(number), len(NAMES)), palette
    )


def surface(objects: Objects, i: int, n=400):
    """Points [parts * n, 3] over the surfaces of an object's parts, without the library's help."""
    rng = np.random.default_rng(0)
    clouds = []
    for k in range(objects.count[i]):
        # On the unit solid, then in the object.
        local = rng.uniform(-1, 1, (n, 3))
        if objects.kind[i, k] == BALL:
            local = rng.normal(size=(n, 3))
            local /= np.linalg.norm(local, axis=1, keepdims=True)
        elif objects.kind[i, k] == TUBE:
            angle, z = rng.uniform(0, 2 * np.pi, n), rng.choice((-1, 1), n)
            radius = np.where(z > 0, objects.taper[i, k], 1)
            local = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], 1)
        else:
            local = np.sign(local)  # the corners
        clouds.append(objects.centre[i, k] + local @ objects.axes[i, k])
    return np.concatenate(clouds)


def test_there_are_classes_to_train_on_and_others_to_keep_unseen():
    assert len(CLASSES) >= 24
    assert len(UNSEEN_CLASSES) >= 4
    assert len(set(NAMES)) == len(NAMES) == len(BUILDERS)


def test_an_object_is_a_function_of_its_class_and_seed_alone():
    many = individuals(3)
    for i in (0, 17, 61, 104):
        alone = make_objects([i // 3], [i % 3])
        for name in FIELDS:
            value = getattr(many, name)[i]
            value = value[: alone.count[0]] if value.ndim else value
            np.testing.assert_array_equal(value, getattr(alone, name)[0])


def test_the_objects_stay_what_they_are():
    """Drawn with `random.Random`, whose numbers Python promises to keep; rounded, as the last bits
    are the platform's."""
    objects = individuals(2)
    fields = [np.round(getattr(objects, name), 6).ravel() for name in FIELDS]
    numbers = np.concatenate(fields) + 0.0  # no minus zero
    assert hashlib.sha256(numbers.tobytes()).hexdigest()[:16] == "a14bf31dfe0b9108"


@pytest.mark.parametrize("name", NAMES)
def test_individuals_of_a_class_differ_in_shape(name):
    objects = make_objects([NAMES.index(name)] * 6, range(6))
    pictures = still_pictures(objects, np.eye(3)[None], size=32)[:, 0]
    for a, b in product(range(6), repeat=2):
        if a < b:
            assert (abs(pictures[a] - pictures[b]).max(-1) > 16).mean() > 0.02


def test_every_object_is_centred_and_fills_the_same_sphere():
    objects = individuals(8)
    for i in range(len(objects)):
        cloud = surface(objects, i)
        np.testing.assert_allclose((cloud.min(0) + cloud.max(0)) / 2, 0, atol=0.02)
        assert 0.97 * RADIUS < np.linalg.norm(cloud, axis=1).max() < 1.01 * RADIUS


def test_half_axes_are_orthogonal():
    objects = individuals(2)
    for i in range(len(objects)):
        axes = objects.axes[i, : objects.count[i]]
        gram = axes @ axes.transpose(0, 2, 1)
        np.testing.assert_allclose(gram, gram * np.eye(3), atol=1e-12)


def still_pictures(objects: Objects, rotations, size):
    """Each object under each rotation, all in the same light, [N, R, S, S, 3]."""
    n, r = len(objects), len(rotations)
    hue, theta, phi, light_hue = (np.full(n * r, value) for value in (0.6, 0.3, 1.0, 0.1))
    index, turns = np.repeat(np.arange(n), r), np.tile(rotations, (n, 1, 1))
    pictures = render(objects, index, turns, hue, theta, phi, light_hue, size)
    return pictures.reshape(n, r, size, size, 3).astype(int)


def test_no_object_has_a_rotational_symmetry():
    """Turned about any of 13 axes by any angle that a symmetry could have, every object looks
    different even at 32 pixels.

    A continuous symmetry would show at each of the angles, a discrete one at its own.
    """
    objects = individuals(2)
    own = euler_to_matrix(np.random.default_rng(1).uniform(-np.pi / 2, np.pi / 2, (4, 3)))
    plain = still_pictures(objects, own, 32)

    # The median picture stands for the bare floor.
    floor = np.median(plain, (0, 1))
    covered = (abs(plain - floor).max(-1) > 16).mean((2, 3))

    axes = [axis for axis in product((-1, 0, 1), repeat=3) if axis > (0, 0, 0)]
    for axis, degrees in product(axes, (60, 72, 90, 120, 180)):
        unit = np.array(axis) / np.linalg.norm(axis)
        turn = Rotation.from_rotvec(np.deg2rad(degrees) * unit).as_matrix()
        turned = still_pictures(objects, own @ turn, 32)
        changed = (abs(turned - plain).max(-1) > 16).mean((2, 3)) / covered
        for i in range(len(objects)):
            assert changed[i].mean() > 0.12, (NAMES[i // 2], axis, degrees)


def test_colours_tell_nothing_of_the_class():
    """Every class draws its paints from the same distribution: analysis of variance finds no class
    in the hue, saturation or value."""
    per_class = 60
    objects = individuals(per_class)
    main = np.array([colorsys.rgb_to_hsv(*objects.colour[i, 0]) for i in range(len(objects))])
    main[:, 0] = (main[:, 0] + 0.5) % 1  # natural hues lie around 0
    for channel in main.T:
        assert stats.kruskal(*channel.reshape(len(NAMES), per_class)).pvalue > 0.001


@pytest.mark.parametrize("palette", PALETTES)
def test_paints_lie_within_their_palette(palette):
    objects, ranges = individuals(3, palette), PALETTES[palette]
    for i in range(len(objects)):
        paints = {tuple(c) for c in objects.colour[i, : objects.count[i]]}
        assert 2 <= len(paints) <= 3
        for hue, saturation, value in (colorsys.rgb_to_hsv(*paint) for paint in paints):
            assert ranges.saturation[0] - 1e-9 <= saturation <= ranges.saturation[1] + 1e-9
            assert ranges.value[0] - 1e-9 <= value <= ranges.value[1] + 1e-9
            assert saturation < 0.01 or any(
                ranges.hue[0] - 1e-6 <= hue + turn <= ranges.hue[1] + 1e-6 for turn in (0, 1)
            )


def test_the_palette_changes_colours_only():
    natural, unseen = individuals(2), individuals(2, "unseen")
    for name in FIELDS:
        assert np.array_equal(getattr(natural, name), getattr(unseen, name)) == (name != "colour")
    assert PALETTES["natural"].saturation[1] < PALETTES["unseen"].saturation[0]


def test_what_cannot_be_made_is_named():
    with pytest.raises(ConfigError, match=r"unknown palette 'vivid'.* Known: natural, unseen"):
        make_objects([0], [0], "vivid")
    with pytest.raises(ConfigError, match=f"class id {len(NAMES)}, expected 0 to {len(NAMES) - 1}"):
        make_objects([len(NAMES)], [0])
    with pytest.raises(ConfigError, match="2 class ids and 1 seeds"):
        make_objects([0, 1], [0])


def test_no_objects_are_fine():
    assert len(make_objects([], [])) == 0
