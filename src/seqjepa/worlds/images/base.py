"""What a set of images is, and the one function that opens any of them."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqjepa.errors import ConfigError, unknown
from seqjepa.worlds import images as package
from seqjepa.worlds.check import Report
from seqjepa.worlds.fingerprint import fingerprint


@dataclass(frozen=True)
class ImageSplit:
    """The images of one split.

    Attributes:
        images: [N, S, S, 3] uint8, usually a memory map.
        labels: [N] int64, -1 where unknown.
        rows: [N], where these stand in `images`, which may hold others too; None where it holds just these, in order.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, index: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """[B, S, S, 3]: the images `index` [B]."""
        return self.images[index if self.rows is None else self.rows[index]]


@dataclass(frozen=True)
class ImageSet:
    """All splits of a data set: `train`, `val` (held out from the training images, for choosing settings) and `test` at least.

    Attributes:
        splits: by name.
        classes: class names; a label is an index into them.
        mean, std: per channel, of pixels in 0..1, of the training images.
        probe_split: that probes learn from (see `WorldSpec`).
    """

    splits: Mapping[str, ImageSplit]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    probe_split: str = "train"

    def fingerprint(self) -> dict[str, str]:
        """For `WorldSpec.data`."""
        arrays = {name: {"images": split.images, "labels": split.labels, "rows": split.rows} for name, split in self.splits.items()}
        parts = {f"{split}.{name}": array for split, named in arrays.items() for name, array in named.items() if array is not None}
        return fingerprint(parts)


class Source(ABC):
    """A published format.

    Attributes:
        image_size: pixels per side as published; 0 where images differ.
    """

    image_size: int

    @abstractmethod
    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        """The images, from files or archives as published; decoded once into the cache.

        Args:
            path: of the data set.
            image_size: S, pixels per side.
            val_fraction: of the training images that make up `val`, the same ones on every machine.

        Raises:
            DataError: if files are missing or damaged.
        """

    @abstractmethod
    def inspect(self, path: Path) -> Report | None:
        """See `WorldConfig.inspect`."""


def sources() -> dict[str, Source]:
    """Every format by the name of its module."""
    modules = [name for _, name, _ in pkgutil.iter_modules(package.__path__) if name != "base"]
    return {name: importlib.import_module(f"{package.__name__}.{name}").SOURCE for name in modules}


def find_source(name: str) -> Source:
    """The format of that name.

    Raises:
        ConfigError: if there is none.
    """
    known = sources()
    if name not in known:
        raise ConfigError(unknown("world.source", name, known))
    return known[name]
