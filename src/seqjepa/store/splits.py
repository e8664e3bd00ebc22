"""Listings of the objects in a folder of views.

They are read from the split files of 3DIEBench (Garrido et al. 2023), or made of all that is found.
"""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqjepa.errors import DataError
from seqjepa.files import write_atomically
from seqjepa.reading.npy import npy_bytes, parse, read_bytes
from seqjepa.types import Indices

UNLISTED = "ood"  # the split of objects that are taken whatever split files say
WHERE_FROM = (
    "copy train_images.npy, train_labels.npy, val_images.npy and val_labels.npy there; "
    "they come with the code of SIE (github.com/facebookresearch/SIE, folder data) "
    "and of seq-JEPA (data/3DIEBench)"
)
MOST_BYTES = 256_000_000  # of a split file
MOST_CLASSES = 100_000
PLACE = re.compile(r"/?([^/\\\0]+)/([^/\\\0]+)/?")


@dataclass(frozen=True)
class Listing:
    """Objects of a folder of views, with their labels and splits.

    Attributes:
        places: [N], such as `02691156/dc8d...`.
        labels: [N] int64.
        splits: by name, the numbers of the objects in each.
        classes: class names; a label is an index into them. A label between others that no object
            has is its own name.
    """

    places: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    splits: dict[str, Indices]
    classes: tuple[str, ...]


def read_listing(folder: Path) -> Listing:
    """Read a folder's split files.

    Raises:
        DataError: if there are none, or they are damaged or contradict each other.
    """
    names = sorted(path.name.removesuffix("_images.npy") for path in folder.glob("*_images.npy"))
    if not names:
        raise DataError(f"{folder} has no split files: {WHERE_FROM}")

    # Objects are numbered through, split after split in order of names.
    places: list[str] = []
    labels, splits = [], {}
    for name in names:
        split_places, split_labels = _read_split(folder, name)
        splits[name] = np.arange(len(places), len(places) + len(split_places))
        places += split_places
        labels.append(split_labels)

    (place, times), *_ = Counter(places).most_common(1)
    if times > 1:
        raise DataError(
            f"{folder}: the split files name object {place} {times} times: each object must be "
            "listed exactly once"
        )
    all_labels = np.concatenate(labels)
    return Listing(tuple(places), all_labels, splits, _classes(folder, places, all_labels))


def find_objects(folder: Path) -> Listing:
    """List every object that has a folder, in one split; classes are numbered in order of names.

    Raises:
        DataError: if there are none.
    """
    found = (path for path in folder.glob("[!.]*/[!.]*") if path.is_dir())
    places = sorted(f"{path.parent.name}/{path.name}" for path in found)
    if not places:
        raise DataError(
            f"{folder} holds no objects, which are folders <class>/<object>/ of image_<i>.jpg and "
            "latent_<i>.npy"
        )

    names = [place.split("/")[0] for place in places]
    classes = sorted(set(names))
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[name] for name in names])
    return Listing(tuple(places), labels, {UNLISTED: np.arange(len(places))}, tuple(classes))


def _read_split(folder: Path, name: str) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Read the places and labels of one split."""
    images, numbers = folder / f"{name}_images.npy", folder / f"{name}_labels.npy"
    names = parse(read_bytes(images, MOST_BYTES), images, "strings")
    # Lists that were read from a text file are often of bytes.
    if names.dtype.kind == "S":
        with suppress(UnicodeDecodeError):
            names = np.char.decode(names, "utf-8")
    if names.ndim != 1 or names.dtype.kind != "U" or not len(names):
        got = f"{names.dtype} {list(names.shape)}"
        raise DataError(f'{images} must hold strings such as "/02691156/dc8d9003/", got {got}')

    # A place becomes a path below the folder, which it must not leave.
    places = []
    for text in names.tolist():
        match = PLACE.fullmatch(text)
        if match is None or {".", ".."} & set(match.groups()):
            raise DataError(
                f'{images} names {text!r}, which is no "/<class>/<object>/": get the file again'
            )
        places.append("/".join(match.groups()))

    labels = parse(read_bytes(numbers, MOST_BYTES), numbers, "integers")
    if labels.shape != names.shape or labels.dtype.kind not in "iu":
        got = f"{labels.dtype} {list(labels.shape)}"
        raise DataError(
            f"{numbers} must hold one integer for each of the {len(names)} objects of "
            f"{images.name}, got {got}"
        )
    return places, labels.astype(np.int64)


def write_split(
    folder: Path, name: str, places: Sequence[str], labels: npt.NDArray[np.int64]
) -> tuple[Path, Path]:
    """Write a split's two files, whole or not at all, as `read_listing` reads them."""
    images, numbers = folder / f"{name}_images.npy", folder / f"{name}_labels.npy"
    write_atomically(images, npy_bytes(np.array([f"/{place}/" for place in places], np.str_)))
    write_atomically(numbers, npy_bytes(labels))
    return images, numbers


def _classes(folder: Path, places: Sequence[str], labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """Return the names of the classes, by label.

    Raises:
        DataError: unless each label belongs to the folder of one class, and each class to one
            label.
    """
    if (bad := np.flatnonzero((labels < 0) | (labels >= MOST_CLASSES))).size:
        place, label = places[bad[0]], labels[bad[0]]
        raise DataError(
            f"{folder}: object {place} has label {label}: classes are numbered from 0 on. Get the "
            "labels again"
        )

    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    for place, label in zip(places, labels.tolist(), strict=True):
        name = place.split("/")[0]
        before = ""
        if names.setdefault(label, name) != name:
            before = f"label {label} is class {names[label]}"
        elif numbers.setdefault(name, label) != label:
            before = f"class {name} has label {numbers[name]}"
        if before:
            raise DataError(
                f"{folder}: object {place} has label {label}, but of other objects {before}: get "
                "the labels again"
            )
    return tuple(names.get(label, str(label)) for label in range(max(names) + 1))
