"""Any folder or archive of images."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.published import jpeg, png, tarred, zipped
from seqjepa.errors import DataError
from seqjepa.worlds.images.formats.folder import SOURCE


def picture(number: int) -> np.ndarray:
    """[20, 30, 3], of which no two are alike."""
    return np.random.default_rng(number).integers(256, size=(20, 30, 3), dtype=np.uint8)


def fill(folder: Path, *names: str) -> Path:
    """Image files of those names, each with its own picture."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(
            png(picture(number)) if name.endswith("png") else jpeg(picture(number))
        )
    return folder


def contents(place: Path, split: str, val_fraction: float = 0.0) -> dict[str, str]:
    """Return the class of each image by its name."""
    found = SOURCE.open(place, 16, val_fraction)
    images = found.splits[split]
    names = [images.names[place].decode() for place in images.places(np.arange(len(images)))]
    return {
        name: found.classes[label] if label >= 0 else ""
        for name, label in zip(names, images.labels, strict=True)
    }


PETS = [
    f"{kind}/{number}.{suffix}"
    for kind in ("dog", "cat")
    for number in range(10)
    for suffix in ("png", "jpg")
]


@pytest.mark.parametrize("form", ["folder", "zip", "tar", "tar.gz"])
def test_first_sub_folders_are_classes_and_a_tenth_is_the_test(tmp_path: Path, form: str) -> None:
    folder = fill(tmp_path / "pets", *PETS, "dog/deep/er/1.png")
    if form == "zip":
        place = zipped(folder, tmp_path / "pets.zip")
    else:
        place = folder if form == "folder" else tarred(folder, tmp_path / f"pets.{form}")

    splits = {split: contents(place, split, 0.25) for split in ("train", "val", "test")}
    sizes = {name: len(found) for name, found in splits.items()}
    assert sizes == {"train": 28, "val": 9, "test": 4}

    together = splits["train"] | splits["val"] | splits["test"]
    assert together == {name: name.split("/")[0] for name in (*PETS, "dog/deep/er/1.png")}
    assert splits["val"].keys() == contents(folder, "val", 0.25).keys()
    assert splits["test"].keys() == contents(folder, "test").keys()


def test_classes_are_numbered_in_the_order_of_their_names(tmp_path: Path) -> None:
    """As torchvision does: character by character, so that 10 comes before 2."""
    found = SOURCE.open(fill(tmp_path / "a", "1/a.png", "2/b.png", "10/c.png", "10/d.png"), 16, 0)
    assert found.classes == ("1", "10", "2")
    train = found.splits["train"]
    names = [train.names[place].decode() for place in train.places(np.arange(len(train)))]
    assert [found.classes[label] for label in train.labels] == [n.split("/")[0] for n in names]


def test_a_few_images_are_enough_for_a_test_and_one_is_not(tmp_path: Path) -> None:
    few = fill(tmp_path / "few", "a/1.png", "a/2.png", "a/3.png")
    assert [len(contents(few, split, 0.02)) for split in ("train", "val", "test")] == [1, 1, 1]
    one = fill(tmp_path / "one", "a/1.png")
    message = "one holds one image, too few to train on some and test on others: add images"
    with pytest.raises(DataError, match=message):
        SOURCE.open(one, 16, 0)
    report = SOURCE.inspect(one)
    assert report is not None and not report.good
    assert message in " ".join(finding.what for finding in report.findings)


def test_the_middle_square_of_each_image(tmp_path: Path) -> None:
    fill(tmp_path / "a", *PETS)
    found = SOURCE.open(tmp_path / "a", 10, 0)
    split = found.splits["train"]
    assert not split.stretched
    for place in range(len(split)):
        name = split.names[split.places(np.array([place]))[0]].decode()
        with Image.open(tmp_path / "a" / name) as image:
            square = image.convert("RGB").resize(
                (10, 10), Image.Resampling.BICUBIC, box=(5, 0, 25, 20)
            )
        assert np.array_equal(split.pick(np.array([place]))[0], np.asarray(square))


def test_split_folders_are_the_splits(tmp_path: Path) -> None:
    fill(
        tmp_path / "three",
        "train/a/1.png",
        "train/b/2.png",
        "val/a/3.png",
        "test/b/4.png",
        "test/c/5.png",
    )
    assert contents(tmp_path / "three", "train", 0.5) == {
        "train/a/1.png": "a",
        "train/b/2.png": "b",
    }
    assert contents(tmp_path / "three", "val") == {"val/a/3.png": "a"}
    assert contents(tmp_path / "three", "test") == {"test/b/4.png": "b", "test/c/5.png": "c"}


@pytest.mark.parametrize("other", ["val", "test"])
def test_of_two_split_folders_the_other_is_the_test(tmp_path: Path, other: str) -> None:
    fill(
        tmp_path / "two",
        "train/a/1.png",
        "train/a/2.png",
        "train/b/3.png",
        "train/b/4.png",
        f"{other}/a/3.png",
    )
    assert contents(tmp_path / "two", "test") == {f"{other}/a/3.png": "a"}
    assert len(contents(tmp_path / "two", "val", 0.25)) == 1
    assert len(contents(tmp_path / "two", "train", 0.25)) == 3


