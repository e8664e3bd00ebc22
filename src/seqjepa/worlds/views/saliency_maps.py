"""Saliency maps computed elsewhere, in the layouts in which the authors of seq-JEPA publish
DeepGaze IIE's:

- one file for each part of the data set (STL-10): `<folder>/{unlabeled,train,test}/saliency_*.npy`,
  float [N, 1, H, W], in the order of the published images;
- one file for each image (ImageNet): `<folder>/{train,val}/<class>/<image>-sal.npy`, or `_sal.npy`,
  float [H, W], as large as the image.

Maps of another size follow their images, stretched or cut to the middle square as these were. Their
scale does not matter."""

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
from seqjepa.reading.findings import Finding, Report
from seqjepa.reading.npy import open_array
from seqjepa.types import Indices
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit
from seqjepa.worlds.views.saliency import Maps, by_split, cached_maps, distinct

ENDINGS = ("-sal.npy", "_sal.npy")  # what the authors' scripts write, and what they read
SAMPLE = 4096  # files whose state tells one set of maps from another
MOST_SIDE = 20_000  # pixels per side of a map; a header that says more is not believed
FEW = 10  # folders at each level in which a check looks for maps
ADVICE = "compute it again, or set world.saliency to spectral_residual"


def published_maps(folder: Path, images: ImageSet) -> dict[str, Maps]:
    """The maps of every split. Those as large as the images are read from their file as they are,
    others cached at the images' size.

    Raises:
        DataError: if a file is missing or damaged, or a map is zero, negative or not finite, or
            there are not as many maps as images.
        DiskError: if the cache cannot be written.
    """
    if not folder.is_dir():
        raise DataError(
            f"world.saliency: there is no folder {folder}. Known besides folders: spectral_residual, uniform"
        )
    maps = {}
    for name, split in distinct(images).items():
        root = folder / split.origin if (folder / split.origin).is_dir() else folder
        files = sorted(root.glob("saliency_*.npy"))
        if len(files) > 1:
            raise DataError(
                f"{root} holds several saliency files, {', '.join(file.name for file in files)}: leave one"
            )
        maps[name] = (
            _from_one_file(files[0], name, split) if files else _from_many_files(root, name, split)
        )
    return by_split(images, maps)


def inspect_maps(path: Path) -> Report | None:
    """What `seqjepa data check` says of a folder of maps; None if it holds none."""
    files = sorted(path.glob("*/saliency_*.npy"))
    singles = (
        [path / file for found in _index(path).values() for file in found]
        if not files and _has_singles(path)
        else []
    )
    return (
        Report.of("saliency maps", _findings(files, sorted(singles))) if files or singles else None
    )


def _has_singles(path: Path) -> bool:
    """Whether the map of an image is in the first folders in a folder, or in the first folders in
    those."""
    folders = [path]
    for _ in range(2):
        folders = [
            inner for folder in folders for inner in itertools.islice(folder.glob("*/"), FEW)
        ]
        if any(any(folder.glob(f"*{ending}")) for folder in folders for ending in ENDINGS):
            return True
    return False


