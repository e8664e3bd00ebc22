"""Any folder or archive (zip, tar) of JPEG and PNG images.

- An image's class is its first sub-folder; images that stand in none have no class.
- Top folders `train`, `val` and `test`, if there are any, are the splits, and classes are the folders in them. Where just one of `val` and
  `test` is there, it is our `test`, and `val` is held out from `train`. Without any, a tenth of all images is held out as `test`.
- Of an archive, a single top folder that holds all the rest is left out of account.
- Images are cut to their middle square.
- Files whose names do not end as those of images do, and hidden ones, are left out, and it is said how many; images in other formats than
  JPEG and PNG are refused.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from seqjepa.errors import DataError
from seqjepa.worlds.archives import Member, fingerprint, is_archive, members
from seqjepa.worlds.check import Finding, Report
from seqjepa.worlds.decoded import ImageFiles, Part, Published, decoded
from seqjepa.worlds.images.base import ImageSet, Source

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png")
OTHERS = (".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".heic", ".avif", ".jp2", ".jxl", ".ico", ".svg")
SPLITS = ("train", "val", "test")
TEST_FRACTION = 0.1


class ImageFolder(Source):
    """See the module."""

    image_size = 0

    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        """See `Source.open`."""
        place = path.expanduser()
        files = fingerprint(place, _is_image)
        found = decoded("folder", files, image_size, partial(_publish, place, image_size), lambda parts: _splits(parts[""], 0)["train"])
        return ImageSet(_splits(found.parts[""], val_fraction), found.classes, found.mean, found.std)

    def inspect(self, path: Path) -> Report | None:
        """See `Source.inspect`."""
        if not (path.is_dir() or is_archive(path)) or not any(_is_image(member.name) for member in members(path)):
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
        Console(stderr=True).print(f"{path}: {ignored:,} files are no images by their names and left out", markup=False, soft_wrap=True)
    return Published(classes, {"": part})


def _read(path: Path, size: int) -> tuple[tuple[str, ...], Part, int]:
    """Class names, all images, and how many files are none."""
    names = [member.name for member in members(path)]
    images = [name for name in names if _is_image(name)]
    if wrong := [name for name in images if not name.lower().endswith(SUFFIXES)]:
        raise DataError(f"{path / wrong[0]} and {len(wrong) - 1} others are neither JPEG nor PNG: convert them or leave them out")
    if not images:
        raise DataError(f"{path} holds no JPEG or PNG images")
    root = _common(images) if not path.is_dir() else ""
    inside = [name.removeprefix(root) for name in images]
    _check_splits(path, inside)
    found = [_class(name, _tops(inside)) for name in inside]
    classes = tuple(sorted({name for name in found if name is not None}))
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([-1 if name is None else numbers[name] for name in found], np.int64)
    return classes, Part(labels, ImageFiles(partial(_files, path), size), tuple(inside)), len(names) - len(images)


def _is_image(name: str) -> bool:
    hidden = name.rpartition("/")[2].startswith(".")
    return not hidden and name.lower().endswith(SUFFIXES + OTHERS)


def _files(path: Path) -> Iterator[Member]:
    return (member for member in members(path) if _is_image(member.name))


def _common(names: list[str]) -> str:
    """The top folder that all are in, with a slash, unless it is a class or a split; else nothing."""
    tops = {name.partition("/")[0] for name in names}
    deep = all(name.count("/") >= 2 for name in names)
    return f"{tops.pop()}/" if len(tops) == 1 and deep else ""
