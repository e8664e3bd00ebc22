"""Rendered views on disk: built once, resumable, verified byte for byte, memory-mapped."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from seqjepa.errors import DataError, DiskError
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
        with _locked(folder):
            tables = {split: _open(folder / split, plan) for split, plan in plans.items()}
            if any(table is None for table in tables.values()):
                (folder / "key.json").write_text(json.dumps(key, indent=1, sort_keys=True))
                _build(name, folder, {split: plans[split] for split, table in tables.items() if table is None})
                tables = {split: _open(folder / split, plan) for split, plan in plans.items()}
    except OSError as error:
        raise DiskError(
            f"cannot keep rendered views in {folder}: {error.strerror}. Free space or set SEQJEPA_CACHE to another folder"
        ) from error
    found = {split: table for split, table in tables.items() if table is not None}
    if missing := plans.keys() - found.keys():
        raise DataError(f"views just rendered to {folder} do not read back right: {', '.join(sorted(missing))}. Is the disk failing?")
    return found


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One builder at a time; others wait and then find the work done."""
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


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
    with Progress(transient=True) as progress:
        task = progress.add_task(f"rendering {name}", total=sum(plan.poses.shape[0] * plan.poses.shape[1] for plan in plans.values()))
        for split, plan in plans.items():
            _build_split(folder / split, plan, lambda images: progress.advance(task, images))


def _build_split(folder: Path, plan: Plan, advance: Callable[[int], None]) -> None:
    """Render chunk after chunk into a file beside the final one; a killed build goes on after the last chunk it recorded."""
    folder.mkdir(exist_ok=True)
    partial, record = folder / "views.partial.npy", folder / "progress.json"
    objects, per_object = plan.poses.shape[:2]
    done = json.loads(record.read_text())["objects"] if record.exists() and partial.exists() else 0
    shape = (objects, per_object, *plan.image_shape)
    views = np.lib.format.open_memmap(partial, mode="r+" if done else "w+", dtype=np.uint8, shape=None if done else shape)
    advance(done * per_object)
    for start in range(done, objects, CHUNK):
        stop = min(start + CHUNK, objects)
        views[start:stop] = plan.render(start, stop)
        views.flush()
        _write_json(record, {"objects": stop})
        advance((stop - start) * per_object)
    del views
    partial.replace(folder / "views.npy")
    record.unlink(missing_ok=True)
    _write_json(folder / "manifest.json", {"format": FORMAT, "sha256": _sha256(folder / "views.npy")})


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as handle:
        json.dump(data, handle)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
