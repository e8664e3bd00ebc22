"""Packs of views: three large files instead of millions of small ones, with random access.

    <folder>/images.bin          all images, those of an object together: JPEG files or raw pixels
    <folder>/index.npy           [N, V] records (`record_type`): place of each image, its checksum
                                 and factors, and the record's own checksum
    <folder>/<split>_images.npy  split files as in the layout of 3DIEBench (`seqjepa.store.splits`)
    <folder>/<split>_labels.npy
    <folder>/pack.json           the options it was begun with; written first
    <folder>/manifest.json       sizes and digests of all the others; written last

Nothing is trusted. Opening compares every size, and every digest but that of the images; each image
has a checksum that is verified whenever it is read. So a damaged pack is found without reading all
of it first.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.errors import ConfigError, DataError
from seqjepa.files import file_sha256, read_at
from seqjepa.from_json import build_dataclass
from seqjepa.reading.npy import open_array
from seqjepa.reading.pixels import Resampling, decode
from seqjepa.render.scene import SPACES
from seqjepa.store.folder import Images, Store
from seqjepa.store.splits import read_listing
from seqjepa.store.table import ViewTable
from seqjepa.types import Indices

FORMAT = 1
IMAGES, INDEX, MANIFEST, NOTE = "images.bin", "index.npy", "manifest.json", "pack.json"
# The first bytes of the images' file. Without them raw pixels would begin on a page, and copying
# them would take three times as long: where source and destination lie a few bytes apart modulo
# 4,096, each load of a processor waits for the store before it.
MAGIC = b"seqjepa pack of views\n".ljust(64, b"\0")
AGAIN = "run `seqjepa data pack` once more with the same options, which mends it"

Coding = Literal["jpeg", "raw"]


def record_type(factors: int) -> np.dtype[np.void]:
    """Return the type of the index's records of views with so many factors."""
    return np.dtype(
        [
            ("offset", "<u8"),
            ("length", "<u8"),
            ("checksum", "<u8"),
            ("latent", "<f8", factors),
            ("own_checksum", "<u8"),
        ]
    )


# The factors of views, by the type of their records.
RECORDS = {record_type(length): space for length, space in SPACES.items()}


@dataclass(frozen=True, kw_only=True)
class Digest:
    """Size and contents that a file must have.

    Attributes:
        bytes: its size.
        sha256: of its contents, in hexadecimal digits.
    """

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options a pack is made with.

    Attributes:
        coding: `jpeg` files or `raw` pixels.
        size: pixels per side of resized views; None for JPEG files kept as they were.
        quality: of JPEGs that were encoded anew; None if none were.
        views: V, of each object.
        listing: digest of the names of the objects, their splits and labels.
    """

    coding: Coding
    size: int | None
    quality: int | None
    views: int
    listing: str


@dataclass(frozen=True, kw_only=True)
class PackManifest:
    """Contents of `manifest.json`.

    Attributes:
        format: version of the packed form.
        options: those it was packed with.
        files: a digest of each file, by its name.
    """

    format: int
    options: Options
    files: dict[str, Digest]


class PackedStore(Store):
    """A finished pack.

    Args:
        folder: one that `seqjepa data pack` wrote.

    Raises:
        DataError: if it is unfinished, incomplete or damaged.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / NOTE).is_file():
            raise DataError(
                f"{folder / NOTE} is missing: get all files of the pack again, or delete {folder} "
                "and run `seqjepa data pack` once more"
            )
        self.folder, self.manifest = folder, read_manifest(folder)
        # The images are large, so their contents are verified when they are read.
        for name in {*self.manifest.files, IMAGES, INDEX}:
            _compare(folder, name, self.manifest.files.get(name), contents=name != IMAGES)

        self.listing = read_listing(folder)
        self.file = (folder / IMAGES).open("rb", buffering=0)
        self.index: npt.NDArray[np.void] = open_array(folder / INDEX, "the places of images", AGAIN)
        options = self.manifest.options
        shape = (len(self.listing.places), options.views)
        if self.index.dtype not in RECORDS or self.index.shape != shape:
            raise DataError(f"{folder / INDEX} does not fit the other files of the pack: {AGAIN}")

        # Raw views are found by their size, so it must be the one that they were written with.
        written, side = self.manifest.files[IMAGES].bytes, max(0, options.size or 0)
        if options.coding == "raw" and written != len(MAGIC) + self.index.size * 3 * side**2:
            raise DataError(
                f"{folder / MANIFEST} is damaged, raw views of {options.size} pixels a side do not "
                f"fill {written:,} bytes: {AGAIN}"
            )

    @property
    @override
    def factors(self) -> ActionSpace:
        return RECORDS[self.index.dtype]

    @override
    def fewest(self) -> tuple[int, str]:
        return self.manifest.options.views, self.listing.places[0]

    @override
    def table(
        self,
        rows: Indices,
        views: int,
        size: int,
        option: str = "world.image_size",
        resampling: Resampling = "bicubic",
    ) -> ViewTable:
        options = self.manifest.options
        if options.size is not None and resampling != "bicubic":
            raise ConfigError(
                f"{self.folder} holds views that were shrunk to {options.size} pixels when they "
                f"were packed, not by world.resampling {resampling}: give world.path the folder "
                "that was packed, or a pack made without --size"
            )
        if options.coding == "raw" and size != options.size:
            raise ConfigError(
                f"{self.folder} holds raw views of {options.size} pixels a side, "
                f"world.image_size is {size}: make them equal"
            )

        shape = (len(self.index), views, size, size, 3)
        images: Images | _Pixels
        if options.coding == "jpeg":
            decode(*self.jpeg(int(rows[0]), 0), size, option)
            images = Images(self.jpeg, shape, option, resampling)
        else:
            images = _Pixels(self, shape)

        return ViewTable(
            images,
            self.index["latent"][rows, :views].astype(np.float32),
            self.listing.labels[rows],
            rows,
            contents=self.manifest.files[IMAGES].sha256,
        )

    def jpeg(self, row: int, view: int) -> tuple[bytes, str]:
        """Return the bytes of a JPEG file as it was packed, and its name for messages.

        Raises:
            DataError: if they are damaged.
        """
        record, name = self.index[row, view], self.name(row, view)
        data = read_at(self.file, int(record["length"]), int(record["offset"]))
        if checksum(data) != record["checksum"]:
            raise DataError(f"{name} is damaged: {AGAIN}")
        return data, name

    def name(self, row: int, view: int) -> str:
        """Return a view's name for messages."""
        return f"{self.folder / IMAGES}: view {view} of object {self.listing.places[row]}"


