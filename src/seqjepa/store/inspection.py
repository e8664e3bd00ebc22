"""Findings of `seqjepa data check` in folders in 3DIEBench's layout and in packs.

All names, sizes and digests are looked at, the number of views of every object, and every view; of
these a quick look opens a sample.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.filesize import decimal

from seqjepa.display import progress
from seqjepa.errors import DataError
from seqjepa.reading.findings import (
    BadFile,
    Finding,
    Look,
    Report,
    Sample,
    bad_files,
    doubt,
    plural,
)
from seqjepa.reading.pixels import decode, shorter_side
from seqjepa.render.scene import FACTORS
from seqjepa.store.folder import (
    IMAGE,
    LATENT,
    MIXED,
    FolderStore,
    Store,
    missing_folders,
    read_image,
    read_latent,
)
from seqjepa.store.look import factor_findings, some_poses, table_findings
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
SIZE = 64  # at which views are looked at, if they are not smaller


def inspect(path: Path, look: Look = Look()) -> Report | None:
    """Check views of objects; return None if the path holds none, see `WorldConfig.inspect`."""
    if is_pack(path):
        return Report.of("views of objects, packed by seqjepa data pack", _pack(path, look))
    if path.is_dir() and (any(path.glob("*_images.npy")) or _has_latents(path)):
        title = "views of objects in folders, as 3DIEBench is published"
        return Report.of(title, _folder(path, look))
    return None


def _has_latents(path: Path) -> bool:
    """Return whether an object in 3DIEBench's layout is among the first things in a folder."""
    # A few things of each are enough, where a folder of photos may hold millions.
    for name in itertools.islice(path.iterdir(), 20):
        for thing in itertools.islice(name.iterdir() if name.is_dir() else (), 3):
            if thing.is_dir() and any(thing.glob("latent_*.npy")):
                return True
    return False


def _folder(path: Path, look: Look) -> Iterator[Finding | Sample]:
    listing = read_listing(path)
    yield from _splits(listing)
    if missing := missing_folders(path, listing.places):
        message = f"{path} has no folder {{}}, which its split files name: get the images again"
        yield bad_files(
            [(f"{path}/{place}", message.format(place)) for place in missing],
            len(listing.places),
            "objects have no folder",
        )
        listing = _without(listing, set(missing))
    else:
        yield Finding(True, "every object has a folder")

    store = FolderStore(path, listing=listing)
    numbers = [store.numbers(row) for row in range(len(listing.places))]
    fewest, most = min(map(len, numbers)), max(map(len, numbers))
    if most < 2:
        where = store.folder / listing.places[0]
        raise DataError(
            f"{where} has {plural(most, 'view')} image_<i>.jpg, and no object has more than that; "
            "there must be two at least: get the images again, or rename them"
        )
    if fewest < most:
        yield _fewer(store, [len(found) for found in numbers], fewest, most)

    broken = False
    if not look.quick:
        for finding in _every(store, partial(_open_files, store, numbers), most):
            broken |= not finding.good
            yield finding
    if fewest >= 2 and not broken:
        yield from _sample(store, _some(store.listing), fewest, look)


def _without(listing: Listing, missing: set[str]) -> Listing:
    """Return a listing without some objects."""
    keep = [row for row, place in enumerate(listing.places) if place not in missing]
    if not keep:
        raise DataError("no object has a folder: get the images again")
    new = {row: number for number, row in enumerate(keep)}
    return replace(
        listing,
        places=tuple(listing.places[row] for row in keep),
        labels=listing.labels[keep],
        splits={
            split: np.array([new[row] for row in rows.tolist() if row in new], np.int64)
            for split, rows in listing.splits.items()
        },
    )


def _fewer(store: FolderStore, views: list[int], fewest: int, most: int) -> Finding:
    """Return the finding that objects have fewer views than others."""
    cure = f"get it again, or set world.views to {fewest}"
    bad = []
    for place, number in zip(store.listing.places, views, strict=True):
        if number < most:
            where = f"{store.folder / place}"
            bad.append((where, f"{where} has {number} views, other objects have {most}: {cure}"))
    if len(bad) == 1:
        return bad_files(bad, len(views))
    return Finding(
        False,
        f"{len(bad):,} of {len(views):,} objects have fewer views than the {most} of others: get "
        f"them again, or set world.views to {fewest}",
        files=tuple(bad),
    )


def _pack(path: Path, look: Look) -> Iterator[Finding | Sample]:
    store = PackedStore(path)
    options, size = store.manifest.options, store.manifest.files[IMAGES].bytes
    yield Finding(True, f"{decimal(size)} of {_form(options)}, finished")
    yield Finding(
        True,
        "sizes are those in the manifest, and so are all digests but that of the images, which "
        "are verified when they are read",
    )
    yield from _splits(store.listing)

    broken = False
    if not look.quick:
        for finding in _every(store, partial(_open_packed, store), options.views):
            broken |= not finding.good
            yield finding
    if not broken:
        yield from _sample(store, _some(store.listing), options.views, look)


@dataclass(frozen=True)
class Opened:
    """Findings in the views of an object.

    Attributes:
        bad: files that cannot be used.
        sides: pixels of the shorter side of each good image.
        latents: a file for each number of factors that latents hold.
    """

    bad: list[BadFile] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)
    latents: dict[int, Path] = field(default_factory=dict)


