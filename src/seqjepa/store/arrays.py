"""The files of the `arrays` world, read and checked; see `seqjepa.worlds.arrays` for the format."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from seqjepa.actions import ActionSpace, Group
from seqjepa.display import warn
from seqjepa.errors import ConfigError, DataError
from seqjepa.from_json import build_dataclass
from seqjepa.reading.npy import open_array
from seqjepa.store.units import doubts
from seqjepa.types import Indices

SPLITS = ("train", "val", "test")
NUMBERED = (
    "save integers from 0 with numpy.save; of names `classes, labels = "
    "numpy.unique(labels.astype(str), return_inverse=True)` makes them, and their `classes` belong "
    "in world.json"
)
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ArraysManifest:
    """Contents of `world.json`.

    Attributes:
        pose: names of the pose's P columns.
        groups: groups of columns, each with its kind of action.
        name: the world's name in tables and reports.
        classes: names of the classes; their numbers unless given.
        splits: the objects, as places from 0 to N - 1, of `train`, `val`, `test` and any other
            split, which counts as out of distribution.
    """

    pose: tuple[str, ...]
    groups: tuple[Group, ...]
    name: str = "arrays"
    classes: tuple[str, ...] = ()
    splits: dict[str, tuple[int, ...]] | None = None

    def __post_init__(self) -> None:
        # Building the space checks the names of columns and groups.
        ActionSpace(self.pose, self.groups)

    @property
    def factors(self) -> ActionSpace:
        """Return every group of the pose."""
        return ActionSpace(self.pose, self.groups)


def faults(folder: Path) -> list[str]:
    """Return what is wrong with each of the files in a folder."""
    found: list[str] = []

    def attempt(read: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return read(*arguments)
        except DataError as error:
            found.append(str(error))
            return None

    manifest = attempt(read_manifest, folder / "world.json")
    views = attempt(open_views, folder / "views.npy")
    if manifest is None or views is None:
        attempt(open_array, folder / "poses.npy", "[N, V, P]")
        return found

    number, views_per_object, *_ = views.shape
    attempt(read_poses, folder / "poses.npy", (number, views_per_object), manifest)
    attempt(read_labels, folder / "labels.npy", number, manifest.classes)
    if manifest.splits is not None:
        attempt(verify_splits, folder / "world.json", manifest.splits, number)
    return found


def read_manifest(path: Path) -> ArraysManifest:
    """Read `world.json`.

    Raises:
        DataError: if it is missing, no JSON, or says what cannot be.
    """
    try:
        return build_dataclass(ArraysManifest, json.loads(path.read_bytes()), defaults=True)
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing; it says what the columns of poses.npy are (see "
            "`seqjepa.worlds.arrays`)"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error


def open_views(path: Path) -> npt.NDArray[np.uint8]:
    """Return the views [N, V, H, W, C], mapped into memory.

    Raises:
        DataError: if they are missing, or no such array.
    """
    views = open_array(path, "[N, V, H, W, C] uint8")
    if views.dtype != np.uint8 or views.ndim != 5 or 0 in views.shape or views.shape[1] < 2:
        cure = ""
        if views.dtype != np.uint8:
            cure = ": multiply pixels in 0..1 by 255, and save uint8"
        elif views.ndim == 4:
            cure = ": save gray views as views[..., None]"
        raise DataError(
            f"{path} must be uint8 [N, V, H, W, C] with at least V = 2 views, got "
            f"{_describe(views)}{cure}"
        )
    _require_channels_last(path, views)
    return views


def _require_channels_last(path: Path, views: npt.NDArray[np.uint8]) -> None:
    """Refuse views whose channels are not the last axis; warn where it only looks like that."""
    height, width, channels = views.shape[2:]
    if channels <= 4:
        return

    # A handful of rows, as long as the channels are many: those are the channels.
    got = f"{_describe(views)} has {channels} channels of {height} x {width} pixels"
    cure = "move the channels to the end with numpy.moveaxis"
    for axis, few, many in ((2, height, width), (3, width, height)):
        if few <= 4 < many and max(many, channels) <= 4 * min(many, channels):
            raise DataError(
                f"{path} must be [N, V, H, W, C], {got}. If the {few} are the channels, {cure} "
                f"(views, {axis}, -1)"
            )
    if channels >= min(height, width):
        warn(f"{path}: {got}; if they stand elsewhere, {cure}")


def read_poses(
    path: Path, shape: tuple[int, int], manifest: ArraysManifest
) -> npt.NDArray[np.float32]:
    """Return the poses [N, V, P] of (N, V) views; warn of those in another unit, as it seems.

    Raises:
        DataError: if they are missing, of another shape, not finite, or no poses.
    """
    stored = open_array(path, "[N, V, P]")
    expected = (*shape, len(manifest.pose))
    if stored.shape != expected or stored.dtype.kind not in "fiu":
        meaning = "[N, V, P] as views.npy and the columns in world.json say"
        raise DataError(
            f"{path} must hold numbers {list(expected)}, {meaning}, got {_describe(stored)}"
        )

    # A number too large for float32 becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        poses = np.array(stored, np.float32)
    not_finite = np.logical_not(np.isfinite(poses).all(-1))
    remedy = "mend it or leave the object out"
    _refuse_bad_views(path, not_finite, f"a pose that is not finite in float32: {remedy}")

    for group in manifest.groups:
        if group.kind == "quaternion":
            lengths = np.linalg.norm(poses[..., manifest.factors.columns(group)], axis=-1)
            what = f"a quaternion {group.name!r} of length 0, which is no rotation"
            _refuse_bad_views(path, lengths < 1e-6, what)
    for doubt in doubts(poses, manifest.factors, path):
        warn(doubt)
    return poses


def _refuse_bad_views(path: Path, bad: npt.NDArray[np.bool_], what: str) -> None:
    """Raise a DataError that names the first bad view [N, V], if there is one."""
    if bad.any():
        number, view = np.argwhere(bad)[0]
        count = f"{bad.sum()} of {bad.size} views"
        raise DataError(f"{path}: object {number}, view {view} has {what} ({count})")


def read_labels(
    path: Path, size: int, names: tuple[str, ...]
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Read the labels, all -1 without a file, and the names of the classes."""
    if not path.exists():
        if names:
            raise DataError(
                f"{path} is missing, yet world.json names {len(names)} classes: save labels [N] "
                "there or leave out `classes`"
            )
        return np.full(size, -1, np.int64), ()

    stored = open_array(path, "[N] of integers", NUMBERED)
    if stored.shape != (size,) or stored.dtype.kind not in "iu":
        raise DataError(
            f"{path} must hold one integer for each of the N = {size} objects of views.npy, got "
            f"{_describe(stored)}{'' if stored.dtype.kind in 'iu' else f': {NUMBERED}'}"
        )

    labels = stored.astype(np.int64)
    # Without names a label beyond the number of objects is a mistake, not one more class.
    classes = len(names) or min(int(labels.max()) + 1, size)
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if bad.size:
        allowed = f"0 to {classes - 1}{', the classes in world.json' if names else ''}"
        raise DataError(
            f"{path}: object {bad[0]} has label {labels[bad[0]]}, allowed are {allowed} (number "
            "the classes from 0; leave out objects without a class, or labels.npy as a whole)"
        )
    return labels, names or tuple(map(str, range(classes)))


def verify_splits(path: Path, splits: dict[str, tuple[int, ...]], size: int) -> dict[str, Indices]:
    """Return the splits of `world.json` as arrays, disjoint and within 0 .. size - 1."""
    for split in (*SPLITS, *splits):
        if not splits.get(split):
            needed = f"name some for {', '.join(SPLITS)}, or leave out `splits`"
            raise DataError(f"{path}: split {split!r} has no objects; {needed}")

    split_of: dict[int, str] = {}
    for split, objects in splits.items():
        for number in objects:
            if not 0 <= number < size:
                raise DataError(
                    f"{path}: split {split!r} names object {number}, views.npy has 0 to {size - 1}"
                )
            if number in split_of:
                first = split_of[number]
                raise DataError(
                    f"{path}: object {number} is in split {first!r} and again in {split!r}"
                )
            split_of[number] = split
    return {split: np.array(objects, np.int64) for split, objects in splits.items()}


def _describe(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"
