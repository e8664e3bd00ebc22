"""3DIEBench from files in the published format: what is in them comes out, in the right splits,
with the right actions."""

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from fixtures.view_files import SYNSETS, places, write
from seqjepa.config import WorldConfig, find_kind
from seqjepa.errors import ConfigError, DataError
from seqjepa.keys import draw_key
from seqjepa.render.scene import FACTORS
from seqjepa.store.export import export, plan_job
from seqjepa.store.packing import pack
from seqjepa.worlds import shapes
from seqjepa.worlds.threediebench import Config

VIEWS = 4


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("3DIEBench"), views=VIEWS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that a test may damage."""
    return write(tmp_path / "data", train=6, val=2, views=2)


def world(path: Path, **fields):
    return Config(**{"path": str(path), "image_size": 32, "views": VIEWS} | fields).build()


def everything(built, split):
    """Views and poses [N, V, ...] and labels [N] of a split, all in the order of the files."""
    table, index = built.tables[split], np.arange(built.size(split))
    views = np.broadcast_to(np.arange(built.views(split)), (len(index), built.views(split)))
    return table.images(index, views), table.poses[index[:, None], views], table.labels


def test_what_is_in_the_files_comes_out(published):
    built = world(published)
    assert built.spec.splits == ("train", "val", "test")
    assert built.spec.classes == SYNSETS
    assert built.spec.views_per_object == VIEWS
    assert built.spec.image_shape == (3, 32, 32) and built.spec.actions.action_dim == 4

    views, poses, labels = everything(built, "test")
    assert np.array_equal(labels, np.load(published / "val_labels.npy"))
    for number, place in enumerate(places(published, "val")):
        for view in range(VIEWS):
            latent = np.load(published / place / f"latent_{view}.npy").astype(np.float32)
            assert np.array_equal(poses[number, view], latent)
            with Image.open(published / place / f"image_{view}.jpg") as image:
                small = np.asarray(image.resize((32, 32), Image.Resampling.BOX)).astype(int)
            assert abs(views[number, view] - small).max() <= 2


def test_batches_pair_views_with_their_own_poses_and_actions(published):
    built = world(published, actions=("rotation", "floor_hue", "light_hue", "light_direction"))
    batch = next(built.loader("train", num_views=3, batch_size=8, seed=0))
    assert batch.views.shape == (8, 3, 3, 32, 32)
    assert batch.views.dtype == torch.uint8
    assert batch.actions.shape == (8, 2, 8)

    # On the right of the pictures only hues and light decide the colour.
    right = (batch.views[..., 20:].float().mean((-1, -2)) - 64) / 128
    assert (right - batch.poses[..., [3, 6, 4]]).abs().max() < 0.02

    start, end = (batch.poses[:, t].double() for t in (0, 1))
    before, after = (Rotation.from_euler("xyz", pose[:, :3]) for pose in (start, end))
    expected = (before.inv() * after).as_quat(canonical=True)
    np.testing.assert_allclose(batch.actions[:, 0, :4], expected, atol=1e-5)
    np.testing.assert_allclose(batch.actions[:, 0, 4:], (end - start)[:, [3, 6, 4, 5]], atol=1e-5)
    assert (batch.actions[..., 3] >= 0).all()


@pytest.fixture(scope="module")
def translated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Ten latents, in a folder and in packs of it."""
    root = tmp_path_factory.mktemp("3DIEBench-T")
    folder = write(root / "files", views=VIEWS, translated=True)
    pack(folder, root / "jpeg", views=VIEWS)
    pack(folder, root / "raw", views=VIEWS, coding="raw", size=32)
    return {"folder": folder, "jpeg": root / "jpeg", "raw": root / "raw"}


