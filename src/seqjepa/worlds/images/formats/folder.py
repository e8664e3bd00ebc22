"""Any folder or archive (zip, tar) of JPEG and PNG images.

- An image's class is its first sub-folder; images outside sub-folders have no class.
- Top folders called train, val and test, in any usual spelling, are the splits, and classes are
  the folders in them (`layout`). If only one of `val` and `test` exists, it is our `test`, and
  `val` is held out from `train`. Without such folders, a tenth of all images is held out as `test`.
- A folder around everything, or one called `images` or `data`, does not count.
- Images are cut to their middle square.
- Hidden files and files without an image's suffix are left out, with a warning that counts them;
  images in other formats than JPEG and PNG are refused.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from typing_extensions import override

from seqjepa.display import warn
from seqjepa.errors import DataError
from seqjepa.reading.archives import Member, file_state, hidden, is_archive, members
from seqjepa.reading.findings import (
    Finding,
    Look,
    Sample,
    counted,
    doubt,
    kinds_of_files,
    listed,
    plural,
)
from seqjepa.store.look import class_counts, class_doubts
from seqjepa.types import Indices
from seqjepa.worlds.images.base import Source
from seqjepa.worlds.images.image_set import ImageSplit, hold_out
from seqjepa.worlds.images.layout import Layout, arrange
from seqjepa.worlds.images.look import draw_samples, look_at
from seqjepa.worlds.images.published import ImageFiles, ImagePart, Published

# An .mpo of a stereo camera is a JPEG, which is read, with another one behind it.
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp", ".mpo", ".png", ".apng",
)  # fmt: skip
OTHERS = (
    ".gif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".heic",
    ".heif", ".hif", ".avif", ".jp2", ".j2k", ".jxl", ".ico", ".svg", ".tga", ".psd", ".exr",
)  # fmt: skip
SPLITS = ("train", "val", "test")
TEST_FRACTION = 0.1
FEWEST = 3  # images that leave one for each split
NEITHER = "is neither JPEG nor PNG: convert it or leave it out"


class ImageFolder(Source):
    """Images in a folder or archive, with folders as classes."""

    name, title = "folder", "folder of images"
    stretched = False
    version = 1

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
        found = _read(place)
        if found.refused:
            raise DataError(found.refusal(place))
        if number := found.ignored.total():
            left_out = f"{number:,} files are no images by their names and left out"
            warn(f"{place}: {left_out}: {kinds_of_files(found.ignored)}")

        layout = arrange(found.images, str(place))
        if len(layout.names) == 1:
            raise DataError(_lone(place))
        for note in layout.notes:
            warn(f"{place}: {note}")
        classes, labels = _number(layout)
        files = ImageFiles(partial(_images, place), size)
        return Published(classes, {"images": ImagePart(labels, files, layout.names)})

    @override
    def findings(self, place: Path, look: Look) -> Iterator[Finding | Sample]:
        found = _read(place)
        if found.images:
            yield from _described(place, found.images)
        if found.ignored:
            others = found.ignored.total()
            left_out = f"which {'is' if others == 1 else 'are'} left out"
            kinds = kinds_of_files(found.ignored)
            yield Finding(True, f"{plural(others, 'other file')}, {left_out}: {kinds}")
        empty = [folder for folder, folders, files in os.walk(place) if not folders + files]
        if empty:
            yield doubt(f"{plural(len(empty), 'folder')} without any file: {listed(empty)}")
        if found.refused:
            bad = [(f"{place / name}", f"{place / name} {NEITHER}") for name in found.refused]
            yield Finding(False, found.refusal(place), files=tuple(bad))

        files = ImageFiles(partial(_readable, place), self.side)
        yield from look_at({"images": (files, len(found.images))}, look)
        if look.samples:
            yield from draw_samples(files, len(found.images), found.images)

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

    @override
    def doubts(self, parts: Mapping[str, ImageSplit], classes: tuple[str, ...]) -> list[str]:
        given = _given_splits(parts["images"]) or {"train": parts["images"]}
        return class_doubts(classes, {split: images.labels for split, images in given.items()})


SOURCE = ImageFolder()


@dataclass(frozen=True)
class _Found:
    """Names of the files in a folder or archive.

    Attributes:
        images: those of JPEG and PNG images.
        refused: those of images in other formats.
        ignored: number of files that are no images by their names, by suffix.
    """

    images: list[str]
    refused: list[str]
    ignored: Counter[str]

    def refusal(self, place: Path) -> str:
        """Return a message about images in formats that are not read."""
        first, others = place / self.refused[0], len(self.refused) - 1
        if not others:
            return f"{first} {NEITHER}"
        kinds = kinds_of_files(Counter(_suffix(name) for name in self.refused))
        return (
            f"{first} and {plural(others, 'other')} are neither JPEG nor PNG: convert them or "
            f"leave them out ({kinds})"
        )


def _read(place: Path) -> _Found:
    """Sort the names of all files.

    Raises:
        DataError: if there are no images.
    """
    images, refused, ignored = [], [], Counter[str]()
    for member in members(place):
        suffix = _suffix(member.name)
        if hidden(member.name):
            ignored["hidden"] += 1
        elif suffix in SUFFIXES:
            images.append(member.name)
        elif suffix in OTHERS:
            refused.append(member.name)
        else:
            ignored[suffix or "without a suffix"] += 1

    if not images and not refused:
        kinds = f", only {kinds_of_files(ignored)}" if ignored else ""
        raise DataError(
            f"{place} holds no JPEG or PNG images{kinds}: name a folder, zip or tar that does"
        )
    return _Found(images, refused, ignored)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _described(place: Path, names: list[str]) -> Iterator[Finding]:
    """Yield findings about splits and classes."""
    try:
        layout = arrange(names, str(place))
    except DataError as error:
        yield Finding(True, plural(len(names), "image"))
        yield Finding(False, str(error))
        return

    classes, labels = _number(layout)
    kinds = plural(len(classes), "class") if classes else "no classes: each would be a sub-folder"
    yield Finding(True, f"{plural(len(names), 'image')}, {kinds}")
    by_split = {"": labels}
    if layout.splits:
        splits = np.array(layout.splits)
        by_split = {split: labels[splits == split] for split in SPLITS if split in layout.folders}
    for split, found in by_split.items():
        counts = class_counts(classes, found)
        title = "no folders of splits: a tenth of all is the test"
        if split:
            # Of val and test, one that is alone is the test.
            test = ", here the test" if split == "val" and "test" not in layout.folders else ""
            title = f"split {split}{test}, folder {layout.folders[split]}"
            title += f": {plural(len(found), 'image')}, {plural(len(counts), 'class')}"
        yield Finding(True, f"{title}: {counted(counts)}" if counts else title)

    # Of two, one can be the test, and none need be held out for val.
    if len(names) == 1:
        yield Finding(False, _lone(place))
    elif len(names) < FEWEST and not layout.splits:
        yield doubt(f"{len(names)} images are too few for train, val and test: add some")
    for message in (*layout.notes, *class_doubts(classes, by_split)):
        yield doubt(message)


def _lone(place: Path) -> str:
    """Return a message about a set of one image."""
    return f"{place} holds one image, too few to train on some and test on others: add images"


def _number(layout: Layout) -> tuple[tuple[str, ...], Indices]:
    """Return the names of the classes and the label of each image, -1 without a class."""
    classes = sorted({name for name in layout.classes if name is not None})
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers.get(name, -1) for name in layout.classes], np.int64)
    return tuple(classes), labels


def _is_image(name: str) -> bool:
    return not hidden(name) and name.lower().endswith(SUFFIXES + OTHERS)


def _images(place: Path) -> Iterator[Member]:
    return (member for member in members(place) if _is_image(member.name))


def _readable(place: Path) -> Iterator[Member]:
    return (member for member in _images(place) if _suffix(member.name) in SUFFIXES)


def _given_splits(images: ImageSplit) -> dict[str, ImageSplit]:
    """Return the splits that folders name; none if the images are not split."""
    assert images.names is not None, "images of files have names"
    layout = arrange([os.fsdecode(name) for name in images.names.tolist()], images.origin)
    splits = np.array(layout.splits)
    given = (split for split in SPLITS if split in layout.folders)
    return {split: images.select(np.flatnonzero(splits == split)) for split in given}