@pytest.mark.parametrize(
    "names",
    [
        ("train/a/1.png",),
        ("train/a/1.png", "test/a/1.png", "more/a/1.png"),
        ("val/a/1.png", "x/1.png"),
    ],
)
def test_split_folders_that_are_not_all_there(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(
        DataError, match="at its top, expected train and at least one of val and test"
    ):
        SOURCE.open(fill(tmp_path / "odd", *names), 16, 0.1)


def test_images_without_folders_have_no_class(tmp_path: Path) -> None:
    fill(tmp_path / "flat", *(f"{number}.png" for number in range(10)))
    found = SOURCE.open(tmp_path / "flat", 16, 0.1)
    assert found.classes == ()
    assert all((split.labels == -1).all() for split in found.splits.values())
    first = SOURCE.inspect(tmp_path / "flat").findings[0]
    assert first.what == "10 images, no classes: each would be a sub-folder"


def test_other_files_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "some", *PETS)
    for name in (
        "readme.txt",
        "cat/labels.csv",
        ".DS_Store",
        "cat/._0.png",
        ".ipynb_checkpoints/0.png",
        "cat/.thumbs/0.png",
        "__MACOSX/0.png",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no image")

    assert len(contents(folder, "train")) == 36
    said = "7 files are no images by their names and left out: 5 hidden, 1 .csv, 1 .txt"
    assert said in capsys.readouterr().err

    report = SOURCE.inspect(folder)
    assert report.good and [finding.what for finding in report.findings] == [
        "40 images, 2 classes",
        "no folders of splits: a tenth of all is the test: cat 20, dog 20",
        "7 other files, which are left out: 5 hidden, 1 .csv, 1 .txt",
        "all 40 images can be decoded",
    ]


@pytest.mark.parametrize("name", ["a.gif", "a.WEBP", "a.tiff"])
def test_images_in_other_formats_are_not_left_out_in_silence(tmp_path: Path, name: str) -> None:
    folder = fill(tmp_path / "some", *PETS)
    (folder / "cat" / name).write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=rf"some/cat/{name} is neither JPEG nor PNG: convert it"):
        SOURCE.open(folder, 16, 0.1)
    (folder / "dog" / name).write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=rf"some/cat/{name} and 1 other are neither JPEG nor PNG"):
        SOURCE.open(folder, 16, 0.1)
    assert not SOURCE.inspect(folder).good


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no .*nothing"):
        SOURCE.open(tmp_path / "nothing", 16, 0.1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no JPEG or PNG images: name a folder"):
        SOURCE.open(tmp_path / "empty", 16, 0.1)
    assert (
        SOURCE.inspect(tmp_path / "empty") is None and SOURCE.inspect(tmp_path / "nothing") is None
    )
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(DataError, match="text is a damaged tar file, or no archive at all"):
        SOURCE.open(tmp_path / "text", 16, 0.1)


def test_a_damaged_image_is_named_and_mending_it_is_enough(tmp_path: Path) -> None:
    folder = fill(tmp_path / "pets", *PETS)
    whole = (folder / "cat" / "3.jpg").read_bytes()
    (folder / "cat" / "3.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        DataError,
        match=r"pets/cat/3\.jpg is no whole JPEG or PNG image .*get the file again or leave it out",
    ):
        SOURCE.open(folder, 16, 0.1)
    assert "3.jpg is no whole" in SOURCE.inspect(folder).findings[-1].what
    (folder / "cat" / "3.jpg").write_bytes(whole)
    assert len(contents(folder, "train")) == 36


def test_a_changed_image_is_decoded_anew_and_a_changed_text_is_not(
    tmp_path: Path, cache: Path
) -> None:
    folder = fill(tmp_path / "pets", *PETS)
    before = SOURCE.open(folder, 16, 0.1)
    (folder / "notes.txt").write_text("nothing of importance")
    SOURCE.open(folder, 16, 0.1)
    assert len(list(cache.iterdir())) == 1

    (folder / "cat" / "1.png").write_bytes(png(picture(999)))
    os.utime(folder / "cat" / "1.png", ns=(1, 1))
    after = SOURCE.open(folder, 16, 0.1)
    assert len(list(cache.iterdir())) == 2

    old, new = before.splits["train"], after.splits["train"]
    changed = (old.images != new.images).any((1, 2, 3))
    assert old.names[changed].tolist() == [b"cat/1.png"]


def test_links_in_ones_own_folder_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    folder = fill(tmp_path / "pets", *PETS)
    fill(tmp_path / "elsewhere", *(f"{number}.png" for number in range(5)))
    (folder / "bird").symlink_to(tmp_path / "elsewhere")
    (folder / "bird" / "loop").symlink_to(folder)
    found = SOURCE.open(folder, 16, 0)
    assert found.classes == ("bird", "cat", "dog")

    (folder / "myself").symlink_to(folder)
    again = SOURCE.open(folder, 16, 0)
    assert again.classes == found.classes
    assert len(again.splits["train"].images) == len(found.splits["train"].images) == len(PETS) + 5

    (folder / "lost.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"lost\.png cannot be read"):
        SOURCE.open(folder, 16, 0)


def test_names_of_any_alphabet(tmp_path: Path) -> None:
    names = [f"čiča/{number} é.png" for number in range(10)]
    assert set(contents(fill(tmp_path / "a", *names), "train").values()) == {"čiča"}


def test_the_top_folder_of_an_archive_is_no_class(tmp_path: Path) -> None:
    folder = fill(tmp_path / "pets", *PETS)
    with zipfile.ZipFile(tmp_path / "bare.zip", "w") as archive:
        for name in PETS:
            archive.write(folder / name, name)
    assert contents(tmp_path / "bare.zip", "train") == contents(
        zipped(folder, tmp_path / "pets.zip"), "train"
    )
