"""Views of objects as files, in the layout in which 3DIEBench is published (Garrido et al. 2023).

    <folder>/<class>/<object>/image_<i>.jpg     view i of an object
    <folder>/<class>/<object>/latent_<i>.npy    its factors, [7] numbers in the order of
                                                `scene.LATENTS`; [10] in 3DIEBench-T, whose last
                                                three are `scene.TRANSLATION`
    <folder>/<split>_images.npy                 the split's objects, strings such as
                                                "/02691156/dc8d.../"
    <folder>/<split>_labels.npy                 their classes, integers

There may be millions of files: opening reads only the split files and the names of the objects'
folders. Images and latents are read when they are asked for.
"""

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.errors import DataError
from seqjepa.reading.npy import parse, read_bytes
from seqjepa.reading.pixels import MOST_BYTES, Resampling, decode, decode_all
from seqjepa.render.scene import LATENTS, SPACES, TRANSLATION
from seqjepa.store.splits import Listing, find_objects, read_listing
from seqjepa.store.table import ViewTable
from seqjepa.types import Indices

IMAGE, LATENT = "image_{}.jpg", "latent_{}.npy"
# Only names that IMAGE makes: a copy called image_00.jpg is no second view 0.
VIEW = re.compile(r"image_(0|[1-9][0-9]*)\.jpg")
SAMPLE = 256  # objects of a split that are compared when a run is resumed
MOST_LATENT_BYTES = 4096  # a latent has 184 or 208
MIXED = "views of 3DIEBench (7) and of 3DIEBench-T (10) do not go into one folder"
REMEDY = "get it again, or set world.views to what every object has"


class Store(ABC):
    """Views of objects on disk, in one form or another.

    Attributes:
        folder: the folder that holds them.
        listing: the objects.
    """

    folder: Path
    listing: Listing

    @property
    @abstractmethod
    def factors(self) -> ActionSpace:
        """Every group of factors; its pose is what the latents of all views hold.

        Raises:
            DataError: if that cannot be read.
        """

    @abstractmethod
    def fewest(self) -> tuple[int, str]:
        """Return the number of views of the object with the fewest, and its place."""

    @abstractmethod
    def table(
        self,
        rows: Indices,
        views: int,
        size: int,
        option: str = "world.image_size",
        resampling: Resampling = "bicubic",
    ) -> ViewTable:
        """Return the first `views` views of the objects `rows`, with S = `size` pixels per side.

        `option` holds that size, for messages; if it is empty, smaller views are enlarged. Larger
        ones are shrunk with a filter, see `pixels.decode`.

        Raises:
            ConfigError: if views are smaller than that, now or when they are asked for.
            DataError: if files are missing or damaged, now or when views are asked for.
        """


class FolderStore(Store):
    """Files in the published layout.

    Args:
        folder: the folder that holds them.
        unlisted: take every object that is found, as split `ood`, whatever the split files say;
            views may then begin at any number.
        listing: objects that are known to have folders; None for those of the split files.

    Raises:
        DataError: if split files or objects are missing, or contradict each other.
    """

    def __init__(
        self, folder: Path, *, unlisted: bool = False, listing: Listing | None = None
    ) -> None:
        if not folder.is_dir():
            raise DataError(
                f"there is no folder {folder}; it must hold <class>/<object>/image_<i>.jpg, and "
                "split files beside the classes"
            )
        self.folder, self.unlisted = folder, unlisted
        if listing is not None:
            self.listing = listing
            return
        self.listing = find_objects(folder) if unlisted else read_listing(folder)
        if missing := missing_folders(folder, self.listing.places):
            raise DataError(
                f"{folder} has no folder {missing[0]}, which its split files name "
                f"({len(missing)} missing): get the images again"
            )

    def numbers(self, row: int) -> list[int]:
        """Return the numbers of an object's views, in order."""
        folder = self.folder / self.listing.places[row]
        try:
            with os.scandir(folder) as found:
                names = [entry.name for entry in found]
        except OSError as error:
            raise DataError(
                f"{folder} cannot be read ({error.strerror or error}): get the object again"
            ) from error
        return sorted(int(view[1]) for name in names if (view := VIEW.fullmatch(name)))

    @cached_property
    def first_latent(self) -> Path:
        """The latent of the first view, whose length is that of all."""
        numbers, folder = self.numbers(0), self.folder / self.listing.places[0]
        if not numbers:
            raise DataError(f"{folder} has no views image_<i>.jpg: get the object again")
        return folder / LATENT.format(numbers[0])

    @cached_property
    @override
    def factors(self) -> ActionSpace:
        return SPACES[len(read_latent(self.first_latent))]

    def latent(self, path: Path) -> npt.NDArray[np.float64]:
        """Read the factors of a view, as many as the first view has.

        Raises:
            DataError: if the file is missing, damaged, or of another length.
        """
        found, expected = read_latent(path), len(self.factors.pose)
        if len(found) != expected:
            raise DataError(
                f"{path} holds {len(found)} factors, {self.first_latent} holds {expected}: {MIXED}"
            )
        return found

    @override
    def fewest(self) -> tuple[int, str]:
        """Read every object's folder, see `Store.fewest`: some ten seconds for 50,000."""
        return min((len(self.numbers(row)), place) for row, place in enumerate(self.listing.places))

    @override
    def table(
        self,
        rows: Indices,
        views: int,
        size: int,
        option: str = "world.image_size",
        resampling: Resampling = "bicubic",
    ) -> ViewTable:
        # Published views are numbered from 0, those of unlisted objects from anywhere.
        if self.unlisted:
            numbers = np.array([self.numbers(row)[:views] for row in rows.tolist()])
        else:
            numbers = np.broadcast_to(np.arange(views), (len(rows), views))
        files = _Files(self.folder, [self.listing.places[row] for row in rows.tolist()], numbers)

        # An object with too few views is found now, not in the middle of training.
        for row in range(len(rows)):
            file_size(files.path(row, views - 1, IMAGE))

        decode(*files.image(0, 0), size, option)
        images = Images(files.image, (*numbers.shape, size, size, 3), option, resampling)
        labels = self.listing.labels[rows]
        latents = _Latents(files, self.latent, len(self.factors.pose))
        return ViewTable(images, latents, labels, contents=files.contents())


