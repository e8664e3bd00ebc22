"""Own data in a folder: what comes out, and one clear message for whatever is wrong with it."""

import json
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from seqjepa import cli
from seqjepa.config import WorldConfig, find_kind
from seqjepa.errors import ConfigError, DataError
from seqjepa.keys import draw_key
from seqjepa.worlds.arrays import Config

N, V, H, W = 20, 4, 6, 5
POSE = ("yaw", "pitch", "roll", "hue", "x", "y", "qx", "qy", "qz", "qw")
GROUPS = (
    {"name": "rotation", "dims": ["yaw", "pitch", "roll"], "kind": "euler"},
    {"name": "hue", "dims": ["hue"], "kind": "circular", "period": 360},
    {"name": "place", "dims": ["x", "y"], "scale": 2.0},
    {"name": "camera", "dims": ["qx", "qy", "qz", "qw"], "kind": "quaternion"},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    np.save(tmp_path / "views.npy", random.integers(0, 256, (N, V, H, W, 3), np.uint8))
    np.save(tmp_path / "poses.npy", random.uniform(-1, 1, (N, V, len(POSE))))
    np.save(tmp_path / "labels.npy", np.arange(N) % 3)
    describe(tmp_path)
    return tmp_path


def describe(folder: Path, **fields: Any) -> None:
    """Write world.json, with these fields changed or left out (None)."""
    data = {"pose": POSE, "groups": GROUPS, "name": "mine"} | fields
    (folder / "world.json").write_text(
        json.dumps({key: value for key, value in data.items() if value is not None})
    )


def change(folder: Path, name: str, at: tuple[Any, ...], value: float) -> None:
    array = np.load(folder / name)
    array[at] = value
    np.save(folder / name, array)


def test_what_is_in_the_files_comes_out(folder):
    world = Config(path=str(folder)).build()
    assert world.spec.image_shape == (3, H, W)
    assert world.spec.views_per_object == V
    assert world.spec.name == "mine"
    assert world.spec.classes == ("0", "1", "2")
    assert world.spec.splits == ("train", "val", "test")
    assert isinstance(world.tables["train"].views, np.memmap)
    assert world.tables["train"].views.base is not None

    views, labels = np.load(folder / "views.npy"), np.load(folder / "labels.npy")
    yaws = np.load(folder / "poses.npy")[:, :, 0].astype(np.float32)
    for split in world.spec.splits:
        for batch in islice(world.loader(split, num_views=3, batch_size=2, seed=0), 10):
            for b in range(2):
                # Yaws are all different, so they say which view of which object is seen.
                places = [np.argwhere(yaws == yaw)[0] for yaw in batch.poses[b, :, 0].numpy()]
                numbers, order = np.transpose(places)
                assert len(set(numbers)) == 1 and numbers[0] in world.tables[split].rows
                pixels = batch.views[b].permute(0, 2, 3, 1)
                np.testing.assert_array_equal(pixels, views[numbers[0], order])
                assert batch.labels[b] == labels[numbers[0]]


def test_actions_are_those_of_the_groups(folder):
    world = Config(path=str(folder)).build()
    batch = next(world.loader("train", num_views=3, batch_size=8, seed=0))
    start, end = batch.poses[:, 0].double(), batch.poses[:, 1].double()

    euler = Rotation.from_euler("xyz", start[:, :3]).inv() * Rotation.from_euler("xyz", end[:, :3])
    camera = Rotation.from_quat(start[:, 6:]).inv() * Rotation.from_quat(end[:, 6:])
    hue = (end - start)[:, 3:4]
    expected = [
        euler.as_quat(canonical=True),
        hue,
        (end - start)[:, 4:6] / 2,
        camera.as_quat(canonical=True),
    ]
    np.testing.assert_allclose(batch.actions[:, 0], np.concatenate(expected, 1), atol=1e-5)

    chosen = Config(path=str(folder), actions=("place", "rotation")).build()
    same = next(chosen.loader("train", num_views=3, batch_size=8, seed=0))
    torch.testing.assert_close(same.actions, batch.actions[..., [5, 6, 0, 1, 2, 3]])
    assert chosen.spec.factors.action_dim == 11 and chosen.spec.actions.action_dim == 6


def test_data_check_knows_them(folder, tmp_path_factory):
    report = Config.inspect(folder)
    assert report.good
    *_, warned = report.findings
    assert "'camera' has quaternions of length" in warned.what, "opening the world warns of them"
    ranges = [finding.what for finding in report.findings[-5:-1]]
    assert [what.split(":")[0] for what in ranges] == [
        "rotation (euler)",
        "hue (circular)",
        "place (difference)",
        "camera (quaternion)",
    ]
    yaw, place = np.load(folder / "poses.npy")[..., [0, 4]].transpose(2, 0, 1)
    assert f"yaw {yaw.min():.3g} to {yaw.max():.3g}" in ranges[0]
    # The scale of `place` is 2.
    pairs = [(place[:, i] - place[:, j]) / 2 for i in range(V) for j in range(V) if i != j]
    spread = np.std(pairs)
    assert f"actions with a standard deviation of {spread:.3g}, " in ranges[2]
    assert [finding.what for finding in report.findings] == [
        "4 views of each object, 6 x 5 pixels, 3 channels",
        "poses of 10 columns, groups rotation, hue, place, camera",
        "20 objects; world.json names no splits, so world.val_fraction and world.test_fraction "
        "hold some out",
        "3 classes",
        "classes: 0 7, 1 7, 2 6",
        *ranges,
        warned.what,
    ]

    (folder / "poses.npy").unlink()
    report = Config.inspect(folder)
    assert not report.good and "poses.npy is missing" in report.findings[0].what
    assert Config.inspect(tmp_path_factory.mktemp("empty")) is None
    assert Config.inspect(folder / "views.npy") is None


def test_data_check_fails_if_one_of_two_data_sets_is_bad(folder, capsys):
    assert cli.run(["data", "check", str(folder)]) == 0
    (folder / "wnids.txt").touch()  # of Tiny ImageNet
    assert cli.run(["data", "check", str(folder)]) == 3
    said = capsys.readouterr()
    assert "arrays of views and poses" in said.out
    assert "Tiny ImageNet" in said.out
    assert "is not as expected" in said.err


def test_splits_are_by_object_and_stay(folder):
    def rows(**fields):
        return {
            split: table.rows.tolist()
            for split, table in Config(path=str(folder), **fields).build().tables.items()
        }

    splits = rows()
    assert sorted(chain(*splits.values())) == list(range(N))
    assert [len(part) for part in splits.values()] == [16, 2, 2]
    assert rows() == splits and rows(split_seed=1) != splits
    assert [len(part) for part in rows(val_fraction=0.25, test_fraction=0.4).values()] == [7, 5, 8]
    own = {"train": [5, 1, 2], "val": [3], "test": [4], "other_room": [0, 19]}
    describe(folder, splits=own)
    assert rows() == own and Config(path=str(folder)).build().spec.splits == tuple(own)


@pytest.mark.parametrize("size", [3, 4, 20, 57])
@pytest.mark.parametrize(("val", "test"), [(0.1, 0.1), (0.25, 0.4), (0.01, 0.3)])
def test_the_objects_held_out_are_those_of_version_0_1_0(size, val, test):
    """Its formula, word for word: the last of the order are `test`, those before them `val`."""
    for seed in range(5):
        order = np.argsort(draw_key(seed, "split", 0, np.arange(size)), kind="stable")
        number_val, number_test = (max(1, round(fraction * size)) for fraction in (val, test))
        parts = np.split(order, [size - number_val - number_test, size - number_test])
        old = dict(zip(("train", "val", "test"), map(np.sort, parts), strict=True))

        config = Config(path="x", val_fraction=val, test_fraction=test, split_seed=seed)
        new = config._hold_out(size)
        assert list(new) == list(old)
        for split, objects in old.items():
            np.testing.assert_array_equal(new[split], objects)


def test_pixel_statistics_are_of_the_training_objects(folder):
    world = Config(path=str(folder)).build()
    pixels = np.load(folder / "views.npy")[world.tables["train"].rows].reshape(-1, 3) / 255
    np.testing.assert_allclose(world.spec.mean, pixels.mean(0))
    np.testing.assert_allclose(world.spec.std, pixels.std(0))
    np.save(folder / "views.npy", np.full((N, V, H, W, 1), 255, np.uint8))
    assert Config(path=str(folder)).build().spec.std == (1e-3,), (
        "a constant channel is no division by zero"
    )


def test_labels_and_class_names_are_optional(folder):
    describe(folder, classes=["cat", "dog", "owl", "yak"])
    assert Config(path=str(folder)).build().spec.classes == ("cat", "dog", "owl", "yak")
    describe(folder)
    (folder / "labels.npy").unlink()
    world = Config(path=str(folder)).build()
    assert world.spec.classes == ()
    assert (next(world.loader("train", num_views=2, batch_size=4, seed=0)).labels == -1).all()


def test_kind_is_arrays():
    assert find_kind(WorldConfig, "arrays") is Config


def test_bad_config_is_refused():
    for fields in (
        {"val_fraction": 0.0},
        {"test_fraction": 0.9, "val_fraction": 0.1},
        {"test_fraction": float("nan")},
    ):
        with pytest.raises(ConfigError, match="fraction"):
            Config(path="x", **fields)
    with pytest.raises(ConfigError, match="split_seed"):
        Config(path="x", split_seed=-1)


def refuses(folder: Path, message: str, **fields: Any) -> None:
    """Building says what is wrong and where, in a line that a terminal can show."""
    with pytest.raises(DataError, match=message) as error:
        Config(path=str(folder), **fields).build()
    assert error.value.exit_code == 3 and len(str(error.value).splitlines()) <= 2


@pytest.mark.parametrize("name", ["views.npy", "poses.npy", "world.json"])
def test_missing_files(folder, name):
    (folder / name).unlink()
    refuses(folder, rf"{name} is missing")
    refuses(folder / "elsewhere", r"world\.path: there is no folder .*elsewhere")


@pytest.mark.parametrize("name", ["views.npy", "poses.npy", "labels.npy"])
def test_damaged_and_foreign_files(folder, name):
    path = folder / name
    good = path.read_bytes()
    for end in (0, 1, 60, 127, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:end])
        refuses(folder, rf"{name} is no whole \.npy file")
    np.save(path, np.array([{"an": "object"}], dtype=object))
    refuses(folder, rf"{name} is no whole \.npy file of plain numbers")
    np.savez(folder / "archive.npz", good)
    (folder / "archive.npz").replace(path)
    refuses(folder, rf"{name} is no whole \.npy file")


