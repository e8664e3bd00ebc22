"""Views of objects packed: three large files for millions of small ones, with random access to
every view.

    <folder>/images.bin          the images, one behind the other, those of an object together: JPEG
    files as they were, or raw pixels <folder>/index.npy           [N, V] records (`RECORD`): where
    each image stands, its check sum, its factors, the record's check sum
    <folder>/<split>_images.npy  split files as in the layout of 3DIEBench (`seqjepa.store.splits`),
    and <split>_labels.npy <folder>/pack.json           with which options it was begun; written
    first <folder>/manifest.json       sizes and digests of all of them; written last

Nothing is believed: opening compares every size, and every digest but that of the images; each
    image has a check sum that is looked at
whenever it is read. So a damaged pack is found without reading all of it first.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from seqjepa.errors import ConfigError, DataError
from seqjepa.files import file_sha256
from seqjepa.from_json import build_dataclass
from seqjepa.reading.pixels import check_size
from seqjepa.render.scene import LATENTS
from seqjepa.store.folder import Images, Store
from seqjepa.store.splits import read_listing
from seqjepa.store.table import ViewTable
from seqjepa.types import Indices

FORMAT = 1
IMAGES, INDEX, MANIFEST, NOTE = "images.bin", "index.npy", "manifest.json", "pack.json"
RECORD = np.dtype(
    [
        ("offset", "<u8"),
        ("length", "<u8"),
        ("checksum", "<u8"),
        ("latent", "<f8", len(LATENTS)),
        ("own_checksum", "<u8"),
    ]
)
MAGIC = b"seqjepa pack of views\n".ljust(64, b"\0")
"""The images' first bytes. Raw pixels would else begin on a page, and copying them take three times as long: where source and destination
lie a few bytes apart modulo 4,096, each load of a processor waits for the store before it."""
AGAIN = "run `seqjepa data pack` once more with the same options, which mends it"

Coding = Literal["jpeg", "raw"]


@dataclass(frozen=True, kw_only=True)
class Digest:
    """What a file must be.

    Attributes:
        bytes: its size.
        sha256: of its contents, in hexadecimal digits.
    """

    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """How views are packed.

    Attributes:
        coding: `jpeg` files or `raw` pixels.
        size: pixels per side that they were brought to; None for JPEG files as they were.
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
    """What stands in `manifest.json`.

    Attributes:
        format: version of the packed form.
        options: how it was packed.
        files: by name, what each must be.
    """

    format: int
    options: Options
    files: dict[str, Digest]