@pytest.mark.parametrize("form", ["folder", "jpeg", "raw"])
def test_ten_latents_come_out_and_their_differences_are_actions(translated, form):
    built = world(translated[form], actions=("rotation", "translation"))
    _, poses, _ = everything(built, "test")
    for number, place in enumerate(places(translated["folder"], "val")):
        for view in range(VIEWS):
            latent = np.load(translated["folder"] / place / f"latent_{view}.npy")
            assert np.array_equal(poses[number, view], latent.astype(np.float32))

    batch = next(built.loader("train", num_views=3, batch_size=8, seed=0))
    assert batch.actions.shape == (8, 2, 7)
    moves = (batch.poses[:, 1:, 7:] - batch.poses[:, :-1, 7:]) / 0.5
    assert torch.equal(batch.actions[..., 4:], moves)
    assert batch.actions[..., 4:].abs().max() <= 2


@pytest.mark.parametrize("form", ["folder", "jpeg"])
def test_a_translation_is_a_factor_whether_or_not_it_is_an_action(translated, form):
    built = world(translated[form])
    names = ["rotation", "floor_hue", "light_hue", "light_direction", "translation"]
    assert [group.name for group in built.spec.factors.groups] == names
    assert built.spec.actions.action_dim == 4


@pytest.mark.parametrize("packed", [False, True])
def test_seven_latents_are_what_they_were_before_there_were_ten(published, tmp_path, packed):
    """The digests were taken before; those of JPEGs depend on the encoder and are left out."""
    if packed:
        pack(published, tmp_path / "pack", views=VIEWS)
    built = world(tmp_path / "pack" if packed else published)
    assert built.spec.factors == FACTORS and built.spec.actions == FACTORS.select(("rotation",))
    poses = {name: digest for name, digest in built.spec.data.items() if "poses" in name}
    assert poses == {
        "train.poses": "33c6e3303559efc1",
        "val.poses": "76b4568196559cab",
        "test.poses": "8415cc12f396b6fc",
    }
    if packed:
        index = np.load(tmp_path / "pack" / "index.npy")
        assert index.dtype.itemsize == 88 and index["latent"].shape == (17, VIEWS, 7)


def test_a_translation_that_the_files_lack_is_no_action(published):
    message = "world.actions has translation, but latents of .* hold 7 factors without it"
    with pytest.raises(ConfigError, match=message):
        world(published, actions=("rotation", "translation"))


def test_views_with_and_without_translation_do_not_mix(translated, published, folder, tmp_path):
    for one, other in ((translated["jpeg"], published), (published, translated["folder"])):
        with pytest.raises(DataError, match=r"world\.ood_path: latents of .* hold \d+ factors"):
            world(one, ood_path=str(other))

    latent = folder / places(folder, "val")[1] / "latent_1.npy"
    np.save(latent, np.zeros(10))
    message = "latent_1.npy holds 10 factors, .*latent_0.npy holds 7: views of 3DIEBench"
    with pytest.raises(DataError, match=message):
        everything(world(folder, views=2), "test")
    with pytest.raises(DataError, match=message):
        pack(folder, tmp_path / "pack", views=2)


def test_val_is_held_out_of_the_training_objects(published):
    def objects(**fields):
        built = world(published, **fields)
        return {
            split: {tuple(pose[0]) for pose in everything(built, split)[1].tolist()}
            for split in built.spec.splits
        }

    splits = objects(val_fraction=0.25)
    assert [len(splits[name]) for name in ("train", "val", "test")] == [9, 3, 5]
    assert not splits["train"] & splits["val"]
    assert not splits["test"] & (splits["train"] | splits["val"])
    assert objects(val_fraction=0.25) == splits
    assert objects(val_fraction=0.25, split_seed=1)["val"] != splits["val"]
    paper = objects(val_fraction=0.25, train_on_val=True)
    assert paper["train"] == splits["train"] | splits["val"]
    assert paper["val"] == splits["val"]
    assert len(paper["train"]) == 12


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.25, 0.9])
def test_the_objects_held_out_are_those_of_version_0_1_0(fraction):
    """Its formula, word for word: the first of the order are `val`."""
    for size, seed in itertools.product((2, 3, 12, 57), range(5)):
        rows = 3 * np.arange(size) + 1
        held_out = max(1, round(fraction * size))
        if held_out == size:
            with pytest.raises(DataError, match="too few to hold some of them out for `val`"):
                Config(path="x", val_fraction=fraction, split_seed=seed)._hold_out(rows)
            continue
        order = np.argsort(draw_key(seed, "val", 0, np.arange(size)), kind="stable")
        old = rows[np.sort(order[held_out:])], rows[np.sort(order[:held_out])]

        new = Config(path="x", val_fraction=fraction, split_seed=seed)._hold_out(rows)
        for before, after in zip(old, new, strict=True):
            np.testing.assert_array_equal(after, before)


