"""What `seqjepa data check` says of folders in 3DIEBench's layout and of packs: all names, sizes
and digests, and a sample of the views.

How many views there are is counted of every object.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.filesize import decimal

from seqjepa.errors import ConfigError, DataError
from seqjepa.reading.findings import Finding, Report
from seqjepa.store.folder import FolderStore, Store
from seqjepa.store.pack import IMAGES, PackedStore, is_pack
from seqjepa.store.splits import UNLISTED, WHERE_FROM, Listing, read_listing
from seqjepa.types import Indices

OBJECTS = {"train": 41_920, "val": 10_552}  # of 3DIEBench
VIEWS = 50
MEAN, TOLERANCE = (
    (0.5016, 0.5037, 0.5060),
    0.03,
)  # of its pixels, as published; the sample's differs by less
SAMPLE = 20  # objects
SIZE = 64  # at which JPEGs of the sample are looked at


def inspect(path: Path) -> Report | None:
    """See `WorldConfig.inspect`."""
    if is_pack(path):
        return Report.of("views of objects, packed by seqjepa data pack", _pack(path))
    if path.is_dir() and (any(path.glob("*_images.npy")) or _has_latents(path)):
        return Report.of("views of objects in folders, as 3DIEBench is published", _folder(path))
    return None


def _has_latents(path: Path) -> bool:
    """Whether among the first things in a folder is an object in 3DIEBench's layout."""
    for name in itertools.islice(path.iterdir(), 20):
        for thing in itertools.islice(name.iterdir() if name.is_dir() else (), 3):
            if thing.is_dir() and any(thing.glob("latent_*.npy")):
                return True
    return False


def _folder(path: Path) -> Iterator[Finding]:
    try:
        yield from _splits(read_listing(path))
        store = FolderStore(path)
        yield Finding(True, "every object has a folder")
        (fewest, place), rows = store.fewest(), _some(store.listing)
        most = max(len(store.numbers(row)) for row in rows.tolist())
    except DataError as error:
        yield Finding(False, str(error))
        return
    if fewest < most:
        said = f"{path / place} has {fewest} views, other objects have {most}: get it again, or set world.views to {fewest}"
        yield Finding(False, said)
    if fewest >= 2:
        yield from _sample(store, rows, fewest, SIZE)


def _pack(path: Path) -> Iterator[Finding]:
    try:
        store = PackedStore(path)
    except DataError as error:
        yield Finding(False, str(error))
        return
    options, size = store.manifest.options, store.manifest.files[IMAGES].bytes
    what = (
        "raw pixels"
        if options.coding == "raw"
        else "JPEG files" + (" as they were" if options.size is None else "")
    )
    yield Finding(
        True,
        f"{decimal(size)} of {what}{f' at {options.size} pixels a side' if options.size else ''}, finished",
    )
    yield Finding(
        True,
        "sizes are those in the manifest, and so are all digests but that of the images, which are verified when they are read",
    )
    yield from _splits(store.listing)
    yield from _sample(store, _some(store.listing), options.views, options.size or SIZE)


def _splits(listing: Listing) -> Iterator[Finding]:
    for name, rows in listing.splits.items():
        published = OBJECTS.get(name)
        same = (
            ""
            if published is None
            else ", as published"
            if len(rows) == published
            else f"; 3DIEBench has {published:,}"
        )
        yield Finding(True, f"split {name}: {len(rows):,} objects{same}")
    yield Finding(True, f"{len(set(listing.labels.tolist()))} classes")
    for name in ("train", "val"):
        if name not in listing.splits and set(listing.splits) != {UNLISTED}:
            yield Finding(False, f"there is no {name}_images.npy: {WHERE_FROM}")


def _some(listing: Listing) -> Indices:
    """Objects spread evenly over all of them."""
    number = len(listing.places)
    return np.unique(np.linspace(0, number - 1, min(SAMPLE, number)).astype(np.int64))


def _sample(store: Store, rows: Indices, views: int, size: int) -> Iterator[Finding]:
    """Open all views of some objects."""
    at = np.arange(len(rows))[:, None], np.arange(views)[None]
    try:
        table = store.table(rows, views, size)
        pixels = table.images(at[0][:, 0], at[1])
        np.asarray(table.poses[at])
    except (DataError, ConfigError) as error:
        yield Finding(False, str(error))
        return
    yield Finding(
        True, f"{len(rows)} objects with {views} views each were opened, images and factors"
    )
    if {name: len(split) for name, split in store.listing.splits.items()} == OBJECTS:
        mean = pixels.mean((0, 1, 2, 3)) / 255
        found, published = (
            ", ".join(f"{value:.3f}" for value in values) for values in (mean, MEAN)
        )
        near = bool(np.abs(mean - MEAN).max() < TOLERANCE)
        yield Finding(
            near,
            f"the mean of their pixels is {found}; published {published}"
            + ("" if near else ": these are other pictures"),
        )
        yield Finding(views == VIEWS, f"{views} views per object, 3DIEBench has {VIEWS}")
