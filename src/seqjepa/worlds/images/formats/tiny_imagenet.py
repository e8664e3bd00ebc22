"""Tiny ImageNet (Stanford CS231n): 64 x 64 pixels, 200 classes.

There are 100,000 training and 10,000 validation images; some are gray. The path is
`tiny-imagenet-200.zip`, what it unpacks to, or a folder with one of them. A class's label is its
line in `wnids.txt`. The labels of the test images were never published: the published validation
images are our `test`, and `val` is held out from the training images.
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
from seqjepa.worlds.images.base import Source
from seqjepa.worlds.images.image_set import ImageSplit, hold_out
from seqjepa.worlds.images.published import ImageFiles, Published

FOLDER, ARCHIVE = "tiny-imagenet-200", "tiny-imagenet-200.zip"
MD5 = {ARCHIVE: "90528d7ca1a48142e341f4ef8d21d0de"}
# The group leads to the class: a training image's folder, a validation image's name.
IMAGES = {"train": r"train/(\w+)/images/[^/]+\.JPEG", "val": r"val/images/([^/]+\.JPEG)"}
COUNTS = {"train": 100_000, "val": 10_000}
TEXTS = ("wnids.txt", "words.txt", "val/val_annotations.txt")
REMEDY = f"it must be, or hold, {ARCHIVE} or what it unpacks to"
MOST_BYTES = 16 << 20  # of a text


class TinyImageNet(Source):
    """Tiny ImageNet, packed or unpacked."""

    name, title = "tiny_imagenet", "Tiny ImageNet"
    md5 = MD5
    num_classes, counts = 200, COUNTS

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
        annotations = _two_columns(texts["val/val_annotations.txt"])

        parts = {}
        for origin, pattern in IMAGES.items():
            files = ImageFiles(partial(_files, place, pattern), (size, size))
            parts[origin] = files.part(partial(_label, pattern, annotations, numbers))
            if not len(parts[origin].labels):
                raise DataError(f"{place} holds no {origin} images: {REMEDY}")
        return Published(_class_names(wnids, texts["words.txt"]), parts)

    @override
    def splits(self, parts: Mapping[str, ImageSplit], val_fraction: float) -> dict[str, ImageSplit]:
        train, val = hold_out(parts["train"], val_fraction)
        return {"train": train, "val": val, "test": parts["val"]}


SOURCE = TinyImageNet()


def _texts(place: Path) -> dict[str, str]:
    texts = {
        member.name: member.read(MOST_BYTES).decode("utf-8", "replace")
        for member in _members(place)
        if member.name in TEXTS
    }
    if missing := [name for name in TEXTS if name not in texts]:
        raise DataError(f"{place} lacks {', '.join(missing)}: {REMEDY}")
    return texts


def _files(place: Path, pattern: str) -> Iterator[Member]:
    return (member for member in _members(place) if re.fullmatch(pattern, member.name))


def _members(place: Path) -> Iterator[Member]:
    """Yield all files, under the same names whether packed or not."""
    for member in members(place):
        yield replace(member, name=member.name.removeprefix(f"{FOLDER}/"))


def _two_columns(text: str) -> dict[str, str]:
    """Return the second column of a table by the first; tabs separate them."""
    rows = [line.split("\t") for line in text.splitlines() if "\t" in line]
    return {row[0]: row[1] for row in rows}


def _label(
    pattern: str, annotations: Mapping[str, str], numbers: Mapping[str, int], member: Member
) -> int:
    """Return the number of an image's class."""
    # A training image's folder is its class; a validation image's stands beside its name.
    found = re.sub(pattern, r"\1", member.name)
    wnid = annotations.get(found, found)
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
