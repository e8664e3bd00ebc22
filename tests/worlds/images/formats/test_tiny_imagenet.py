"""Tiny ImageNet: the published layout, unpacked and as a zip."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.published import write_tiny_imagenet, zipped
from seqjepa.errors import DataError
from seqjepa.worlds.images.formats.tiny_imagenet import SOURCE, TinyImageNet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_imagenet(tmp_path)


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("packed", [False, True])
def test_images_and_labels_are_those_of_the_files(
    folder: Path, tmp_path: Path, packed: bool
) -> None:
    place = zipped(folder, tmp_path / "tiny-imagenet-200.zip") if packed else folder
    found = SOURCE.open(place, 64, 0)
    # In the order of wnids.txt, which is not that of the names.
    wnids = ("n02124075", "n01443537")
    assert found.classes == ("Egyptian cat", "goldfish")

    for split, count in (("train", 6), ("test", 4)):
        images = found.splits[split]
        assert len(images) == count and images.names is not None
        picked = images.pick(np.arange(count))
        assert np.array_equal(images.images, picked)

        for name, label, image in zip(images.names, images.labels, picked, strict=True):
            path = name.decode()
            assert np.array_equal(image, pixels(folder / path))
            if split == "train":
                assert label == wnids.index(path.split("/")[1])
            else:
                assert label == int(path[-6]) % 2

    gray = [image for image in found.splits["train"].images if (image == image[..., :1]).all()]
    assert len(gray) == 2, "gray files are three equal channels"
    assert found.splits["test"].origin == "val"


def test_val_is_the_same_from_a_folder_and_a_zip_of_another_order(
    folder: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "other" / "tiny-imagenet-200.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as out:
        for file in sorted(folder.rglob("*"), reverse=True):
            out.write(file, file.relative_to(folder.parent))

    held = []
    for place in (folder, archive.parent):
        val = SOURCE.open(place, 64, 1 / 3).splits["val"]
        names = val.names[val.places(np.arange(2))]
        images = [image.tobytes() for image in val.pick(np.arange(2))]
        held.append(dict(zip(names, images, strict=True)))
    assert held[0] == held[1] and len(held[0]) == 2


WRONG = {
    "no class list": (lambda folder: (folder / "wnids.txt").unlink(), "lacks wnids.txt"),
    "no labels for val": (
        lambda folder: (folder / "val" / "val_annotations.txt").unlink(),
        "lacks val/val_annotations.txt",
    ),
    "no training images": (
        lambda folder: (folder / "train").rename(folder / "training"),
        "holds no train images",
    ),
    "no validation images": (
        lambda folder: (folder / "val" / "images").rename(folder / "val" / "pictures"),
        "holds no val images",
    ),
    "a class without a line": (
        lambda folder: (folder / "wnids.txt").write_text("n02124075\n"),
        "is of class 'n01443537', which wnids.txt does not have",
    ),
    "an image without a label": (
        lambda folder: (folder / "val" / "val_annotations.txt").write_text(
            "val_0.JPEG\tn02124075\t0\t1\t2\t3\n"
        ),
        "val_1.JPEG is of class",
    ),
    "an empty image": (
        lambda folder: (folder / "val" / "images" / "val_2.JPEG").write_bytes(b""),
        "val_2.JPEG is empty",
    ),
    "a cut image": (
        lambda folder: cut(folder / "train" / "n02124075" / "images" / "n02124075_1.JPEG"),
        "n02124075_1.JPEG is no whole JPEG",
    ),
    "no image": (
        lambda folder: (folder / "val" / "images" / "val_3.JPEG").write_text("<html>"),
        "val_3.JPEG is no whole JPEG",
    ),
}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:700])


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_wrong_is_said_with_the_file(
    folder: Path, tmp_path: Path, case: str, packed: bool
) -> None:
    spoil, said = WRONG[case]
    spoil(folder)
    place = zipped(folder, tmp_path / "tiny-imagenet-200.zip") if packed else folder
    with pytest.raises(DataError) as caught:
        SOURCE.open(place, 64, 0.1)
    message = str(caught.value)
    assert said in message and str(place) in message and "\n" not in message
    report = SOURCE.inspect(place)
    assert report is None or not report.good


def test_inspect(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(folder, tmp_path / "tiny-imagenet-200.zip")
    said = [finding.what for finding in SOURCE.inspect(archive).findings]
    assert "90528d7ca1a48142e341f4ef8d21d0de" in said[0]
    assert "2 classes, published are 200" in said[1]
    assert "6 train images, published are 100,000" in said[2]
    assert said[3] == "all 6 images can be decoded"

    monkeypatch.setattr(TinyImageNet, "counts", {"train": 6, "val": 4})
    good = [finding.good for finding in SOURCE.inspect(folder).findings]
    assert good == [False, True, True, True, True], "all but the number of classes"
    assert SOURCE.inspect(folder.parent / "nothing") is None


def sort_val(folder: Path, into: str) -> Path:
    """Move validation images into folders of their classes, as scripts do."""
    table = folder / "val" / "val_annotations.txt"
    for line in table.read_text().splitlines():
        name, wnid, *_ = line.split("\t")
        target = folder / "val" / into.format(wnid) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / "val" / "images" / name).rename(target)
    return folder


@pytest.mark.parametrize("into", ["{}", "{}/images", "images/{}"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("table", [False, True])
def test_val_that_a_script_has_sorted_is_read(
    folder: Path, tmp_path: Path, into: str, packed: bool, table: bool
) -> None:
    def test_images() -> dict[str, tuple[str, bytes]]:
        found = SOURCE.open(place, 64, 0)
        split = found.splits["test"]
        names = (name.decode().rpartition("/")[2] for name in split.names)
        rows = zip(names, split.labels, split.pick(np.arange(len(split))), strict=True)
        return {name: (found.classes[label], image.tobytes()) for name, label, image in rows}

    place = folder
    before = test_images()
    sort_val(folder, into)
    if not into.startswith("images"):
        (folder / "val" / "images").rmdir()
    if not table:
        (folder / "val" / "val_annotations.txt").unlink()
    if packed:
        place = zipped(folder, tmp_path / "tiny-imagenet-200.zip")
    assert test_images() == before and len(before) == 4


def test_training_images_without_their_folder_images(folder: Path) -> None:
    before = SOURCE.open(folder, 64, 0).splits["train"]
    for path in sorted(folder.glob("train/*/images/*")):
        path.rename(path.parents[1] / path.name)
    after = SOURCE.open(folder, 64, 0).splits["train"]
    assert np.array_equal(after.images, before.images)
    assert np.array_equal(after.labels, before.labels)


def test_a_folder_that_contradicts_the_table(folder: Path) -> None:
    sort_val(folder, "{}")
    (folder / "val" / "n02124075" / "val_0.JPEG").rename(
        folder / "val" / "n01443537" / "val_0.JPEG"
    )
    said = r"val_0\.JPEG lies in the folder of 'n01443537', but val/val_annotations\.txt says"
    with pytest.raises(DataError, match=said):
        SOURCE.open(folder, 64, 0)


def test_all_faults_of_labels_and_images_at_once(folder: Path) -> None:
    (folder / "wnids.txt").write_text("n02124075\n")
    cut(folder / "train" / "n02124075" / "images" / "n02124075_1.JPEG")
    (folder / "val" / "images" / "val_2.JPEG").write_bytes(b"")
    bad = [finding for finding in SOURCE.inspect(folder).findings if not finding.good]
    assert "5 of 10 images are of no known class" in bad[0].what and len(bad[0].files) == 5
    assert "n02124075_1.JPEG is no whole JPEG" in bad[1].what
    assert "val_2.JPEG is empty" in bad[2].what


def test_what_there_is_instead(folder: Path) -> None:
    (folder / "val" / "images").rename(folder / "val" / "pictures")
    with pytest.raises(DataError, match="no val images, only val/pictures with 4 files: it must"):
        SOURCE.open(folder, 64, 0)
