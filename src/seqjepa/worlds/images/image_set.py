"""A set of labelled images and its splits, as worlds get it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from seqjepa.errors import ConfigError
from seqjepa.keys import scramble
from seqjepa.store import holdout
from seqjepa.store.checksums import Checksums
from seqjepa.store.fingerprint import digests
from seqjepa.types import Indices
from seqjepa.worlds.base import WorldSpec


@dataclass(frozen=True)
class ImageSplit:
    """The images of one split.

    Attributes:
        images: [N', S, S, 3] uint8, usually a memory map; it may hold images of other splits too.
        labels: [N] int64, -1 where unknown.
        rows: [N], the places of this split's images in `images`; None if `images` holds exactly
            these, in order.
        origin: the published file or folder that `images` was decoded from (`unlabeled`, `train`,
            `test` ...). `images` has all of its images in the published order, so `places` also
            finds what was computed elsewhere for each of them, such as saliency.
        names: [N'] file names as bytes, relative to the origin's folder (ImageNet) or to the data
            set, where they may begin with the split (Tiny ImageNet, folders); None if the images
            are not files of their own.
        checksums: of `images`, if they are verified when they are read.
        contents: a digest of all bytes of `images`, if it is known; see `data`.
        stretched: True if whole images were stretched to the square, False if their middle square
            was cut out.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    rows: Indices | None = None
    origin: str = ""
    names: npt.NDArray[np.bytes_] | None = None
    checksums: Checksums | None = None
    contents: str = ""
    stretched: bool = True

    @property
    def data(self) -> npt.NDArray[np.uint8] | str:
        """Return what `digests` takes for the images: their digest if known, else themselves."""
        return self.contents or self.images

    def __len__(self) -> int:
        return len(self.labels)

    def places(self, index: Indices) -> Indices:
        """Return the places [B] of images `index` [B] in `images`, `names` and the like."""
        return index if self.rows is None else self.rows[index]

    def select(self, rows: Indices) -> "ImageSplit":
        """Return the split that has only the images `rows` of this one."""
        return replace(self, labels=self.labels[rows], rows=self.places(rows))

    def pick(self, index: Indices) -> npt.NDArray[np.uint8]:
        """Return the images `index` [B] as [B, S, S, 3].

        Raises:
            DataError: if one is not as it was written to the cache.
        """
        places = self.places(index)
        picked = self.images[places]
        if self.checksums is not None:
            # The cache is a table of objects and views; each image is the one view of its object.
            self.checksums.verify((places, np.zeros_like(places)), picked)
        return picked


@dataclass(frozen=True)
class ImageSet:
    """All splits of a data set, at least `train`, `val` and `test`.

    `val` is held out from the training images, for choosing settings.

    Attributes:
        splits: by name.
        classes: class names; a label is an index into them.
        mean, std: per channel, of pixels in 0..1, of the published training images, `val` included.
        probe_split: the split that probes learn from (see `WorldSpec`).
    """

    splits: Mapping[str, ImageSplit]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    probe_split: str = "train"

    def fill(self, outline: WorldSpec) -> WorldSpec:
        """Return a spec completed with what only the opened images say."""
        return replace(
            outline,
            classes=self.classes,
            splits=tuple(self.splits),
            mean=self.mean,
            std=self.std,
            probe_split=self.probe_split,
            data=self._fingerprint(),
        )

    def _fingerprint(self) -> dict[str, str]:
        """Return digests of images, labels and rows, for `WorldSpec.data`."""
        # Splits may share `images`: then only `rows` say which ones are theirs.
        parts: dict[str, npt.NDArray[np.uint8] | Indices | str] = {}
        for name, split in self.splits.items():
            parts[f"{name}.images"] = split.data
            parts[f"{name}.labels"] = split.labels
            if split.rows is not None:
                parts[f"{name}.rows"] = split.rows
        return digests(parts)


def hold_out(
    split: ImageSplit, fraction: float, name: str = "val"
) -> tuple[ImageSplit, ImageSplit]:
    """Split images into those to train on and those held out.

    The choice depends on a hash of file names, or of places where there are none: it is the same on
    every machine, and nearly the same when a few images are added. A fraction above 0 holds out at
    least one image.

    Args:
        split: the images.
        fraction: at least 0 and below 1.
        name: of the split to hold out, for messages.

    Raises:
        ConfigError: if the fraction is out of range.
        DataError: if nothing would be left to train on.
    """
    # A world's config checks this too, but images can be opened without one.
    if not 0 <= fraction < 1:
        raise ConfigError(f"world.{name}_fraction must be at least 0 and below 1, got {fraction}")

    places = split.places(np.arange(len(split)))
    if split.names is None:
        hashes = scramble(places.astype(np.uint64))
    else:
        # Eight bytes of SHA-256 are as good as a random number, and the same everywhere.
        sums = (sha256(file).digest() for file in split.names[places].tolist())
        hashes = np.array([int.from_bytes(digest[:8]) for digest in sums], np.uint64)

    # In the order of hashes, a larger fraction holds out the same images and more.
    order = np.argsort(hashes, kind="stable")
    where = f"the set of images {split.origin!r}"
    remedy = f"add images or lower world.{name}_fraction" if name == "val" else "add images"
    rows = holdout.hold_out(order, {name: fraction}, where, remedy)
    return split.select(rows["train"]), split.select(rows[name])
