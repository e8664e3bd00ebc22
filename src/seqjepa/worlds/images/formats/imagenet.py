"""ImageNet-1k (ILSVRC 2012): images of all sizes, 1,000 classes.

There are 1,281,167 training and 50,000 validation images. The path is a folder with

- `train/<wnid>/*.JPEG`,
- `val/<wnid>/*.JPEG`, or `val/*.JPEG` as published and, beside `val`, Kaggle's
  `LOC_val_solution.csv`, which says their classes;

or the folder of the Kaggle archive, which has both in `ILSVRC/Data/CLS-LOC`. Images are stretched
to a square, as in seq-JEPA's paper. The published validation images are our `test`, and `val` is
held out from the training images. Labels count wnids in their order.
"""

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from typing_extensions import override

from seqjepa.errors import DataError
from seqjepa.reading.archives import Member, file_state, hidden, locate, members
from seqjepa.reading.findings import listed
from seqjepa.worlds.images.base import Source
from seqjepa.worlds.images.image_set import ImageSplit, hold_out
from seqjepa.worlds.images.published import ImageFiles, Published, label_all

COUNTS = {"train": 1_281_167, "val": 50_000}
SUFFIXES = (".jpeg", ".jpg", ".png")
CLASSES = "LOC_val_solution.csv"
LAYOUT = (
    f"expected train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, or val/*.JPEG with {CLASSES} beside it"
)


class ImageNet(Source):
    """ImageNet-1k, from its folders."""

    name, title = "imagenet", "ImageNet-1k"
    num_classes, counts = 1000, COUNTS

    @override
    def locate(self, path: Path) -> Path:
        return locate(path, "ILSVRC/Data/CLS-LOC")

    @override
    def recognises(self, place: Path) -> bool:
        folders = (place / "train").glob("n*")
        has_wnids = any(folder.name[1:].isdecimal() for folder in folders)
        is_tiny_imagenet = (
            any((place / "train").glob("n*/images")) or (place / "wnids.txt").exists()
        )
        return has_wnids and not is_tiny_imagenet

    @override
    def files(self, place: Path) -> str:
        return " ".join(file_state(_folder(place / origin), _is_image) for origin in COUNTS)

    @override
    def read(self, place: Path, size: int) -> Published:
        wnids = sorted(
            folder.name
            for folder in _folder(place / "train").iterdir()
            if folder.is_dir() and not hidden(folder.name)
        )
        label = partial(_label, {wnid: number for number, wnid in enumerate(wnids)}, _table(place))

        parts = label_all(self.image_files(place, size), label)
        for origin, part in parts.items():
            if not len(part.labels):
                raise DataError(f"{place / origin} holds no images: {LAYOUT}")
        return Published(tuple(wnids), parts)

    @override
    def image_files(self, place: Path, size: int) -> dict[str, ImageFiles]:
        return {
            origin: ImageFiles(partial(_files, place / origin), (size, size)) for origin in COUNTS
        }

    @override
    def splits(self, parts: Mapping[str, ImageSplit], val_fraction: float) -> dict[str, ImageSplit]:
        train, val = hold_out(parts["train"], val_fraction)
        return {"train": train, "val": val, "test": parts["val"]}


SOURCE = ImageNet()


def _folder(path: Path) -> Path:
    if not path.is_dir():
        there = path.parent.iterdir() if path.parent.is_dir() else ()
        found = listed(sorted(other.name for other in there)) or "nothing"
        raise DataError(f"there is no folder {path}: {LAYOUT}; there is {found}")
    return path


def _is_image(name: str) -> bool:
    return not hidden(name) and name.lower().endswith(SUFFIXES)


def _files(folder: Path) -> Iterator[Member]:
    return (member for member in members(_folder(folder)) if _is_image(member.name))


def _table(root: Path) -> dict[str, str]:
    """Read Kaggle's table, if there is one: wnids by image name without suffix.

    The second column is the wnid, followed by boxes.
    """
    places = [folder / CLASSES for folder in (root, *root.parents[:3])]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return {}
    try:
        with path.open(newline="") as file:
            return {row[0]: row[1].split()[0] for row in csv.reader(file) if row[0] != "ImageId"}
    except (OSError, csv.Error, IndexError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is no table of ImageId,PredictionString ({error}): get it from Kaggle again"
        ) from error


def _label(numbers: Mapping[str, int], table: Mapping[str, str], _: str, member: Member) -> int:
    """Return the number of an image's class, which its folder or the table names."""
    *folders, name = member.name.split("/")
    wnid = folders[0] if folders else table.get(name.rpartition(".")[0])
    if wnid is None or len(folders) > 1:
        raise DataError(f"{member.where} has no class: {LAYOUT}")
    if wnid not in numbers:
        raise DataError(
            f"{member.where} is of class {wnid!r}, which has no folder in train: {LAYOUT}"
        )
    return numbers[wnid]