def test_only_the_first_views_are_used(published):
    few, all_views = (everything(world(published, views=views), "val") for views in (2, VIEWS))
    assert few[1].shape[1] == 2
    assert np.array_equal(few[1], all_views[1][:, :2])
    assert np.array_equal(few[0], all_views[0][:, :2])
    with pytest.raises(
        DataError,
        match=r"image_4\.jpg is missing: get it again, or set world\.views to what every",
    ):
        world(published, views=5)


@pytest.mark.parametrize("packed", [False, True])
def test_other_pictures_are_told_when_a_run_is_resumed_and_a_copy_is_the_same(
    folder, tmp_path, packed
):
    def data(path):
        if packed:
            pack(path, tmp_path / f"pack of {path.name}", views=2)
            path = tmp_path / f"pack of {path.name}"
        return world(path, views=2).spec.data

    copy = shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    before = data(folder)
    assert data(copy) == before and {"train.views", "val.views", "test.views"} <= before.keys()
    other = shutil.copytree(folder, tmp_path / "other")
    image = other / places(other, "val")[0] / "image_1.jpg"
    image.write_bytes((image.parent / "image_0.jpg").read_bytes())
    changed = {name for name, digest in data(other).items() if digest != before[name]}
    assert changed == (
        {f"{split}.views" for split in ("train", "val", "test")} if packed else {"test.views"}
    )


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_object_with_too_few_views_is_told_before_training(folder, split):
    place = places(folder, split)[-1]
    (folder / place / "image_1.jpg").unlink()
    with pytest.raises(
        DataError, match=rf"{place}/image_1\.jpg is missing: get it again, or set world\.views"
    ):
        world(folder, views=2)


