"""The `arrays` world: own data without writing code. A folder holds

- `views.npy`: [N, V, H, W, C] uint8, V views of each of N objects. It is mapped into memory, so it
  may be larger than memory.
- `poses.npy`: [N, V, P] numbers, the pose of each view.
- `labels.npy`: [N] integers from 0, the class of each object. Optional.
- `world.json`: what the pose's columns are called and how they make actions (`ArraysManifest`), for
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqjepa.actions import ActionSpace, Group
from seqjepa.errors import ConfigError, DataError
from seqjepa.from_json import build_dataclass
from seqjepa.keys import draw_key
from seqjepa.reading.findings import Finding, Report
from seqjepa.reading.npy import open_array
from seqjepa.store.table import ViewTable, pixel_statistics
from seqjepa.types import Indices
from seqjepa.worlds.base import WorldConfig, WorldSpec
from seqjepa.worlds.table import TableWorld

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Where the data are and what to make of them.

    Attributes:
        path: of the folder.
        actions: groups to condition on; None for all of them.
        val_fraction: of the objects that are held out for choosing settings, where `world.json`
            does not say which.
        test_fraction: the same for the test.
        split_seed: of the choice of those objects.
    """

    path: str
    actions: tuple[str, ...] | None = None
    val_fraction: float = 0.1
    test_fraction: float = 0.1
    split_seed: int = 0

    def __post_init__(self) -> None:
        if not (
            self.val_fraction > 0
            and self.test_fraction > 0
            and self.val_fraction + self.test_fraction < 1
        ):
            got = f"{self.val_fraction} and {self.test_fraction}"
            raise ConfigError(
                f"world.val_fraction and world.test_fraction must be positive and leave something to train on, got {got}"
            )
        if self.split_seed < 0:
            raise ConfigError(f"world.split_seed must not be negative, got {self.split_seed}")

    def build(self) -> TableWorld:
        """The world, every file checked but for the pixels."""
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise DataError(
                f"world.path: there is no folder {folder}; it must hold views.npy, poses.npy and world.json"
            )
        manifest = _read_manifest(folder / "world.json")
        views = open_array(folder / "views.npy", "[N, V, H, W, C] uint8")
        if views.dtype != np.uint8 or views.ndim != 5 or 0 in views.shape or views.shape[1] < 2:
            raise DataError(
                f"{folder / 'views.npy'} must be uint8 [N, V, H, W, C] with at least V = 2 views, got {_describe(views)}"
            )
        poses = _read_poses(folder / "poses.npy", views.shape[:2], manifest)
        labels, classes = _read_labels(folder / "labels.npy", len(views), manifest.classes)
        splits = (
            self._splits(len(views))
            if manifest.splits is None
            else _check_splits(folder / "world.json", manifest.splits, len(views))
        )
        tables = {
            split: ViewTable(views, poses[rows], labels[rows], rows)
            for split, rows in splits.items()
        }
        mean, std = pixel_statistics(tables["train"])
        spec = WorldSpec(
            name=manifest.name,
            image_shape=(views.shape[4], views.shape[2], views.shape[3]),
            classes=classes,
            factors=manifest.factors,
            actions=manifest.factors
            if self.actions is None
            else manifest.factors.select(self.actions),
            splits=tuple(splits),
            views_per_object=views.shape[1],
            mean=mean,
            std=std,
        )
        return TableWorld(spec, tables)

    @classmethod
    def inspect(cls, path: Path) -> Report | None:
        """See `WorldConfig.inspect`."""
        ours = any((path / name).exists() for name in ("world.json", "views.npy"))
        return Report.of("arrays of views and poses", _findings(path)) if ours else None

    def _splits(self, size: int) -> dict[str, Indices]:
        """Objects drawn into train, val and test: the same ones for the same size and seed,
        whatever the machine."""
        order = np.argsort(draw_key(self.split_seed, "split", 0, np.arange(size)), kind="stable")
        val, test = (
            max(1, round(fraction * size)) for fraction in (self.val_fraction, self.test_fraction)
        )
        if size < val + test + 1:
            raise DataError(
                f"{self.path} holds {size} objects: too few for the splits {', '.join(SPLITS)}"
            )
        return dict(
            zip(
                SPLITS, map(np.sort, np.split(order, [size - val - test, size - test])), strict=True
            )
        )


