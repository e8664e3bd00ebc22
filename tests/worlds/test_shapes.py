"""The shapes world: splits that share nothing, tests that are out of distribution, the same
pictures for the same options."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from seqjepa.errors import ConfigError
from seqjepa.render.solids import CLASSES, PALETTES, UNSEEN_CLASSES
from seqjepa.store import cache
from seqjepa.store.cache import Plan
from seqjepa.worlds.shapes import SPLITS, Config, framing, unseen_rotations
from seqjepa.worlds.table import TableWorld

SMALL = Config(image_size=16, train_objects=60, test_objects=30, views=3)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> TableWorld:
    """A small one, in a cache of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJEPA_CACHE", str(tmp_path_factory.mktemp("cache")))
        return SMALL.build()


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return replace(SMALL, train_objects=400, test_objects=200, views=8).plans()


def test_its_spec(world: TableWorld) -> None:
    spec = world.spec
    assert spec.splits == ("train", "val", "test", "ood_rotation", "ood_class", "ood_colour")
    assert spec.image_shape == (3, 16, 16) and spec.views_per_object == 3
    assert spec.classes == (*CLASSES, *UNSEEN_CLASSES) and len(CLASSES) >= 24
    assert [group.name for group in spec.actions.groups] == ["rotation"]
    assert spec.actions.action_dim == 4
    assert [world.size(split) for split in SPLITS] == [60, 30, 30, 30, 30, 30]
    views = world.tables["train"].views / 255
    np.testing.assert_allclose(spec.mean, views.mean((0, 1, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(spec.std, views.std((0, 1, 2, 3)), atol=1e-6)


def test_the_same_options_give_the_same_pictures_however_they_are_chunked(
    world: TableWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path))
    monkeypatch.setattr(cache, "CHUNK", 7)
    again = SMALL.build()
    for split in SPLITS:
        assert np.array_equal(world.tables[split].views, again.tables[split].views)
        assert np.array_equal(world.tables[split].poses, again.tables[split].poses)
    assert world.spec == again.spec


def test_what_changes_the_pictures_changes_the_cache_and_actions_do_not() -> None:
    assert replace(SMALL, actions=("floor_hue",)).key() == SMALL.key()
    for change in (
        {"image_size": 17},
        {"train_objects": 61},
        {"test_objects": 31},
        {"views": 4},
        {"render_seed": 1},
    ):
        assert replace(SMALL, **change).key() != SMALL.key()


def test_objects_that_stay_are_those_of_before_they_could_move(world: TableWorld) -> None:
    """The digests were taken before `translation` was an option."""
    key = {"version": 1, "image_size": 16, "train_objects": 60, "test_objects": 30, "views": 3}
    assert SMALL.key() == key | {"render_seed": 0}
    assert cache.cache_folder("shapes", SMALL.key()).name == "shapes-6b842c0a74b7"
    digests = {name: world.spec.data[name] for name in ("train.views", "ood_rotation.poses")}
    assert digests == {"train.views": "4a71f793513a722b", "ood_rotation.poses": "bd6b9a940f2d24be"}
    assert replace(SMALL, translation=0.3).key() == SMALL.key() | {"translation": 0.3}


def test_objects_that_move_are_those_that_stay_elsewhere(plans: dict[str, Plan]) -> None:
    size = {"train_objects": 400, "test_objects": 200, "views": 8, "translation": 0.3}
    moved = replace(SMALL, **size).plans()
    for split, plan in plans.items():
        assert moved[split].poses.dtype == np.float32
        assert np.array_equal(moved[split].poses[..., :7], plan.poses)
        assert np.array_equal(moved[split].labels, plan.labels)
        # Every split moves them alike, none is out of distribution in that.
        moves = moved[split].poses[..., 7:]
        assert moves.shape[-1] == 3 and abs(moves).max() <= 0.3
        np.testing.assert_allclose(moves.std((0, 1)), 0.3 / math.sqrt(3), rtol=0.05)


@pytest.mark.parametrize("translation", [0.05, 0.3, 0.5])
def test_moved_objects_are_in_the_picture_and_above_the_floor(translation: float) -> None:
    """Balls as large as objects may be, in the corners of the cube that they move in."""
    radius, distance = framing(translation)
    assert radius + translation <= 1 and radius >= 0.5
    corners = translation * np.array(list(itertools.product((-1, 1), repeat=3)), float)
    half = np.sqrt(0.5)
    depth = distance - half * (corners[:, 1] + corners[:, 2])
    # Distances from the four sides of the pyramid that the camera sees.
    for across in (corners[:, 0], half * (corners[:, 2] - corners[:, 1])):
        edges = (0.36 * depth - abs(across)) / np.hypot(1, 0.36)
        assert (edges >= radius - 1e-9).all()


def test_a_world_whose_objects_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path))
    config = Config(
        image_size=16,
        train_objects=4,
        test_objects=2,
        views=2,
        translation=0.3,
        actions=("rotation", "translation"),
    )
    built = config.build()
    assert built.spec == replace(
        config.outline(), mean=built.spec.mean, std=built.spec.std, data=built.spec.data
    )
    assert [group.name for group in built.spec.factors.groups][-1] == "translation"
    batch = next(built.loader("train", num_views=2, batch_size=4, seed=0))
    moves = (batch.poses[:, 1, 7:] - batch.poses[:, 0, 7:]) / 0.5
    torch.testing.assert_close(batch.actions[:, 0, 4:], moves)


