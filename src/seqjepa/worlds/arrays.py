"""The `arrays` world: own data without writing code.

A folder holds

- `views.npy`: [N, V, H, W, C] uint8, V views of each of N objects. It is mapped into memory, so it
  may be larger than memory.
- `poses.npy`: [N, V, P] numbers, the pose of each view.
- `labels.npy`: [N] integers from 0, the class of each object. Optional.
- `world.json`: the names of the pose's columns and the actions they make (`ArraysManifest`), for
  example

```json
{
  "pose": ["yaw", "pitch", "roll", "hue"],
  "groups": [
    {"name": "rotation", "dims": ["yaw", "pitch", "roll"], "kind": "euler"},
    {"name": "hue", "dims": ["hue"], "kind": "circular", "period": 1.0}
  ]
}
```

The kinds of groups are those of `seqjepa.actions.Group`: difference, circular, euler, quaternion.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from seqjepa.actions import ActionSpace, Group
from seqjepa.checks import at_least, shares
from seqjepa.display import warn
from seqjepa.errors import ConfigError, DataError
from seqjepa.from_json import build_dataclass
from seqjepa.keys import draw_key
from seqjepa.reading.findings import Finding, Look, Report, Sample, plural
from seqjepa.reading.npy import open_array
from seqjepa.store.holdout import hold_out
from seqjepa.store.look import factor_findings, some_poses, table_findings
from seqjepa.store.table import ViewTable, pixel_statistics
from seqjepa.store.units import doubts
from seqjepa.types import Indices
from seqjepa.worlds.base import WorldConfig, WorldSpec
from seqjepa.worlds.table import TableWorld

SPLITS = ("train", "val", "test")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Options of a world in a folder of arrays.

    Attributes:
        path: the folder.
        actions: groups to condition on; None for all of them.
        val_fraction: share of the objects held out for choosing settings, where `world.json`
            lists no splits.
        test_fraction: the same for the test.
        split_seed: seed of the choice of those objects.
    """

    path: str
    actions: tuple[str, ...] | None = None
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    split_seed: int = 0

    def __post_init__(self) -> None:
        shares(self, "val_fraction", "test_fraction")
        at_least(self, split_seed=0)

    @override
    def build(self) -> TableWorld:
        """Build the world; every file is checked but for the pixels."""
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise DataError(
                f"world.path: there is no folder {folder}; it must hold views.npy, poses.npy and "
                "world.json"
            )

        manifest = _read_manifest(folder / "world.json")
        views = _open_views(folder / "views.npy")
        number, views_per_object, height, width, channels = views.shape
        poses = _read_poses(folder / "poses.npy", (number, views_per_object), manifest)
        labels, classes = _read_labels(folder / "labels.npy", number, manifest.classes)

        if manifest.splits is None:
            splits = self._hold_out(number)
        else:
            splits = _verify_splits(folder / "world.json", manifest.splits, number)
        tables = {
            split: ViewTable(views, poses[rows], labels[rows], rows)
            for split, rows in splits.items()
        }

        factors = manifest.factors
        mean, std = pixel_statistics(tables["train"])
        spec = WorldSpec(
            name=manifest.name,
            image_shape=(channels, height, width),
            classes=classes,
            factors=factors,
            actions=factors if self.actions is None else factors.select(self.actions),
            splits=tuple(splits),
            views_per_object=views_per_object,
            mean=mean,
            std=std,
        )
        return TableWorld(spec, tables)

    @classmethod
    @override
    def inspect(cls, path: Path, look: Look = Look()) -> Report | None:
        known = any((path / name).exists() for name in ("world.json", "views.npy"))
        return Report.of("arrays of views and poses", _findings(path, look)) if known else None

    def _hold_out(self, size: int) -> dict[str, Indices]:
        """Hold out `val` and `test`: the same objects for a size and seed on every machine."""
        order = np.argsort(draw_key(self.split_seed, "split", 0, np.arange(size)), kind="stable")
        # The last objects of the order are the test, those before them `val`.
        fractions = {"test": self.test_fraction, "val": self.val_fraction}
        remedy = "add objects or lower world.val_fraction and world.test_fraction"
        splits = hold_out(order[::-1], fractions, self.path, remedy)
        return {split: splits[split] for split in SPLITS}


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


