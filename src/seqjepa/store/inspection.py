"""Findings of `seqjepa data check` in folders in 3DIEBench's layout and in packs.

All names, sizes and digests are looked at, the number of views of every object, and a sample of the
views.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.filesize import decimal

from seqjepa.reading.findings import Finding, Report
from seqjepa.store.folder import FolderStore, Store
from seqjepa.store.pack import IMAGES, Options, PackedStore, is_pack
from seqjepa.store.splits import UNLISTED, WHERE_FROM, Listing, read_listing
from seqjepa.store.units import require_latents
from seqjepa.types import Indices

# 3DIEBench as published; the mean of a sample's pixels differs by less than the tolerance.
OBJECTS = {"train": 41_920, "val": 10_552}
VIEWS = 50
MEAN = (0.5016, 0.5037, 0.5060)
TOLERANCE = 0.03

SAMPLE = 20  # objects
SIZE = 64  # at which JPEGs of the sample are looked at


def inspect(path: Path) -> Report | None:
    """Check views of objects; return None if the path holds none, see `WorldConfig.inspect`."""
    if is_pack(path):
        return Report.of("views of objects, packed by seqjepa data pack", _pack(path))
    if path.is_dir() and (any(path.glob("*_images.npy")) or _has_latents(path)):
        return Report.of("views of objects in folders, as 3DIEBench is published", _folder(path))
    return None


def _has_latents(path: Path) -> bool:
    """Return whether an object in 3DIEBench's layout is among the first things in a folder."""
    # A few things of each are enough, where a folder of photos may hold millions.
    for name in itertools.islice(path.iterdir(), 20):
        for thing in itertools.islice(name.iterdir() if name.is_dir() else (), 3):
            if thing.is_dir() and any(thing.glob("latent_*.npy")):
                return True
    return False


def _folder(path: Path) -> Iterator[Finding]:
    yield from _splits(read_listing(path))
    store = FolderStore(path)
    yield Finding(True, "every object has a folder")

    (fewest, place), rows = store.fewest(), _some(store.listing)
    most = max(len(store.numbers(row)) for row in rows.tolist())
    if fewest < most:
        yield Finding(
            False,
            f"{path / place} has {fewest} views, other objects have {most}: get it again, or set "
            f"world.views to {fewest}",
        )
    if fewest >= 2:
        yield from _sample(store, rows, fewest, SIZE)


def _pack(path: Path) -> Iterator[Finding]:
    store = PackedStore(path)
    options, size = store.manifest.options, store.manifest.files[IMAGES].bytes
    yield Finding(True, f"{decimal(size)} of {_form(options)}, finished")
    yield Finding(
        True,
        "sizes are those in the manifest, and so are all digests but that of the images, which "
        "are verified when they are read",
    )
    yield from _splits(store.listing)
    yield from _sample(store, _some(store.listing), options.views, options.size or SIZE)


def _form(options: Options) -> str:
    """Return the form of a pack's images, in words."""
    kind = "raw pixels" if options.coding == "raw" else "JPEG files"
    if options.size is None:
        return f"{kind} as they were"
    return f"{kind} at {options.size} pixels a side"


def _splits(listing: Listing) -> Iterator[Finding]:
    for name, rows in listing.splits.items():
        yield Finding(True, f"split {name}: {len(rows):,} objects{_compared(name, len(rows))}")
    yield Finding(True, f"{len(set(listing.labels.tolist()))} classes")

    for name in ("train", "val"):
        if name not in listing.splits and set(listing.splits) != {UNLISTED}:
            yield Finding(False, f"there is no {name}_images.npy: {WHERE_FROM}")


def _compared(split: str, objects: int) -> str:
    """Return a remark on a split's number of objects; empty if 3DIEBench has no such split."""
    if split not in OBJECTS:
        return ""
    if objects == OBJECTS[split]:
        return ", as published"
    return f"; 3DIEBench has {OBJECTS[split]:,}"


def _some(listing: Listing) -> Indices:
    """Return objects spread evenly over all of them."""
    number = len(listing.places)
    return np.unique(np.linspace(0, number - 1, min(SAMPLE, number)).astype(np.int64))


def _sample(store: Store, rows: Indices, views: int, size: int) -> Iterator[Finding]:
    """Open all views of some objects."""
    objects, numbers = np.arange(len(rows))[:, None], np.arange(views)[None]
    table = store.table(rows, views, size)
    pixels = table.images(objects[:, 0], numbers)
    require_latents(table.poses[objects, numbers], store.folder)
    yield Finding(
        True, f"{len(rows)} objects with {views} views each were opened, images and factors"
    )

    if {name: len(split) for name, split in store.listing.splits.items()} != OBJECTS:
        return
    # This is 3DIEBench by its splits, so its pixels and views are compared with the published ones.
    mean = pixels.mean((0, 1, 2, 3)) / 255
    found, published = (", ".join(f"{value:.3f}" for value in values) for values in (mean, MEAN))
    near = bool(np.abs(mean - MEAN).max() < TOLERANCE)
    verdict = "" if near else ": these are other pictures"
    yield Finding(near, f"the mean of their pixels is {found}; published {published}{verdict}")
    yield Finding(views == VIEWS, f"{views} views per object, 3DIEBench has {VIEWS}")
