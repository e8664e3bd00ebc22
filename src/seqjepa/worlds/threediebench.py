"""3DIEBench (Garrido et al. 2023, SIE): pictures of ShapeNet objects with known factors.

There are 50 views of each object, whose rotation, floor and light are known. In 3DIEBench-T
(EquiCaps, Konstantinou et al. 2025) its translation changes and is known, too. They are read from
the published folders (`seqjepa.store.folder`; `seqjepa data render` writes them too) or from a pack
that `seqjepa data pack` made of these (`seqjepa.store.pack`), which is many times as fast.

Published are two splits, `train` and `val`, by object. The papers report on `val`, which is `test`
here; our `val`, for choosing settings, is held out from the training objects. Where the files name
a `test` split, all their splits are used as they are.

Rotations are actions as unit quaternions with w >= 0, so that each rotation has one name. In the
papers' data 4 % of the relative ones have w < 0 and jump from one name to the other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from typing_extensions import override

from seqjepa.checks import at_least, below_one, positive
from seqjepa.errors import ConfigError, DataError
from seqjepa.from_json import added_in
from seqjepa.keys import draw_key
from seqjepa.reading.findings import Finding, Look, Report
from seqjepa.render.scene import FACTORS, TRANSLATED_FACTORS
from seqjepa.store.folder import FolderStore, Store
from seqjepa.store.holdout import hold_out
from seqjepa.store.inspection import inspect
from seqjepa.store.pack import PackedStore, is_pack
from seqjepa.store.splits import UNLISTED, WHERE_FROM, Listing
from seqjepa.store.table import ViewTable, pixel_statistics
from seqjepa.store.units import require_latents
from seqjepa.types import Indices
from seqjepa.worlds.base import WorldConfig, WorldSpec
from seqjepa.worlds.table import TableWorld

SAMPLE = 20  # objects of a split whose factors are looked at
LEAST_SIZE = 8  # pixels per side


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Options of the 3DIEBench world.

    Attributes:
        path: the folder or the pack.
        image_size: pixels per side; larger pictures are shrunk.
        views: number of views of each object, the first ones. Every object must have that many.
        actions: groups to condition on: `rotation`, `floor_hue`, `light_hue`, `light_direction`.
            The papers' "rot" is the first, "rotcolor" the first three. Where latents hold ten
            numbers, also `translation`, whose actions are differences divided by 0.5. That of
            3DIEBench-T is in the object's own frame: the object stands at R t.
        ood_path: a second folder or pack, such as 3DIEBench-OOD, whose objects all become the
            split `ood`. They may have fewer views. That data set's Euler angles lie outside
            +-pi/2, yet its rotations are those of training under other names, as R(x, y, z) = R(x +
            pi, pi - y, z + pi); canonical quaternions show it, the papers' label half of them with
            the wrong sign.
        val_fraction: share of the training objects that make up `val`, where the files name no
            `test` split.
        split_seed: seed of the choice of those objects.
        train_on_val: train on the objects of `val` too, as the papers do, which have no split for
            choosing settings; figures on `val` are then figures on training objects.
        resampling: how larger pictures are shrunk: `bicubic`, or `bilinear` as in seq-JEPA's
            release (`reading.pixels.decode`). The latter needs a folder, or a pack made without
            `--size`.
    """

    path: str
    image_size: int = 128
    views: int = 50
    actions: tuple[str, ...] = ("rotation",)
    ood_path: str | None = None
    val_fraction: float = 0.1
    split_seed: int = 0
    train_on_val: bool = False
    resampling: Literal["bicubic", "bilinear"] = added_in(6, "bicubic")

    def __post_init__(self) -> None:
        at_least(self, image_size=LEAST_SIZE, views=2, split_seed=0)
        positive(self, "val_fraction")
        below_one(self, "val_fraction")
        TRANSLATED_FACTORS.select(self.actions)

    @override
    def build(self) -> TableWorld:
        """Build the world.

        Split files, sizes and digests are checked now, and some of the views; the others whenever
        they are read.
        """
        store = open_store(self.path, "world.path")
        splits = self._splits(store)
        self._require_factors(store)
        tables = {split: self._table(store, rows, self.views) for split, rows in splits.items()}
        for table in tables.values():
            _require_latents(table, store.folder)
        if self.ood_path is not None:
            tables[UNLISTED] = self._ood(store)

        mean, std = pixel_statistics(tables["train"])
        spec = WorldSpec(
            name="threediebench",
            image_shape=(3, self.image_size, self.image_size),
            classes=store.listing.classes,
            factors=store.factors,
            actions=store.factors.select(self.actions),
            splits=tuple(tables),
            views_per_object=self.views,
            mean=mean,
            std=std,
        )
        return TableWorld(spec, tables)

    @override
    def outline(self) -> WorldSpec:
        """Return the spec without classes and statistics, which only the files know."""
        factors = TRANSLATED_FACTORS if "translation" in self.actions else FACTORS
        return WorldSpec(
            name="threediebench",
            image_shape=(3, self.image_size, self.image_size),
            classes=(),
            factors=factors,
            actions=factors.select(self.actions),
            splits=("train", "val", "test"),
            views_per_object=self.views,
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
        )

    @classmethod
    @override
    def inspect(cls, path: Path, look: Look = Look()) -> Report | None:
        report = inspect(path, look)
        if report is None or not report.good:
            return report
        opened = Report.of(report.format, cls._open(path))
        return replace(report, findings=report.findings + opened.findings)

    @classmethod
    def _open(cls, path: Path) -> Iterator[Finding]:
        """Build a world of a folder or pack, for errors and warnings."""
        store = open_store(str(path), "world.path")
        if "train" in store.listing.splits:
            cls(path=str(path), image_size=_least_size(store), views=views_of(store)).build()
        yield from ()

    def _table(self, store: Store, rows: Indices, views: int) -> ViewTable:
        """Return the first views of objects, in the size and by the filter that was asked for."""
        return store.table(rows, views, self.image_size, resampling=self.resampling)

    def _splits(self, store: Store) -> dict[str, Indices]:
        """Return the objects of each split; `train`, `val` and `test` come first."""
        self._require_views(store)
        found = dict(store.listing.splits)
        for name in ("train", "val"):
            if name not in found:
                raise DataError(f"{store.folder} has no {name}_images.npy: {WHERE_FROM}")
        if UNLISTED in found and self.ood_path is not None:
            raise ConfigError(
                f"{store.folder} names a split {UNLISTED!r} of its own: leave out world.ood_path"
            )

        # The published `val` is what the papers report on, so it is our `test`.
        if "test" not in found:
            found["test"] = found["val"]
            found["train"], found["val"] = self._hold_out(found["train"])
        if self.train_on_val:
            found["train"] = np.sort(np.concatenate([found["train"], found["val"]]))

        first = {name: found[name] for name in ("train", "val", "test")}
        return first | found

    def _require_views(self, store: Store) -> None:
        """Raise a DataError if a pack has too few views; folders find out as they are opened."""
        if isinstance(store, PackedStore):
            fewest = store.manifest.options.views
            if fewest < self.views:
                raise DataError(
                    f"world.views is {self.views}, but {store.folder} has {fewest} views per "
                    f"object: set it to at most {fewest}"
                )

    def _require_factors(self, store: Store) -> None:
        """Raise an error if factors cannot be read, or an action is not among them."""
        names = [group.name for group in store.factors.groups]
        if missing := [name for name in self.actions if name not in names]:
            raise ConfigError(
                f"world.actions has {missing[0]}, but latents of {store.folder} hold "
                f"{len(store.factors.pose)} factors without it, as in 3DIEBench: leave it out, or "
                "give world.path 3DIEBench-T"
            )

    def _hold_out(self, rows: Indices) -> tuple[Indices, Indices]:
        """Split training objects into those to train on and `val`, the same on every machine."""
        order = np.argsort(draw_key(self.split_seed, "val", 0, np.arange(len(rows))), kind="stable")
        places = hold_out(
            order,
            {"val": self.val_fraction},
            f"{self.path}, split `train`,",
            "add objects or lower world.val_fraction",
        )
        return rows[places["train"]], rows[places["val"]]

    def _ood(self, first: Store) -> ViewTable:
        """Return all objects of the second folder, labelled by their classes in the first."""
        store = open_store(str(self.ood_path), "world.ood_path", unlisted=True)
        fewest, place = store.fewest()
        if fewest < 2:
            raise DataError(
                f"world.ood_path: {store.folder / place} has fewer than 2 views image_<i>.jpg: "
                "leave it out"
            )

        if store.factors != first.factors:
            raise DataError(
                f"world.ood_path: latents of {store.folder} hold {len(store.factors.pose)} "
                f"factors, those of world.path {len(first.factors.pose)}: leave it out"
            )
        labels = _labels(store.listing, first.listing.classes, store.folder)
        table = self._table(store, np.arange(len(labels)), min(self.views, fewest))
        _require_latents(table, store.folder)
        return replace(table, labels=labels)


