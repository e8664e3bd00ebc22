"""Rendered views on disk: built once, resumable, verified byte for byte, memory-mapped."""

import hashlib
import io
import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress

from seqjepa.errors import DataError, DiskError
from seqjepa.files import json_bytes, locked, sha256, write_atomically
from seqjepa.worlds.table import ViewTable

FORMAT = 1
CHUNK = 256  # objects rendered between two records of progress


@dataclass(frozen=True)
class Plan:
    """How to make the views of one split.

    Attributes:
        poses: [N, V, P] float32.
        labels: [N] int64.
        image_shape: (H, W, C).
        render: views [stop - start, V, H, W, C] uint8 of the objects start .. stop - 1, a pure function of them.
    """

    poses: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    image_shape: tuple[int, int, int]
    render: Callable[[int, int], npt.NDArray[np.uint8]]


def cache_root() -> Path:
    """Where caches live: $SEQJEPA_CACHE, else `seqjepa` in the user's cache folder."""
    if place := os.environ.get("SEQJEPA_CACHE"):
        return Path(place)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqjepa"


def cached_tables(name: str, key: Mapping[str, Any], plans: Mapping[str, Plan]) -> dict[str, ViewTable]:
    """The tables of all splits, rendered if need be; a damaged split is rendered again.

    Args:
        name: of the world.
        key: everything the views depend on; another key is another cache.
        plans: one per split.

    Raises:
        DiskError: if the cache folder cannot be written.
    """
    fingerprint = hashlib.sha256(json.dumps({"format": FORMAT, **key}, sort_keys=True).encode()).hexdigest()
    folder = cache_root() / f"{name}-{fingerprint[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):  # the others wait, and then find the work done
            tables = {split: _open(folder / split, plan) for split, plan in plans.items()}
            if any(table is None for table in tables.values()):
                write_atomically(folder / "key.json", json_bytes(key))
                _build(name, folder, {split: plans[split] for split, table in tables.items() if table is None})
                tables = {split: _open(folder / split, plan) for split, plan in plans.items()}
    except OSError as error:
        raise DiskError(
            f"cannot keep rendered views in {folder}: {error.strerror or error}. Free space or set SEQJEPA_CACHE to another folder"
        ) from error
    found = {split: table for split, table in tables.items() if table is not None}
    if missing := plans.keys() - found.keys():
        raise DataError(f"views just rendered to {folder} do not read back right: {', '.join(sorted(missing))}. Is the disk failing?")
    return found


def _open(folder: Path, plan: Plan) -> ViewTable | None:
    """The table of a finished split whose every byte is as written, else None."""
    views = folder / "views.npy"
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if manifest["sha256"] != _sha256(views):
            shutil.rmtree(folder)
            return None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return ViewTable(np.load(views, mmap_mode="r"), plan.poses, plan.labels)


def _build(name: str, folder: Path, plans: Mapping[str, Plan]) -> None:
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"rendering {name}", total=sum(plan.poses.shape[0] * plan.poses.shape[1] for plan in plans.values()))
        for split, plan in plans.items():
            _build_split(folder / split, plan, partial(progress.advance, task))


def _build_split(folder: Path, plan: Plan, advance: Callable[[float], None]) -> None:
    """Append chunk after chunk to a file beside the final one; a killed build goes on after the chunks that are on the disk as rendered.

    The file is written, not mapped: on a full disk, writing to a sparse map kills the process without a word.
    """
    folder.mkdir(exist_ok=True)
    unfinished, record = folder / "views.partial.npy", folder / "progress.json"
    objects, per_object = plan.poses.shape[:2]
    header, size = _header((objects, per_object, *plan.image_shape)), per_object * math.prod(plan.image_shape)
    digests = _whole_chunks(unfinished, record, header, CHUNK * size)
    done = min(len(digests) * CHUNK, objects)
    advance(done * per_object)
    with unfinished.open("ab") as file:
        file.truncate(len(header) + done * size if done else 0)
        file.write(b"" if done else header)
        for start in range(done, objects, CHUNK):
            stop = min(start + CHUNK, objects)
            data = plan.render(start, stop).tobytes()
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            digests.append(sha256(data))
            write_atomically(record, json_bytes(digests))
            advance((stop - start) * per_object)
    unfinished.replace(folder / "views.npy")
    record.unlink()
    write_atomically(folder / "manifest.json", json_bytes({"format": FORMAT, "sha256": _sha256(folder / "views.npy")}))


def _header(shape: tuple[int, ...]) -> bytes:
    """What stands before the pixels in a .npy file."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def _whole_chunks(unfinished: Path, record: Path, header: bytes, size: int) -> list[str]:
    """The digests of those chunks of a killed build that are as they were rendered, up to the first that is not."""
    try:
        digests: list[str] = json.loads(record.read_bytes())
        with unfinished.open("rb") as file:
            if file.read(len(header)) != header:
                return []
            return list(itertools.takewhile(lambda digest: sha256(file.read(size)) == digest, digests))
    except (FileNotFoundError, ValueError):
        return []


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
