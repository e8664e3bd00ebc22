"""STL-10: binary files, column by column, in the order that published saliency has."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.published import samples, tarred, write_stl10
from seqjepa.errors import DataError
from seqjepa.worlds.images import cached
from seqjepa.worlds.images.formats.stl10 import SOURCE, Stl10

PHOTOS = np.stack(
    [
        np.asarray(Image.open(file).convert("RGB").resize((96, 96)))
        for file in samples("imagenet")[0]
    ]
)
IMAGES = {"unlabeled": PHOTOS[:9], "train": PHOTOS[9:15], "test": PHOTOS[15:]}
LABELS = {"train": np.array([3, 0, 9, 9, 1, 5]), "test": np.array([9, 2, 0, 4, 7])}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_stl10(tmp_path, IMAGES, LABELS)


def test_files_are_column_by_column(folder: Path) -> None:
    """Read as the publisher's reader does: reshape to planes, then turn rows into columns."""
    first = np.fromfile(folder / "test_X.bin", np.uint8, 96 * 96 * 3)
    assert np.array_equal(np.transpose(first.reshape(3, 96, 96), (2, 1, 0)), PHOTOS[15])
    assert first[1] == PHOTOS[15][1, 0, 0] and first[96] == PHOTOS[15][0, 1, 0]


@pytest.mark.parametrize("packed", [False, True])
def test_splits_pixels_labels_and_order(folder: Path, tmp_path: Path, packed: bool) -> None:
    place = tarred(folder, tmp_path / "stl10_binary.tar.gz") if packed else folder.parent
    found = SOURCE.open(place, 96, 1 / 3)
    assert found.probe_split == "labelled"
    assert len(found.classes) == 10 and found.classes[0] == "airplane"

    made = {name: (split.origin, len(split)) for name, split in found.splits.items()}
    assert made == {
        "train": ("unlabeled", 9),
        "labelled": ("train", 4),
        "val": ("train", 2),
        "test": ("test", 5),
    }

    assert (found.splits["train"].labels == -1).all()
    for split in found.splits.values():
        places = split.places(np.arange(len(split)))
        assert np.array_equal(split.images, IMAGES[split.origin]), "all of the file, in its order"
        assert np.array_equal(split.pick(np.arange(len(split))), IMAGES[split.origin][places])
        if split.origin != "unlabeled":
            assert np.array_equal(split.labels, LABELS[split.origin][places])

    labelled, val = (
        found.splits[name].places(np.arange(len(found.splits[name])))
        for name in ("labelled", "val")
    )
    assert sorted([*labelled, *val]) == list(range(6))
    assert np.allclose(found.mean, IMAGES["unlabeled"].mean((0, 1, 2)) / 255)


def test_without_val_the_probes_learn_from_all_labelled_images(folder: Path) -> None:
    found = SOURCE.open(folder, 96, 0)
    assert len(found.splits["labelled"]) == 6 and len(found.splits["val"]) == 0


def test_chunks_are_read_one_after_the_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached, "_chunk", lambda size: 2)
    for place in (
        folder,
        tarred(folder, tmp_path / "stl10_binary.tar.gz"),
        tarred(folder, tmp_path / "plain.tar"),
    ):
        found = SOURCE.open(place, 96, 0)
        assert all(
            np.array_equal(split.images, IMAGES[split.origin]) for split in found.splits.values()
        )


WRONG = {
    "no unlabelled images": (
        lambda folder: (folder / "unlabeled_X.bin").unlink(),
        "lacks unlabeled_X.bin",
    ),
    "no labels": (lambda folder: (folder / "test_y.bin").unlink(), "lacks test_y.bin"),
    "a cut file": (
        lambda folder: (folder / "train_X.bin").write_bytes(bytes(27648 * 6 - 1)),
        "train_X.bin has 165,887 bytes, not 27,648 for each image",
    ),
    "an empty file": (
        lambda folder: (folder / "unlabeled_X.bin").write_bytes(b""),
        "unlabeled_X.bin has 0 bytes",
    ),
    "fewer images than labels": (
        lambda folder: (folder / "train_X.bin").write_bytes(bytes(27648 * 5)),
        "train_y.bin holds 6 labels for 5 images",
    ),
    "label 0": (
        lambda folder: (folder / "test_y.bin").write_bytes(bytes([1, 2, 0, 3, 4])),
        "test_y.bin: image 2 has label 0, allowed are 1 to 10",
    ),
    "label 11": (
        lambda folder: (folder / "train_y.bin").write_bytes(bytes([1, 2, 3, 4, 5, 11])),
        "image 5 has label 11",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_the_file(folder: Path, case: str) -> None:
    spoil, said = WRONG[case]
    spoil(folder)
    with pytest.raises(DataError) as caught:
        SOURCE.open(folder, 96, 0.1)
    assert said in str(caught.value) and str(folder) in str(caught.value)
    assert not SOURCE.inspect(folder).good


def test_a_cut_archive(folder: Path, tmp_path: Path) -> None:
    archive = tarred(folder, tmp_path / "stl10_binary.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(DataError, match=r"stl10_binary\.tar\.gz is a damaged tar file"):
        SOURCE.open(archive, 96, 0.1)


def test_inspect(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tarred(folder, tmp_path / "stl10_binary.tar.gz")
    said = [finding.what for finding in SOURCE.inspect(archive).findings]
    assert "91f7769df0f17e558f3565bffb0c7dfb" in said[0]
    assert "9 unlabeled images, published are 100,000" in said[2]

    monkeypatch.setattr(Stl10, "counts", {"unlabeled": 9, "train": 6, "test": 5})
    assert SOURCE.inspect(folder).good and SOURCE.inspect(tmp_path).good
    assert SOURCE.inspect(folder / "test_X.bin") is None