class PackedStore(Store):
    """A finished pack.

    Args:
        folder: that `seqjepa data pack` wrote.

    Raises:
        DataError: if it is unfinished or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = folder, read_manifest(folder)
        for name in {*self.manifest.files, IMAGES, INDEX}:
            _compare(folder, name, self.manifest.files.get(name), contents=name != IMAGES)
        self.listing = read_listing(folder)
        self.file = (folder / IMAGES).open("rb", buffering=0)
        self.index: npt.NDArray[np.void] = np.load(folder / INDEX, mmap_mode="r")
        if self.index.dtype != RECORD or self.index.shape != (
            len(self.listing.places),
            self.manifest.options.views,
        ):
            raise DataError(f"{folder / INDEX} does not fit the other files of the pack: {AGAIN}")

    def fewest(self) -> tuple[int, str]:
        """See `Store.fewest`."""
        return self.manifest.options.views, self.listing.places[0]

    def table(self, rows: Indices, views: int, size: int) -> ViewTable:
        """See `Store.table`."""
        options = self.manifest.options
        if options.coding == "raw" and size != options.size:
            raise ConfigError(
                f"{self.folder} holds raw views of {options.size} pixels a side, world.image_size is {size}: make them equal"
            )
        shape = (len(self.index), views, size, size, 3)
        if options.coding == "jpeg":
            check_size(*self.jpeg(int(rows[0]), 0), size, "world.image_size")
        sha256 = self.manifest.files[IMAGES].sha256
        images = Images(self.jpeg, shape) if options.coding == "jpeg" else _Pixels(self, shape)
        return ViewTable(
            images,
            self.index["latent"][rows, :views].astype(np.float32),
            self.listing.labels[rows],
            rows,
            contents=sha256,
        )

    def jpeg(self, row: int, view: int) -> tuple[bytes, str]:
        """The bytes of a JPEG file, as they were when they were packed, and its name for
        messages."""
        record, name = self.index[row, view], self.name(row, view)
        data = os.pread(
            self.file.fileno(), int(record["length"]), int(record["offset"])
        )  # from several threads, unlike seeking
        if checksum(data) != record["checksum"]:
            raise DataError(f"{name} is damaged: {AGAIN}")
        return data, name

    def name(self, row: int, view: int) -> str:
        """What a view is called in messages."""
        return f"{self.folder / IMAGES}: view {view} of object {self.listing.places[row]}"


class _Pixels:
    """The raw views of a pack as an array [N, V, S, S, 3]."""

    dtype = np.dtype(np.uint8)

    def __init__(self, store: PackedStore, shape: tuple[int, ...]) -> None:
        self.store, self.shape = store, shape
        self.pixels = np.memmap(
            store.folder / IMAGES, np.uint8, "r", len(MAGIC), (*store.index.shape, *shape[2:])
        )

    def __getitem__(self, at: tuple[Indices, Indices]) -> npt.NDArray[np.uint8]:
        found: npt.NDArray[np.uint8] = self.pixels[at]
        sums = found.reshape(*found.shape[:-3], -1).view("<u8").sum(-1)
        if (bad := np.argwhere(sums != self.store.index["checksum"][at])).size:
            rows, views = np.broadcast_arrays(*at)
            raise DataError(
                f"{self.store.name(rows[tuple(bad[0])], views[tuple(bad[0])])} is damaged: {AGAIN}"
            )
        return found


def checksum(data: bytes) -> int:
    """The sum of 64-bit words, modulo 2^64: every single flipped byte changes it, and it takes less
    time than to copy the bytes."""
    return int(np.frombuffer(data + bytes(-len(data) % 8), "<u8").sum(dtype=np.uint64))


def is_pack(folder: Path) -> bool:
    """Whether a folder is a pack, or one that is unfinished."""
    return (folder / NOTE).is_file()


def read_manifest(folder: Path) -> PackManifest:
    """What a pack says of itself.

    Raises:
        DataError: if it is unfinished, damaged or of a newer version.
    """
    path = folder / MANIFEST
    try:
        data = json.loads(path.read_bytes())
        if (
            isinstance(data, Mapping)
            and isinstance(data.get("format"), int)
            and data["format"] > FORMAT
        ):
            raise DataError(
                f"{path} has format {data['format']}, this version of seqjepa reads up to {FORMAT}: update seqjepa"
            )
        return build_dataclass(PackManifest, data)
    except FileNotFoundError as error:
        raise DataError(
            f"{folder} is an unfinished pack: run `seqjepa data pack` once more with the same options, which goes on"
        ) from error
    except (OSError, ValueError, ConfigError) as error:
        raise DataError(f"{path} is damaged ({error}): {AGAIN}") from error


def digest(path: Path) -> Digest:
    """What a file is."""
    return Digest(bytes=path.stat().st_size, sha256=file_sha256(path))


def _compare(folder: Path, name: str, expected: Digest | None, *, contents: bool) -> None:
    """Raise a DataError if a file is not as it was written."""
    path = folder / name
    if expected is None or path.parent != folder:
        raise DataError(
            f"{folder / MANIFEST} is damaged, file {name!r} should not stand there, or is not there: {AGAIN}"
        )
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} is missing: {AGAIN}") from error
    if size != expected.bytes:
        raise DataError(
            f"{path} has {size:,} bytes, it was written with {expected.bytes:,}: {AGAIN}"
        )
    if contents and digest(path) != expected:
        raise DataError(f"{path} is damaged, its SHA-256 is not what {MANIFEST} says: {AGAIN}")
