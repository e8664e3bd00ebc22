"""3DIEBench (Garrido et al. 2023, SIE): pictures of ShapeNet objects whose rotation, floor and
light are known, 50 of each object.

It is read from the published folders (`seqjepa.store.folder`; `seqjepa data render` writes them
too) or from what `seqjepa data pack` made of them (`seqjepa.store.pack`), which is many times as
fast.

Published are two splits, `train` and `val`, by object. The papers report on `val`, which is `test`
here; our `val`, for choosing settings, is held out from the training objects. Where the files name
a `test` split, all their splits are used as they are.

Rotations are actions as unit quaternions with w >= 0, so that each rotation has one name. In the
papers' data 4 % of the relative ones have w < 0 and jump from one name to the other."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from seqjepa.checks import at_least
from seqjepa.errors import ConfigError, DataError
from seqjepa.keys import draw_key
from seqjepa.reading.findings import Report
from seqjepa.render.scene import FACTORS
from seqjepa.store.folder import FolderStore, Store
from seqjepa.store.inspection import inspect
from seqjepa.store.pack import PackedStore, is_pack
from seqjepa.store.splits import UNLISTED, WHERE_FROM, Listing
from seqjepa.store.table import ViewTable, pixel_statistics
from seqjepa.types import Indices
from seqjepa.worlds.base import WorldConfig, WorldSpec
from seqjepa.worlds.table import TableWorld


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Where the data are and what to make of them.

    Attributes:
        path: of the folder or the pack.
        image_size: pixels per side; larger pictures are shrunk.
        views: of each object, the first ones. Every object must have so many.
        actions: groups to condition on: `rotation`, `floor_hue`, `light_hue`, `light_direction`.
            The papers' "rot" is the first, "rotcolor" the first three.
        ood_path: of a second folder or pack, such as 3DIEBench-OOD, all whose objects become the
            split `ood`. Its objects may have fewer views. That data set's Euler angles lie outside
            +-pi/2, yet its rotations are those of training under other names, as R(x, y, z) = R(x +
            pi, pi - y, z + pi); canonical quaternions show it, the papers' label half of them with
            the wrong sign.
        val_fraction: of the training objects that make up `val` where the files name no `test`
            split.
        split_seed: of the choice of those objects.
        train_on_val: train on the objects of `val` too, as the papers do, which have no split for
            choosing settings; figures on `val` are then figures on training objects.
    """

    path: str
    image_size: int = 128
    views: int = 50
    actions: tuple[str, ...] = ("rotation",)
    ood_path: str | None = None
    val_fraction: float = 0.1
    split_seed: int = 0
    train_on_val: bool = False

    def __post_init__(self) -> None:
        at_least(self, image_size=8, views=2, split_seed=0)
        if not 0 < self.val_fraction < 1:
            raise ConfigError(
                f"world.val_fraction must lie between 0 and 1, got {self.val_fraction}"
            )
        FACTORS.select(self.actions)

    def build(self) -> TableWorld:
        """The world. Split files, sizes and digests are checked now, and some of the views; the
        others whenever they are read."""
        store = open_store(self.path, "world.path")
        tables = {
            split: store.table(rows, self.views, self.image_size)
            for split, rows in self._splits(store).items()
        }
        if self.ood_path is not None:
            tables[UNLISTED] = self._ood(store.listing.classes)
        mean, std = pixel_statistics(tables["train"])
        spec = WorldSpec(
            name="threediebench",
            image_shape=(3, self.image_size, self.image_size),
            classes=store.listing.classes,
            factors=FACTORS,
            actions=FACTORS.select(self.actions),
            splits=tuple(tables),
            views_per_object=self.views,
            mean=mean,
            std=std,
        )
        return TableWorld(spec, tables)

    @classmethod
    def inspect(cls, path: Path) -> Report | None:
        """See `WorldConfig.inspect`."""
        return inspect(path)

    def _splits(self, store: Store) -> dict[str, Indices]:
        """Which objects each split has; `train`, `val` and `test` come first."""
        if isinstance(store, PackedStore) and (fewest := store.manifest.options.views) < self.views:
            raise DataError(
                f"world.views is {self.views}, but {store.folder} has {fewest} views per object: set it to no more"
            )
        found = dict(store.listing.splits)
        if missing := [name for name in ("train", "val") if name not in found]:
            raise DataError(f"{store.folder} has no {missing[0]}_images.npy: {WHERE_FROM}")
        if "test" not in found:
            found["test"] = found["val"]
            found["train"], found["val"] = self._hold_out(found["train"])
        if self.train_on_val:
            found["train"] = np.sort(np.concatenate([found["train"], found["val"]]))
        if UNLISTED in found and self.ood_path is not None:
            raise ConfigError(
                f"{store.folder} names a split {UNLISTED!r} of its own: leave out world.ood_path"
            )
        first = ("train", "val", "test")
        return {
            name: found[name] for name in (*first, *(name for name in found if name not in first))
        }

    def _hold_out(self, rows: Indices) -> tuple[Indices, Indices]:
        """Objects to train on and objects for choosing settings: the same ones for the same seed,
        whatever the machine."""
        held_out = max(1, round(self.val_fraction * len(rows)))
        if held_out == len(rows):
            raise DataError(
                f"{self.path} has {len(rows)} training objects: too few to hold some of them out for `val`"
            )
        order = np.argsort(draw_key(self.split_seed, "val", 0, np.arange(len(rows))), kind="stable")
        return rows[np.sort(order[held_out:])], rows[np.sort(order[:held_out])]

    def _ood(self, classes: tuple[str, ...]) -> ViewTable:
        """All objects of the second folder, with the labels that their classes have in the
        first."""
        store = open_store(str(self.ood_path), "world.ood_path", unlisted=True)
        fewest, place = store.fewest()
        if fewest < 2:
            raise DataError(
                f"world.ood_path: {store.folder / place} has fewer than 2 views image_<i>.jpg: leave it out"
            )
        labels = _labels(store.listing, classes, store.folder)
        table = store.table(np.arange(len(labels)), min(self.views, fewest), self.image_size)
        return replace(table, labels=labels)


def open_store(path: str, option: str, *, unlisted: bool = False) -> Store:
    """The folder or pack.

    Args:
        path: of it.
        option: that it was given by, for messages.
        unlisted: of a folder, see `FolderStore`.

    Raises:
        DataError: if it is missing, empty or damaged.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"{option}: there is no folder {folder}; it must be 3DIEBench's, or what `seqjepa data pack` made of it"
        )
    return PackedStore(folder) if is_pack(folder) else FolderStore(folder, unlisted=unlisted)


def _labels(listing: Listing, classes: tuple[str, ...], folder: Path) -> Indices:
    """The labels of all objects, as places in `classes`."""
    numbers: Mapping[str, int] = {name: number for number, name in enumerate(classes)}
    names = [place.split("/")[0] for place in listing.places]
    if unknown := sorted(set(names) - set(numbers)):
        raise DataError(
            f"world.ood_path: {folder} has a class {unknown[0]!r}, which world.path has not: leave it out"
        )
    return np.array([numbers[name] for name in names])