def test_another_seed_gives_other_poses(plans: dict[str, Plan]) -> None:
    other = replace(SMALL, train_objects=400, test_objects=200, views=8, render_seed=1).plans()
    for split in SPLITS:
        assert np.isin(plans[split].poses, other[split].poses).mean() < 0.01


def test_splits_share_no_object_and_no_pose(world: TableWorld, plans: dict[str, Plan]) -> None:
    pictures = Counter(
        view.tobytes()
        for table in world.tables.values()
        for view in table.views.reshape(-1, 16 * 16 * 3)
    )
    assert set(pictures.values()) == {1}
    poses = Counter(pose.tobytes() for plan in plans.values() for pose in plan.poses.reshape(-1, 7))
    assert set(poses.values()) == {1}


def test_classes_take_turns_and_only_ood_class_has_unseen_ones(plans: dict[str, Plan]) -> None:
    for split, plan in plans.items():
        known = (
            np.arange(len(CLASSES))
            if split != "ood_class"
            else len(CLASSES) + np.arange(len(UNSEEN_CLASSES))
        )
        found, count = np.unique(plan.labels, return_counts=True)
        assert np.array_equal(found, known)
        assert count.max() - count.min() <= 1
    assert not set(CLASSES) & set(UNSEEN_CLASSES)


def in_cube(angles: np.ndarray) -> np.ndarray:
    """Return [n] true for rotations [n, 3] that some Euler angles within the trained cube give.

    They may be given by any other angles.
    """
    turns = Rotation.from_euler("xyz", angles).as_matrix()
    # R = Rz Ry Rx, by hand: the one triple with |y| <= pi / 2.
    y = np.arcsin(np.clip(-turns[:, 2, 0], -1, 1))
    x, z = np.arctan2(turns[:, 2, 1], turns[:, 2, 2]), np.arctan2(turns[:, 1, 0], turns[:, 0, 0])
    np.testing.assert_allclose(
        Rotation.from_euler("xyz", np.stack([x, y, z], 1)).as_matrix(), turns, atol=1e-5
    )
    return (abs(x) <= math.pi / 2) & (abs(z) <= math.pi / 2)


def test_ood_rotations_are_no_trained_rotation_under_another_name(plans: dict[str, Plan]) -> None:
    for split in ("train", "val", "test", "ood_class", "ood_colour"):
        assert in_cube(plans[split].poses[..., :3].reshape(-1, 3).astype(float)).all(), split
    assert not in_cube(plans["ood_rotation"].poses[..., :3].reshape(-1, 3).astype(float)).any()


def test_the_published_ood_rotations_are_trained_ones() -> None:
    """Each angle beyond a quarter turn is an alias, R(x, y, z) = R(x + pi, pi - y, z + pi).

    So ours are made otherwise.
    """
    rng = np.random.default_rng(0)
    assert in_cube(
        rng.choice([-1, 1], (500, 3)) * rng.uniform(math.pi / 2, math.pi, (500, 3))
    ).all()


def test_unseen_rotations_reach_every_part_outside_the_cube_alike() -> None:
    rng = np.random.default_rng(0)
    inside = rng.uniform(-math.pi / 2, math.pi / 2, (6000, 3)).astype(np.float32)
    before = inside.copy()
    moved = unseen_rotations(rng, inside)
    assert np.array_equal(inside, before) and moved.dtype == np.float32
    assert np.array_equal(moved[:, 1], inside[:, 1]) and abs(moved).max() <= math.pi * (1 + 1e-6)
    beyond = abs(moved[:, [0, 2]]) > math.pi / 2
    shares = [
        (beyond == which).all(1).mean() for which in ((True, False), (False, True), (True, True))
    ]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)


