"""Any folder or archive (zip, tar) of JPEG and PNG images.

- An image's class is its first sub-folder; images outside sub-folders have no class.
- Top folders `train`, `val` and `test`, if there are any, are the splits, and classes are the
  folders in them. If only one of `val` and `test` exists, it is our `test`, and `val` is held out
  from `train`. Without such folders, a tenth of all images is held out as `test`.
- If an archive has a single top folder around everything, that folder does not count.
- Images are cut to their middle square.
- Hidden files and files without an image's suffix are left out, with a warning that counts them;
  images in other formats than JPEG and PNG are refused.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from typing_extensions import override

from seqjepa.display import warn
from seqjepa.errors import DataError
from seqjepa.reading.archives import Member, file_state, hidden, is_archive, members
from seqjepa.reading.findings import Finding
from seqjepa.worlds.images.base import CHECK_SIZE, Source
from seqjepa.worlds.images.image_set import ImageSplit, hold_out
from seqjepa.worlds.images.published import ImageFiles, ImagePart, Published

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png")
OTHERS = (
    ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".heic", ".avif", ".jp2", ".jxl",
    ".ico", ".svg",
)  # fmt: skip
SPLITS = ("train", "val", "test")
TEST_FRACTION = 0.1


class ImageFolder(Source):
    """Images in a folder or archive, with folders as classes."""

    name, title = "folder", "folder of images"
    stretched = False

    @override
    def locate(self, path: Path) -> Path:
        return path

    @override
    def recognises(self, place: Path) -> bool:
        return (place.is_dir() or is_archive(place)) and any(_images(place))

    @override
    def files(self, place: Path) -> str:
        return file_state(place, _is_image)

    @override
    def read(self, place: Path, size: int) -> Published:
        classes, part, ignored = _read(place, size)
        if ignored:
            warn(f"{place}: {ignored:,} files are no images by their names and left out")
        return Published(classes, {"images": part})

    @override
    def findings(self, place: Path) -> Iterator[Finding]:
        classes, part, ignored = _read(place, CHECK_SIZE)
        yield Finding(True, f"{len(part.labels):,} images, {len(classes)} classes")
        if ignored:
            yield Finding(True, f"{ignored:,} other files, which are left out")
        yield ImageFiles(partial(_images, place), CHECK_SIZE).sample(len(part.labels))

    @override
    def training(self, parts: Mapping[str, ImageSplit]) -> ImageSplit:
        return self.splits(parts, 0)["train"]

    @override
    def splits(self, parts: Mapping[str, ImageSplit], val_fraction: float) -> dict[str, ImageSplit]:
        given = _given_splits(parts["images"])
        if len(given) == len(SPLITS):
            return given

        # Settings are chosen on images of `train`, so whatever else was given is the test.
        if given:
            train, test = given.values()
        else:
            train, test = hold_out(parts["images"], TEST_FRACTION, "test")
        train, val = hold_out(train, val_fraction)
        return {"train": train, "val": val, "test": test}


SOURCE = ImageFolder()


def _read(place: Path, size: int) -> tuple[tuple[str, ...], ImagePart, int]:
    """Return class names, all images, and the number of files that are no images."""
    names = [member.name for member in members(place)]
    images = [name for name in names if _is_image(name)]
    if wrong := [name for name in images if not name.lower().endswith(SUFFIXES)]:
        raise DataError(
            f"{place / wrong[0]} and {len(wrong) - 1} others are neither JPEG nor PNG: convert "
            "them or leave them out"
        )
    if not images:
        raise DataError(f"{place} holds no JPEG or PNG images")

    top = "" if place.is_dir() else _common_folder(images)
    inside = [name.removeprefix(top) for name in images]
    has_splits = _has_splits(place, inside)

    of_images = [_class_name(name, has_splits) for name in inside]
    classes = sorted({name for name in of_images if name is not None})
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers.get(name, -1) for name in of_images], np.int64)

    part = ImagePart(labels, ImageFiles(partial(_images, place), size), tuple(inside))
    return tuple(classes), part, len(names) - len(images)


def _is_image(name: str) -> bool:
    return not hidden(name) and name.lower().endswith(SUFFIXES + OTHERS)


def _images(place: Path) -> Iterator[Member]:
    return (member for member in members(place) if _is_image(member.name))


def _common_folder(names: list[str]) -> str:
    """Return the top folder, with its slash, that all images are in; empty if there is none.

    Images directly in it make it a class, not a wrapper; so does the name of a split.
    """
    tops = {name.partition("/")[0] for name in names}
    in_sub_folders = all(name.count("/") >= 2 for name in names)
    if len(tops) == 1 and in_sub_folders and tops.isdisjoint(SPLITS):
        return f"{tops.pop()}/"
    return ""


def _has_splits(place: Path, names: list[str]) -> bool:
    """Return whether the top folders are splits.

    Raises:
        DataError: if some are and others are not, or one is missing.
    """
    tops = {name.partition("/")[0] for name in names}
    if tops.isdisjoint(SPLITS):
        return False
    if "train" not in tops or len(tops) == 1 or not tops <= set(SPLITS):
        raise DataError(
            f"{place} has {', '.join(sorted(tops)[:5])} at its top, expected train and at least "
            "one of val and test, and no images beside them, or none of these: rename or move "
            "folders"
        )
    return True


def _class_name(name: str, has_splits: bool) -> str | None:
    folders = name.split("/")[int(has_splits) : -1]
    return folders[0] if folders else None


def _given_splits(images: ImageSplit) -> dict[str, ImageSplit]:
    """Return the splits that top folders name; none if the images are not split."""
    assert images.names is not None, "images of files have names"
    tops = np.array([name.partition(b"/")[0] for name in images.names.tolist()])
    rows = {split: np.flatnonzero(tops == split.encode()) for split in SPLITS}
    return {split: images.select(found) for split, found in rows.items() if len(found)}
