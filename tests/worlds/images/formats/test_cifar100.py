"""CIFAR-100 from every published form, to the pixel."""

import json
import pickle
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.published import (
    FINE,
    cifar_samples,
    pickled_by_python2,
    png,
    tarred,
    write_cifar_binary,
    write_cifar_python,
)
from seqjepa.errors import ConfigError, DataError
from seqjepa.worlds.images.formats.cifar100 import SOURCE, Cifar100
from seqjepa.worlds.images.image_set import ImageSet

IMAGES, LABELS = cifar_samples()
TRAIN, TEST = np.arange(16), np.arange(16, 20)


def everything(split: str, found: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    index = np.arange(len(found.splits[split]))
    return found.splits[split].pick(index), found.splits[split].labels


def packed(write, name: str, folder: Path) -> Path:
    return tarred(write(folder / "unpacked"), folder / name)


LAYOUTS = {
    "archive": lambda folder: packed(
        partial(write_cifar_python, images=IMAGES, labels=LABELS), "cifar-100-python.tar.gz", folder
    ),
    "folder": lambda folder: write_cifar_python(folder, IMAGES, LABELS),
    "folder's folder": lambda folder: write_cifar_python(folder, IMAGES, LABELS).parent,
    "archive's folder": lambda folder: LAYOUTS["archive"](folder).parent,
    "archive's folder's folder": lambda folder: (
        LAYOUTS["archive"](folder / "cifar100").parent.parent
    ),
    "Python 3": lambda folder: write_cifar_python(
        folder, IMAGES, LABELS, dump=partial(pickle.dumps, protocol=2)
    ),
    "binary": lambda folder: write_cifar_binary(folder, IMAGES, LABELS),
    "binary archive": lambda folder: packed(
        partial(write_cifar_binary, images=IMAGES, labels=LABELS), "cifar-100-binary.tar.gz", folder
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_pixel_and_label_comes_back(tmp_path: Path, layout: str) -> None:
    place = LAYOUTS[layout](tmp_path)
    for _ in ("first", "from the cache"):
        found = SOURCE.open(place, 32, 0)
        assert found.classes == FINE and found.probe_split == "train"
        assert set(found.splits) == {"train", "val", "test"}

        for split, rows in (("train", TRAIN), ("test", TEST)):
            pixels, labels = everything(split, found)
            assert np.array_equal(pixels, IMAGES[rows]) and np.array_equal(labels, LABELS[rows])
            assert labels.dtype == np.int64 and found.splits[split].origin == split

        assert np.allclose(found.mean, IMAGES[TRAIN].mean((0, 1, 2)) / 255)
        assert np.allclose(found.std, IMAGES[TRAIN].std((0, 1, 2)) / 255)


def test_val_is_held_out_and_the_same_from_every_form(tmp_path: Path) -> None:
    held = []
    for place in (
        write_cifar_python(tmp_path, IMAGES, LABELS),
        write_cifar_binary(tmp_path, IMAGES, LABELS),
    ):
        found = SOURCE.open(place, 32, 0.25)
        train, val = found.splits["train"], found.splits["val"]
        places = [split.places(np.arange(len(split))) for split in (train, val)]
        assert len(train) == 12 and len(val) == 4
        assert sorted(np.concatenate(places)) == list(range(16))

        assert np.array_equal(everything("val", found)[0], IMAGES[places[1]])
        assert np.array_equal(val.labels, LABELS[places[1]])
        held.append(places[1].tolist())

    # These ones on every machine.
    assert held[0] == held[1] == [3, 5, 10, 11]


def test_other_sizes_are_resized(tmp_path: Path) -> None:
    pixels, _ = everything(
        "train", SOURCE.open(write_cifar_python(tmp_path, IMAGES, LABELS), 16, 0)
    )
    for found, image in zip(pixels, IMAGES, strict=False):
        assert np.array_equal(
            found, np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BICUBIC))
        )


def test_nothing_is_read_again_once_it_is_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = LAYOUTS["archive"](tmp_path)
    SOURCE.open(place, 32, 0)
    monkeypatch.setattr(Cifar100, "read", lambda *_: pytest.fail("read again"))
    SOURCE.open(place, 32, 0.5)


def change(folder: Path, name: str, **fields: object) -> None:
    """Other fields in one of the pickles."""
    found = pickle.loads((folder / name).read_bytes(), encoding="latin-1")
    (folder / name).write_bytes(
        pickled_by_python2(
            {key: value for key, value in (found | fields).items() if value is not None}
        )
    )


WRONG = {
    "no meta": (lambda folder: (folder / "meta").unlink(), "lacks meta"),
    "no test": (lambda folder: (folder / "test").unlink(), "lacks test"),
    "nothing": (
        lambda folder: [file.unlink() for file in folder.iterdir()],
        "holds no training images of CIFAR-100",
    ),
    "a cut file": (
        lambda folder: (folder / "train").write_bytes((folder / "train").read_bytes()[:5000]),
        "train is no pickle",
    ),
    "an empty file": (lambda folder: (folder / "test").write_bytes(b""), "test is no pickle"),
    "too large a label": (
        lambda folder: change(folder, "train", fine_labels=[0] * 15 + [100]),
        "image 15 has label 100, allowed are 0 to 99",
    ),
    "a negative label": (
        lambda folder: change(folder, "test", fine_labels=[-1] * 4),
        "image 0 has label -1",
    ),
    "too few labels": (
        lambda folder: change(folder, "train", fine_labels=[0] * 15),
        "15 labels for data [16, 3072]",
    ),
    "labels that are no numbers": (
        lambda folder: change(folder, "train", fine_labels=["0"] * 16),
        "one number for each row",
    ),
    "other images": (
        lambda folder: change(folder, "train", data=np.zeros((16, 3071), np.uint8)),
        "data [16, 3071]",
    ),
    "no images": (lambda folder: change(folder, "train", data=None), "has no ndarray 'data'"),
    "CIFAR-10": (
        lambda folder: change(folder, "train", fine_labels=None, labels=[0] * 16),
        "has no list 'fine_labels'",
    ),
    "a list": (
        lambda folder: (folder / "train").write_bytes(pickled_by_python2([1])),
        "holds a list",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_with_the_file_and_nothing_is_kept(
    tmp_path: Path, cache: Path, case: str
) -> None:
    folder, (spoil, said) = write_cifar_python(tmp_path, IMAGES, LABELS), WRONG[case]
    spoil(folder)
    with pytest.raises(DataError) as caught:
        SOURCE.open(folder, 32, 0.1)
    assert said in str(caught.value) and str(folder) in str(caught.value)
    assert re.search(
        "download it again|get the data set from its publisher|it must be, or hold",
        str(caught.value),
    )
    assert not list(cache.rglob("*.npy"))


def test_a_cut_binary_file(tmp_path: Path) -> None:
    folder = write_cifar_binary(tmp_path, IMAGES, LABELS)
    (folder / "train.bin").write_bytes((folder / "train.bin").read_bytes()[:-1])
    with pytest.raises(
        DataError, match=r"train.bin has 49,183 bytes, no multiple of 3074: download it again"
    ):
        SOURCE.open(folder, 32, 0.1)


class Malice:
    """Touches a file when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_malicious_archive_does_nothing(tmp_path: Path, name: str) -> None:
    folder = write_cifar_python(tmp_path / "unpacked", IMAGES, LABELS)
    fields = pickle.loads((folder / name).read_bytes(), encoding="latin-1")
    (folder / name).write_bytes(pickle.dumps(fields | {"extra": Malice(tmp_path / "marker")}, 2))
    archive = tarred(folder, tmp_path / "cifar-100-python.tar.gz")
    with pytest.raises(
        DataError,
        match=f"cifar-100-python.tar.gz:cifar-100-python/{name} is no pickle of plain data",
    ):
        SOURCE.open(archive, 32, 0.1)
    assert not SOURCE.inspect(archive).good
    assert not (tmp_path / "marker").exists()


def test_inspect_names_what_is_missing(tmp_path: Path) -> None:
    report = SOURCE.inspect(LAYOUTS["archive"](tmp_path))
    good = [finding.good for finding in report.findings]
    assert report.format == "CIFAR-100" and good == [False, True, False, False]

    checksum, classes, train, test = (finding.what for finding in report.findings)
    assert "cifar-100-python.tar.gz has MD5" in checksum and "download it again" in checksum
    assert "eb9058c3a382ffc7106e4002c42a8d85" in checksum and classes == "100 classes"
    assert "holds 16 train images, published are 50,000" in train and "4 test images" in test


def test_inspect_is_content_with_the_published_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = LAYOUTS["binary archive"](tmp_path)
    monkeypatch.setattr(Cifar100, "counts", {"train": 16, "test": 4})
    good = [finding.good for finding in SOURCE.inspect(archive).findings]
    assert good == [False, True, True, True], "all but the checksum"
    unpacked = tmp_path / "unpacked"
    assert SOURCE.inspect(unpacked).good and SOURCE.inspect(unpacked / "cifar-100-binary").good


def test_inspect_leaves_other_things_alone(tmp_path: Path) -> None:
    assert SOURCE.inspect(tmp_path) is None

    # Folders of these names are of another data set.
    (tmp_path / "train").mkdir()
    (tmp_path / "meta").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    assert SOURCE.inspect(tmp_path) is None and SOURCE.inspect(tmp_path / "file") is None


def test_parquet_without_its_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for split in ("train", "test"):
        (tmp_path / f"{split}-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"pip install 'seqjepa\[parquet\]'"):
        SOURCE.open(tmp_path, 32, 0.1)


def write_parquet(path: Path, images: np.ndarray, labels: list[int | None]) -> None:
    """One of the files of uoft-cs/cifar100."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    info = json.dumps(
        {"info": {"features": {"fine_label": {"names": list(FINE), "_type": "ClassLabel"}}}}
    )
    kind = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    files = pyarrow.array([{"bytes": png(image), "path": None} for image in images], kind)
    columns = {"img": files, "fine_label": pyarrow.array(labels, pyarrow.int64())}
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata({"huggingface": info}), path)


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    files = {
        split: tmp_path / "cifar100" / f"{split}-00000-of-00001.parquet"
        for split in ("train", "test")
    }
    for split, rows in (("train", TRAIN), ("test", TEST)):
        write_parquet(files[split], IMAGES[rows], LABELS[rows].tolist())

    found = SOURCE.open(tmp_path, 32, 0)
    assert found.classes == FINE and np.array_equal(everything("train", found)[0], IMAGES[TRAIN])
    assert np.array_equal(everything("test", found)[1], LABELS[TEST])

    # Then it is damaged in three ways.
    write_parquet(files["test"], IMAGES[:2], [1, None])
    with pytest.raises(DataError, match=r"test-00000-of-00001\.parquet is no parquet file"):
        SOURCE.open(tmp_path, 32, 0)
    write_parquet(files["test"], IMAGES[:0], [])
    with pytest.raises(DataError, match=r"test-00000-of-00001\.parquet holds no images"):
        SOURCE.open(tmp_path, 32, 0)
    files["test"].write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"test-00000-of-00001\.parquet is no parquet file"):
        SOURCE.open(tmp_path, 32, 0)
