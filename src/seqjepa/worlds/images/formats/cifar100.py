"""CIFAR-100 (Krizhevsky 2009): 32 x 32 pixels, 100 classes.

There are 50,000 training and 10,000 test images. The path is one of these, or a folder with one of
them:

- `cifar-100-python.tar.gz` or what it unpacks to (`train`, `test`, `meta`: pickles, read by
  `reading.pickles`),
- `cifar-100-binary.tar.gz` or what it unpacks to (`train.bin`, `test.bin`, `fine_label_names.txt`),
- the Hugging Face data set `uoft-cs/cifar100` (folder `cifar100` with `train-*.parquet`,
  `test-*.parquet`), with the extra `parquet`.

Labels are the fine ones. `val` is held out from the training images.
"""

import io
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from seqjepa.errors import DataError, needs_extra
from seqjepa.reading.archives import file_state, is_archive_of, locate, members
from seqjepa.reading.pickles import read_pickle
from seqjepa.reading.pixels import decode
from seqjepa.types import Indices
from seqjepa.worlds.images.base import Source
from seqjepa.worlds.images.image_set import ImageSplit, hold_out
from seqjepa.worlds.images.published import ImagePart, Pixels, Published, resized

FOLDERS = ("cifar-100-python", "cifar-100-binary", "cifar100")
MD5 = {
    "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
    "cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8",
}
COUNTS = {"train": 50_000, "test": 10_000}
# The files of each form, those of the splits first.
PYTHON = (*COUNTS, "meta")
BINARY = ("train.bin", "test.bin", "fine_label_names.txt")
PARQUET = tuple(f"{split}-00000-of-00001.parquet" for split in COUNTS)
SIDE = 32
MOST_BYTES = 1 << 30  # of a file

File = tuple[str, bytes]  # its name for messages, and its contents
Raw = tuple[Pixels, Indices]  # images [N, 32, 32, 3] and labels [N]
Contents = tuple[tuple[str, ...], dict[str, Raw]]  # class names, and images by split


class Cifar100(Source):
    """CIFAR-100, in any of its published forms."""

    name, title = "cifar100", "CIFAR-100"
    md5 = MD5
    num_classes, counts = 100, COUNTS
    side = SIDE

    @override
    def locate(self, path: Path) -> Path:
        inside = (*FOLDERS[:2], *MD5)
        nested = (f"cifar100/{name}" for name in inside)
        return locate(path, *inside, *nested, "cifar100")

    @override
    def recognises(self, place: Path) -> bool:
        if not place.is_dir():
            return is_archive_of(place, "cifar-100-")

        # Only files count: other data sets have folders `train`.
        names = {file.name for file in place.iterdir() if file.is_file()}
        if "cifar100" in str(place) and any(name.endswith(".parquet") for name in names):
            return True
        return {"train", "meta"} <= names or {"train.bin", "fine_label_names.txt"} <= names

    @override
    def files(self, place: Path) -> str:
        return file_state(place, lambda name: _plain(name) is not None)

    @override
    def read(self, place: Path, size: int) -> Published:
        classes, splits = _read(place)
        parts = {
            split: ImagePart(labels, partial(_resized, images, size))
            for split, (images, labels) in splits.items()
        }
        return Published(classes, parts)

    @override
    def splits(self, parts: Mapping[str, ImageSplit], val_fraction: float) -> dict[str, ImageSplit]:
        train, val = hold_out(parts["train"], val_fraction)
        return {"train": train, "val": val, "test": parts["test"]}


SOURCE = Cifar100()


def _plain(name: str) -> str | None:
    """Return the name without folder of a file that is read, None for other files."""
    folder, _, file = name.rpartition("/")
    is_shard = file.startswith(("train-", "test-")) and file.endswith(".parquet")
    known = is_shard or file in (*PYTHON, *BINARY)
    return file if known and folder in ("", *FOLDERS) else None


def _resized(images: Pixels, size: int, start: int, stop: int) -> Pixels:
    return resized(images[start:stop], size)


