"""What a set of images is, and the one function that opens any of them."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqjepa.errors import ConfigError, DataError, unknown
from seqjepa.keys import scramble
from seqjepa.reading.findings import Report
from seqjepa.store.checksums import Checksums
from seqjepa.store.fingerprint import digests
from seqjepa.worlds.base import WorldSpec
from seqjepa.worlds.images import formats


@dataclass(frozen=True)
class ImageSplit:
    """The images of one split.

    Attributes:
        images: [N', S, S, 3] uint8, usually a memory map; those of other splits may stand there
            too.
        labels: [N] int64, -1 where unknown.
        rows: [N], where these stand in `images`; None where `images` holds just these, in order.
        origin: which of the published files or folders `images` was decoded from (`unlabeled`,
            `train`, `test` ...). `images` has all of its images in the published order, so what was
            computed elsewhere for each of them (saliency) is found by `places`.
        names: [N'] of the files that `images` was decoded from, as UTF-8 bytes, below the folder of
            that origin (ImageNet) or of the data set, where they may begin with the split (Tiny
            ImageNet, folders); None where they have none.
        checksums: of `images`, where these are checked when they are read.
        contents: a digest of all bytes of `images`, where it is known; see `data`.
        stretched: whether whole images were stretched to the square; else it is their middle that
            was cut out.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64] | None = None
    origin: str = ""
    names: npt.NDArray[np.bytes_] | None = None
    checksums: Checksums | None = None
    contents: str = ""
    stretched: bool = True

    @property
    def data(self) -> npt.NDArray[np.uint8] | str:
        """For `digests`, what stands for `images`: the digest of their bytes if it is known,
        else they themselves."""
        return self.contents or self.images

    def __len__(self) -> int:
        return len(self.labels)

    def places(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """[B]: where the images `index` [B] stand in `images`, `names` and whatever else has the
        published order."""
        return index if self.rows is None else self.rows[index]

    def select(self, rows: npt.NDArray[np.int64]) -> "ImageSplit":
        """Of these images those in `rows`."""
        return replace(self, labels=self.labels[rows], rows=self.places(rows))

    def pick(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """[B, S, S, 3]: the images `index` [B].

        Raises:
            DataError: if one is not as it was written to the cache.
        """
        places = self.places(index)
        picked = self.images[places]
        if self.checksums is not None:
            self.checksums.verify((places, np.zeros_like(places)), picked)
        return picked


@dataclass(frozen=True)
class ImageSet:
    """All splits of a data set: `train`, `val` (held out from the training images, for choosing
    settings) and `test` at least.

    Attributes:
        splits: by name.
        classes: class names; a label is an index into them.
        mean, std: per channel, of pixels in 0..1, of the published training images, `val` included.
        probe_split: that probes learn from (see `WorldSpec`).
    """

    splits: Mapping[str, ImageSplit]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    probe_split: str = "train"

    def fill(self, outline: WorldSpec) -> WorldSpec:
        """A spec with all that is known of these images in place of what was not known before they
        were opened."""
        known = replace(
            outline, classes=self.classes, splits=tuple(self.splits), mean=self.mean, std=self.std
        )
        return replace(known, probe_split=self.probe_split, data=self._fingerprint())

    def _fingerprint(self) -> dict[str, str]:
        """For `WorldSpec.data`."""
        arrays = {
            name: {"images": split.data, "labels": split.labels, "rows": split.rows}
            for name, split in self.splits.items()
        }
        parts = {
            f"{split}.{name}": array
            for split, named in arrays.items()
            for name, array in named.items()
            if array is not None
        }
        return digests(parts)


def hold_out(split: ImageSplit, fraction: float) -> tuple[ImageSplit, ImageSplit]:
    """The images of a split to train on, and those that make up `val`.

    Which ones is settled by a hash of their files' names, or of their places where they have none:
    the same ones on every machine, and nearly the same ones when a few images are added. A fraction
    above 0 holds out one image at least.

    Raises:
        ConfigError: if the fraction is not in 0..1, or 1.
        DataError: if nothing would be left to train on.
    """
    if not 0 <= fraction < 1:
        raise ConfigError(f"world.val_fraction must be at least 0 and below 1, got {fraction}")
    places = split.places(np.arange(len(split)))
    if split.names is None:
        hashes = scramble(places.astype(np.uint64))
    else:
        hashes = np.array(
            [int.from_bytes(sha256(name).digest()[:8]) for name in split.names[places].tolist()],
            np.uint64,
        )
    order = np.argsort(hashes, kind="stable")
    held = max(round(fraction * len(split)), int(fraction > 0))
    if 0 < len(split) <= held:
        raise DataError(
            f"a share of {fraction} of {len(split)} image(s) to hold out, one at least, leaves none to train on: add images or lower "
            "world.val_fraction"
        )
    return split.select(np.sort(order[held:])), split.select(np.sort(order[:held]))


class Source(ABC):
    """A published format."""

    @abstractmethod
    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        """The images, from files or archives as published; decoded once into the cache.

        Args:
            path: of the data set.
            image_size: S, pixels per side.
            val_fraction: of the training images that make up `val`, the same ones on every machine;
                0 leaves it empty.

        Raises:
            DataError: if files are missing or damaged.
        """

    @abstractmethod
    def inspect(self, path: Path) -> Report | None:
        """See `WorldConfig.inspect`."""


def sources() -> dict[str, Source]:
    """Every format by the name of its module."""
    modules = [name for _, name, _ in pkgutil.iter_modules(formats.__path__)]
    return {name: importlib.import_module(f"{formats.__name__}.{name}").SOURCE for name in modules}


def find_source(name: str) -> Source:
    """The format of that name.

    Raises:
        ConfigError: if there is none.
    """
    known = sources()
    if name not in known:
        raise ConfigError(unknown("world.source", name, known))
    return known[name]


def open_images(source: str, path: str, image_size: int, val_fraction: float) -> ImageSet:
    """The images of a world that has these fields; see `Source.open`.

    Raises:
        ConfigError: if there is no such format, or nothing at the path.
    """
    found, place = find_source(source), Path(path).expanduser()
    if not place.exists():
        raise ConfigError(
            f"world.path: there is no {place}; it must be an archive or folder that `seqjepa data check` knows"
        )
    return found.open(place, image_size, val_fraction)
