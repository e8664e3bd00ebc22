"""Images decoded once into the cache, whatever they come from; after that neither they nor their
labels are read again."""

import io
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from seqjepa.errors import DataError, DiskError
from seqjepa.files import locked, sha256, write_atomically
from seqjepa.reading.archives import Member
from seqjepa.reading.findings import Finding
from seqjepa.reading.pixels import MOST_BYTES, decode
from seqjepa.store.cache import Plan, cache_folder, cached_tables
from seqjepa.store.table import ViewTable, pixel_statistics
from seqjepa.types import Indices
from seqjepa.worlds.images.base import ImageSplit

VERSION = 1  # of decoding: raise it when pixels or the order of images change
SAMPLE = 32  # images that a check decodes
AHEAD = 4 * (
    os.cpu_count() or 1
)  # files in memory that are still to be decoded: enough for every core
CHUNK_BYTES = 32 << 20  # of pixels between two records of progress

Decode = Callable[[int, int], npt.NDArray[np.uint8]]
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ImagePart:
    """All images of one published file or folder, in its order.

    Attributes:
        labels: [N] int64, -1 where unknown.
        decode: the images start .. stop - 1, [stop - start, S, S, 3] uint8, a pure function of
            them; quick if asked for in order.
        names: [N] of their files, or nothing.
    """

    labels: Indices
    decode: Decode
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """A data set as its files have it.

    Attributes:
        classes: class names; a label is an index into them.
        parts: by origin, see `ImageSplit`.
    """

    classes: tuple[str, ...]
    parts: Mapping[str, ImagePart]


@dataclass(frozen=True)
class Decoded:
    """A data set in the cache.

    Attributes:
        classes: class names.
        mean, std: per channel, of pixels in 0..1, of the training images.
        parts: by origin, all images of each.
    """

    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    parts: Mapping[str, ImageSplit]


def decoded(
    name: str,
    files: str,
    size: int,
    read: Callable[[], Published],
    training: Callable[[Mapping[str, ImageSplit]], ImageSplit],
    stretched: bool = True,
) -> Decoded:
    """A data set from the cache, where it is put if it is not there yet.

    Args:
        name: of the format.
        files: a fingerprint of the files.
        size: S, pixels per side.
        read: what the files hold; called only if the cache does not hold it as a whole.
        training: those images of all that statistics are of.
        stretched: see `ImageSplit`.

    Raises:
        DataError: if files are damaged.
        DiskError: if the cache folder cannot be written.
    """
    key = {"version": VERSION, "image_size": size, "files": files}
    path = cache_folder(name, key) / "index"
    once = cache(read)
    index = _read_index(path)
    listed = _listing(once()) if index is None else index
    origins = [array.removeprefix("labels/") for array in listed if array.startswith("labels/")]
    plans = {
        origin: _plan(listed[f"labels/{origin}"], size, partial(_later, once, origin))
        for origin in origins
    }
    tables = cached_tables(name, key, plans, doing="decoding")
    parts = {
        origin: _split(tables[origin], origin, listed[f"names/{origin}"], stretched)
        for origin in origins
    }
    if index is None:
        listed = _complete(path, listed, lambda: statistics(training(parts)))
    return Decoded(
        tuple(listed["classes"].tolist()),
        tuple(listed["mean"].tolist()),
        tuple(listed["std"].tolist()),
        parts,
    )


def _later(
    read: Callable[[], Published], origin: str, start: int, stop: int
) -> npt.NDArray[np.uint8]:
    """See `ImagePart.decode`, without reading anything before the first image is asked for."""
    return read().parts[origin].decode(start, stop)


def statistics(split: ImageSplit) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """See `pixel_statistics`."""
    poses = np.zeros((len(split), 1, 0), np.float32)
    return pixel_statistics(
        ViewTable(split.images[:, None], poses, split.labels, split.rows, split.checksums)
    )


def _plan(labels: Indices, size: int, decode: Decode) -> Plan:
    poses = np.zeros((len(labels), 1, 0), np.float32)
    return Plan(poses, labels, (size, size, 3), lambda *at: decode(*at)[:, None], _chunk(size))


