"""The template of a published format, and the one function that opens any of them."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, final

from seqjepa.display import warn
from seqjepa.errors import ConfigError, DataError, unknown
from seqjepa.reading.findings import (
    BadFilesError,
    Finding,
    Levels,
    Look,
    Report,
    Sample,
    bad_files,
    checksum,
    count,
    counted,
    doubt,
)
from seqjepa.store.look import class_counts, class_doubts
from seqjepa.worlds.images import formats
from seqjepa.worlds.images.cached import cached_parts
from seqjepa.worlds.images.image_set import ImageSet, ImageSplit
from seqjepa.worlds.images.look import (
    Repeats,
    decoding_findings,
    draw_published,
    look_at,
    see_some,
    seen_levels,
)
from seqjepa.worlds.images.published import ImageFiles, Published


class Source(ABC):
    """A published set of labelled images.

    A format says where its files are, how to read them and which splits they make. Opening,
    caching and checking are settled here.

    Attributes:
        name: the module's, also for `world.source` and the cache.
        title: the data set's own name, for reports.
        md5: published checksums of archives, by file name.
        num_classes: published number of classes.
        counts: published numbers of images, by origin.
        probe_split: see `WorldSpec`.
        stretched: see `ImageSplit`.
        side: pixels per side at which a check looks at images.
        version: of the way in which names become labels and splits: raise it when these change.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    md5: ClassVar[Mapping[str, str]] = {}
    num_classes: ClassVar[int]
    counts: ClassVar[Mapping[str, int]]
    probe_split: ClassVar[str] = "train"
    stretched: ClassVar[bool] = True
    side: ClassVar[int] = 160
    version: ClassVar[int] = 0

    @abstractmethod
    def locate(self, path: Path) -> Path:
        """Return the archive or folder that holds the images: the path, or one in it."""

    @abstractmethod
    def recognises(self, place: Path) -> bool:
        """Return whether an archive or folder looks like this format, complete or not."""

    @abstractmethod
    def files(self, place: Path) -> str:
        """Return a fingerprint of all files that `read` reads."""

    @abstractmethod
    def read(self, place: Path, size: int) -> Published:
        """Read class names and labels; images are decoded later, at `size` pixels per side.

        Raises:
            ConfigError: if a package that the format needs is not installed.
            DataError: if files are missing or damaged.
        """

    @abstractmethod
    def splits(self, parts: Mapping[str, ImageSplit], val_fraction: float) -> dict[str, ImageSplit]:
        """Return the splits, made from all images by origin; see `open` for `val_fraction`."""

    def training(self, parts: Mapping[str, ImageSplit]) -> ImageSplit:
        """Return the images that give the pixel statistics."""
        return parts["train"]

    def doubts(self, parts: Mapping[str, ImageSplit], classes: tuple[str, ...]) -> list[str]:
        """Return warnings about the classes of all images by origin."""
        return []

    def image_files(self, place: Path, size: int) -> Mapping[str, ImageFiles]:
        """Return image files by origin, whatever their labels; none if there are no such files."""
        return {}

    def findings(self, place: Path, look: Look) -> Iterator[Finding | Sample]:
        """Yield the findings of `seqjepa data check` in files that this format recognises."""
        if place.name in self.md5:
            yield checksum(place, self.md5[place.name])

        # What is wrong with labels does not keep the images from being looked at.
        try:
            published = self.read(place, self.side)
        except BadFilesError as error:
            yield bad_files(error.files, error.total, error.what)
            everything = {
                origin: (files, sum(1 for _ in files.begin()))
                for origin, files in self.image_files(place, self.side).items()
            }
            yield from look_at(everything, look)
            return

        levels, repeats = Levels(), Repeats()
        yield count(place, "classes", len(published.classes), self.num_classes)
        for origin, wanted in self.counts.items():
            part = published.parts[origin]
            found = count(place, f"{origin} images", len(part.labels), wanted)
            yield replace(found, what=f"{found.what}{_by_class(published, origin)}")
            # One damaged file among many shows only when it is decoded.
            if isinstance(part.decode, ImageFiles):
                total = len(part.labels)
                yield from decoding_findings(part.decode, total, look, levels, repeats)
            else:
                see_some(part, levels)

        for message in (*levels.doubts(), *repeats.doubts()):
            yield doubt(message)
        if look.samples:
            yield from draw_published(published)

    @final
    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        """Open the images, decoded from the published files or found in the cache.

        Args:
            path: the data set.
            image_size: S, pixels per side.
            val_fraction: share of the training images that make up `val`, the same ones on every
                machine; 0 leaves it empty.

        Raises:
            ConfigError: if the fraction is out of range, or `read` needs a missing package.
            DataError: if files are missing or damaged.
            DiskError: if the cache cannot be written.
        """
        # The fingerprint comes from names, sizes and times alone; if the cache knows it, nothing is
        # read.
        place = self.locate(path)
        read = partial(self.read, place, image_size)
        state = self.files(place)
        cached = cached_parts(self.name, state, image_size, read, self.training, self.version)

        splits = {
            name: replace(split, stretched=self.stretched)
            for name, split in self.splits(cached.splits, val_fraction).items()
        }
        doubts = self.doubts(cached.splits, cached.classes)
        for message in (*doubts, *seen_levels(splits["train"]).doubts()):
            warn(f"{place}: {message}")
        return replace(cached, splits=splits, probe_split=self.probe_split)

    @final
    def inspect(self, path: Path, look: Look = Look()) -> Report | None:
        """Check the files for `seqjepa data check`, or return None if the format is another."""
        place = self.locate(path)
        return Report.of(self.title, self.findings(place, look)) if self.recognises(place) else None


def _by_class(published: Published, origin: str) -> str:
    """Return the numbers of images by class, and the classes that are missing, for a finding."""
    labels = published.parts[origin].labels
    counts = class_counts(published.classes, labels)
    if not counts:
        return ""
    doubts = class_doubts(
        published.classes, {"train": published.parts["train"].labels, origin: labels}
    )
    return "; ".join(["", counted(counts), *doubts])


def sources() -> dict[str, Source]:
    """Return every format by the name of its module."""
    # A format has its module's name, so a new file needs no entry anywhere.
    modules = [name for _, name, _ in pkgutil.iter_modules(formats.__path__)]
    return {name: importlib.import_module(f"{formats.__name__}.{name}").SOURCE for name in modules}


def find_source(name: str) -> Source:
    """Return the format of that name.

    Raises:
        ConfigError: if there is none.
    """
    known = sources()
    if name not in known:
        raise ConfigError(unknown("world.source", name, known))
    return known[name]


def open_images(source: str, path: str, image_size: int, val_fraction: float) -> ImageSet:
    """Open the images of a world that has these fields; see `Source.open`.

    Raises:
        ConfigError: if there is no such format.
        DataError: if there is nothing at the path, or as `Source.open`.
    """
    found, place = find_source(source), Path(path).expanduser()
    if not place.exists():
        raise DataError(
            f"world.path: there is no file or folder {place}; it must be a folder or archive of "
            "images that `seqjepa data check` knows"
        )
    return found.open(place, image_size, val_fraction)
