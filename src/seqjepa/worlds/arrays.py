"""The `arrays` world: own data without writing code.

A folder holds

- `views.npy`: [N, V, H, W, C] uint8, V views of each of N objects. It is mapped into memory, so it
  may be larger than memory.
- `poses.npy`: [N, V, P] numbers, the pose of each view.
- `labels.npy`: [N] integers from 0, the class of each object. Optional.
- `world.json`: the names of the pose's columns and the actions they make
  (`seqjepa.store.arrays.ArraysManifest`), for example

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

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typing_extensions import override

from seqjepa.checks import at_least, shares
from seqjepa.errors import DataError
from seqjepa.keys import draw_key
from seqjepa.reading.findings import Finding, Look, Report, Sample, doubt, plural
from seqjepa.store.arrays import (
    SPLITS,
    faults,
    open_views,
    read_labels,
    read_manifest,
    read_poses,
    verify_splits,
)
from seqjepa.store.holdout import hold_out
from seqjepa.store.look import factor_findings, some_poses, table_findings
from seqjepa.store.table import ViewTable, pixel_statistics
from seqjepa.types import Indices
from seqjepa.worlds.base import WorldConfig, WorldSpec
from seqjepa.worlds.table import TableWorld


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

        manifest = read_manifest(folder / "world.json")
        views = open_views(folder / "views.npy")
        number, views_per_object, height, width, channels = views.shape
        poses = read_poses(folder / "poses.npy", (number, views_per_object), manifest)
        labels, classes = read_labels(folder / "labels.npy", number, manifest.classes)

        if manifest.splits is None:
            splits = self._hold_out(number)
        else:
            splits = verify_splits(folder / "world.json", manifest.splits, number)
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


def _findings(path: Path, look: Look) -> Iterator[Finding | Sample]:
    try:
        world = Config(path=str(path)).build()
    except DataError as error:
        # Every file is looked at, whatever is wrong with the others.
        yield from (Finding(False, fault) for fault in faults(path) or [str(error)])
        return
    spec = world.spec
    channels, height, width = spec.image_shape
    groups = ", ".join(group.name for group in spec.factors.groups)

    pixels = f"{height} x {width} pixels, {channels} channels"
    yield Finding(True, f"{spec.views_per_object:,} views of each object, {pixels}")
    yield Finding(True, f"poses of {len(spec.factors.pose)} columns, groups {groups}")
    tables = dict(world.tables)
    if read_manifest(path / "world.json").splits is None:
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
            yield Finding(True, f"split {split}: {plural(world.size(split), 'object')}")
        objects = tables["train"].views.shape[0]
        if unused := objects - sum(map(world.size, spec.splits)):
            yield doubt(f"{unused:,} of {plural(objects, 'object')} are in no split")
    yield Finding(True, plural(len(spec.classes), "class") if spec.classes else "no labels")
    yield from table_findings(tables, spec.classes, look)
    yield from factor_findings(spec.factors, some_poses(next(iter(tables.values()))))