def _chunk(size: int) -> int:
    """Images decoded between two records of progress."""
    return min(max(CHUNK_BYTES // (3 * size**2), 64), 8192)


def _split(
    table: ViewTable, origin: str, names: npt.NDArray[np.bytes_], stretched: bool
) -> ImageSplit:
    mapped = cast("npt.NDArray[np.uint8]", table.views)  # the cache gives no other
    named = names if len(names) else None
    return ImageSplit(
        mapped[:, 0], table.labels, None, origin, named, table.checksums, table.contents, stretched
    )


def _listing(published: Published) -> Arrays:
    arrays: Arrays = {"classes": np.array(published.classes, np.str_)}
    for origin, part in published.parts.items():
        arrays[f"labels/{origin}"] = part.labels.astype(np.int64)
        arrays[f"names/{origin}"] = np.array([os.fsencode(name) for name in part.names], np.bytes_)
    return arrays


def _read_index(path: Path) -> Arrays | None:
    """What was written there, if it is whole: arrays after their digest."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, contents = data[:64], data[64:]
    if sha256(contents).encode() != digest:
        return None
    with np.load(io.BytesIO(contents)) as arrays:
        return dict(arrays)


def _complete(
    path: Path, listed: Arrays, measure: Callable[[], tuple[tuple[float, ...], tuple[float, ...]]]
) -> Arrays:
    """The index with mean and standard deviation, written by one process; the others wait and read
    it."""
    try:
        with locked(path.parent):
            if (index := _read_index(path)) is not None:
                return index
            mean, std = measure()
            index = listed | {"mean": np.array(mean), "std": np.array(std)}
            data = io.BytesIO()
            np.savez(data, allow_pickle=False, **index)
            write_atomically(path, sha256(data.getvalue()).encode() + data.getvalue())
            return index
    except OSError as error:
        raise DiskError(
            f"cannot write {path}: {error.strerror}. Free space or set SEQJEPA_CACHE to another folder"
        ) from error


class ImageFiles:
    """Image files of a folder or archive, in its order; called, it decodes them in several threads
    (see `ImagePart.decode`).

    Args:
        begin: starts an iteration over the files.
        size: see `decode`.
    """

    def __init__(self, begin: Callable[[], Iterator[Member]], size: int | tuple[int, int]) -> None:
        self.begin, self.size = begin, size
        self.place = -1
        self.rest: Iterator[Member] = iter(())

    def part(self, label: Callable[[Member], int]) -> ImagePart:
        """All of them, with their labels."""
        found = [(member.name, label(member)) for member in self.begin()]
        return ImagePart(
            np.array([number for _, number in found], np.int64),
            self,
            tuple(name for name, _ in found),
        )

    def sample(self, total: int) -> Finding:
        """Whether some of them, of so many, spread evenly, can be decoded."""
        tried = 0
        try:
            for member in itertools.islice(self.begin(), 0, None, max(1, total // SAMPLE)):
                decode(member.read(MOST_BYTES), member.where, self.size)
                tried += 1
        except DataError as error:
            return Finding(False, str(error))
        return Finding(True, f"{tried} of them, spread evenly, can be decoded")

    def __call__(self, start: int, stop: int) -> npt.NDArray[np.uint8]:
        """Images [stop - start, S, S, 3]."""
        if start != self.place:  # the first time, and where a killed build goes on
            self.rest = itertools.islice(self.begin(), start, None)
        images, waiting = [], deque[Future[npt.NDArray[np.uint8]]]()
        with ThreadPoolExecutor() as pool:
            for member in itertools.islice(self.rest, stop - start):
                if len(waiting) == AHEAD:
                    images.append(waiting.popleft().result())
                waiting.append(self._decode(member, pool))
            images += [job.result() for job in waiting]
        if len(images) != stop - start:
            raise DataError(
                f"{stop - start - len(images)} images went away while they were read: start again"
            )
        self.place = stop
        return np.stack(images)

    def _decode(self, member: Member, pool: ThreadPoolExecutor) -> Future[npt.NDArray[np.uint8]]:
        if member.lasting:
            return pool.submit(lambda: decode(member.read(MOST_BYTES), member.where, self.size))
        return pool.submit(decode, member.read(MOST_BYTES), member.where, self.size)


def resized(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Images [N, H, W, 3] stretched to [N, S, S, 3] bicubically; as they are if they have that
    size."""
    if images.shape[1:3] == (size, size):
        return images
    return np.stack(
        [
            np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
            for image in images
        ]
    )