def test_flipped_bytes_in_headers_never_crash(folder):
    """They are refused, or what they say is still possible."""
    good = (folder / "poses.npy").read_bytes()
    random = np.random.default_rng(1)
    for _ in range(200):
        bad = bytearray(good)
        bad[random.integers(0, 128)] ^= 1 << random.integers(0, 8)
        (folder / "poses.npy").write_bytes(bad)
        try:
            Config(path=str(folder)).build()
        except DataError as error:
            assert "poses.npy" in str(error)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "views.npy",
            np.zeros((N, V, H, W), np.uint8),
            r"must be .* uint8 \[20, 4, 6, 5\]: save gray views as views\[\.\.\., None\]",
        ),
        (
            "views.npy",
            np.zeros((N, V, H, W, 3)),
            r"got float64 \[20, 4, 6, 5, 3\]: multiply pixels in 0..1 by 255, and save uint8",
        ),
        ("views.npy", np.zeros((N, 1, H, W, 3), np.uint8), "at least V = 2 views"),
        (
            "views.npy",
            np.zeros((N + 1, V, H, W, 3), np.uint8),
            r"poses\.npy must hold numbers \[21, 4, 10\].* got float64 \[20, 4, 10\]",
        ),
        ("poses.npy", np.zeros((N, V, 3)), r"poses\.npy must hold numbers \[20, 4, 10\]"),
        ("poses.npy", np.zeros((N, V, len(POSE)), complex), "got complex128"),
        (
            "labels.npy",
            np.zeros(N - 1, int),
            r"must hold one integer for each of the N = 20 objects .* got int64 \[19\]$",
        ),
        ("labels.npy", np.zeros(N), r"got float64 \[20\]: save integers from 0"),
        ("labels.npy", np.array(["cat"] * N), r"got <U3 \[20\]: .*numpy\.unique\(labels"),
        ("labels.npy", np.array(["cat"] * N, object), r"objects.*: .*numpy\.unique\(labels"),
        ("labels.npy", np.full(N, 20), "object 0 has label 20, allowed are 0 to 19"),
    ],
)
def test_wrong_shapes_and_types(folder, name, array, message):
    np.save(folder / name, array)
    refuses(folder, message)


