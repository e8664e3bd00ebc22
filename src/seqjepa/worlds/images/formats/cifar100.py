"""CIFAR-100 (Krizhevsky 2009): 50,000 training and 10,000 test images of 32 x 32 pixels, 100
classes.

The path is that of, or of a folder with,

- `cifar-100-python.tar.gz` or what it unpacks to (`train`, `test`, `meta`: pickles, read by
  `pickled.py`),
- `cifar-100-binary.tar.gz` or what it unpacks to (`train.bin`, `test.bin`, `fine_label_names.txt`),
- the Hugging Face data set `uoft-cs/cifar100` (folder `cifar100` with `train-*.parquet`,
  `test-*.parquet`), with the extra `parquet`.

Labels are the fine ones. `val` is held out from the training images.
"""

import io
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqjepa.errors import ConfigError, DataError
from seqjepa.reading.archives import file_state, is_archive_of, locate, members
from seqjepa.reading.findings import Finding, Report, checksum, count
from seqjepa.reading.pickles import read_pickle
from seqjepa.reading.pixels import decode
from seqjepa.worlds.images.base import ImageSet, Source, hold_out
from seqjepa.worlds.images.cached import ImagePart, Published, decoded, resized

FOLDERS = ("cifar-100-python", "cifar-100-binary", "cifar100")
MD5 = {
    "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
    "cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8",
}
PYTHON, BINARY = ("train", "test", "meta"), ("train.bin", "test.bin", "fine_label_names.txt")
COUNTS = {"train": 50_000, "test": 10_000}
SIDE = 32
MOST_BYTES = 1 << 30  # of a file

File = tuple[str, bytes]  # where it is, for messages, and what it holds
Raw = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]  # images [N, 32, 32, 3] and labels [N]
Contents = tuple[tuple[str, ...], dict[str, Raw]]  # class names, and by split


class Cifar100(Source):
    """See the module."""

    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        """See `Source.open`."""
        place = _place(path)
        files = file_state(place, lambda name: _plain(name) is not None)
        found = decoded(
            "cifar100",
            files,
            image_size,
            partial(_publish, place, image_size),
            lambda parts: parts["train"],
        )
        train, val = hold_out(found.parts["train"], val_fraction)
        return ImageSet(
            {"train": train, "val": val, "test": found.parts["test"]},
            found.classes,
            found.mean,
            found.std,
        )

    def inspect(self, path: Path) -> Report | None:
        """See `Source.inspect`."""
        place = _place(path)
        return Report.of("CIFAR-100", _findings(place)) if _is_ours(place) else None


SOURCE = Cifar100()


def _place(path: Path) -> Path:
    """What has the images: of a folder what it holds, or what the folder `cifar100` in it does, or
    else the path itself."""
    inside = (*FOLDERS[:2], *MD5)
    return locate(path, *inside, *(f"cifar100/{name}" for name in inside), "cifar100")


def _plain(name: str) -> str | None:
    """The name of one of the files that are read, without its folder; None of any other."""
    folder, _, file = name.rpartition("/")
    known = file in (*PYTHON, *BINARY) or (
        file.startswith(("train-", "test-")) and file.endswith(".parquet")
    )
    return file if known and folder in ("", *FOLDERS) else None


def _is_ours(place: Path) -> bool:
    if not place.is_dir():
        return is_archive_of(place, "cifar-100-")
    names = {
        file.name for file in place.iterdir() if file.is_file()
    }  # other data sets have folders `train`
    parquet = "cifar100" in str(place) and any(name.endswith(".parquet") for name in names)
    return parquet or {"train", "meta"} <= names or {"train.bin", "fine_label_names.txt"} <= names


def _findings(place: Path) -> Iterator[Finding]:
    if place.name in MD5:
        yield checksum(place, MD5[place.name])
    try:
        classes, splits = _read(place)
    except (DataError, ConfigError) as error:
        yield Finding(False, str(error))
        return
    yield count(place, "classes", len(classes), 100)
    for split, published in COUNTS.items():
        yield count(place, f"{split} images", len(splits[split][1]), published)


