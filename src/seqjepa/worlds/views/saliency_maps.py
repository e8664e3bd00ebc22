"""Saliency maps computed elsewhere, in the layouts of the authors of seq-JEPA.

They publish DeepGaze IIE's as

- one file for each part of the data set (STL-10): `<folder>/{unlabeled,train,test}/saliency_*.npy`,
  float [N, 1, H, W], in the order of the published images;
- one file for each image (ImageNet): `<folder>/{train,val}/<class>/<image>-sal.npy`, or `_sal.npy`,
  float [H, W], as large as the image.

Maps of another size follow their images, stretched or cut to the middle square as these were. Their
scale does not matter.
"""

import hashlib
import itertools
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps
from torch import Tensor

from seqjepa.errors import DataError
from seqjepa.reading.findings import BadFile, Finding, Look, Report, bad_files
from seqjepa.reading.npy import open_array
from seqjepa.types import Indices
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit
from seqjepa.worlds.views.saliency import MapPlan, Maps, by_split, cached_maps, distinct

ENDINGS = ("-sal.npy", "_sal.npy")  # the authors' scripts write the first and read the second
STATED = 4096  # files whose size and time of change identify a set of maps
INSPECTED = 64  # maps of single images that a check reads
MOST_SIDE = 20_000  # pixels per side of a map; a header that says more is not believed
FEW = 10  # folders at each level in which a check looks for maps
ADVICE = "compute it again, or set world.saliency to spectral_residual"


def published_maps(folder: Path, images: ImageSet) -> dict[str, Maps]:
    """Return the maps of every split.

    Maps as large as the images are read from their file as they are; others are cached at the
    images' size.

    Raises:
        DataError: if a file is missing or damaged, or a map is zero, negative or not finite, or
            the numbers of maps and images differ.
        DiskError: if the cache cannot be written.
    """
    if not folder.is_dir():
        raise DataError(
            f"world.saliency: there is no folder {folder}. Known besides folders: "
            "spectral_residual, uniform"
        )

    maps = {}
    for name, table in distinct(images).items():
        root = folder / table.origin
        if not root.is_dir():
            root = folder
        files = sorted(root.glob("saliency_*.npy"))
        if len(files) > 1:
            several = ", ".join(file.name for file in files)
            raise DataError(f"{root} holds several saliency files, {several}: leave one")
        if files:
            maps[name] = _from_one_file(files[0], name, table)
        else:
            maps[name] = _from_many_files(root, name, table)
    return by_split(images, maps)


def inspect_maps(path: Path, look: Look = Look()) -> Report | None:
    """Check a folder of maps, for `seqjepa data check`. Return None if it holds none."""
    files = sorted(path.glob("*/saliency_*.npy"))
    singles: list[Path] = []
    if not files and _has_singles(path):
        singles = sorted(path / file for found in _index(path).values() for file in found)
    if not files and not singles:
        return None
    return Report.of("saliency maps", _findings(files, singles, look))


def _has_singles(path: Path) -> bool:
    """Return whether maps of single images are found one or two levels down.

    Only the first folders of each level are looked into, as there may be thousands.
    """
    folders = [path]
    for _ in range(2):
        folders = [
            inner for folder in folders for inner in itertools.islice(folder.glob("*/"), FEW)
        ]
        for folder, ending in itertools.product(folders, ENDINGS):
            if any(folder.glob(f"*{ending}")):
                return True
    return False