@pytest.fixture(scope="module", params=[0.0, 0.3])
def rendered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A small shapes world, and its files: objects stay, or move as in 3DIEBench-T."""
    size = {"image_size": 32, "train_objects": 8, "test_objects": 3, "views": 3}
    config = shapes.Config(**size, translation=request.param)
    root = tmp_path_factory.mktemp("rendered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJEPA_CACHE", str(root / "cache"))
        built = config.build()
    export(plan_job(config.plans(), config.classes, config.key()), root / "files")
    return built, root / "files"


@pytest.mark.parametrize("packed", [False, True])
def test_rendered_shapes_are_the_shapes_world(rendered, tmp_path, packed):
    original, files = rendered
    if packed:
        pack(files, tmp_path / "pack", views=3)
    built = world(tmp_path / "pack" if packed else files, views=3)
    assert built.spec.splits[:3] == ("train", "val", "test")
    assert set(built.spec.splits) == set(original.spec.splits)
    assert built.spec.actions == original.spec.actions
    assert built.spec.factors == original.spec.factors
    np.testing.assert_allclose(built.spec.mean, original.spec.mean, atol=0.01)

    for split in original.spec.splits:
        views, poses, labels = everything(built, split)
        table = original.tables[split]
        assert np.array_equal(poses, table.poses) and np.array_equal(labels, table.labels)
        assert abs(views.astype(int) - table.views).mean() < 4
        assert [built.spec.classes[label] for label in labels] == [
            original.spec.classes[label] for label in labels
        ]


def test_out_of_distribution_objects(published, tmp_path):
    """A second folder without split files, fewer views that begin at 2, classes in part, angles
    beyond +-pi/2."""
    other = write(tmp_path / "ood", train=2, val=0, views=2, first=2, beyond=True)
    for path in other.glob("*.npy"):
        path.unlink()

    built = world(published, ood_path=str(other))
    assert built.spec.splits[-1] == "ood"
    assert built.views("ood") == 2
    assert built.views("train") == built.spec.views_per_object == VIEWS
    with pytest.raises(DataError, match=r"3 views asked for, objects of .*'threediebench' have 2"):
        built.require("ood", 3)

    views, poses, labels = everything(built, "ood")
    assert labels.tolist() == [0, 1] and views.shape == (2, 2, 32, 32, 3)
    assert (abs(poses[..., :3]) > np.pi / 2).all()
    x, y, z = poses[0, 0, :3]
    inside = torch.tensor([x + np.pi, np.pi - y, z + np.pi], dtype=torch.float32)
    absolute = built.spec.factors.groups[0].absolute
    outside = absolute(torch.tensor(poses[0, 0, :3]))
    torch.testing.assert_close(outside, absolute(inside), atol=1e-5, rtol=0)

    pack(other, tmp_path / "pack", views=2, unlisted=True)
    again = everything(world(published, ood_path=str(tmp_path / "pack")), "ood")
    assert all(np.array_equal(a, b) for a, b in zip(again, (views, poses, labels), strict=True))
    with pytest.raises(DataError, match=r"pack has no train_images\.npy"):
        world(tmp_path / "pack", views=2)

    (other / SYNSETS[0]).rename(other / "99999999")
    message = r"world\.ood_path: .* has a class '99999999', which world\.path has not"
    with pytest.raises(DataError, match=message):
        world(published, ood_path=str(other))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"views": 1}, r"world\.views must be at least 2, got 1"),
        ({"image_size": 4}, r"world\.image_size must be at least 8"),
        ({"val_fraction": 1.0}, r"world\.val_fraction must be at least 0 and below 1, got 1\.0"),
        ({"val_fraction": 0.0}, r"world\.val_fraction must be finite and above 0, got 0\.0"),
        ({"actions": ("rotatoin",)}, "did you mean 'rotation'"),
    ],
)
def test_bad_config_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        Config(path="x", **fields)


@pytest.mark.parametrize("packed", [False, True])
def test_bilinear_is_pillows_resize_of_the_whole_picture(published, tmp_path, packed):
    """What the release does: torchvision's Resize, which hands over to Pillow."""
    source = published
    if packed:
        source = tmp_path / "packed"
        pack(published, source, views=VIEWS)
    views, _, _ = everything(world(source, image_size=96, resampling="bilinear"), "test")
    bicubic, _, _ = everything(world(source, image_size=96), "test")
    for number, place in enumerate(places(published, "val")):
        with Image.open(published / place / "image_0.jpg") as image:
            small = np.asarray(image.resize((96, 96), Image.Resampling.BILINEAR))
        assert np.array_equal(views[number, 0], small)
    assert not np.array_equal(bicubic, views)


def test_a_pack_of_shrunk_pictures_has_no_bilinear_ones(published, tmp_path):
    pack(published, tmp_path / "packed", views=VIEWS, size=32)
    with pytest.raises(ConfigError, match="shrunk to 32 pixels when they were packed"):
        world(tmp_path / "packed", resampling="bilinear")


@pytest.mark.parametrize("ten", [False, True])
def test_the_outline_is_the_spec_but_for_what_only_files_tell(published, translated, ten):
    fields = {"actions": ("translation",)} if ten else {}
    built = world(translated["folder"] if ten else published, **fields).spec
    unknown = {name: getattr(built, name) for name in ("classes", "mean", "std", "data")}
    config = Config(path="", image_size=32, views=VIEWS, **fields)
    assert replace(config.outline(), **unknown) == built