def _publish(place: Path, size: int) -> Published:
    classes, splits = _read(place)

    def part(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> ImagePart:
        return ImagePart(labels, lambda start, stop: resized(images[start:stop], size))

    return Published(classes, {split: part(*raw) for split, raw in splits.items()})


def _read(place: Path) -> Contents:
    """Class names, and the raw images and labels of `train` and `test`."""
    files: dict[str, File] = {}
    for member in members(place):
        if (name := _plain(member.name)) is not None:
            files[name] = (member.where, member.read(MOST_BYTES))
    parquet = {
        name.partition("-")[0]: file
        for name, file in files.items()
        if name.endswith("-00000-of-00001.parquet")
    }
    for found, names, read in (
        (files, PYTHON, _read_python),
        (files, BINARY, _read_binary),
        (parquet, tuple(COUNTS), _read_parquet),
    ):
        if names[0] in found:
            if missing := [name for name in names if name not in found]:
                raise DataError(f"{place} lacks {', '.join(missing)}: unpack or download it again")
            classes, splits = read(*(found[name] for name in names))
            for split, name in zip(COUNTS, names, strict=False):
                _check(found[name][0], splits[split][1], len(classes))
            return classes, splits
    expected = (
        "cifar-100-python.tar.gz, cifar-100-binary.tar.gz or the parquet files of uoft-cs/cifar100"
    )
    raise DataError(
        f"{place} holds no training images of CIFAR-100: it must be, or hold, {expected}"
    )


def _check(where: str, labels: npt.NDArray[np.int64], classes: int) -> None:
    if not len(labels):
        raise DataError(f"{where} holds no images: download it again")
    if (bad := np.flatnonzero((labels < 0) | (labels >= classes))).size:
        raise DataError(
            f"{where}: image {bad[0]} has label {labels[bad[0]]}, allowed are 0 to {classes - 1}: download it again"
        )


def _read_python(*files: File) -> Contents:
    train, test, meta = (_Fields(*file) for file in files)
    classes = tuple(
        name.decode("latin-1") if isinstance(name, bytes) else str(name)
        for name in meta.get("fine_label_names", list)
    )
    return classes, {"train": train.raw(), "test": test.raw()}


class _Fields:
    """What is in one of the pickles; Python 2 wrote the keys as bytes."""

    def __init__(self, where: str, data: bytes) -> None:
        self.where, found = where, read_pickle(data, where)
        if not isinstance(found, dict):
            raise DataError(
                f"{where} holds a {type(found).__name__}, not the fields of CIFAR-100: download it again"
            )
        self.fields = {
            key.decode("latin-1") if isinstance(key, bytes) else key: value
            for key, value in found.items()
        }

    def get(self, key: str, kind: type) -> Any:
        if not isinstance(value := self.fields.get(key), kind):
            raise DataError(
                f"{self.where} has no {kind.__name__} {key!r}, as CIFAR-100 has: download it again"
            )
        return value

    def raw(self) -> Raw:
        data, labels = self.get("data", np.ndarray), self.get("fine_labels", list)
        if data.shape != (len(labels), 3 * SIDE**2) or not all(
            type(label) is int for label in labels
        ):
            got = f"{len(labels)} labels for data {list(data.shape)}"
            raise DataError(
                f"{self.where} has {got}, expected one number for each row of [N, {3 * SIDE**2}]: download it again"
            )
        return _from_planes(data), np.array(labels, np.int64)


def _read_binary(*files: File) -> Contents:
    """Records of a coarse label, a fine label and three planes."""
    splits, record = {}, 2 + 3 * SIDE**2
    for split, (where, data) in zip(COUNTS, files, strict=False):
        if len(data) % record:
            raise DataError(
                f"{where} has {len(data):,} bytes, no multiple of {record}: download it again"
            )
        records = np.frombuffer(data, np.uint8).reshape(-1, record)
        splits[split] = _from_planes(records[:, 2:]), records[:, 1].astype(np.int64)
    return tuple(files[-1][1].decode("latin-1").split()), splits


def _from_planes(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def _read_parquet(*files: File) -> Contents:
    """Columns `img` (PNG bytes) and `fine_label`; class names are in the metadata that Hugging Face
    writes."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            "parquet files need the extra `parquet`: pip install 'seqjepa[parquet]'"
        ) from error
    splits: dict[str, Raw] = {}
    classes: tuple[str, ...] = ()
    for split, (where, data) in zip(COUNTS, files, strict=True):
        try:
            table = pyarrow.parquet.read_table(io.BytesIO(data), columns=["img", "fine_label"])
            features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
            classes = tuple(features["fine_label"]["names"])
            images, labels = (
                [image["bytes"] for image in table["img"].to_pylist()],
                table["fine_label"].to_pylist(),
            )
            numbers = np.array(labels, np.int64)
        except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{where} is no parquet file of uoft-cs/cifar100 ({error}): download it again"
            ) from error
        pixels = [
            decode(image, f"{where}: image {place}", (SIDE, SIDE))
            for place, image in enumerate(images)
        ]
        splits[split] = np.array(pixels, np.uint8).reshape(-1, SIDE, SIDE, 3), numbers
    return classes, splits