@pytest.mark.parametrize(
    ("axis", "height", "width", "channels"),
    [(2, 24, 24, 3), (3, 24, 24, 3), (2, 24, 24, 1), (2, 32, 24, 4), (2, 128, 128, 3)],
)
def test_channels_that_are_not_last_are_refused(folder, axis, height, width, channels):
    views = np.zeros((N, V, height, width, channels), np.uint8)
    np.save(folder / "views.npy", np.moveaxis(views, -1, axis))
    refuses(folder, rf"views\.npy must be \[N, V, H, W, C\].*moveaxis \(views, {axis}, -1\)")


def test_what_is_most_likely_in_another_layout_or_unit_is_said(folder, capsys):
    def said() -> str:
        Config(path=str(folder)).build()
        return " ".join(capsys.readouterr().err.split())

    # Their quaternions are drawn at random, and are not of unit length.
    assert said().count("warning") == 1
    poses = np.load(folder / "poses.npy")
    poses[..., 6:] /= np.linalg.norm(poses[..., 6:], axis=-1, keepdims=True)
    np.save(folder / "poses.npy", poses)
    assert said() == ""

    # Bands of a satellite may be many, but hardly more than pixels.
    views = np.load(folder / "views.npy")
    np.save(folder / "views.npy", np.zeros((N, V, 24, 24, 13), np.uint8))
    assert said() == ""
    np.save(folder / "views.npy", np.zeros((N, V, 13, 24, 24), np.uint8))
    assert "views.npy: uint8 [20, 4, 13, 24, 24] has 24 channels of 13 x 24 pixels" in said()
    np.save(folder / "views.npy", views)

    change(folder, "poses.npy", (..., slice(4, 6)), np.load(folder / "poses.npy")[..., :2] * 5000)
    assert "poses.npy: group 'place' makes actions far from order one" in said()
    change(folder, "poses.npy", (..., slice(0, 3)), np.load(folder / "poses.npy")[..., :3] * 180)
    refuses(folder, r"poses\.npy: group 'rotation' has angles up to .* pi / 180")


