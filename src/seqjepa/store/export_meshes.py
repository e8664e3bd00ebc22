"""A collection of meshes as a job for `export`: the layout of 3DIEBench, with splits by object."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from seqjepa.checks import at_least, shares
from seqjepa.errors import DataError
from seqjepa.reading.archives import zip_name
from seqjepa.render.meshes.collection import Collection, MeshFile, class_counts
from seqjepa.render.meshes.workers import Task, draw_all
from seqjepa.render.scene import sample_latents
from seqjepa.store.export import RenderJob, Skip, Views
from seqjepa.store.holdout import deal, held_out

VERSION = 2  # of the pictures: raise it when a render changes
BLOCK = 1 << 20  # bytes of a mesh's file that are read at a time


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options for making pictures of meshes.

    Attributes:
        labels: CSV file with columns `file` and `class`; meshes that it does not name are left out.
            Without it, a mesh's class is its catalogue's category, or else its first folder.
        views: pictures per object.
        image_size: pixels per side.
        seed: decides latents and splits. An object's latents depend on its name, not on the other
            objects.
        val_fraction: share of each class for split `val`.
        test_fraction: share of each class for split `test`. A class of three or more objects is in
            every split, a smaller one only in `train`.
        processes: number of processes that draw; one a core if 0.
        strict: end at the first bad mesh instead of skipping and counting it.
    """

    section: ClassVar[str] = ""

    labels: Path | None = None
    views: int = 50
    image_size: int = 256
    seed: int = 0
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    processes: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        at_least(self, views=1, image_size=8, seed=0, processes=0)
        shares(self, "val_fraction", "test_fraction")

    def job(self, found: Collection) -> RenderJob:
        """Return the job of rendering a collection.

        Raises:
            DataError: while rendering, at a bad mesh if `strict`.
        """
        models, classes = found.models, list(class_counts(found.models))
        places = [model.place for model in models]

        # Each object has a generator of its own, so its latents do not depend on the others.
        generators = [np.random.default_rng([self.seed, *place.encode()]) for place in places]
        latents = np.stack([sample_latents(generator, self.views) for generator in generators])

        def render(numbers: Sequence[int]) -> Iterator[Views | Skip]:
            tasks = [Task(models[n], latents[n], self.image_size) for n in numbers]
            for drawn in draw_all(tasks, self.processes or os.cpu_count() or 1):
                if isinstance(drawn, str) and self.strict:
                    raise DataError(drawn)
                yield Skip(drawn) if isinstance(drawn, str) else drawn

        def split(good: Sequence[int]) -> dict[str, list[int]]:
            return self._split(places, good)

        archived = cache(_archived)  # each archive is listed once

        def source(number: int) -> str:
            return _source(models[number], archived)

        # Options that decide the files; the number of processes does not.
        names = ("views", "image_size", "seed", "val_fraction", "test_fraction")
        return RenderJob(
            key={
                "world": "meshes",
                "version": VERSION,
                "classes": classes,
                **{name: getattr(self, name) for name in names},
            },
            places=places,
            labels=np.array([classes.index(model.category) for model in models], np.int64),
            poses=latents,
            render=render,
            split=split,
            source=source,
        )

    def _split(self, places: Sequence[str], numbers: Sequence[int]) -> dict[str, list[int]]:
        """Split objects, some of all places, class by class.

        The objects of a class with the smallest hashes are for testing, the next for validation.
        """
        classes: dict[str, list[int]] = {}
        for number in numbers:
            classes.setdefault(places[number].split("/")[0], []).append(number)

        def digest(number: int) -> bytes:
            return hashlib.sha256(f"{self.seed}/{places[number]}".encode()).digest()

        splits: dict[str, list[int]] = {"train": [], "val": [], "test": []}
        for members in classes.values():
            order = np.array(sorted(members, key=digest), np.int64)
            for split, objects in deal(order, self._counts(len(order))).items():
                splits[split] += objects.tolist()
        return {split: sorted(objects) for split, objects in splits.items()}

    def _counts(self, size: int) -> dict[str, int]:
        """Return how many objects of a class of this size are held out, by split."""
        if size < 3:
            return {"test": 0, "val": 0}
        test, val = held_out(size, self.test_fraction), held_out(size, self.val_fraction)
        # Rounded up, the fractions of a small class may leave none for training.
        return {"test": test, "val": val} if test + val < size else {"test": 1, "val": 1}


def _source(model: MeshFile, archived: Callable[[Path], Mapping[str, str]]) -> str:
    """Return size and CRC-32 of a mesh's file, and its turn; materials and textures do not count.

    An archive knows them without reading the file: `archived` returns them by name.
    """
    if model.source.is_dir():
        found = _file(model.source / model.name)
    else:
        found = archived(model.source)[model.name]
    return found if model.turn is None else f"{found} {model.turn}"


def _file(path: Path) -> str:
    size = crc = 0
    try:
        with path.open("rb") as file:
            while data := file.read(BLOCK):
                size, crc = size + len(data), zlib.crc32(data, crc)
    except OSError as error:
        return f"unreadable: {error.strerror or error}"  # drawing it will fail with that too
    return f"{size} {crc:08x}"


def _archived(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {
            zip_name(info.filename): f"{info.file_size} {info.CRC:08x}"
            for info in archive.infolist()
        }
