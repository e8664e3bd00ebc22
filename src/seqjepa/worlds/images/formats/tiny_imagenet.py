"""Tiny ImageNet (Stanford CS231n): 100,000 training and 10,000 validation images of 64 x 64 pixels,
200 classes; some are gray.

The path is that of, or of a folder with, `tiny-imagenet-200.zip` or what it unpacks to. A class's
label is its line in `wnids.txt`. The labels of the test images were never published: the published
validation images are our `test`, and `val` is held out from the training images."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from seqjepa.errors import DataError
from seqjepa.reading.archives import Member, file_state, is_archive_of, locate, members
from seqjepa.reading.findings import Finding, Report, checksum, count
from seqjepa.worlds.images.base import ImageSet, Source, hold_out
from seqjepa.worlds.images.cached import ImageFiles, Published, decoded

FOLDER, ARCHIVE = "tiny-imagenet-200", "tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
IMAGES = {
    "train": r"train/(\w+)/images/[^/]+\.JPEG",
    "val": r"val/images/([^/]+\.JPEG)",
}  # what stands in brackets leads to the class
COUNTS = {"train": 100_000, "val": 10_000}
TEXTS = ("wnids.txt", "words.txt", "val/val_annotations.txt")
REMEDY = f"it must be, or hold, {ARCHIVE} or what it unpacks to"
MOST_BYTES = 16 << 20  # of a text


class TinyImageNet(Source):
    """See the module."""

    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        """See `Source.open`."""
        place = locate(path, FOLDER, ARCHIVE)
        files = file_state(
            place, lambda name: name in TEXTS or bool(re.fullmatch("|".join(IMAGES.values()), name))
        )
        found = decoded(
            "tiny_imagenet",
            files,
            image_size,
            partial(_publish, place, image_size),
            lambda parts: parts["train"],
        )
        train, val = hold_out(found.parts["train"], val_fraction)
        return ImageSet(
            {"train": train, "val": val, "test": found.parts["val"]},
            found.classes,
            found.mean,
            found.std,
        )

    def inspect(self, path: Path) -> Report | None:
        """See `Source.inspect`."""
        place = locate(path, FOLDER, ARCHIVE)
        ours = (
            is_archive_of(place, f"{FOLDER}/")
            or (place / "wnids.txt").exists()
            or (place.is_dir() and place.name == FOLDER)
        )
        return Report.of("Tiny ImageNet", _findings(place)) if ours else None


SOURCE = TinyImageNet()


def _findings(place: Path) -> Iterator[Finding]:
    if place.name == ARCHIVE:
        yield checksum(place, MD5)
    try:
        published = _publish(place, 64)
    except DataError as error:
        yield Finding(False, str(error))
        return
    yield count(place, "classes", len(published.classes), 200)
    for origin, wanted in COUNTS.items():
        found = len(published.parts[origin].labels)
        yield count(place, f"{origin} images", found, wanted)
        yield ImageFiles(partial(_files, place, IMAGES[origin]), 64).sample(found)


def _publish(place: Path, size: int) -> Published:
    texts = _texts(place)
    wnids = texts["wnids.txt"].split()
    numbers = {wnid: number for number, wnid in enumerate(wnids)}
    annotations = dict(
        line.split("\t")[:2]
        for line in texts["val/val_annotations.txt"].splitlines()
        if "\t" in line
    )
    parts = {}
    for origin, pattern in IMAGES.items():
        files = ImageFiles(partial(_files, place, pattern), (size, size))
        parts[origin] = files.part(partial(_label, pattern, annotations, numbers))
        if not len(parts[origin].labels):
            raise DataError(f"{place} holds no {origin} images: {REMEDY}")
    return Published(_names(wnids, texts["words.txt"]), parts)


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
    """Under the same names whether unpacked or not."""
    return (
        replace(member, name=member.name.removeprefix(f"{FOLDER}/")) for member in members(place)
    )


def _label(
    pattern: str, annotations: Mapping[str, str], numbers: Mapping[str, int], member: Member
) -> int:
    """A training image's folder is its class; a validation image's class stands beside its name in
    `val_annotations.txt`."""
    found = re.sub(pattern, r"\1", member.name)
    wnid = annotations.get(found, found)
    if wnid not in numbers:
        raise DataError(
            f"{member.where} is of class {wnid!r}, which wnids.txt does not have: {REMEDY}"
        )
    return numbers[wnid]


def _names(wnids: list[str], words: str) -> tuple[str, ...]:
    """The first word for each class, with its id where several have the same."""
    first = {
        line.split("\t")[0]: line.split("\t")[1].split(",")[0]
        for line in words.splitlines()
        if "\t" in line
    }
    names = [first.get(wnid, wnid) for wnid in wnids]
    return tuple(
        name if names.count(name) == 1 else f"{name} ({wnid})"
        for name, wnid in zip(names, wnids, strict=True)
    )