def open_store(path: str, option: str, *, unlisted: bool = False) -> Store:
    """Open a folder or pack.

    Args:
        path: the folder or pack.
        option: the option that named it, for messages.
        unlisted: take all objects of a folder, see `FolderStore`.

    Raises:
        DataError: if it is missing, empty or damaged.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"{option}: there is no folder {folder}; it must be 3DIEBench's, or what `seqjepa data "
            "pack` made of it"
        )
    return PackedStore(folder) if is_pack(folder) else FolderStore(folder, unlisted=unlisted)


def _least_size(store: Store) -> int:
    """Return the least `image_size` that a store can be opened with, whatever sizes are in it."""
    if isinstance(store, PackedStore) and store.manifest.options.coding == "raw":
        return store.manifest.options.size or LEAST_SIZE
    return LEAST_SIZE


def views_of(store: Store) -> int:
    """Return the number of views of each object, as far as a good folder or pack tells."""
    # In a good folder all objects have as many views: one tells of all.
    return len(store.numbers(0)) if isinstance(store, FolderStore) else store.fewest()[0]


def _require_latents(table: ViewTable, source: Path) -> None:
    """Raise a DataError if the factors of some objects, spread evenly, are in other units."""
    objects, views = table.poses.shape[:2]
    some = np.unique(np.linspace(0, objects - 1, SAMPLE).astype(np.int64))
    require_latents(table.poses[some[:, None], np.arange(views)[None]], source)


def _labels(listing: Listing, classes: tuple[str, ...], folder: Path) -> Indices:
    """Return the labels of all objects, as places in `classes`."""
    numbers: Mapping[str, int] = {name: number for number, name in enumerate(classes)}
    names = [place.split("/")[0] for place in listing.places]
    new = sorted(set(names) - set(numbers))
    if new:
        raise DataError(
            f"world.ood_path: {folder} has a class {new[0]!r}, which world.path has not: leave it "
            "out"
        )
    return np.array([numbers[name] for name in names])
