"""Tiny ImageNet (Stanford CS231n): 64 x 64 pixels, 200 classes.

There are 100,000 training and 10,000 validation images; some are gray. The path is
`tiny-imagenet-200.zip`, what it unpacks to, or a folder with one of them. Scripts that many use
sort the validation images into folders of their classes, `val/<wnid>/` or `val/<wnid>/images/`:
these are read, too. A class's label is its line in `wnids.txt`. The labels of the test images were
never published: the published validation images are our `test`, and `val` is held out from the
training images.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from typing_extensions import override

from seqjepa.errors import DataError
from seqjepa.reading.archives import Member, file_state, is_archive_of, locate, members
from seqjepa.reading.findings import listed, plural
from seqjepa.worlds.images.base import Source
from seqjepa.worlds.images.image_set import ImageSplit, hold_out
from seqjepa.worlds.images.published import ImageFiles, Published, label_all

FOLDER, ARCHIVE = "tiny-imagenet-200", "tiny-imagenet-200.zip"
MD5 = {ARCHIVE: "90528d7ca1a48142e341f4ef8d21d0de"}
# The first group that matches leads to the class: an image's folder, or a validation image's name.
IMAGES = {
    "train": r"train/(\w+)/(?:images/)?[^/]+\.JPEG",
    "val": r"val/(?:images/)?(n\d+)/(?:images/)?[^/]+\.JPEG|val/images/([^/]+\.JPEG)",
}
COUNTS = {"train": 100_000, "val": 10_000}
ANNOTATIONS = "val/val_annotations.txt"
TEXTS = ("wnids.txt", "words.txt", ANNOTATIONS)
REMEDY = f"it must be, or hold, {ARCHIVE} or what it unpacks to"
MOST_BYTES = 16 << 20  # of a text


class TinyImageNet(Source):
    """Tiny ImageNet, packed or unpacked."""

    name, title = "tiny_imagenet", "Tiny ImageNet"
    md5 = MD5
    num_classes, counts = 200, COUNTS
    side = 64

    @override
    def locate(self, path: Path) -> Path:
        return locate(path, FOLDER, ARCHIVE)

    @override
    def recognises(self, place: Path) -> bool:
        if place.is_dir() and place.name == FOLDER:
            return True
        return is_archive_of(place, f"{FOLDER}/") or (place / "wnids.txt").exists()

    @override
    def files(self, place: Path) -> str:
        images = re.compile("|".join(IMAGES.values()))
        return file_state(place, lambda name: name in TEXTS or bool(images.fullmatch(name)))

    @override
    def read(self, place: Path, size: int) -> Published:
        texts = _texts(place)
        wnids = texts["wnids.txt"].split()
        numbers = {wnid: number for number, wnid in enumerate(wnids)}
        annotations = _two_columns(texts.get(ANNOTATIONS, ""))

        label = partial(_label, annotations, numbers)
        parts = label_all(self.image_files(place, size), label)
        for origin, part in parts.items():
            if not len(part.labels):
                there = _held(place, origin)
                raise DataError(f"{place} holds no {origin} images, only {there}: {REMEDY}")
        return Published(_class_names(wnids, texts["words.txt"]), parts)

    @override
    def image_files(self, place: Path, size: int) -> dict[str, ImageFiles]:
        return {
            origin: ImageFiles(partial(_files, place, pattern), (size, size))
            for origin, pattern in IMAGES.items()
        }

    @override
    def splits(self, parts: Mapping[str, ImageSplit], val_fraction: float) -> dict[str, ImageSplit]:
        train, val = hold_out(parts["train"], val_fraction)
        return {"train": train, "val": val, "test": parts["val"]}


SOURCE = TinyImageNet()


def _texts(place: Path) -> dict[str, str]:
    texts, lacking = {}, set(TEXTS)
    is_sorted = True
    for member in _members(place):
        if member.name in TEXTS:
            texts[member.name] = member.read(MOST_BYTES).decode("utf-8", "replace")
        elif member.name.startswith("val/images/") and member.name.count("/") == 2:
            is_sorted = False

    # Validation images in folders of their classes need no table of them.
    lacking -= {*texts, ANNOTATIONS} if is_sorted else {*texts}
    if missing := [name for name in TEXTS if name in lacking]:
        raise DataError(f"{place} lacks {', '.join(missing)}: {REMEDY}")
    return texts


def _files(place: Path, pattern: str) -> Iterator[Member]:
    return (member for member in _members(place) if re.fullmatch(pattern, member.name))


def _members(place: Path) -> Iterator[Member]:
    """Yield all files, under the same names whether packed or not."""
    for member in members(place):
        yield replace(member, name=member.name.removeprefix(f"{FOLDER}/"))


def _held(place: Path, origin: str) -> str:
    """Return what there is instead of a part's images, for messages."""
    names = [member.name for member in _members(place) if member.name not in TEXTS]
    below = (name for name in names if name.startswith(f"{origin}/"))
    folders = Counter(name.rpartition("/")[0] for name in below)
    if folders:
        return listed(f"{folder} with {plural(files, 'file')}" for folder, files in folders.items())
    return listed(sorted({name.split("/")[0] for name in names})) or "texts"


def _two_columns(text: str) -> dict[str, str]:
    """Return the second column of a table by the first; tabs separate them."""
    rows = [line.split("\t") for line in text.splitlines() if "\t" in line]
    return {row[0]: row[1] for row in rows}


def _label(
    annotations: Mapping[str, str], numbers: Mapping[str, int], origin: str, member: Member
) -> int:
    """Return the number of an image's class."""
    # An image's folder is its class; that of others stands beside their names.
    match = re.fullmatch(IMAGES[origin], member.name)
    assert match is not None, "files are found by the same pattern"
    found = next(group for group in match.groups() if group)
    wnid = annotations.get(found, found)

    name = member.name.rpartition("/")[2]
    if annotations.get(name, wnid) != wnid:
        raise DataError(
            f"{member.where} lies in the folder of {wnid!r}, but {ANNOTATIONS} says "
            f"{annotations[name]!r}: unpack it again"
        )
    if wnid not in numbers:
        raise DataError(
            f"{member.where} is of class {wnid!r}, which wnids.txt does not have: {REMEDY}"
        )
    return numbers[wnid]


def _class_names(wnids: list[str], words: str) -> tuple[str, ...]:
    """Return the first word for each class, with the wnid where several classes share it."""
    synonyms = _two_columns(words)
    names = [synonyms.get(wnid, wnid).split(",")[0] for wnid in wnids]
    uses = Counter(names)
    return tuple(
        name if uses[name] == 1 else f"{name} ({wnid})"
        for name, wnid in zip(names, wnids, strict=True)
    )
