"""STL-10 (Coates, Lee, Ng 2011): 96 x 96 pixels, 10 classes.

The path is `stl10_binary.tar.gz`, what it unpacks to (`stl10_binary`), or a folder with one of
them.

- `train`: the 100,000 unlabelled images (`unlabeled_X.bin`), and only those: what methods learn
  from, as in seq-JEPA's paper.
- `labelled`: of the 5,000 labelled training images (`train_X.bin`), which probes learn from, those
  that are not in `val`.
- `val`: held out from the same 5,000; with `val_fraction = 0` the probes learn from all of them, as
  in the paper.
- `test`: the 8,000 test images (`test_X.bin`).

Origins are `unlabeled`, `train` and `test`, each in the order of its file, which is that of the
published saliency.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from typing_extensions import override

from seqjepa.errors import DataError
from seqjepa.reading.archives import BROKEN, Member, file_state, is_archive_of, locate, members
from seqjepa.types import Indices
from seqjepa.worlds.images.base import Source
from seqjepa.worlds.images.image_set import ImageSplit, hold_out
from seqjepa.worlds.images.published import ImagePart, Pixels, Published, resized

FOLDER, ARCHIVE = "stl10_binary", "stl10_binary.tar.gz"
MD5 = {ARCHIVE: "91f7769df0f17e558f3565bffb0c7dfb"}
COUNTS = {"unlabeled": 100_000, "train": 5_000, "test": 8_000}
FILES = ("class_names.txt", "train_y.bin", "test_y.bin", *(f"{origin}_X.bin" for origin in COUNTS))
SIDE = 96
IMAGE = 3 * SIDE**2  # bytes
MOST_BYTES = 1 << 20  # of class names or labels


class Stl10(Source):
    """STL-10, of which methods learn from the unlabelled images."""

    name, title = "stl10", "STL-10"
    md5 = MD5
    num_classes, counts = 10, COUNTS
    side = SIDE
    probe_split = "labelled"

    @override
    def locate(self, path: Path) -> Path:
        return locate(path, FOLDER, ARCHIVE)

    @override
    def recognises(self, place: Path) -> bool:
        # `class_names.txt` alone may belong to any data set.
        unpacked = any((place / name).exists() for name in FILES[1:])
        return unpacked or is_archive_of(place, f"{FOLDER}/")

    @override
    def files(self, place: Path) -> str:
        return file_state(place, lambda name: name in FILES)

    @override
    def read(self, place: Path, size: int) -> Published:
        # The files of pixels are large: their sizes say enough here, `_Planes` reads them later.
        found: dict[str, Member] = {}
        contents: dict[str, bytes] = {}
        for name, member in _files(place):
            found[name] = member
            if not name.endswith("_X.bin"):
                contents[name] = member.read(MOST_BYTES)
        if missing := [name for name in FILES if name not in found]:
            raise DataError(
                f"{place} lacks {', '.join(missing)}: it must be, or hold, {ARCHIVE} or what it "
                "unpacks to"
            )

        classes = tuple(contents["class_names.txt"].decode("latin-1").split())
        parts = {}
        for origin in COUNTS:
            images = _count_images(found[f"{origin}_X.bin"])
            labels = np.full(images, -1, np.int64)
            if origin != "unlabeled":
                file = f"{origin}_y.bin"
                labels = _labels(contents[file], found[file].where, images, len(classes))
            parts[origin] = ImagePart(labels, _Planes(place, f"{origin}_X.bin", size))
        return Published(classes, parts)

    @override
    def training(self, parts: Mapping[str, ImageSplit]) -> ImageSplit:
        return parts["unlabeled"]

    @override
    def splits(self, parts: Mapping[str, ImageSplit], val_fraction: float) -> dict[str, ImageSplit]:
        labelled, val = hold_out(parts["train"], val_fraction)
        train, test = parts["unlabeled"], parts["test"]
        return {"train": train, "labelled": labelled, "val": val, "test": test}


SOURCE = Stl10()


def _files(place: Path) -> Iterator[tuple[str, Member]]:
    """Yield the files that are read, with their names without the folder."""
    for member in members(place):
        if (name := member.name.removeprefix(f"{FOLDER}/")) in FILES:
            yield name, member


def _count_images(pixels: Member) -> int:
    if pixels.size % IMAGE or not pixels.size:
        raise DataError(
            f"{pixels.where} has {pixels.size:,} bytes, not {IMAGE:,} for each image: unpack or "
            "download it again"
        )
    return pixels.size // IMAGE


def _labels(contents: bytes, where: str, images: int, classes: int) -> Indices:
    """Return the labels in a file, from 0 on: the file counts from 1."""
    labels = np.frombuffer(contents, np.uint8).astype(np.int64) - 1
    if len(labels) != images:
        raise DataError(
            f"{where} holds {len(labels):,} labels for {images:,} images: unpack or download it "
            "again"
        )
    if (bad := np.flatnonzero((labels < 0) | (labels >= classes))).size:
        raise DataError(
            f"{where}: image {bad[0]} has label {labels[bad[0]] + 1}, allowed are 1 to {classes}: "
            "unpack or download it again"
        )
    return labels


class _Planes:
    """A decoder (see `ImagePart.decode`) of a file of images, each three planes of 96 columns."""

    def __init__(self, where: Path, name: str, size: int) -> None:
        self.where, self.name, self.size = where, name, size
        self.place = -1

    def __call__(self, start: int, stop: int) -> Pixels:
        wanted = (stop - start) * IMAGE
        try:
            # The first call may resume a killed build; later ones go on where the last one ended.
            if start != self.place:
                self.file = self._open(start * IMAGE)
            data = self.file.read(wanted)
        except BROKEN as error:
            raise DataError(
                f"{self.where}, {self.name} cannot be read ({error}): download it again"
            ) from error
        if len(data) != wanted:
            raise DataError(
                f"{self.where}, {self.name} ends within image {start + len(data) // IMAGE}: "
                "download it again"
            )
        self.place = stop

        # [N, channel, column, row] -> [N, row, column, channel]
        planes = np.frombuffer(data, np.uint8).reshape(-1, 3, SIDE, SIDE)
        return resized(planes.transpose(0, 3, 2, 1), self.size)

    def _open(self, start: int) -> BinaryIO:
        # The iteration is kept: its end would close the archive, and the file with it.
        self.files = _files(self.where)
        file = next(member.open() for name, member in self.files if name == self.name)
        file.seek(start)
        return file