def _findings(files: Sequence[Path], singles: Sequence[Path]) -> Iterator[Finding]:
    some = singles[:: max(1, len(singles) // 64)]
    try:
        for file in files:
            yield Finding(
                True, f"{file}: {len(_read_many(file)):,} maps, each with a positive, finite sum"
            )
        for file in some:
            _read_single(file)
    except DataError as error:
        yield Finding(False, str(error))
    else:
        if singles:
            yield Finding(
                True,
                f"{len(singles):,} maps of single images; {len(some)} of them, spread evenly, are good",
            )


def _from_one_file(path: Path, name: str, split: ImageSplit) -> Maps:
    """All maps of a part: checked, every one, before any is used."""
    number, size = len(split.images), split.images.shape[1]
    stored = _read_many(path)
    if len(stored) != number:
        raise DataError(
            f"{path} has {len(stored):,} maps, the data set has {number:,} images in {name!r}: a map for each, in their order; {ADVICE}"
        )
    if stored.shape[1:] == (size, size):
        return lambda places: torch.from_numpy(
            stored[places].astype(np.float64)
        )  # in which no scale is too small
    key = {"file": str(path.resolve()), "state": _state([path]), "stretched": split.stretched}
    plan = (
        number,
        lambda index: torch.stack([fit(stored[place], size, split.stretched) for place in index]),
    )
    return cached_maps(key, {name: plan}, size)[name]


def _from_many_files(root: Path, name: str, split: ImageSplit) -> Maps:
    """The maps of a part that has one file for each image, checked as they go into the cache."""
    known, size = _index(root), split.images.shape[1]
    if split.names is None or not known:
        raise DataError(
            f"{root} holds no saliency maps of {name!r}, neither saliency_*.npy nor CLASS/IMAGE{ENDINGS[0]} for each image: name another "
            "folder, or set world.saliency to spectral_residual"
        )
    owners = dict[Path, str]()
    for image in (bytes(name).decode(errors="surrogateescape") for name in split.names):
        if (file := _find(known, image, root)) in owners:
            raise DataError(
                f"{file} would be the map of both {owners[file]} and {image}: each needs its own, in folders named as theirs"
            )
        owners[file] = image
    files = list(owners)

    def compute(index: Indices) -> Tensor:
        return torch.stack(
            [fit(_read_single(files[place]), size, split.stretched) for place in index]
        )

    key = {"folder": str(root.resolve()), "state": _state(files), "stretched": split.stretched}
    return cached_maps(key, {name: (len(files), compute)}, size)[name]


def check(maps: npt.NDArray[Any], path: Path, start: int | None) -> None:
    """Raise a DataError at the first map [n, H, W] that is no distribution up to a factor; the
    first is number `start` of its file."""
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
                f"{path}: {which} {fault}, a saliency map is not negative and has a positive sum; {ADVICE}"
            )


def fit(stored: npt.NDArray[Any], size: int, stretched: bool) -> Tensor:
    """A map [H, W] brought to [S, S] as its image was (`ImageSplit.stretched`), its largest value
    1; even, if all of it was cut away."""
    image = Image.fromarray((stored / stored.max()).astype(np.float32))
    if image.size != (size, size):
        bilinear = Image.Resampling.BILINEAR
        image = (
            image.resize((size, size), bilinear)
            if stretched
            else ImageOps.fit(image, (size, size), bilinear)
        )
    fitted = np.asarray(image, np.float32)
    return torch.from_numpy(fitted / fitted.max() if fitted.any() else np.ones_like(fitted))


def _read_many(path: Path) -> npt.NDArray[Any]:
    """[N, H, W]: a file's maps, every one checked."""
    stored = open_array(path, "float [N, 1, H, W]", ADVICE)
    if stored.ndim == 4 and stored.shape[1] == 1:
        stored = stored[:, 0]
    if (
        stored.ndim != 3
        or stored.dtype.kind != "f"
        or 0 in stored.shape
        or max(stored.shape[1:]) > MOST_SIDE
    ):
        raise DataError(
            f"{path} must hold float maps [N, 1, H, W], got {stored.dtype} {list(stored.shape)}: {ADVICE}"
        )
    for start in range(0, len(stored), 256):
        check(stored[start : start + 256], path, start)
    return stored


def _read_single(path: Path) -> npt.NDArray[Any]:
    """[H, W]: the map of one image, checked."""
    stored = open_array(path, "float [H, W]", ADVICE)
    if (
        stored.ndim != 2
        or stored.dtype.kind != "f"
        or 0 in stored.shape
        or max(stored.shape) > MOST_SIDE
    ):
        raise DataError(
            f"{path} must hold a float map [H, W], got {stored.dtype} {list(stored.shape)}: {ADVICE}"
        )
    check(stored[None], path, None)
    return stored


def _index(root: Path) -> dict[str, list[str]]:
    """Every map's path below the root without its ending, by the name of its image."""
    found = defaultdict(list)
    for folder, _, names in os.walk(root):
        for name in names:
            if name.endswith(ENDINGS):
                found[name[: -len(ENDINGS[0])]].append(
                    Path(folder, name).relative_to(root).as_posix()
                )
    return dict(found)


def _find(known: dict[str, list[str]], image: str, root: Path) -> Path:
    """The map of an image file: the one of its name, or the one whose folders are the same too
    where several have that name."""
    stem = image.rpartition(".")[0] or image
    candidates = known.get(stem.rpartition("/")[2], [])
    if len(candidates) > 1:
        candidates = [
            each for each in candidates if f"/{stem}".endswith("/" + each[: -len(ENDINGS[0])])
        ]
    if len(candidates) != 1:
        said = "has no saliency map" if not candidates else f"has {len(candidates)} saliency maps"
        raise DataError(
            f"image {image} {said} {stem.rpartition('/')[2]}{{{','.join(ENDINGS)}}} below {root}; {ADVICE}"
        )
    return root / candidates[0]


def _state(files: Sequence[Path]) -> str:
    """A digest of the files' names, and of size and time of change of some, spread evenly."""
    digest = hashlib.sha256("\n".join(file.name for file in files).encode(errors="surrogateescape"))
    for file in files[:: max(1, len(files) // SAMPLE)]:
        try:
            status = file.stat()
        except OSError as error:
            raise DataError(f"{file} cannot be read ({error.strerror}): {ADVICE}") from error
        digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()
