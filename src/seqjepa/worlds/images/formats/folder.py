"""Any folder or archive (zip, tar) of JPEG and PNG images.

- An image's class is its first sub-folder; images that stand in none have no class.
- Top folders `train`, `val` and `test`, if there are any, are the splits, and classes are the
  folders in them. Where just one of `val` and `test` is there, it is our `test`, and `val` is held
  out from `train`. Without any, a tenth of all images is held out as `test`.
- Of an archive, a single top folder that holds all the rest is left out of account.
- Images are cut to their middle square.
- Files whose names do not end as those of images do, and hidden ones or those in hidden folders,
  are left out, and it is said how many; images in other formats than JPEG and PNG are refused.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from seqjepa.errors import DataError
from seqjepa.reading.archives import Member, file_state, hidden, is_archive, members
from seqjepa.reading.findings import Finding, Report
from seqjepa.worlds.images.base import ImageSet, ImageSplit, Source, hold_out
from seqjepa.worlds.images.cached import ImageFiles, ImagePart, Published, decoded

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png")
OTHERS = (
    ".gif",
    ".bmp",
    ".webp",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
    ".heic",
    ".avif",
    ".jp2",
    ".jxl",
    ".ico",
    ".svg",
)
SPLITS = ("train", "val", "test")
TEST_FRACTION = 0.1


class ImageFolder(Source):
    """See the module."""

    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        """See `Source.open`."""
        files = file_state(path, _is_image)
        read = partial(_publish, path, image_size)
        found = decoded(
            "folder",
            files,
            image_size,
            read,
            lambda parts: _splits(parts["images"], 0)["train"],
            stretched=False,
        )
        return ImageSet(
            _splits(found.parts["images"], val_fraction), found.classes, found.mean, found.std
        )

    def inspect(self, path: Path) -> Report | None:
        """See `Source.inspect`."""
        if not (path.is_dir() or is_archive(path)) or not any(
            _is_image(member.name) for member in members(path)
        ):
            return None
        return Report.of("folder of images", _findings(path))


SOURCE = ImageFolder()


def _findings(path: Path) -> Iterator[Finding]:
    try:
        classes, part, ignored = _read(path, 64)
    except DataError as error:
        yield Finding(False, str(error))
        return
    yield Finding(True, f"{len(part.labels):,} images, {len(classes)} classes")
    if ignored:
        yield Finding(True, f"{ignored:,} other files, which are left out")
    yield ImageFiles(partial(_files, path), 64).sample(len(part.labels))


def _publish(path: Path, size: int) -> Published:
    classes, part, ignored = _read(path, size)
    if ignored:
        Console(stderr=True).print(
            f"{path}: {ignored:,} files are no images by their names and left out",
            markup=False,
            soft_wrap=True,
        )
    return Published(classes, {"images": part})


def _read(path: Path, size: int) -> tuple[tuple[str, ...], ImagePart, int]:
    """Class names, all images, and how many files are none."""
    names = [member.name for member in members(path)]
    images = [name for name in names if _is_image(name)]
    if wrong := [name for name in images if not name.lower().endswith(SUFFIXES)]:
        raise DataError(
            f"{path / wrong[0]} and {len(wrong) - 1} others are neither JPEG nor PNG: convert them or leave them out"
        )
    if not images:
        raise DataError(f"{path} holds no JPEG or PNG images")
    root = "" if path.is_dir() else _common(images)
    inside = [name.removeprefix(root) for name in images]
    has_splits = _check_tops(path, inside)
    found = [_class(name, has_splits) for name in inside]
    classes = tuple(sorted({name for name in found if name is not None}))
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([-1 if name is None else numbers[name] for name in found], np.int64)
    return (
        classes,
        ImagePart(labels, ImageFiles(partial(_files, path), size), tuple(inside)),
        len(names) - len(images),
    )


def _is_image(name: str) -> bool:
    return not hidden(name) and name.lower().endswith(SUFFIXES + OTHERS)


def _files(path: Path) -> Iterator[Member]:
    return (member for member in members(path) if _is_image(member.name))


def _common(names: list[str]) -> str:
    """The top folder that all are in, in folders of it, with its slash; else nothing."""
    tops = {name.partition("/")[0] for name in names}
    deep = all(name.count("/") >= 2 for name in names)
    return f"{tops.pop()}/" if len(tops) == 1 and deep and tops.isdisjoint(SPLITS) else ""


def _check_tops(path: Path, names: list[str]) -> bool:
    """Whether the top folders are splits.

    Raises:
        DataError: if some are and others are not, or one is missing.
    """
    tops = {name.partition("/")[0] for name in names}
    if tops.isdisjoint(SPLITS):
        return False
    if "train" not in tops or len(tops) == 1 or not tops <= set(SPLITS):
        expected = "train and at least one of val and test, and no images beside them"
        raise DataError(
            f"{path} has {', '.join(sorted(tops)[:5])} at its top, expected {expected}, or none of these: rename or move folders"
        )
    return True


def _class(name: str, has_splits: bool) -> str | None:
    folders = name.split("/")[int(has_splits) : -1]
    return folders[0] if folders else None


def _splits(everything: ImageSplit, val_fraction: float) -> dict[str, ImageSplit]:
    """The splits that the names say, or drawn ones."""
    assert everything.names is not None, "images of files have names"
    tops = np.array(
        [name.partition(b"/")[0].decode(errors="replace") for name in everything.names.tolist()]
    )
    given = {
        split: everything.select(np.flatnonzero(tops == split))
        for split in SPLITS
        if (tops == split).any()
    }
    if len(given) == len(SPLITS):
        return given
    if given:
        train, test = given.values()
    else:
        train, test = hold_out(everything, TEST_FRACTION)
    train, val = hold_out(train, val_fraction)
    return {"train": train, "val": val, "test": test}