def _read(place: Path) -> Contents:
    """Return class names, and the raw images and labels of `train` and `test`.

    Raises:
        DataError: if files are missing or damaged.
        ConfigError: if they are parquet files and the library for these is missing.
    """
    files: dict[str, File] = {}
    for member in members(place):
        if (name := _plain(member.name)) is not None:
            files[name] = (member.where, member.read(MOST_BYTES))

    for names, read in ((PYTHON, _read_python), (BINARY, _read_binary), (PARQUET, _read_parquet)):
        if names[0] not in files:
            continue
        if missing := [name for name in names if name not in files]:
            raise DataError(f"{place} lacks {', '.join(missing)}: unpack or download it again")

        found = [files[name] for name in names]
        classes, splits = read(*found)
        for split, (where, _) in zip(COUNTS, found, strict=False):
            _require_labels(where, splits[split][1], len(classes))
        return classes, splits

    raise DataError(
        f"{place} holds no training images of CIFAR-100: it must be, or hold, "
        f"{', '.join(MD5)} or the parquet files of uoft-cs/cifar100"
    )


def _require_labels(where: str, labels: Indices, classes: int) -> None:
    if not len(labels):
        raise DataError(f"{where} holds no images: download it again")
    if (bad := np.flatnonzero((labels < 0) | (labels >= classes))).size:
        raise DataError(
            f"{where}: image {bad[0]} has label {labels[bad[0]]}, allowed are 0 to {classes - 1}: "
            "download it again"
        )


def _read_python(*files: File) -> Contents:
    train, test, meta = (_Fields(*file) for file in files)
    classes = tuple(
        name.decode("latin-1") if isinstance(name, bytes) else str(name)
        for name in meta.get("fine_label_names", list)
    )
    return classes, {"train": train.raw(), "test": test.raw()}


class _Fields:
    """The fields of one of the pickles; Python 2 wrote their names as bytes."""

    def __init__(self, where: str, data: bytes) -> None:
        self.where, found = where, read_pickle(data, where)
        if not isinstance(found, dict):
            raise DataError(
                f"{where} holds a {type(found).__name__}, not the fields of CIFAR-100: download "
                "it again"
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
        # Not `isinstance`: True and False are no labels.
        are_numbers = all(type(label) is int for label in labels)
        if data.shape != (len(labels), 3 * SIDE**2) or not are_numbers:
            raise DataError(
                f"{self.where} has {len(labels)} labels for data {list(data.shape)}, expected one "
                f"number for each row of [N, {3 * SIDE**2}]: download it again"
            )
        return _from_planes(data), np.array(labels, np.int64)


def _read_binary(*files: File) -> Contents:
    """Read records of a coarse label, a fine label and three planes."""
    splits, record = {}, 2 + 3 * SIDE**2
    for split, (where, data) in zip(COUNTS, files, strict=False):
        if len(data) % record:
            raise DataError(
                f"{where} has {len(data):,} bytes, no multiple of {record}: download it again"
            )
        records = np.frombuffer(data, np.uint8).reshape(-1, record)
        splits[split] = _from_planes(records[:, 2:]), records[:, 1].astype(np.int64)

    _, names = files[-1]
    return tuple(names.decode("latin-1").split()), splits


def _from_planes(data: Pixels) -> Pixels:
    """Turn planes [N, 3 * 32 * 32] into images [N, 32, 32, 3]."""
    return data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def _read_parquet(*files: File) -> Contents:
    """Read one table for each split."""
    splits: dict[str, Raw] = {}
    classes: tuple[str, ...] = ()
    for split, file in zip(COUNTS, files, strict=True):
        classes, splits[split] = _read_table(*file)
    return classes, splits


def _read_table(where: str, data: bytes) -> tuple[tuple[str, ...], Raw]:
    """Read class names, images and labels from columns `img` (PNG bytes) and `fine_label`."""
    with needs_extra("parquet", "reading parquet files"):
        import pyarrow
        import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(io.BytesIO(data), columns=["img", "fine_label"])
        # Hugging Face keeps the class names in metadata of its own.
        features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
        classes = tuple(features["fine_label"]["names"])
        files = [image["bytes"] for image in table["img"].to_pylist()]
        labels = np.array(table["fine_label"].to_pylist(), np.int64)
    except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where} is no parquet file of uoft-cs/cifar100 ({error}): download it again"
        ) from error

    images = [
        decode(file, f"{where}: image {place}", (SIDE, SIDE)) for place, file in enumerate(files)
    ]
    return classes, (np.array(images, np.uint8).reshape(-1, SIDE, SIDE, 3), labels)