def test_poses_that_are_no_poses(folder):
    for value in (np.nan, np.inf, 1e300):
        change(folder, "poses.npy", (7, 2, 5), value)
        refuses(folder, r"object 7, view 2 has a pose that is not finite .* \(1 of 80 views\)")
    change(folder, "poses.npy", (7, 2, 5), 0.0)
    change(folder, "poses.npy", (3, slice(1, 3), slice(6, 10)), 0.0)
    refuses(folder, r"object 3, view 1 has a quaternion 'camera' of length 0.* \(2 of 80 views\)")


def test_labels_out_of_range(folder):
    change(folder, "labels.npy", (4,), -1)
    refuses(
        folder,
        r"labels\.npy: object 4 has label -1, allowed are 0 to 2 .* objects without a class",
    )
    change(folder, "labels.npy", (4,), 2)
    describe(folder, classes=["cat", "dog"])
    refuses(folder, r"object 2 has label 2, allowed are 0 to 1, the classes in world\.json")
    (folder / "labels.npy").unlink()
    refuses(folder, r"labels\.npy is missing, yet world\.json names 2 classes")


def group(**fields: Any) -> dict[str, Any]:
    """A world.json of one group that has these fields."""
    return {"groups": [{"name": "r"} | fields]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pose": None}, r"world\.json: keys missing: pose"),
        ({"poze": 1}, r"world\.json: unknown key 'poze', did you mean 'pose'"),
        ({"pose": "yaw"}, r"key 'pose' must be a list of str, got 'yaw'"),
        ({"pose": [*POSE[:-1], "yaw"]}, r"world\.json: pose columns must have different names"),
        (group(dims=["yaw"], king="euler"), r"'groups\[0\]\.king', did you mean .*\.kind'"),
        (group(dims=["yaw"], kind="eulre"), r"\.kind': 'eulre', did you mean 'euler'"),
        (group(dims=["yaw"], kind="euler"), "needs 3 dims"),
        (group(dims=["yaw", "hue", "yaw"]), "'yaw' is in group 'r' and again in 'r': leave it out"),
        (group(dims=["yav"]), "pose column of group 'r': 'yav', did you mean 'yaw'"),
        (group(dims=["hue"], scale=0), "scale and period must be positive"),
        ({"splits": {"train": [0], "val": [1]}}, "split 'test' has no objects"),
        (
            {"splits": {"train": [0], "val": [1], "test": [2], "ood": []}},
            "split 'ood' has no objects",
        ),
        (
            {"splits": {"train": [0], "val": [1], "test": [20]}},
            "split 'test' names object 20, views.npy has 0 to 19",
        ),
        (
            {"splits": {"train": [0, 3], "val": [1], "test": [2, 3]}},
            "object 3 is in split 'train' and again in 'test'",
        ),
    ],
)
def test_wrong_world_json(folder, fields, message):
    describe(folder, **fields)
    refuses(folder, message)


def test_world_json_that_is_none(folder):
    for text, message in (
        ("{", "cannot be read as JSON"),
        ("[]", "the top level must be an object"),
        ("\xff", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON: .*recursion"),
    ):
        (folder / "world.json").write_bytes(text.encode("latin-1"))
        refuses(folder, message)


def test_wishes_that_the_data_cannot_fulfil(folder):
    with pytest.raises(
        ConfigError, match="unknown action group 'rotatoin', did you mean 'rotation'"
    ):
        Config(path=str(folder), actions=("rotatoin",)).build()
    world = Config(path=str(folder)).build()
    with pytest.raises(DataError, match="5 views asked for, objects of world 'mine' have 4"):
        world.loader("train", num_views=5, batch_size=2, seed=0)
    for name in ("views", "poses", "labels"):
        np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy")[:2])
    (folder / "labels.npy").unlink()
    refuses(folder, r"has 2 objects, too few to hold some of them out for `test` and `val`")
