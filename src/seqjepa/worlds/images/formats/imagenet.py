"""ImageNet-1k (ILSVRC 2012): 1,281,167 training and 50,000 validation images of all sizes, 1,000
classes.

The path is that of a folder with

- `train/<wnid>/*.JPEG`,
- `val/<wnid>/*.JPEG`, or `val/*.JPEG` as published and, beside `val`, Kaggle's
  `LOC_val_solution.csv`, which says their classes;

or of the folder of the Kaggle archive, which has both in `ILSVRC/Data/CLS-LOC`. Images are
stretched to a square, as in seq-JEPA's paper. The published validation images are our `test`, and
`val` is held out from the training images. Labels count wnids in their order."""

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from seqjepa.errors import DataError
from seqjepa.reading.archives import Member, file_state, hidden, locate, members
from seqjepa.reading.findings import Finding, Report, count
from seqjepa.worlds.images.base import ImageSet, Source, hold_out
from seqjepa.worlds.images.cached import ImageFiles, Published, decoded

COUNTS = {"train": 1_281_167, "val": 50_000}
SUFFIXES = (".jpeg", ".jpg", ".png")
CLASSES = "LOC_val_solution.csv"
LAYOUT = (
    f"expected train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, or val/*.JPEG with {CLASSES} beside it"
)


class ImageNet(Source):
    """See the module."""

    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        """See `Source.open`."""
        root = _root(path)
        files = " ".join(file_state(_folder(root / origin), _is_image) for origin in COUNTS)
        found = decoded(
            "imagenet",
            files,
            image_size,
            partial(_publish, root, image_size),
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
        root = _root(path)
        ours = any(
            folder.name[:1] == "n" and folder.name[1:].isdecimal()
            for folder in (root / "train").glob("n*")
        )
        nested = any((root / "train").glob("n*/images"))  # that is Tiny ImageNet
        return Report.of("ImageNet-1k", _findings(root)) if ours and not nested else None


SOURCE = ImageNet()


def _root(path: Path) -> Path:
    return locate(path, "ILSVRC/Data/CLS-LOC")


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise DataError(f"there is no folder {path}: {LAYOUT}")
    return path


def _is_image(name: str) -> bool:
    return not hidden(name) and name.lower().endswith(SUFFIXES)


def _findings(root: Path) -> Iterator[Finding]:
    try:
        published = _publish(root, 224)
    except DataError as error:
        yield Finding(False, str(error))
        return
    yield count(root / "train", "classes", len(published.classes), 1000)
    for origin, wanted in COUNTS.items():
        found = len(published.parts[origin].labels)
        yield count(root / origin, f"{origin} images", found, wanted)
        yield ImageFiles(partial(_files, root, origin), 224).sample(found)


def _publish(root: Path, size: int) -> Published:
    wnids = sorted(
        folder.name
        for folder in _folder(root / "train").iterdir()
        if folder.is_dir() and not hidden(folder.name)
    )
    numbers = {wnid: number for number, wnid in enumerate(wnids)}
    parts = {}
    for origin in COUNTS:
        files = ImageFiles(partial(_files, root, origin), (size, size))
        parts[origin] = files.part(partial(_label, numbers, _solution(root)))
        if not len(parts[origin].labels):
            raise DataError(f"{root / origin} holds no images: {LAYOUT}")
    return Published(tuple(wnids), parts)


def _files(root: Path, origin: str) -> Iterator[Member]:
    return (member for member in members(_folder(root / origin)) if _is_image(member.name))


def _solution(root: Path) -> dict[str, str]:
    """Kaggle's table: by name of image without suffix, the wnid, which begins the second column."""
    path = next(
        (folder / CLASSES for folder in (root, *root.parents[:3]) if (folder / CLASSES).is_file()),
        None,
    )
    if path is None:
        return {}
    try:
        with path.open(newline="") as file:
            return {row[0]: row[1].split()[0] for row in csv.reader(file) if row[0] != "ImageId"}
    except (OSError, csv.Error, IndexError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is no table of ImageId,PredictionString ({error}): get it from Kaggle again"
        ) from error


def _label(numbers: Mapping[str, int], solution: Mapping[str, str], member: Member) -> int:
    *folders, name = member.name.split("/")
    wnid = folders[0] if folders else solution.get(name.rpartition(".")[0])
    if wnid is None or len(folders) > 1:
        raise DataError(f"{member.where} has no class: {LAYOUT}")
    if wnid not in numbers:
        raise DataError(
            f"{member.where} is of class {wnid!r}, which has no folder in train: {LAYOUT}"
        )
    return numbers[wnid]