def test_only_the_factor_that_a_split_is_about_is_out_of_distribution(
    plans: dict[str, Plan],
) -> None:
    low, high = np.array([0, 0, 0, 0]), np.array([1, math.pi / 4, 2 * math.pi, 1])
    for plan in plans.values():
        rest = plan.poses[..., 3:].reshape(-1, 4)
        assert (rest >= low).all() and (rest <= high + 1e-6).all()
        np.testing.assert_allclose(rest.mean(0), (low + high) / 2, rtol=0.1)


def test_unseen_colours_are_in_no_range_of_seen_ones() -> None:
    seen, unseen = PALETTES["natural"], PALETTES["unseen"]
    # Hues are turns, and the seen ones pass 1.
    assert seen.hue[1] - 1 < unseen.hue[0] and unseen.hue[1] < seen.hue[0]
    assert unseen.saturation[0] > seen.saturation[1]


def test_ood_colours_are_seen_in_the_pictures(plans: dict[str, Plan]) -> None:
    """The same objects, poses and floors are more colourful in the unseen palette: mean saturation
    in the middle of the picture."""

    def saturation(plan: Plan) -> float:
        views = plan.render(0, 100)[..., 5:11, 5:11, :].astype(float)
        return float((np.ptp(views, -1) / views.max(-1).clip(1)).mean())

    assert saturation(plans["ood_colour"]) > saturation(plans["test"]) + 0.05


def test_views_of_a_sequence_are_of_one_object_and_differ(world: TableWorld) -> None:
    batch = next(world.loader("train", num_views=3, batch_size=20, seed=0))
    assert batch.views.shape == (20, 3, 3, 16, 16)
    assert batch.actions.shape == (20, 2, 4)
    assert batch.poses.shape == (20, 3, 7)
    assert all(len({pose.numpy().tobytes() for pose in poses}) == 3 for poses in batch.poses)
    turns = [
        Rotation.from_euler("xyz", batch.poses[:, view, :3].double().numpy()) for view in (0, 1)
    ]
    between = (turns[0].inv() * turns[1]).as_quat(canonical=True)
    np.testing.assert_allclose(batch.actions[:, 0], between, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": 4}, "world.image_size must be at least 8, got 4"),
        ({"train_objects": 0}, "world.train_objects must be at least 1"),
        ({"test_objects": 0}, "world.test_objects must be at least 1"),
        ({"views": 1}, "world.views must be at least 2"),
        ({"render_seed": -1}, "world.render_seed must be at least 0"),
        ({"actions": ("rotatoin",)}, "did you mean 'rotation'"),
        ({"translation": 0.6}, r"world\.translation must lie in 0\.\.0\.5, got 0\.6"),
        ({"translation": -0.1}, r"world\.translation must lie in 0\.\.0\.5, got -0\.1"),
        ({"translation": math.nan}, "got nan"),
        ({"actions": ("translation",)}, "objects do not move: set world.translation"),
    ],
)
def test_bad_fields_are_named(fields: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(**fields)


@pytest.mark.parametrize("split", ["train", "test", "ood_class", "ood_colour"])
def test_objects_are_drawn_at_any_pose(world: TableWorld, split: str) -> None:
    """At the poses of stored views, the pictures are those that are stored."""
    index = np.array([7, 2])
    table = world.tables[split]
    poses = torch.from_numpy(table.poses[index][:, [2, 0]])
    drawn = world.render(split, index, poses)
    assert drawn is not None and drawn.shape == (2, 2, 3, 16, 16)
    stored = table.views[index][:, [2, 0]].transpose(0, 1, 4, 2, 3)
    assert np.array_equal(drawn.numpy(), stored)

    poses[:, 0, :3] += 1
    turned = world.render(split, index, poses)
    assert turned is not None and not torch.equal(turned[:, 0], drawn[:, 0])
    assert torch.equal(turned[:, 1], drawn[:, 1])


def test_worlds_of_stored_views_draw_nothing_else(world: TableWorld) -> None:
    stored = TableWorld(world.spec, world.tables)
    assert stored.render("test", np.array([0]), torch.zeros(1, 1, 7)) is None
    assert stored.fixate(torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 2)) is None