def _findings(path: Path, look: Look) -> Iterator[Finding | Sample]:
    try:
        world = Config(path=str(path)).build()
    except DataError as error:
        # Every file is looked at, whatever is wrong with the others.
        yield from (Finding(False, fault) for fault in _faults(path) or [str(error)])
        return
    spec = world.spec
    channels, height, width = spec.image_shape
    groups = ", ".join(group.name for group in spec.factors.groups)

    pixels = f"{height} x {width} pixels, {channels} channels"
    yield Finding(True, f"{spec.views_per_object:,} views of each object, {pixels}")
    yield Finding(True, f"poses of {len(spec.factors.pose)} columns, groups {groups}")
    tables = dict(world.tables)
    if _read_manifest(path / "world.json").splits is None:
        # Which objects the fractions hold out is up to the user.
        labels = np.concatenate([table.labels for table in tables.values()])
        rows = np.concatenate([np.asarray(table.rows) for table in tables.values()])
        poses = np.concatenate([np.asarray(table.poses) for table in tables.values()])
        tables = {"all": ViewTable(tables["train"].views, poses, labels, rows)}
        yield Finding(
            True,
            f"{len(labels):,} objects; world.json names no splits, so world.val_fraction and "
            "world.test_fraction hold some out",
        )
    else:
        for split in spec.splits:
            yield Finding(True, f"split {split}: {world.size(split):,} objects")
    yield Finding(True, plural(len(spec.classes), "class"))
    yield from table_findings(tables, spec.classes, look)
    yield from factor_findings(spec.factors, some_poses(next(iter(tables.values()))))


def _faults(path: Path) -> list[str]:
    """Return what is wrong with each of the files."""
    faults: list[str] = []

    def attempt(read: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return read(*arguments)
        except DataError as error:
            faults.append(str(error))
            return None

    manifest = attempt(_read_manifest, path / "world.json")
    views = attempt(_open_views, path / "views.npy")
    if manifest is None or views is None:
        attempt(open_array, path / "poses.npy", "[N, V, P]")
        return faults

    number, views_per_object, *_ = views.shape
    attempt(_read_poses, path / "poses.npy", (number, views_per_object), manifest)
    attempt(_read_labels, path / "labels.npy", number, manifest.classes)
    if manifest.splits is not None:
        attempt(_verify_splits, path / "world.json", manifest.splits, number)
    return faults


def _read_manifest(path: Path) -> ArraysManifest:
    try:
        return build_dataclass(ArraysManifest, json.loads(path.read_bytes()), defaults=True)
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing; it says what the columns of poses.npy are (see "
            "`seqjepa.worlds.arrays`)"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error


def _open_views(path: Path) -> npt.NDArray[np.uint8]:
    views = open_array(path, "[N, V, H, W, C] uint8")
    if views.dtype != np.uint8 or views.ndim != 5 or 0 in views.shape or views.shape[1] < 2:
        raise DataError(
            f"{path} must be uint8 [N, V, H, W, C] with at least V = 2 views, got "
            f"{_describe(views)}"
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


def _read_poses(
    path: Path, shape: tuple[int, int], manifest: ArraysManifest
) -> npt.NDArray[np.float32]:
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


def _read_labels(
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

    stored = open_array(path, "[N] of integers")
    if stored.shape != (size,) or stored.dtype.kind not in "iu":
        raise DataError(
            f"{path} must hold one integer for each of the N = {size} objects of views.npy, got "
            f"{_describe(stored)}"
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


def _verify_splits(path: Path, splits: dict[str, tuple[int, ...]], size: int) -> dict[str, Indices]:
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