def test_pictures_are_never_enlarged(published):
    with pytest.raises(
        ConfigError, match=r"world\.image_size is 300, but .*image_0\.jpg has 256 x 256 pixels"
    ):
        world(published, image_size=300)


def test_no_picture_is_enlarged_that_is_smaller_than_the_first(folder):
    image = folder / places(folder, "train")[3] / "image_1.jpg"
    Image.new("RGB", (40, 20)).save(image)
    for path in (folder, folder.parent / "pack"):
        if path != folder:
            pack(folder, path, views=2)
        with pytest.raises(ConfigError, match=r"(view 1 of .*|image_1\.jpg) has 40 x 20 pixels"):
            world(path, views=2, image_size=32, train_on_val=True)
        assert world(path, views=2, image_size=20).spec.image_shape == (3, 20, 20)


@pytest.mark.parametrize("split", ["train", "val"])
def test_latents_of_every_split_are_in_their_units(folder, tmp_path, split):
    shutil.copytree(folder, tmp_path / "ood")
    for place in places(folder, split):
        for path in (folder / place).glob("latent_*.npy"):
            np.save(path, np.rad2deg(np.load(path)))
    with pytest.raises(DataError, match=r"rot_x reaches .* Latents hold angles in radians"):
        world(folder, views=2)
    with pytest.raises(DataError, match=f"{folder.name}: rot_x reaches"):
        world(tmp_path / "ood", views=2, ood_path=str(folder))


def test_names_of_objects_may_be_bytes(folder):
    before = everything(world(folder, views=2), "test")
    split_file(folder, "val_images.npy", lambda names: np.char.encode(names, "utf-8"))
    after = everything(world(folder, views=2), "test")
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))

    split_file(folder, "val_images.npy", lambda names: np.array([b"a/\xff"] * len(names)))
    with pytest.raises(DataError, match="must hold strings such as"):
        world(folder, views=2)


def split_file(folder: Path, name: str, change) -> None:
    array = np.load(folder / name)
    np.save(folder / name, change(array))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "train_labels.npy",
            lambda a: a[1:],
            r"must hold one integer for each of the 6 objects of train_images\.npy",
        ),
        ("train_labels.npy", lambda a: a * 1.0, "got float64"),
        ("train_labels.npy", lambda a: a - 1, "has label -1: classes are numbered from 0 on"),
        ("train_labels.npy", lambda a: a + 10**6, "has label 1000000: classes are numbered"),
        ("train_labels.npy", lambda a: np.roll(a, 1), "but of other objects"),
        (
            "train_images.npy",
            lambda a: np.arange(len(a)),
            r'train_images\.npy must hold strings such as "/02691156/dc8d9003/", got int64',
        ),
        (
            "train_images.npy",
            lambda a: np.array(["/../etc/"] * len(a)),
            r"names '/\.\./etc/', which is no",
        ),
        ("train_images.npy", lambda a: np.array(["/etc/a/b/"] * len(a)), "which is no"),
        ("train_images.npy", lambda a: a[[0, 0, 2, 3, 4, 5]], "name object .* 2 times"),
        (
            "train_images.npy",
            lambda a: np.array([*a[:5], "/04379243/0000/"]),
            r"has no folder 04379243/0000.*\(1 missing\)",
        ),
        (
            "val_images.npy",
            lambda a: np.array([[]], dtype="<U43"),
            r"val_images\.npy must hold strings",
        ),
    ],
)
def test_split_files_that_cannot_be_right(folder, name, change, message):
    split_file(folder, name, change)
    with pytest.raises(DataError, match=message) as error:
        world(folder, views=2)
    assert len(str(error.value).splitlines()) == 1


def test_kind_is_threediebench():
    assert find_kind(WorldConfig, "threediebench") is Config


def test_actions_change_nothing_but_the_actions(published):
    one, two = (world(published, actions=actions) for actions in (("rotation",), ("floor_hue",)))
    assert replace(one.spec, actions=two.spec.actions) == two.spec