@dataclass(frozen=True, kw_only=True)
class ArraysManifest:
    """What `world.json` says.

    Attributes:
        pose: names of the pose's P columns.
        groups: of columns, each with its kind of action.
        name: of the world, for tables and reports.
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
        ActionSpace(self.pose, self.groups)

    @property
    def factors(self) -> ActionSpace:
        """Every group of the pose."""
        return ActionSpace(self.pose, self.groups)


def _findings(path: Path) -> Iterator[Finding]:
    try:
        world = Config(path=str(path)).build()
    except (DataError, ConfigError) as error:
        yield Finding(False, str(error))
        return
    spec = world.spec
    channels, height, width = spec.image_shape
    yield Finding(
        True,
        f"{spec.views_per_object:,} views of each object, {height} x {width} pixels, {channels} channels",
    )
    yield Finding(
        True,
        f"poses of {len(spec.factors.pose)} columns, groups {', '.join(group.name for group in spec.factors.groups)}",
    )
    for split in spec.splits:
        yield Finding(True, f"split {split}: {world.size(split):,} objects")
    yield Finding(True, f"{len(spec.classes)} classes")


def _read_manifest(path: Path) -> ArraysManifest:
    try:
        return build_dataclass(ArraysManifest, json.loads(path.read_bytes()), defaults=True)
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing; it says what the columns of poses.npy are (see `seqjepa.worlds.arrays`)"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error


def _read_poses(
    path: Path, shape: tuple[int, ...], manifest: ArraysManifest
) -> npt.NDArray[np.float32]:
    poses = open_array(path, "[N, V, P]")
    wanted = (*shape, len(manifest.pose))
    if poses.shape != wanted or poses.dtype.kind not in "fiu":
        meaning = "[N, V, P] as views.npy and the columns in world.json say"
        raise DataError(
            f"{path} must hold numbers {list(wanted)}, {meaning}, got {_describe(poses)}"
        )
    with np.errstate(over="ignore"):
        found = np.array(poses, np.float32)
    _refuse(
        path,
        np.logical_not(np.isfinite(found).all(-1)),
        "a pose that is not finite in float32: mend it or leave the object out",
    )
    for group in manifest.groups:
        if group.kind == "quaternion":
            lengths = np.linalg.norm(found[..., manifest.factors.columns(group)], axis=-1)
            _refuse(
                path,
                lengths < 1e-6,
                f"a quaternion {group.name!r} of length 0, which is no rotation",
            )
    return found


def _refuse(path: Path, bad: npt.NDArray[np.bool_], what: str) -> None:
    """Name the first bad view [N, V] if there is one."""
    if bad.any():
        thing, view = np.argwhere(bad)[0]
        raise DataError(
            f"{path}: object {thing}, view {view} has {what} ({bad.sum()} of {bad.size} views)"
        )


def _read_labels(
    path: Path, size: int, names: tuple[str, ...]
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """The labels, all -1 without a file, and the names of the classes."""
    if not path.exists():
        if names:
            raise DataError(
                f"{path} is missing, yet world.json names {len(names)} classes: save labels [N] there or leave out `classes`"
            )
        return np.full(size, -1, np.int64), ()
    found = open_array(path, "[N] of integers")
    if found.shape != (size,) or found.dtype.kind not in "iu":
        raise DataError(
            f"{path} must hold one integer for each of the N = {size} objects of views.npy, got {_describe(found)}"
        )
    labels = found.astype(np.int64)
    end = len(names) or min(int(labels.max()) + 1, size)
    if (bad := np.flatnonzero((labels < 0) | (labels >= end))).size:
        allowed = f"0 to {end - 1}{', the classes in world.json' if names else ''}"
        remedy = (
            "number the classes from 0; leave out objects without a class, or labels.npy as a whole"
        )
        raise DataError(
            f"{path}: object {bad[0]} has label {labels[bad[0]]}, allowed are {allowed} ({remedy})"
        )
    return labels, names or tuple(map(str, range(end)))


def _check_splits(path: Path, splits: dict[str, tuple[int, ...]], size: int) -> dict[str, Indices]:
    for split in (*SPLITS, *splits):
        if not splits.get(split):
            raise DataError(
                f"{path}: split {split!r} has no objects; name some for {', '.join(SPLITS)}, or leave out `splits`"
            )
    owner: dict[int, str] = {}
    for split, objects in splits.items():
        for number in objects:
            if not 0 <= number < size:
                raise DataError(
                    f"{path}: split {split!r} names object {number}, views.npy has 0 to {size - 1}"
                )
            if number in owner:
                raise DataError(
                    f"{path}: object {number} is in split {owner[number]!r} and again in {split!r}"
                )
            owner[number] = split
    return {split: np.array(objects, np.int64) for split, objects in splits.items()}


def _describe(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} {list(array.shape)}"
