"""ImageNet's folders, with true images of it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.published import write_imagenet
from seqjepa.errors import DataError
from seqjepa.worlds.images.formats.imagenet import SOURCE

WNIDS = ("n01440764", "n01440765")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_imagenet(tmp_path / "imagenet")


def stretched(file: Path, size: int) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))


def test_images_are_stretched_and_val_is_our_test(root: Path) -> None:
    found = SOURCE.open(root, 56, 0.25)
    sizes = {name: len(split) for name, split in found.splits.items()}
    assert found.classes == WNIDS and sizes == {"train": 6, "val": 2, "test": 12}

    for name, split in found.splits.items():
        assert split.origin == ("val" if name == "test" else "train") and split.stretched
        index = np.arange(len(split))
        places, images = split.places(index), split.pick(index)
        for place, label, image in zip(places, split.labels, images, strict=True):
            file = root / split.origin / split.names[place].decode()
            assert file.parent.name == WNIDS[label] and np.array_equal(image, stretched(file, 56))


def test_hidden_folders_are_no_classes(root: Path) -> None:
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / "train" / ".ipynb_checkpoints" / "n_0-checkpoint.JPEG").write_bytes(b"x")
    assert SOURCE.open(root, 32, 0).classes == WNIDS


def test_val_as_published_with_the_table_of_its_classes(root: Path) -> None:
    before = SOURCE.open(root, 32, 0)
    lines = ["ImageId,PredictionString"]
    for file in sorted((root / "val").rglob("*.JPEG")):
        name, wnid = f"ILSVRC2012_val_{file.stem.split('_')[1]:0>8}", file.parent.name
        lines.append(f"{name},{wnid} 1 2 3 4 {wnid} 5 6 7 8 ")
        file.rename(root / "val" / f"{name}.JPEG")

    with pytest.raises(
        DataError,
        match=r"val/ILSVRC2012_val_00000008\.JPEG has no class: expected .*LOC_val_solution\.csv",
    ):
        SOURCE.open(root, 32, 0)

    nested = root.parent / "kaggle" / "ILSVRC" / "Data" / "CLS-LOC"
    nested.parent.mkdir(parents=True)
    root.rename(nested)
    (root.parent / "kaggle" / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")
    after = SOURCE.open(root.parent / "kaggle", 32, 0)

    # The order of the files is another one; labels stay with their images.
    labels = []
    for found in (before, after):
        test = found.splits["test"]
        images = [image.tobytes() for image in test.images]
        labels.append(dict(zip(images, test.labels, strict=True)))
    assert labels[0] == labels[1] and len(labels[0]) == 12


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda root: (root / "train").rename(root / "training"),
            "there is no folder .*train: expected train/<wnid>",
        ),
        (
            lambda root: (root / "val").rename(root / "validation"),
            "there is no folder .*val: expected",
        ),
        (
            lambda root: [file.unlink() for file in (root / "val").rglob("*.JPEG")],
            "val holds no images: expected",
        ),
        (
            lambda root: (root / "val" / WNIDS[0]).rename(root / "val" / "n09999999"),
            "is of class 'n09999999', which has no folder in train",
        ),
        (
            lambda root: (root / "train" / WNIDS[0] / "n_0.JPEG").write_bytes(b""),
            "n_0.JPEG is empty",
        ),
        (lambda root: (root / "train" / "loose.JPEG").write_bytes(b"x"), "loose.JPEG has no class"),
        (
            lambda root: (root / "LOC_val_solution.csv").write_text(
                "ImageId,PredictionString\nx\n"
            ),
            "LOC_val_solution.csv is no table",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_file(root: Path, spoil, said: str) -> None:
    spoil(root)
    with pytest.raises(DataError, match=said):
        SOURCE.open(root, 32, 0.1)


def test_inspect(root: Path, tmp_path: Path) -> None:
    said = [finding.what for finding in SOURCE.inspect(root).findings]
    assert "2 classes, published are 1,000" in said[0]
    assert "8 train images, published are 1,281,167" in said[1]
    assert said[2] == "all 8 images can be decoded"
    assert "12 val images, published are 50,000" in said[3]

    (root / "val").rename(root / "validation")
    assert "there is no folder" in SOURCE.inspect(root).findings[-1].what
    assert SOURCE.inspect(tmp_path) is None
