"""Rendered or decoded views on disk: built once, resumable, verified, memory-mapped.

A table of up to 4 GiB is verified byte for byte whenever it is opened. Of a larger one, size,
header and checksums are verified then, and each view the first time it is read (`checksums.py`).
An unfinished table is compared with what was written, chunk by chunk, before it is completed.
"""

import errno
import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from seqjepa.display import progress
from seqjepa.distributed import rank
from seqjepa.errors import DataError, DiskError
from seqjepa.files import (
    disk_errors,
    file_sha256,
    force,
    home,
    json_bytes,
    locked,
    sha256,
    sync,
    write_atomically,
)
from seqjepa.reading.findings import BadFilesError
from seqjepa.reading.npy import npy_bytes, npy_header
from seqjepa.store.checksums import Checksums
from seqjepa.store.table import ViewTable

FORMAT = 1
FINISHED, UNFINISHED = "views.npy", "views.partial.npy"
CHUNK = 256  # objects rendered between two records of progress
LARGE = 4 << 30  # bytes; verifying that many takes seconds
REMEDY = "Free space or set SEQJEPA_CACHE to another folder"


class Maker(Protocol):
    """A maker of views that may meet bad files."""

    def begin(self, folder: Path) -> None:
        """Prepare for a split's folder, which may hold an unfinished table, or be missing."""

    def finish(self) -> None:
        """Raise a BadFilesError if views could not be made: the table then stays unfinished."""


@dataclass(frozen=True)
class Plan:
    """Instructions for making the views of one split.

    Attributes:
        poses: [N, V, P] float32.
        labels: [N] int64.
        image_shape: (H, W, C).
        render: views [stop - start, V, H, W, C] uint8 of the objects start .. stop - 1, a pure
            function of them.
        chunk: objects rendered between two records of progress; None for what suits rendering.
        maker: is asked before and after views are rendered, if they come from files.
    """

    poses: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    image_shape: tuple[int, int, int]
    render: Callable[[int, int], npt.NDArray[np.uint8]]
    chunk: int | None = None
    maker: Maker | None = None

    @property
    def table_shape(self) -> tuple[int, ...]:
        """Shape of all views, [N, V, H, W, C]."""
        return (*self.poses.shape[:2], *self.image_shape)


def cache_root() -> Path:
    """Return the folder of all caches: $SEQJEPA_CACHE, else one in the user's cache folder.

    Raises:
        DiskError: if there is none.
    """
    if place := os.environ.get("SEQJEPA_CACHE"):
        return Path(place)
    if place := os.environ.get("XDG_CACHE_HOME"):
        return Path(place) / "seqjepa"
    if (own := home()) is None:
        raise DiskError("there is no home folder to keep views in: set SEQJEPA_CACHE to a folder")
    return own / ".cache" / "seqjepa"


