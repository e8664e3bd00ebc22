"""A collection of meshes as a job for `export`: the layout of 3DIEBench, with splits by object."""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from seqjepa.errors import ConfigError, DataError
from seqjepa.render.meshes.collection import Collection, MeshFile, class_counts
from seqjepa.render.meshes.workers import Task, draw_all
from seqjepa.render.scene import sample_latents
from seqjepa.store.export import RenderJob, Skip, Views

VERSION = 1  # of the pictures: raise it when a render changes


@dataclass(frozen=True, kw_only=True)
class Config:
    """How meshes become pictures.

    Attributes:
        labels: CSV file with columns `file` and `class`; meshes that it does not name are left out.
            Without it, a mesh's class is its catalogue's category, or else its first folder.
        views: pictures per object.
        image_size: pixels per side.
        seed: of latents and splits. An object's latents depend on its name, not on what else there
            is.
        val_fraction: of each class, for split `val`.
        test_fraction: of each class, for split `test`. A class of three or more objects is in every
            split, one of fewer only in `train`.
        processes: that draw, one a core if 0.
        strict: end at the first bad mesh instead of skipping and counting it.
    """

    labels: Path | None = None
    views: int = 50
    image_size: int = 256
    seed: int = 0
    val_fraction: float = 0.1
    test_fraction: float = 0.2
    processes: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        for name, least in (("views", 1), ("image_size", 8), ("seed", 0), ("processes", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not (
            self.val_fraction > 0
            and self.test_fraction > 0
            and self.val_fraction + self.test_fraction < 1
        ):
            raise ConfigError(
                f"val_fraction and test_fraction must be positive and sum to less than 1, got {self.val_fraction}, {self.test_fraction}"
            )

    def job(self, found: Collection) -> RenderJob:
        """The job of rendering a collection.

        Raises:
            DataError: while rendering, at a bad mesh if `strict`.
        """
        models, classes = found.models, list(class_counts(found.models))
        places = [model.place for model in models]
        latents = np.stack(
            [
                sample_latents(np.random.default_rng([self.seed, *place.encode()]), self.views)
                for place in places
            ]
        )

        def render(numbers: Sequence[int]) -> Iterator[Views | Skip]:
            tasks = [Task(models[n], latents[n], self.image_size) for n in numbers]
            for drawn in draw_all(tasks, self.processes or os.cpu_count() or 1):
                if isinstance(drawn, str) and self.strict:
                    raise DataError(drawn)
                yield Skip(drawn) if isinstance(drawn, str) else drawn

        labels = np.array([classes.index(model.category) for model in models], np.int64)
        names = ("views", "image_size", "seed", "val_fraction", "test_fraction")
        key = {"world": "meshes", "version": VERSION, "classes": classes} | {
            name: getattr(self, name) for name in names
        }
        archived = cache(_archived)  # each archive's list once

        def source(number: int) -> str:
            return _source(models[number], archived)

        return RenderJob(
            key,
            places,
            labels,
            latents,
            render,
            lambda good: self._split([places[n] for n in good], good),
            source,
        )

    def _split(self, places: Sequence[str], numbers: Sequence[int]) -> dict[str, list[int]]:
        """Objects by split: of each class those with the smallest hashes are for testing, the next
        for validation."""
        splits: dict[str, list[int]] = {"train": [], "val": [], "test": []}
        category = [place.split("/")[0] for place in places]
        for name in sorted(set(category)):
            members = [
                (place, n)
                for place, n, its in zip(places, numbers, category, strict=True)
                if its == name
            ]
            order = [
                n
                for _, n in sorted(
                    members,
                    key=lambda one: hashlib.sha256(f"{self.seed}/{one[0]}".encode()).digest(),
                )
            ]
            test, val = (
                _held_out(len(order), self.test_fraction),
                _held_out(len(order), self.val_fraction),
            )
            test, val = (min(test, 1), min(val, 1)) if test + val >= len(order) else (test, val)
            splits["test"] += order[:test]
            splits["val"] += order[test : test + val]
            splits["train"] += order[test + val :]
        return {split: sorted(members) for split, members in splits.items()}


def _source(model: MeshFile, archived: Callable[[Path], Mapping[str, str]]) -> str:
    """Size and CRC-32 of a mesh's file, which an archive knows of it, and its turn. Materials and
    textures are left out of account."""
    found = (
        _file(model.source / model.name)
        if model.source.is_dir()
        else archived(model.source)[model.name]
    )
    return found if model.turn is None else f"{found} {model.turn}"


def _file(path: Path) -> str:
    size = crc = 0
    try:
        with path.open("rb") as file:
            while data := file.read(1 << 20):
                size, crc = size + len(data), zlib.crc32(data, crc)
    except OSError as error:
        return f"unreadable: {error.strerror or error}"  # as whoever draws it will find
    return f"{size} {crc:08x}"


def _archived(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: f"{info.file_size} {info.CRC:08x}" for info in archive.infolist()}


def _held_out(size: int, fraction: float) -> int:
    return max(1, round(fraction * size)) if size >= 3 else 0