def _findings(files: Sequence[Path], singles: Sequence[Path], look: Look) -> Iterator[Finding]:
    bad = list[BadFile]()
    for file in files:
        try:
            number = len(_read_many(file))
            yield Finding(True, f"{file}: {number:,} maps, each with a positive, finite sum")
        except DataError as error:
            bad.append((str(file), str(error)))

    some = singles[:: max(1, len(singles) // INSPECTED)] if look.quick else singles
    good = 0
    for file in some:
        try:
            _read_single(file)
            good += 1
        except DataError as error:
            bad.append((str(file), str(error)))

    if singles:
        which = "of them, spread evenly, are" if look.quick else "of them are"
        yield Finding(True, f"{len(singles):,} maps of single images; {good:,} {which} good")
    if bad:
        yield bad_files(bad, len(files) + len(singles), "files of maps cannot be used")


def _from_one_file(path: Path, name: str, table: ImageSplit) -> Maps:
    """Return the maps of a part from its file; every one is checked before any is used."""
    number, size = len(table.images), table.images.shape[1]
    stored = _read_many(path)
    if len(stored) != number:
        raise DataError(
            f"{path} has {len(stored):,} maps, the data set has {number:,} images in {name!r}: "
            f"a map for each, in their order; {ADVICE}"
        )

    if stored.shape[1:] == (size, size):
        # In float64 no map's scale is too small.
        return lambda places: torch.from_numpy(stored[places].astype(np.float64))

    def compute(places: Indices) -> Tensor:
        return torch.stack([fit(stored[place], size, table.stretched) for place in places])

    key = {"file": str(path.resolve()), "state": _state([path]), "stretched": table.stretched}
    return cached_maps(key, {name: MapPlan(number, compute)}, size)[name]


def _from_many_files(root: Path, name: str, table: ImageSplit) -> Maps:
    """Return the maps of a part that has one file for each image.

    They are checked as they go into the cache.
    """
    known, size = _index(root), table.images.shape[1]
    if table.names is None or not known:
        raise DataError(
            f"{root} holds no saliency maps of {name!r}, neither saliency_*.npy nor "
            f"CLASS/IMAGE{ENDINGS[0]} for each image: name another folder, or set world.saliency "
            "to spectral_residual"
        )

    # Images of one name in different folders must not be given the same map.
    owners = dict[Path, str]()
    for image in (bytes(name).decode(errors="surrogateescape") for name in table.names):
        file = _find(known, image, root)
        if file in owners:
            raise DataError(
                f"{file} would be the map of both {owners[file]} and {image}: each needs its own, "
                "in folders named as theirs"
            )
        owners[file] = image
    files = list(owners)

    def compute(places: Indices) -> Tensor:
        maps = [fit(_read_single(files[place]), size, table.stretched) for place in places]
        return torch.stack(maps)

    key = {"folder": str(root.resolve()), "state": _state(files), "stretched": table.stretched}
    return cached_maps(key, {name: MapPlan(len(files), compute)}, size)[name]


def require_distributions(maps: npt.NDArray[Any], path: Path, start: int | None) -> None:
    """Raise a DataError at the first map [n, H, W] that is no distribution up to a factor.

    Args:
        maps: the maps.
        path: their file, for messages.
        start: number of the first one in its file; None for a file of one map.
    """
    least, total = maps.min((1, 2)), maps.sum((1, 2), dtype=np.float64)
    faults = {
        "is not finite": ~np.isfinite(total),
        "has negative values": least < 0,
        "is zero everywhere": total == 0,
    }
    for fault, found in faults.items():
        if found.any():
            which = "its map" if start is None else f"map {start + int(found.argmax())}"
            raise DataError(
                f"{path}: {which} {fault}, a saliency map is not negative and has a positive sum; "
                f"{ADVICE}"
            )


def fit(stored: npt.NDArray[Any], size: int, stretched: bool) -> Tensor:
    """Bring a map [H, W] to [S, S] as its image was (`ImageSplit.stretched`).

    Its largest value becomes 1; it is even if all of it was cut away.
    """
    image = Image.fromarray((stored / stored.max()).astype(np.float32))
    if image.size != (size, size):
        bilinear = Image.Resampling.BILINEAR
        if stretched:
            image = image.resize((size, size), bilinear)
        else:
            image = ImageOps.fit(image, (size, size), bilinear)
    fitted = np.asarray(image, np.float32)
    return torch.from_numpy(fitted / fitted.max() if fitted.any() else np.ones_like(fitted))


def _read_many(path: Path) -> npt.NDArray[Any]:
    """Read a file's maps [N, H, W], every one checked."""
    stored = open_array(path, "float [N, 1, H, W]", ADVICE)
    if stored.ndim == 4 and stored.shape[1] == 1:
        stored = stored[:, 0]
    if stored.ndim != 3 or not _may_be_maps(stored):
        got = f"{stored.dtype} {list(stored.shape)}"
        raise DataError(f"{path} must hold float maps [N, 1, H, W], got {got}: {ADVICE}")

    # The file is mapped into memory and may be larger than it.
    for start in range(0, len(stored), 256):
        require_distributions(stored[start : start + 256], path, start)
    return stored


def _read_single(path: Path) -> npt.NDArray[Any]:
    """Read the map [H, W] of one image, checked."""
    stored = open_array(path, "float [H, W]", ADVICE)
    if stored.ndim != 2 or not _may_be_maps(stored):
        got = f"{stored.dtype} {list(stored.shape)}"
        raise DataError(f"{path} must hold a float map [H, W], got {got}: {ADVICE}")
    require_distributions(stored[None], path, None)
    return stored


def _may_be_maps(stored: npt.NDArray[Any]) -> bool:
    """Return whether an array [..., H, W] has the type and size of saliency maps."""
    return (
        stored.dtype.kind == "f" and 0 not in stored.shape and max(stored.shape[-2:]) <= MOST_SIDE
    )


def _index(root: Path) -> dict[str, list[str]]:
    """Return the path of every map below the root, by the name of its image."""
    found = defaultdict(list)
    for folder, _, names in os.walk(root):
        for name in names:
            if name.endswith(ENDINGS):
                path = Path(folder, name).relative_to(root).as_posix()
                found[name[: -len(ENDINGS[0])]].append(path)
    return dict(found)


def _find(known: dict[str, list[str]], image: str, root: Path) -> Path:
    """Return the map of an image file.

    It is the one of its name, or the one whose folders are the same too where several have it.
    """
    stem = image.rpartition(".")[0] or image
    name = stem.rpartition("/")[2]
    candidates = known.get(name, [])
    if len(candidates) > 1:
        candidates = [
            path for path in candidates if f"/{stem}".endswith(f"/{path[: -len(ENDINGS[0])]}")
        ]
    if len(candidates) != 1:
        number = f"{len(candidates)} saliency maps" if candidates else "no saliency map"
        pattern = f"{name}{{{','.join(ENDINGS)}}}"
        raise DataError(f"image {image} has {number} {pattern} below {root}; {ADVICE}")
    return root / candidates[0]


def _state(files: Sequence[Path]) -> str:
    """Return a digest of the files' names, and of size and time of change of some of them."""
    digest = hashlib.sha256("\n".join(file.name for file in files).encode(errors="surrogateescape"))
    for file in files[:: max(1, len(files) // STATED)]:
        try:
            status = file.stat()
        except OSError as error:
            raise DataError(f"{file} cannot be read ({error.strerror}): {ADVICE}") from error
        digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()
