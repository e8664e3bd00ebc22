"""Rendered or decoded views on disk: built once, resumable, verified, memory-mapped.

What is verified when: a table of up to 4 GiB byte for byte whenever it is opened; of a larger one
    size, header and checksums then, and each
view the first time it is read (`sums.py`). An unfinished table is compared with what was written,
chunk by chunk, before it is completed."""

import errno
import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress

from seqjepa.distributed import rank
from seqjepa.errors import DataError, DiskError
from seqjepa.files import file_sha256, force, json_bytes, locked, sha256, sync, write_atomically
from seqjepa.reading.npy import npy_bytes, npy_header
from seqjepa.store.checksums import Checksums
from seqjepa.store.table import ViewTable

FORMAT = 1
CHUNK = 256  # objects rendered between two records of progress
LARGE = 4 << 30  # bytes; verifying so many takes seconds


@dataclass(frozen=True)
class Plan:
    """How to make the views of one split.

    Attributes:
        poses: [N, V, P] float32.
        labels: [N] int64.
        image_shape: (H, W, C).
        render: views [stop - start, V, H, W, C] uint8 of the objects start .. stop - 1, a pure
            function of them.
        chunk: objects rendered between two records of progress; None for what suits rendering.
    """

    poses: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    image_shape: tuple[int, int, int]
    render: Callable[[int, int], npt.NDArray[np.uint8]]
    chunk: int | None = None

    @property
    def table_shape(self) -> tuple[int, ...]:
        """[N, V, H, W, C]."""
        return (*self.poses.shape[:2], *self.image_shape)


def cache_root() -> Path:
    """Where caches live: $SEQJEPA_CACHE, else `seqjepa` in the user's cache folder."""
    if place := os.environ.get("SEQJEPA_CACHE"):
        return Path(place)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqjepa"


def cache_folder(name: str, key: Mapping[str, Any]) -> Path:
    """Where the cache of that name and key lives."""
    fingerprint = hashlib.sha256(
        json.dumps({"format": FORMAT, **key}, sort_keys=True).encode()
    ).hexdigest()
    return cache_root() / f"{name}-{fingerprint[:12]}"


def cached_tables(
    name: str, key: Mapping[str, Any], plans: Mapping[str, Plan], doing: str = "rendering"
) -> dict[str, ViewTable]:
    """The tables of all splits, rendered if need be; a damaged split is rendered again.

    Args:
        name: of the world.
        key: everything the views depend on; another key is another cache.
        plans: one per split.
        doing: what making the views is called beside the progress.

    Raises:
        DiskError: if the cache folder cannot be written.
    """
    folder = cache_folder(name, key)
    try:
        tables = {split: _open(folder / split, plan) for split, plan in plans.items()}
        absent = {split: plan for split, plan in plans.items() if tables[split] is None}
        if absent:  # a complete cache may be nobody's to write to
            folder.mkdir(parents=True, exist_ok=True)
            with locked(
                folder, "" if rank() else f"waiting for another process: {doing} {name} in {folder}"
            ):  # then the work is done
                if left := {
                    split: plan
                    for split, plan in absent.items()
                    if _open(folder / split, plan) is None
                }:
                    write_atomically(folder / "key.json", json_bytes(key))
                    _build(f"{doing} {name}", folder, left)
                tables |= {split: _open(folder / split, plan) for split, plan in absent.items()}
    except OSError as error:
        raise DiskError(
            f"cannot keep views in {folder}: {error.strerror or error}. Free space or set SEQJEPA_CACHE to another folder"
        ) from error
    found = {split: table for split, table in tables.items() if table is not None}
    if missing := plans.keys() - found.keys():
        raise DataError(
            f"views just written to {folder} do not read back right: {', '.join(sorted(missing))}. Is the disk failing?"
        )
    return found


def _open(folder: Path, plan: Plan) -> ViewTable | None:
    """The table of a finished split that is as written, so far as that is verified at once, else
    None."""
    views, sums = folder / "views.npy", folder / "sums.npy"
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        large = "sums" in manifest
        whole = (
            file_sha256(sums) == manifest["sums"] and _fits(views, plan)
            if large
            else file_sha256(views) == manifest["sha256"]
        )
        if not whole:
            return None
        checks = Checksums(np.load(sums), folder) if large else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return ViewTable(
        np.load(views, mmap_mode="r"),
        plan.poses,
        plan.labels,
        checksums=checks,
        contents=manifest["sums" if large else "sha256"],
    )