class _Pixels:
    """The raw views of a pack as an array [N, V, S, S, 3]."""

    dtype = np.dtype(np.uint8)

    def __init__(self, store: PackedStore, shape: tuple[int, ...]) -> None:
        self.store, self.shape = store, shape
        # The file holds all views of an object, of which the table may want only the first ones.
        stored = (*store.index.shape, *shape[2:])
        self.pixels = np.memmap(store.folder / IMAGES, np.uint8, "r", len(MAGIC), stored)

    def __getitem__(self, at: tuple[Indices, Indices]) -> npt.NDArray[np.uint8]:
        found: npt.NDArray[np.uint8] = self.pixels[at]

        # The same sum as `checksum`, of all views at once: raw views are multiples of 8 bytes.
        sums = found.reshape(*found.shape[:-3], -1).view("<u8").sum(-1)
        bad = np.argwhere(sums != self.store.index["checksum"][at])
        if bad.size:
            rows, views = np.broadcast_arrays(*at)
            first = tuple(bad[0])
            raise DataError(f"{self.store.name(rows[first], views[first])} is damaged: {AGAIN}")
        return found


def checksum(data: bytes) -> int:
    """Return the sum of 64-bit words, modulo 2^64.

    Every single flipped byte changes it, and it takes less time than copying the bytes.
    """
    # Zeros fill the last word, and add nothing to the sum.
    padded = data + bytes(-len(data) % 8)
    return int(np.frombuffer(padded, "<u8").sum(dtype=np.uint64))


def is_pack(folder: Path) -> bool:
    """Return whether a folder is a pack, finished or not."""
    # One that lacks its note must not be taken for a folder of views: opening it says so.
    return (folder / NOTE).is_file() or all((folder / name).is_file() for name in (IMAGES, INDEX))


def read_manifest(folder: Path) -> PackManifest:
    """Read the manifest of a pack.

    Raises:
        DataError: if the pack is unfinished, damaged or of a newer version.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_bytes())

        # A newer format may have other fields: say so before they are missed.
        version = data.get("format") if isinstance(data, Mapping) else None
        if isinstance(version, int) and version > FORMAT:
            raise DataError(
                f"{path} has format {version}, this version of seqjepa reads up to {FORMAT}: "
                "update seqjepa"
            )
        return build_dataclass(PackManifest, data)
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} is an unfinished pack: run `seqjepa data pack` once more with the same "
            "options, which goes on"
        ) from error
    except (OSError, ValueError, RecursionError, ConfigError) as error:
        raise DataError(f"{path} is damaged ({error}): {AGAIN}") from error


def digest(path: Path) -> Digest:
    """Return a file's size and digest."""
    return Digest(bytes=path.stat().st_size, sha256=file_sha256(path))


def _compare(folder: Path, name: str, expected: Digest | None, *, contents: bool) -> None:
    """Raise a DataError if a file is not as it was written; contents are compared if asked for."""
    path, manifest = folder / name, folder / MANIFEST
    if expected is None:
        raise DataError(f"{manifest} is damaged, it does not list {name}: {AGAIN}")
    if path.parent != folder:
        raise DataError(f"{manifest} is damaged, it lists {name!r} outside the pack: {AGAIN}")

    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        # A ValueError is about a name that no file can have.
        raise DataError(f"{path} is missing: {AGAIN}".replace("\0", "\\0")) from error
    if size != expected.bytes:
        raise DataError(
            f"{path} has {size:,} bytes, it was written with {expected.bytes:,}: {AGAIN}"
        )
    if contents and digest(path) != expected:
        raise DataError(f"{path} is damaged, its SHA-256 is not what {MANIFEST} says: {AGAIN}")