def _every(store: Store, look_at: Callable[[int], Opened], views: int) -> Iterator[Finding]:
    """Open every view of every object and yield what was found."""
    objects = len(store.listing.places)
    bad: list[BadFile] = []
    sides: Counter[int] = Counter()
    latents: dict[int, Path] = {}
    with progress("opening", objects) as advance, ThreadPoolExecutor() as pool:
        for found in pool.map(look_at, range(objects)):
            bad += found.bad
            sides.update(found.sides)
            latents = found.latents | latents
            advance(1)

    if len(latents) > 1:
        held = " and ".join(f"{path} holds {number}" for number, path in sorted(latents.items()))
        yield Finding(False, f"latents hold different numbers of factors ({held}): {MIXED}")

    if len(sides) > 1:
        yield doubt(
            f"views have {min(sides)} to {max(sides)} pixels a side: world.image_size can be at "
            f"most {min(sides)}"
        )
    if bad:
        yield bad_files(bad, objects * views, "views cannot be read")
    else:
        side = f" of {min(sides)} pixels a side" if len(sides) == 1 else ""
        yield Finding(True, f"all {sides.total():,} views{side} were opened, images and factors")


def _open_files(store: FolderStore, numbers: list[list[int]], row: int) -> Opened:
    """Decode every image of an object in a folder, and read every latent."""
    folder = store.folder / store.listing.places[row]
    opened = Opened()
    for number in numbers[row]:
        image, latent = folder / IMAGE.format(number), folder / LATENT.format(number)
        # Each on its own: both may be bad.
        try:
            data, name = read_image(image)
            decode(data, name, SIZE)
            opened.sides.append(shorter_side(data, name))
        except DataError as error:
            opened.bad.append((str(image), str(error)))
        try:
            opened.latents.setdefault(len(read_latent(latent)), latent)
        except DataError as error:
            opened.bad.append((str(latent), str(error)))
    return opened


def _open_packed(store: PackedStore, row: int) -> Opened:
    """Verify every view of an object in a pack, and decode it if it is a JPEG."""
    options, opened = store.manifest.options, Opened()
    table = None
    if options.coding == "raw" and options.size is not None:
        table = store.table(np.array([row]), options.views, options.size)

    for view in range(options.views):
        try:
            if table is not None and options.size is not None:
                table.images(np.array([0]), np.array([[view]]))
                opened.sides.append(options.size)
                continue
            data, name = store.jpeg(row, view)
            decode(data, name, SIZE)
            opened.sides.append(shorter_side(data, name))
        except DataError as error:
            opened.bad.append((store.name(row, view), str(error)))
    return opened


def image_side(store: Store) -> int:
    """Return the pixels of a side of the first view."""
    if isinstance(store, PackedStore):
        return store.manifest.options.size or shorter_side(*store.jpeg(0, 0))
    assert isinstance(store, FolderStore), "there are two kinds of stores"
    folder = store.folder / store.listing.places[0]
    return shorter_side(*read_image(folder / IMAGE.format(store.numbers(0)[0])))


def _form(options: Options) -> str:
    """Return the form of a pack's images, in words."""
    kind = "raw pixels" if options.coding == "raw" else "JPEG files"
    if options.size is None:
        return f"{kind} as they were"
    return f"{kind} at {options.size} pixels a side"


def _splits(listing: Listing) -> Iterator[Finding]:
    for name, rows in listing.splits.items():
        yield Finding(True, f"split {name}: {len(rows):,} objects{_compared(name, len(rows))}")
    yield Finding(True, plural(len(set(listing.labels.tolist())), "class"))

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


def _sample(store: Store, rows: Indices, views: int, look: Look) -> Iterator[Finding | Sample]:
    """Open all views of some objects."""
    # The size is the data's own: a recipe's may be another one.
    side = image_side(store)
    is_raw = isinstance(store, PackedStore) and store.manifest.options.coding == "raw"
    size = side if is_raw else min(SIZE, side)
    objects, numbers = np.arange(len(rows))[:, None], np.arange(views)[None]
    # A look must not end at views that are smaller than others.
    table = store.table(rows, views, size, option="")
    pixels = table.images(objects[:, 0], numbers)
    require_latents(table.poses[objects, numbers], store.folder)
    if look.quick:
        opened = f"{len(rows)} objects with {views} views each, spread evenly, were opened"
        yield Finding(True, f"{opened}, images and factors")
    yield from _described(store, views, side, look)

    if {name: len(split) for name, split in store.listing.splits.items()} != OBJECTS:
        return
    # This is 3DIEBench by its splits, so its pixels and views are compared with the published ones.
    # 3DIEBench-T has the same objects and splits, but other pictures.
    if store.factors == FACTORS:
        yield _mean(pixels)
    yield Finding(views == VIEWS, f"{views} views per object, 3DIEBench has {VIEWS}")


def _mean(pixels: npt.NDArray[np.uint8]) -> Finding:
    """Compare the mean of pixels [..., 3] with the published one."""
    mean = pixels.reshape(-1, 3).mean(0) / 255
    found, published = (", ".join(f"{value:.3f}" for value in values) for values in (mean, MEAN))
    near = bool(np.abs(mean - MEAN).max() < TOLERANCE)
    verdict = "" if near else ": these are other pictures"
    return Finding(near, f"the mean of their pixels is {found}; published {published}{verdict}")


def _described(store: Store, views: int, side: int, look: Look) -> Iterator[Finding | Sample]:
    """Yield findings about classes, levels and factors of all splits, and samples."""
    listing = store.listing
    names = {split: rows for split, rows in listing.splits.items() if len(rows)}
    order = sorted(names, key=lambda split: (split != "train", split))
    tables = {split: store.table(names[split], views, side, option="") for split in order}
    yield from table_findings(tables, listing.classes, look)
    yield from factor_findings(store.factors, some_poses(tables[order[0]]))
