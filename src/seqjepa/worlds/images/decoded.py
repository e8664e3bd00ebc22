"""Decoding image files into the cache: bad files are listed, and no picture is decoded twice.

Beside a table of pixels, the file `files` holds a record of each image: the digest of its file's
bytes and a checksum of its pixels. When files are added, removed or mended, or the data set is
copied, its cache is a new one. Images whose bytes were decoded before, into any cache of the same
format and size, finished or not, are then copied and not decoded again.
"""

import json
import math
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqjepa.files import force, read_at
from seqjepa.reading.findings import BadFile, BadFilesError
from seqjepa.store.cache import FINISHED, UNFINISHED, cache_root
from seqjepa.worlds.images.published import ImageFiles, ImagePart, Outcome, Pixels

RECORDS = "files"
# Of a file and its pixels. Zeros stand for an image without a record, ones for a bad file.
RECORD = np.dtype([("file", "<u8", 2), ("pixels", "<u4")])
BAD = np.uint64(2**64 - 1)
EARLIER = ".earlier"

Records = npt.NDArray[np.void]


class Decoding:
    """The decoding of one part of a data set: a `store.cache.Maker` of its pixels.

    Args:
        name: the format's.
        key: the cache's.
        part: returns the images; called only when they are to be decoded.
    """

    def __init__(self, name: str, key: Mapping[str, Any], part: Callable[[], ImagePart]) -> None:
        self.name, self.key, self.part = name, key, part
        self.bad: list[BadFile] = []

    def begin(self, folder: Path) -> None:
        """Prepare to decode into a folder, which may hold an unfinished table."""
        self.folder, self.bad = folder, []
        earlier = folder.with_name(folder.name + EARLIER)

        # A bad file may have been mended: all are tried again, and the others copied.
        if (_records(folder)["file"] == BAD).any():
            shutil.rmtree(earlier, ignore_errors=True)
            folder.rename(earlier)
        decode = self.part().decode
        if isinstance(decode, ImageFiles):
            decode.watch(Known(_tables(self.name, self.key)).find, self._note)

    def render(self, start: int, stop: int) -> Pixels:
        """Return images [stop - start, V = 1, S, S, 3], bad ones black."""
        return self.part().decode(start, stop)[:, None]

    def finish(self) -> None:
        """Raise a BadFilesError if there are bad files: the table then stays unfinished."""
        if self.bad:
            raise BadFilesError(self.bad, len(self.part().labels))
        shutil.rmtree(self.folder.with_name(self.folder.name + EARLIER), ignore_errors=True)

    def _note(self, start: int, outcomes: list[Outcome]) -> None:
        """Write the records of images from a place on, and remember the bad ones."""
        self.bad += [(found.where, found.error) for found in outcomes if found.error]
        records = np.zeros(len(outcomes), RECORD)
        for record, found in zip(records, outcomes, strict=True):
            if found.pixels is None:
                record["file"] = BAD
            else:
                record["file"] = np.frombuffer(found.digest, "<u8")
                record["pixels"] = zlib.crc32(np.ascontiguousarray(found.pixels).data)

        # Records are on the disk before the pixels: a bad image never counts as a whole one.
        path = self.folder / RECORDS
        path.touch()
        with path.open("r+b") as file:
            file.seek(start * RECORD.itemsize)
            file.write(records.tobytes())
            force(file)


class Known:
    """Images that earlier builds decoded, by the digests of their files."""

    def __init__(self, tables: Sequence["Table"]) -> None:
        self.tables = tables
        records = [table.records for table in tables]
        self.records = np.concatenate([np.zeros(0, RECORD), *records])
        self.starts = np.cumsum([0, *map(len, records)])
        self.order = np.argsort(self.records["file"][:, 0], kind="stable")
        self.sorted = self.records["file"][self.order, 0]

    def find(self, digest: bytes) -> Pixels | None:
        """Return the pixels of a file with that digest; None if they are unknown or damaged."""
        wanted = np.frombuffer(digest, "<u8")
        first, last = (np.searchsorted(self.sorted, wanted[0], side) for side in ("left", "right"))
        for place in self.order[first:last].tolist():
            record = self.records[place]
            if not np.array_equal(record["file"], wanted):
                continue

            number = int(np.searchsorted(self.starts, place, "right")) - 1
            data, shape = self.tables[number].read(place - int(self.starts[number]))
            if zlib.crc32(data) == record["pixels"]:
                return np.frombuffer(data, np.uint8).reshape(shape)
        return None


class Table:
    """Records and pixels of an earlier build, finished or not.

    Args:
        folder: of its part.

    Raises:
        OSError: if it has no pixels, or another process has just removed it.
        ValueError: if it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.records = _records(folder)
        path = folder / FINISHED
        self.file = (path if path.exists() else folder / UNFINISHED).open("rb", buffering=0)
        np.lib.format.read_magic(self.file)
        (_, _, *shape), _, _ = np.lib.format.read_array_header_1_0(self.file)
        self.shape, self.start = tuple(shape), self.file.tell()

    def read(self, row: int) -> tuple[bytes, tuple[int, ...]]:
        """Return the bytes of an image, fewer if the table ends before it, and its shape."""
        # Not mapped: another process may cut the file, which would kill this one.
        size = math.prod(self.shape)
        return read_at(self.file, size, self.start + row * size), self.shape


def _records(folder: Path) -> Records:
    """Return the records in a folder; none if there are no whole ones."""
    try:
        data = (folder / RECORDS).read_bytes()
    except OSError:
        return np.zeros(0, RECORD)
    return np.frombuffer(data[: len(data) // RECORD.itemsize * RECORD.itemsize], RECORD)


def _tables(name: str, key: Mapping[str, Any]) -> list[Table]:
    """Return the tables of all caches of a format that differ only in their files."""
    tables = []
    for path in sorted(cache_root().glob(f"{name}-*/*/{RECORDS}")):
        try:
            other = json.loads((path.parents[1] / "key.json").read_bytes())
            if {**other, "files": ""} == {**key, "files": ""}:
                tables.append(Table(path.parent))
        except (OSError, ValueError, TypeError):
            continue  # it is damaged, or another process has just finished or removed it
    return tables