def cache_folder(name: str, key: Mapping[str, Any]) -> Path:
    """Return the folder of the cache with that name and key."""
    text = json.dumps({"format": FORMAT, **key}, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return cache_root() / f"{name}-{fingerprint[:12]}"


def cached_tables(
    name: str, key: Mapping[str, Any], plans: Mapping[str, Plan], doing: str = "rendering"
) -> dict[str, ViewTable]:
    """Return the tables of all splits; a split that is missing or damaged is rendered first.

    Args:
        name: the world's.
        key: everything the views depend on; another key is another cache.
        plans: one per split.
        doing: the name of making the views, for the progress bar.

    Raises:
        DiskError: if the cache folder cannot be written.
        BadFilesError: if views cannot be made of files; all others are kept.
        DataError: if views just written do not read back right.
    """
    folder = cache_folder(name, key)
    with disk_errors(f"cannot keep views in {folder}", REMEDY):
        tables = _open_finished(folder, plans)

        # A finished cache may be read-only, so it is opened without a lock.
        absent = _without(plans, tables)
        if absent:
            folder.mkdir(parents=True, exist_ok=True)
            waiting = f"waiting for another process: {doing} {name} in {folder}"
            with locked(folder, "" if rank() else waiting):
                # Another process may have done the work while this one waited.
                tables |= _open_finished(folder, absent)
                if left := _without(plans, tables):
                    write_atomically(folder / "key.json", json_bytes(key))
                    _build(f"{doing} {name}", folder, left)
                    tables |= _open_finished(folder, left)

    if missing := sorted(_without(plans, tables)):
        raise DataError(
            f"views just written to {folder} do not read back right: {', '.join(missing)}. "
            "Is the disk failing?"
        )
    return {split: tables[split] for split in plans}


def _without(plans: Mapping[str, Plan], tables: Mapping[str, ViewTable]) -> dict[str, Plan]:
    """Return the plans that have no table."""
    return {split: plan for split, plan in plans.items() if split not in tables}


def _open_finished(folder: Path, plans: Mapping[str, Plan]) -> dict[str, ViewTable]:
    """Return the tables of the splits that are finished and whole."""
    tables = {split: _open(folder / split, plan) for split, plan in plans.items()}
    return {split: table for split, table in tables.items() if table is not None}


def _open(folder: Path, plan: Plan) -> ViewTable | None:
    """Return the table of a split, or None if it is unfinished or not as it was written.

    The views of a large table are verified later, when they are read.
    """
    views, checksums_file = folder / FINISHED, folder / "sums.npy"
    checksums = None
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if "sums" in manifest:
            contents = manifest["sums"]
            if file_sha256(checksums_file) != contents or not _fits(views, plan):
                return None
            checksums = Checksums(np.load(checksums_file), folder)
        else:
            contents = manifest["sha256"]
            if file_sha256(views) != contents:
                return None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None

    mapped = np.load(views, mmap_mode="r")
    return ViewTable(mapped, plan.poses, plan.labels, checksums=checksums, contents=contents)


def _fits(views: Path, plan: Plan) -> bool:
    """Return whether a file's size and header are those of the planned table."""
    header = npy_header(np.uint8, plan.table_shape)
    if views.stat().st_size != len(header) + math.prod(plan.table_shape):
        return False
    with views.open("rb") as file:
        return file.read(len(header)) == header


def _build(task: str, folder: Path, plans: Mapping[str, Plan]) -> None:
    """Render all views of some splits, none of which is finished and whole."""
    # A finished split that is rendered again is damaged, and has no record of progress to go by.
    for split, plan in plans.items():
        if (folder / split / FINISHED).exists():
            shutil.rmtree(folder / split)
        if plan.maker:
            plan.maker.begin(folder / split)
    _require_space(folder, plans)

    views = sum(math.prod(plan.table_shape[:2]) for plan in plans.values())
    bad: list[BadFilesError] = []
    with progress(task, views) as advance:
        for split, plan in plans.items():
            try:
                _build_split(folder / split, plan, advance)
            except BadFilesError as error:
                bad.append(error)

    # All splits are rendered first, so that every bad file is named.
    if bad:
        files = [file for error in bad for file in error.files]
        raise BadFilesError(files, sum(error.total for error in bad), bad[0].what)


def _require_space(folder: Path, plans: Mapping[str, Plan]) -> None:
    """Raise an OSError if the views that are still to be rendered do not fit on the disk."""
    needed = 0
    for split, plan in plans.items():
        needed += math.prod(plan.table_shape)
        unfinished = folder / split / UNFINISHED
        if unfinished.exists():
            needed -= unfinished.stat().st_size

    free = shutil.disk_usage(folder).free
    if free < needed:
        reason = f"they need {needed / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free"
        raise OSError(errno.ENOSPC, reason)


def _build_split(folder: Path, plan: Plan, advance: Callable[[float], None]) -> None:
    """Render a split's views into its folder; a killed build is continued.

    Chunk after chunk is appended to a file beside the final one. The chunks of a killed build that
    are on the disk as rendered are kept.
    """
    folder.mkdir(exist_ok=True)
    unfinished, record = folder / UNFINISHED, folder / "progress.json"
    header = npy_header(np.uint8, plan.table_shape)
    objects, views = plan.table_shape[:2]
    view_bytes = math.prod(plan.image_shape)
    object_bytes = views * view_bytes
    chunk = plan.chunk or CHUNK

    chunk_bytes = chunk * object_bytes
    digests, checksums = _whole_chunks(unfinished, record, header, chunk_bytes, view_bytes)
    done = min(len(digests) * chunk, objects)
    advance(done * views)

    # The file is written, not mapped: on a full disk, writing to a sparse map kills the process
    # without a word.
    with unfinished.open("ab") as file:
        file.truncate(len(header) + done * object_bytes if done else 0)
        file.write(b"" if done else header)
        for start in range(done, objects, chunk):
            stop = min(start + chunk, objects)
            data = plan.render(start, stop).tobytes()
            file.write(data)
            force(file)

            digests.append(sha256(data))
            checksums += _crc32s(data, view_bytes)
            write_atomically(record, json_bytes(digests))
            advance((stop - start) * views)

    if plan.maker:
        plan.maker.finish()

    # The views get their name once all that vouches for them is on the disk. The record of
    # progress goes last: no kill, whenever it comes, loses a chunk.
    digest = _write_checksums(unfinished, checksums, (objects, views))
    manifest = {"format": FORMAT, **digest}
    write_atomically(folder / "manifest.json", json_bytes(manifest))
    unfinished.replace(folder / FINISHED)
    sync(folder)
    record.unlink()


def _write_checksums(views: Path, checksums: list[int], shape: tuple[int, int]) -> dict[str, str]:
    """Write the checksums of many finished views; return a digest for the manifest.

    The digest of a large file of views is that of the file of all their checksums. Of a smaller
    one it is the digest of the views' bytes, and nothing is written.
    """
    if views.stat().st_size <= LARGE:
        return {"sha256": file_sha256(views)}
    data = npy_bytes(np.array(checksums, np.uint32).reshape(shape))
    write_atomically(views.with_name("sums.npy"), data)
    return {"sums": sha256(data)}


def _whole_chunks(
    unfinished: Path, record: Path, header: bytes, chunk_bytes: int, view_bytes: int
) -> tuple[list[str], list[int]]:
    """Return digests of a killed build's chunks, and checksums of their views.

    They are of the chunks that are as they were rendered, up to the first that is not.
    """
    whole: list[str] = []
    checksums: list[int] = []
    try:
        digests: list[str] = json.loads(record.read_bytes())
        with unfinished.open("rb") as file:
            if file.read(len(header)) != header:
                return [], []

            # Later chunks may be whole, but what is appended must follow what is kept.
            for digest in digests:
                data = file.read(chunk_bytes)
                if sha256(data) != digest:
                    break
                whole.append(digest)
                checksums += _crc32s(data, view_bytes)
    except (FileNotFoundError, ValueError):
        return [], []
    return whole, checksums


def _crc32s(data: bytes, view_bytes: int) -> list[int]:
    """Return the CRC-32 of each view in the bytes of many."""
    view = memoryview(data)
    return [
        zlib.crc32(view[start : start + view_bytes]) for start in range(0, len(data), view_bytes)
    ]
