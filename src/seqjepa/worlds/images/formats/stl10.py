"""STL-10 (Coates, Lee, Ng 2011): 96 x 96 pixels, 10 classes.

The path is that of, or of a folder with, `stl10_binary.tar.gz` or what it unpacks to
(`stl10_binary`).

- `train`: the 100,000 unlabelled images (`unlabeled_X.bin`), and only those: what methods learn
  from, as in seq-JEPA's paper.
- `labelled`: of the 5,000 labelled training images (`train_X.bin`), which probes learn from, those
  that are not in `val`.
- `val`: held out from the same 5,000; with `val_fraction = 0` the probes learn from all of them, as
  in the paper.
- `test`: the 8,000 test images (`test_X.bin`).

Origins are `unlabeled`, `train` and `test`, each in the order of its file, which is that of the
published saliency."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from seqjepa.errors import DataError
from seqjepa.reading.archives import BROKEN, Member, file_state, is_archive_of, locate, members
from seqjepa.reading.findings import Finding, Report, checksum, count
from seqjepa.worlds.images.base import ImageSet, Source, hold_out
from seqjepa.worlds.images.cached import ImagePart, Published, decoded, resized

FOLDER, ARCHIVE = "stl10_binary", "stl10_binary.tar.gz"
MD5 = "91f7769df0f17e558f3565bffb0c7dfb"
COUNTS = {"unlabeled": 100_000, "train": 5_000, "test": 8_000}
FILES = ("class_names.txt", "train_y.bin", "test_y.bin", *(f"{origin}_X.bin" for origin in COUNTS))
SIDE = 96
IMAGE = 3 * SIDE**2  # bytes
MOST_BYTES = 1 << 20  # of class names or labels


class Stl10(Source):
    """See the module."""

    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        """See `Source.open`."""
        place = locate(path, FOLDER, ARCHIVE)
        files = file_state(place, lambda name: name in FILES)
        found = decoded(
            "stl10",
            files,
            image_size,
            partial(_publish, place, image_size),
            lambda parts: parts["unlabeled"],
        )
        labelled, val = hold_out(found.parts["train"], val_fraction)
        splits = {
            "train": found.parts["unlabeled"],
            "labelled": labelled,
            "val": val,
            "test": found.parts["test"],
        }
        return ImageSet(splits, found.classes, found.mean, found.std, probe_split="labelled")

    def inspect(self, path: Path) -> Report | None:
        """See `Source.inspect`."""
        place = locate(path, FOLDER, ARCHIVE)
        ours = is_archive_of(place, f"{FOLDER}/") or any(
            (place / name).exists() for name in FILES[1:]
        )
        return Report.of("STL-10", _findings(place)) if ours else None


SOURCE = Stl10()


def _findings(place: Path) -> Iterator[Finding]:
    if place.name == ARCHIVE:
        yield checksum(place, MD5)
    try:
        classes, labels = _read(place)
    except DataError as error:
        yield Finding(False, str(error))
        return
    yield count(place, "classes", len(classes), 10)
    for origin, published in COUNTS.items():
        yield count(place, f"{origin} images", len(labels[origin]), published)


def _publish(place: Path, size: int) -> Published:
    classes, labels = _read(place)
    return Published(
        classes,
        {
            origin: ImagePart(of, _Planes(place, f"{origin}_X.bin", size))
            for origin, of in labels.items()
        },
    )


def _read(place: Path) -> tuple[tuple[str, ...], dict[str, npt.NDArray[np.int64]]]:
    """Class names, and by origin the label of every image, from 0; -1 for unlabelled ones."""
    small, sizes, where = {}, {}, {}
    for name, member in _files(place):
        sizes[name], where[name] = member.size, member.where
        if not name.endswith("_X.bin"):
            small[name] = member.read(MOST_BYTES)
    if missing := [name for name in FILES if name not in sizes]:
        raise DataError(
            f"{place} lacks {', '.join(missing)}: it must be, or hold, {ARCHIVE} or what it unpacks to"
        )
    classes = tuple(small["class_names.txt"].decode("latin-1").split())
    labels = {
        origin: _labels(origin, small, sizes[f"{origin}_X.bin"], len(classes), where)
        for origin in COUNTS
    }
    return classes, labels


def _labels(
    origin: str, small: dict[str, bytes], size: int, classes: int, where: dict[str, str]
) -> npt.NDArray[np.int64]:
    if size % IMAGE or not size:
        raise DataError(
            f"{where[f'{origin}_X.bin']} has {size:,} bytes, not {IMAGE:,} for each image: unpack or download it again"
        )
    if origin == "unlabeled":
        return np.full(size // IMAGE, -1, np.int64)
    labels, place = (
        np.frombuffer(small[f"{origin}_y.bin"], np.uint8).astype(np.int64) - 1,
        where[f"{origin}_y.bin"],
    )
    if len(labels) != size // IMAGE:
        raise DataError(
            f"{place} holds {len(labels):,} labels for {size // IMAGE:,} images: unpack or download it again"
        )
    if (bad := np.flatnonzero((labels < 0) | (labels >= classes))).size:
        raise DataError(
            f"{place}: image {bad[0]} has label {labels[bad[0]] + 1}, allowed are 1 to {classes}: unpack or download it again"
        )
    return labels


def _files(place: Path) -> Iterator[tuple[str, Member]]:
    for member in members(place):
        if (name := member.name.removeprefix(f"{FOLDER}/")) in FILES:
            yield name, member


class _Planes:
    """Decodes a file of images, each three planes of 96 columns: see `ImagePart.decode`."""

    def __init__(self, place: Path, name: str, size: int) -> None:
        self.where, self.name, self.size = place, name, size
        self.place = -1

    def __call__(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        try:
            if start != self.place:  # the first time, and where a killed build goes on
                self.file = self._open(start * IMAGE)
            data = self.file.read((stop - start) * IMAGE)
        except BROKEN as error:
            raise DataError(
                f"{self.where}, {self.name} cannot be read ({error}): download it again"
            ) from error
        if len(data) != (stop - start) * IMAGE:
            raise DataError(
                f"{self.where}, {self.name} ends within image {start + len(data) // IMAGE}: download it again"
            )
        self.place = stop
        return resized(
            np.frombuffer(data, np.uint8).reshape(-1, 3, SIDE, SIDE).transpose(0, 3, 2, 1),
            self.size,
        )

    def _open(self, start: int) -> BinaryIO:
        self.files = _files(self.where)  # kept, for with it the archive would be closed
        file = next(member.open() for name, member in self.files if name == self.name)
        file.seek(start)
        return file