@dataclass(frozen=True)
class _Files:
    """The files of some objects.

    Attributes:
        folder: the folder they are in.
        places: [N], of the objects.
        numbers: [N, V], of their views.
    """

    folder: Path
    places: Sequence[str]
    numbers: Indices

    def path(self, row: int, view: int, name: str) -> Path:
        return self.folder / self.places[row] / name.format(self.numbers[row, view])

    def image(self, row: int, view: int) -> tuple[bytes, str]:
        """Return the bytes of an image file and its name."""
        return read_image(self.path(row, view, IMAGE))

    def contents(self) -> str:
        """Return a digest of some objects' images, spread evenly.

        It covers all their sizes, and the bytes of one image each. Times of change are left out, so
        that a copy has the same digest.

        Raises:
            DataError: if one is missing.
        """
        objects, views = self.numbers.shape
        sample = np.linspace(0, objects - 1, min(SAMPLE, objects)).astype(np.int64)
        digest = hashlib.sha256()
        for row in np.unique(sample).tolist():
            sizes = [file_size(self.path(row, view, IMAGE)) for view in range(views)]
            digest.update(f"{self.places[row]} {sizes}".encode(errors="surrogateescape"))
            digest.update(self.image(row, row % views)[0])
        return digest.hexdigest()


@dataclass(frozen=True)
class Images:
    """Image files as an array [N, V, S, S, 3]: read and decoded when they are asked for.

    Attributes:
        read: the bytes of the file of an object and a view, and its name for messages.
        shape: of the array.
        option: the option that holds S, if smaller images are an error; empty to enlarge them.
        resampling: the filter that shrinks them, see `pixels.decode`.
    """

    read: Callable[[int, int], tuple[bytes, str]]
    shape: tuple[int, ...]
    option: str
    resampling: Resampling
    dtype = np.dtype(np.uint8)

    def __getitem__(self, at: tuple[Indices, Indices]) -> npt.NDArray[np.uint8]:
        rows, views = np.broadcast_arrays(*at)
        flat = list(zip(rows.ravel().tolist(), views.ravel().tolist(), strict=True))
        size = self.shape[2]
        decoded = decode_all(
            len(flat), lambda at: self.read(*flat[at]), size, self.option, self.resampling
        )
        return decoded.reshape(*rows.shape, *self.shape[2:])


@dataclass(frozen=True)
class _Latents:
    """Latent files as an array [N, V, P].

    Attributes:
        files: of the views.
        read: the P numbers of a file.
        length: P, 7 or 10.
    """

    files: _Files
    read: Callable[[Path], npt.NDArray[np.float64]]
    length: int
    dtype = np.dtype(np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.files.numbers.shape, self.length)

    def __getitem__(self, at: tuple[Indices, Indices]) -> npt.NDArray[np.float32]:
        rows, views = np.broadcast_arrays(*at)
        found = [
            self.read(self.files.path(row, view, LATENT))
            for row, view in zip(rows.flat, views.flat, strict=True)
        ]
        return np.array(found, np.float32).reshape(*rows.shape, self.length)


def read_image(path: Path) -> tuple[bytes, str]:
    """Return the bytes of an image file, and its name for messages.

    Raises:
        DataError: if it is missing, unreadable or too large.
    """
    return read_bytes(path, MOST_BYTES, REMEDY), str(path)


def file_size(path: Path) -> int:
    """Return a file's size in bytes.

    Raises:
        DataError: if the file is missing.
    """
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} is missing: {REMEDY}") from error


def read_latent(path: Path) -> npt.NDArray[np.float64]:
    """Read the factors of a view, [7] or with a translation [10].

    Raises:
        DataError: if the file is missing or holds anything but so many finite numbers.
    """
    data = read_bytes(path, MOST_LATENT_BYTES, REMEDY)
    latent = parse(data, path, f"{' or '.join(map(str, SPACES))} numbers")
    if latent.ndim != 1 or len(latent) not in SPACES or latent.dtype.kind != "f":
        more = f"{len(LATENTS) + len(TRANSLATION)} with {', '.join(TRANSLATION)}"
        expected = f"{len(LATENTS)} floats ({', '.join(LATENTS)}), or {more}"
        got = f"{latent.dtype} {list(latent.shape)}"
        raise DataError(f"{path} must hold {expected}, got {got}: get the file again")

    found = latent.astype(np.float64)
    # What float64 holds may be too large for float32, in which poses are.
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(found.astype(np.float32))
    if not is_finite.all():
        raise DataError(
            f"{path} holds a factor that is not finite ({found.tolist()}): get the file again or "
            "leave the object out"
        )
    return found


def missing_folders(folder: Path, places: Iterable[str]) -> list[str]:
    """Return the objects that have no folder."""
    # Each class is listed once: asking for each of 50,000 objects takes longer.
    objects: dict[str, set[str]] = {}
    missing = []
    for place in places:
        class_name, object_name = place.split("/")
        if class_name not in objects:
            class_folder = folder / class_name
            found = class_folder.iterdir() if class_folder.is_dir() else ()
            objects[class_name] = {path.name for path in found}
        if object_name not in objects[class_name]:
            missing.append(place)
    return missing