def _fits(views: Path, plan: Plan) -> bool:
    """Whether size and header are those of the table."""
    header = npy_header(np.uint8, plan.table_shape)
    with views.open("rb") as file:
        return (
            views.stat().st_size == len(header) + math.prod(plan.table_shape)
            and file.read(len(header)) == header
        )


def _build(task: str, folder: Path, plans: Mapping[str, Plan]) -> None:
    for damaged in [folder / split for split in plans if (folder / split / "views.npy").exists()]:
        shutil.rmtree(damaged)
    wanted = sum(math.prod(plan.table_shape) for plan in plans.values())
    begun = sum(
        path.stat().st_size
        for split in plans
        for path in (folder / split).glob("views.partial.npy")
    )
    if (free := shutil.disk_usage(folder).free) < wanted - begun:
        raise OSError(
            errno.ENOSPC,
            f"they need {(wanted - begun) / 1e9:,.1f} GB, {free / 1e9:,.1f} GB are free",
        )
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(
            task, total=sum(math.prod(plan.table_shape[:2]) for plan in plans.values())
        )
        for split, plan in plans.items():
            _build_split(folder / split, plan, partial(progress.advance, bar))


def _build_split(folder: Path, plan: Plan, advance: Callable[[float], None]) -> None:
    """Append chunk after chunk to a file beside the final one; a killed build goes on after the
    chunks that are on the disk as rendered.

    The file is written, not mapped: on a full disk, writing to a sparse map kills the process
        without a word. It gets its name when all
    that vouches for it is on the disk, and the record of progress goes after that: whenever the
        build is killed, no chunk is lost.
    """
    folder.mkdir(exist_ok=True)
    unfinished, record, chunk = (
        folder / "views.partial.npy",
        folder / "progress.json",
        plan.chunk or CHUNK,
    )
    objects, per_object = plan.table_shape[:2]
    view, header = math.prod(plan.image_shape), npy_header(np.uint8, plan.table_shape)
    size = per_object * view
    digests, sums = _whole_chunks(unfinished, record, header, chunk * size, view)
    done = min(len(digests) * chunk, objects)
    advance(done * per_object)
    with unfinished.open("ab") as file:
        file.truncate(len(header) + done * size if done else 0)
        file.write(b"" if done else header)
        for start in range(done, objects, chunk):
            stop = min(start + chunk, objects)
            data = plan.render(start, stop).tobytes()
            file.write(data)
            force(file)
            digests.append(sha256(data))
            sums += _crc32s(data, view)
            write_atomically(record, json_bytes(digests))
            advance((stop - start) * per_object)
    write_atomically(
        folder / "manifest.json",
        json_bytes({"format": FORMAT, **_seal(unfinished, sums, (objects, per_object))}),
    )
    unfinished.replace(folder / "views.npy")
    sync(folder)
    record.unlink()


def _seal(views: Path, sums: list[int], shape: tuple[int, int]) -> dict[str, str]:
    """What the manifest says of finished views: their digest, or that of the checksums of every
    view."""
    if views.stat().st_size <= LARGE:
        return {"sha256": file_sha256(views)}
    data = npy_bytes(np.array(sums, np.uint32).reshape(shape))
    write_atomically(views.with_name("sums.npy"), data)
    return {"sums": sha256(data)}


def _whole_chunks(
    unfinished: Path, record: Path, header: bytes, size: int, view: int
) -> tuple[list[str], list[int]]:
    """Of those chunks of a killed build that are as they were rendered, up to the first that is
    not: digests, and checksums of views."""
    whole: list[str] = []
    sums: list[int] = []
    try:
        digests: list[str] = json.loads(record.read_bytes())
        with unfinished.open("rb") as file:
            if file.read(len(header)) != header:
                return [], []
            for digest in digests:
                if sha256(data := file.read(size)) != digest:
                    break
                whole.append(digest)
                sums += _crc32s(data, view)
    except (FileNotFoundError, ValueError):
        return [], []
    return whole, sums


def _crc32s(data: bytes, size: int) -> list[int]:
    """Of each view of so many bytes."""
    return [
        zlib.crc32(memoryview(data)[start : start + size]) for start in range(0, len(data), size)
    ]
