"""Published images in the cache: once decoded, their files are not read again.

The folder of a data set holds a table of pixels for each origin, and an `index`: class names,
labels, file names and pixel statistics.
"""

import functools
import io
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from seqjepa.files import disk_errors, locked, sha256, write_atomically
from seqjepa.reading.findings import BadFilesError, list_bytes
from seqjepa.store.cache import REMEDY, Plan, cache_folder, cached_tables
from seqjepa.store.table import ViewTable, pixel_statistics
from seqjepa.types import Indices
from seqjepa.worlds.images.decoded import Decoding
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit
from seqjepa.worlds.images.published import ImagePart, Published

# Part of the cache's key: raise it when decoded pixels or the order of images change.
VERSION = 1
LIST = "bad_files.txt"
CHUNK_BYTES = 32 << 20  # of pixels between two records of progress

Arrays = dict[str, npt.NDArray[Any]]


def cached_parts(
    name: str,
    files: str,
    size: int,
    read: Callable[[], Published],
    training: Callable[[Mapping[str, ImageSplit]], ImageSplit],
    version: int = 0,
) -> ImageSet:
    """Return all images by origin, decoded into the cache if need be.

    Args:
        name: the format's.
        files: a fingerprint of the published files.
        size: S, pixels per side.
        read: reads the files; called at most once, and only for what the cache lacks.
        training: picks the images that give the pixel statistics.
        version: of the way in which names become labels; an index of another one is made anew,
            of the pixels that are there.

    Returns:
        A set with origins in place of splits.

    Raises:
        DataError: if files are damaged.
        DiskError: if the cache folder cannot be written.
    """
    key = {"version": VERSION, "image_size": size, "files": files}
    path = cache_folder(name, key) / "index"
    published = functools.cache(read)

    # A whole index says all that a plan needs, so the files stay closed.
    index = _read_index(path, version)
    listed = _listing(published(), version) if index is None else index

    # A table may be missing or damaged beside a whole index: then its files are read after all,
    # when it is made again.
    def part(origin: str) -> ImagePart:
        return published().parts[origin]

    origins = [array.removeprefix("labels/") for array in listed if array.startswith("labels/")]
    plans = {}
    for origin in origins:
        decoding = Decoding(name, key, partial(part, origin))
        plans[origin] = _plan(listed[f"labels/{origin}"], size, decoding)
    try:
        tables = cached_tables(name, key, plans, doing="decoding")
    except BadFilesError as error:
        raise _listed(error, path.with_name(LIST)) from None

    parts = {}
    for origin in origins:
        parts[origin] = _split(tables[origin], origin, listed[f"names/{origin}"])

    # Statistics need decoded pixels, so only now can the index be completed and written.
    if index is None:
        listed = _complete(path, listed, training(parts))
    classes, mean, std = (tuple(listed[array].tolist()) for array in ("classes", "mean", "std"))
    return ImageSet(parts, classes, mean, std)


def _plan(labels: Indices, size: int, decoding: Decoding) -> Plan:
    shape = (size, size, 3)
    return Plan(_no_poses(labels), labels, shape, decoding.render, _chunk(size), decoding)


def _listed(error: BadFilesError, path: Path) -> BadFilesError:
    """Write the list of bad files; return the error that says where it is."""
    with disk_errors(f"cannot write {path}", REMEDY):
        write_atomically(path, list_bytes(error.files))
    return BadFilesError(error.files, error.total, error.what, str(path))


def statistics(split: ImageSplit) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel, see `pixel_statistics`."""
    views, poses = split.images[:, None], _no_poses(split.labels)
    return pixel_statistics(ViewTable(views, poses, split.labels, split.rows, split.checksums))


def _no_poses(labels: Indices) -> npt.NDArray[np.float32]:
    """Return poses [N, 1, 0]: each image is the one view of its object, without factors."""
    return np.zeros((len(labels), 1, 0), np.float32)


def _chunk(size: int) -> int:
    """Return the number of images decoded between two records of progress."""
    # At least 64 keep all threads busy; a kill loses a chunk, so no more than 8,192.
    return min(max(CHUNK_BYTES // (3 * size**2), 64), 8192)


def _split(table: ViewTable, origin: str, names: npt.NDArray[np.bytes_]) -> ImageSplit:
    mapped = cast("npt.NDArray[np.uint8]", table.views)  # the cache gives no other
    return ImageSplit(
        images=mapped[:, 0],
        labels=table.labels,
        origin=origin,
        names=names if len(names) else None,
        checksums=table.checksums,
        contents=table.contents,
    )


def _listing(published: Published, version: int) -> Arrays:
    """Return the index of published files, without pixel statistics."""
    # Strings of a fixed width, as arrays hold them, need no pickle. Names are bytes, for on Linux
    # they need not be UTF-8.
    arrays: Arrays = {"classes": np.array(published.classes, np.str_)}
    arrays["version"] = np.array(version)
    for origin, part in published.parts.items():
        arrays[f"labels/{origin}"] = part.labels.astype(np.int64)
        arrays[f"names/{origin}"] = np.array([os.fsencode(name) for name in part.names], np.bytes_)
    return arrays


def _read_index(path: Path, version: int) -> Arrays | None:
    """Return the index in a file, or None if it is missing, damaged or of another version."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None

    # 64 hexadecimal digits of SHA-256, then an .npz file.
    digest, contents = data[:64], data[64:]
    if sha256(contents).encode() != digest:
        return None
    with np.load(io.BytesIO(contents)) as arrays:
        index = dict(arrays)
    return index if index.get("version", 0) == version else None


def _complete(path: Path, listed: Arrays, training: ImageSplit) -> Arrays:
    """Add pixel statistics to an index and write it, or read what another process wrote."""
    with disk_errors(f"cannot write {path}", REMEDY), locked(path.parent):
        if (index := _read_index(path, int(listed["version"]))) is not None:
            return index

        mean, std = statistics(training)
        index = listed | {"mean": np.array(mean), "std": np.array(std)}

        # The digest stands first: a file that was cut anywhere does not match it.
        data = io.BytesIO()
        np.savez(data, allow_pickle=False, **index)
        write_atomically(path, sha256(data.getvalue()).encode() + data.getvalue())
        return index
