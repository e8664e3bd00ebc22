"""Saliency maps as published: both layouts, and every fault they can have."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fixtures.saliency import images_of
from seqjepa.errors import DataError
from seqjepa.worlds.images.base import ImageSet
from seqjepa.worlds.views.fixations import weights
from seqjepa.worlds.views.saliency_maps import fit, inspect_maps, published_maps


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def maps_for(images: ImageSet, size: int) -> dict[str, np.ndarray]:
    """Make maps as published for STL-10: float32 [N, 1, S, S], each with the sum 1."""
    random = np.random.default_rng(0)
    wanted = {split.origin: len(split.images) for split in images.splits.values()}
    maps = {
        origin: random.random((number, 1, size, size), np.float32) + 0.01
        for origin, number in wanted.items()
    }
    return {origin: each / each.sum((1, 2, 3), keepdims=True) for origin, each in maps.items()}


def publish(folder: Path, maps: dict[str, np.ndarray]) -> Path:
    for origin, each in maps.items():
        (folder / origin).mkdir(parents=True, exist_ok=True)
        np.save(folder / origin / f"saliency_{origin}.npy", each)
    return folder


def test_one_file_for_each_part(tmp_path: Path, cache: Path) -> None:
    """STL-10's layout: maps as they are in the file, by the place of the image in its published
    order; nothing is cached."""
    images = images_of()
    maps = maps_for(images, 32)
    found = published_maps(publish(tmp_path / "maps", maps), images)
    for name, split in images.splits.items():
        index = np.arange(len(split))
        np.testing.assert_array_equal(
            found[name](split.places(index)).numpy(), maps[split.origin][split.places(index), 0]
        )
    assert not cache.exists()


def test_one_file_of_another_size_is_resized_into_the_cache(tmp_path: Path) -> None:
    images = images_of()
    maps = maps_for(images, 64)
    maps["test"][1] = 0
    maps["test"][1, 0, 40:48, 8:16] = 1
    found = published_maps(publish(tmp_path / "maps", maps), images)["test"](np.array([1]))[
        0
    ].double()
    assert found.shape == (32, 32)
    along = torch.arange(32).double()
    row, column = ((along * found.sum(1 - axis)).sum() / found.sum() for axis in (0, 1))
    assert (float(row), float(column)) == pytest.approx((21.5, 5.5), abs=0.01)


@pytest.mark.parametrize("stretched", [True, False])
def test_maps_follow_their_images(stretched: bool) -> None:
    """A blob in a wide map stands where decoding puts the same blob of the image."""
    wide = np.zeros((40, 80), np.float32)
    wide[10:20, 50:60] = 0.01
    found = fit(wide, 20, stretched).double().numpy()
    image = Image.fromarray((wide * 20000).astype(np.uint8))
    box = None if stretched else (20, 0, 60, 40)
    expected = np.asarray(image.resize((20, 20), Image.Resampling.BILINEAR, box=box)).astype(float)
    np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), atol=5e-4)
    outside = np.zeros((40, 80), np.float32)
    outside[:, 75:] = 1
    assert (fit(outside, 20, False) == 1).all(), "all of it was cut away: even"


FAULTS = {
    "zero": (
        lambda maps: maps["unlabeled"][4].fill(0),
        "saliency_unlabeled.npy: map 4 is zero everywhere",
    ),
    "negative": (
        lambda maps: maps["test"][1, 0, 3].fill(-1e-9),
        "saliency_test.npy: map 1 has negative values",
    ),
    "NaN": (
        lambda maps: maps["test"][0, 0, 3].fill(np.nan),
        "saliency_test.npy: map 0 is not finite",
    ),
    "infinite": (
        lambda maps: maps["test"][0, 0, 3].fill(np.inf),
        "saliency_test.npy: map 0 is not finite",
    ),
    "too few": (
        lambda maps: maps.update(test=maps["test"][:1]),
        "saliency_test.npy has 1 maps, the data set has 2 images in 'test'",
    ),
    "too many": (
        lambda maps: maps.update(test=maps["test"][[0, 1, 0]]),
        "saliency_test.npy has 3 maps, the data set has 2",
    ),
    "integers": (
        lambda maps: maps.update(test=maps["test"].astype(np.int32)),
        r"must hold float maps \[N, 1, H, W\], got int32 \[2, 32,",
    ),
    "flat": (
        lambda maps: maps.update(test=maps["test"][:, 0, 0]),
        r"must hold float maps \[N, 1, H, W\], got float32 \[2, 32\]",
    ),
    "nothing in a map": (
        lambda maps: maps.update(test=np.zeros((2, 1, 0, 0), np.float32)),
        r"must hold float maps .*float32 \[2, 0, 0\]",
    ),
    "objects": (
        lambda maps: maps.update(test=np.array([{}, {}])),
        "saliency_test.npy is no whole .npy file of plain numbers",
    ),
    "a part missing": (lambda maps: maps.pop("test"), "holds no saliency maps of 'test'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_maps_are_refused(tmp_path: Path, fault: str) -> None:
    """Row 15 of the fault catalogue: file, place and remedy."""
    spoil, message = FAULTS[fault]
    images = images_of()
    maps = maps_for(images, 32)
    spoil(maps)
    with pytest.raises(DataError, match=message) as caught:
        published_maps(publish(tmp_path / "maps", maps), images)
    assert "world.saliency" in str(caught.value)


def test_cut_off_and_missing_files_are_refused(tmp_path: Path) -> None:
    images = images_of()
    folder = publish(tmp_path / "maps", maps_for(images, 32))
    file = folder / "test" / "saliency_test.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"saliency_test\.npy is no whole \.npy file"):
        published_maps(folder, images)

    (folder / "test" / "saliency_other.npy").touch()
    several = r"several saliency files, saliency_other\.npy, saliency_test\.npy"
    with pytest.raises(DataError, match=several):
        published_maps(folder, images)
    with pytest.raises(DataError, match=r"world\.saliency: there is no folder .*residuals"):
        published_maps(tmp_path / "spectral_residuals", images)


def test_maps_of_any_scale_are_drawn_from(tmp_path: Path) -> None:
    images = images_of()
    maps = {origin: each.astype(np.float64) for origin, each in maps_for(images, 32).items()}
    usual = published_maps(publish(tmp_path / "usual", maps), images)["train"](np.arange(3))
    small = published_maps(
        publish(tmp_path / "small", {origin: each * 2.0**-300 for origin, each in maps.items()}),
        images,
    )
    assert torch.equal(weights(small["train"](np.arange(3))), weights(usual))


def test_data_check_looks_at_maps(tmp_path: Path) -> None:
    maps = maps_for(images_of(), 32)
    report = inspect_maps(publish(tmp_path / "many", maps))
    assert report is not None and report.good
    assert "saliency_unlabeled.npy: 6 maps" in report.findings[1].what
    maps["test"][1] = 0
    report = inspect_maps(publish(tmp_path / "many", maps))
    assert report is not None and not report.good
    assert "saliency_test.npy: map 1 is zero everywhere" in report.findings[-1].what

    report = inspect_maps(write_single(tmp_path / "single", "_sal"))
    assert report is not None and report.good
    assert report.findings[0].what.startswith("8 maps of single images")
    assert inspect_maps(tmp_path) is None
    np.save(tmp_path / "single" / "test" / "one-sal.npy", np.ones((4, 4), np.float32))
    report = inspect_maps(tmp_path / "single" / "test")
    assert report is not None and report.good
    assert report.findings[0].what.startswith("3 maps of single images")


def test_data_check_looks_into_few_of_many_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1000):
        (tmp_path / str(number % 40) / str(number)).mkdir(parents=True)
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda *path: looked.append(path) or scandir(*path))
    assert inspect_maps(tmp_path) is None and len(looked) < 400


FILES = ("n01/a.JPEG", "n01/b.JPEG", "n02/a.JPEG", "n02/c.jpg", "n02/d.v2.png", "n02/e.png")


def named(images: ImageSet) -> ImageSet:
    """The same images, from files in folders of classes, two of the same name."""
    names = {"unlabeled": FILES, "test": ("x.JPEG", "y.JPEG")}
    splits = {
        name: replace(split, names=np.array(names[split.origin], np.bytes_), stretched=True)
        for name, split in images.splits.items()
    }
    return replace(images, splits=splits)


def write_single(folder: Path, ending: str) -> Path:
    """A map for each image, of sizes of their own, brightest in a corner that tells them apart;
    those of flat test images in classes."""
    stems = [f"unlabeled/{file.rpartition('.')[0]}" for file in FILES]
    ends = slice(0, 20), slice(-20, None)
    for place, stem in enumerate([*stems, "test/n01/x", "test/n02/y"]):
        path = folder / f"{stem}{ending}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)

        one = np.full((40 + place, 60), 1e-6, np.float32)
        one[ends[place % 2], ends[place // 2 % 2]] = place + 1
        np.save(path, one / one.sum())
    return folder


@pytest.mark.parametrize("ending", ["-sal", "_sal"])
def test_one_file_for_each_image(tmp_path: Path, ending: str) -> None:
    images = named(images_of())
    found = published_maps(write_single(tmp_path / "maps", ending), images)
    for place in range(6):
        one = found["train"](np.array([place]))[0]
        assert one.shape == (32, 32)
        row, column = divmod(int(one.argmax()), 32)
        assert (row >= 16, column >= 16) == (bool(place % 2), bool(place // 2 % 2))
    corners = [divmod(int(found["test"](np.array([place]))[0].argmax()), 32) for place in range(2)]
    assert [(row >= 16, column >= 16) for row, column in corners] == [(False, True), (True, True)]


def test_faulty_single_files_are_refused(tmp_path: Path) -> None:
    images = named(images_of())
    folder = write_single(tmp_path / "maps", "-sal")
    file = folder / "unlabeled" / "n02" / "c-sal.npy"
    good = np.load(file)
    faults = {
        r"is zero everywhere": good * 0,
        "has negative values": good - 1,
        "is not finite": good * np.nan,
    }
    for message, bad in faults.items():
        np.save(file, bad)
        with pytest.raises(DataError, match=rf"c-sal\.npy: its map {message}"):
            published_maps(folder, images)

    np.save(file, good[None])
    with pytest.raises(DataError, match=r"c-sal\.npy must hold a float map \[H, W\]"):
        published_maps(folder, images)
    np.save(file, good[:, :0])
    with pytest.raises(DataError, match=r"a float map \[H, W\], got float32 \[43, 0\]"):
        published_maps(folder, images)

    file.unlink()
    with pytest.raises(DataError, match=r"image n02/c\.jpg has no saliency map"):
        published_maps(folder, images)
    file.symlink_to(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"c-sal\.npy cannot be read .*world\.saliency"):
        published_maps(folder, images)


def test_a_map_that_cannot_be_opened_is_no_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    folder = write_single(tmp_path / "maps", "-sal")
    monkeypatch.setattr(np.lib.format, "open_memmap", deny)
    with pytest.raises(
        DataError,
        match=r"-sal\.npy is no whole \.npy file of plain numbers \(.*Permission denied\)",
    ):
        published_maps(folder, named(images_of()))


def test_two_images_do_not_share_a_map(tmp_path: Path) -> None:
    """Two images in folders of their own have one name, and only one of them has a map."""
    folder = write_single(tmp_path / "maps", "-sal")
    (folder / "unlabeled" / "n02" / "a-sal.npy").unlink()
    with pytest.raises(
        DataError, match=r"n01/a-sal\.npy would be the map of both n01/a\.JPEG and n02/a\.JPEG"
    ):
        published_maps(folder, named(images_of()))
