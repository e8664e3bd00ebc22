"""Findings of `seqjepa data check` in images: all are decoded, and a few shown."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from seqjepa.display import progress
from seqjepa.errors import DataError
from seqjepa.reading.findings import (
    BadFile,
    Finding,
    Levels,
    Look,
    Sample,
    bad_files,
    doubt,
    listed,
)
from seqjepa.store.look import sample_places
from seqjepa.worlds.images.image_set import ImageSplit
from seqjepa.worlds.images.published import ImageFiles, ImagePart, Published

QUICK = 32  # images of a part that a quick look decodes
SEEN = 64  # images that are looked at whenever a set is opened


def look_at(parts: Mapping[str, tuple[ImageFiles, int]], look: Look) -> Iterator[Finding]:
    """Decode image files and yield findings about them.

    Args:
        parts: files by origin, and their number.
        look: the options of the check.
    """
    levels, repeats = Levels(), Repeats()
    for files, total in parts.values():
        yield from decoding_findings(files, total, look, levels, repeats)
    for message in (*levels.doubts(), *repeats.doubts()):
        yield doubt(message)


class Repeats:
    """Images with the same pixels as one before, among all that are seen."""

    def __init__(self) -> None:
        self.names: dict[bytes, str] = {}  # of the first image with these pixels
        self.pairs: list[tuple[str, str]] = []

    def see(self, pixels: npt.NDArray[np.uint8], name: str) -> None:
        """Take note of an image."""
        digest = blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()
        first = self.names.setdefault(digest, name)
        if first != name:
            self.pairs.append((first, name))

    def doubts(self) -> list[str]:
        """Return a sentence that warns of repeated images, if there are any."""
        if not self.pairs:
            return []
        repeats = listed(f"{again} ({first})" for first, again in self.pairs)
        return [
            f"images that repeat another one: {repeats}; leave them out, or a test may ask for "
            "what was trained on"
        ]


def decoding_findings(
    files: ImageFiles, total: int, look: Look, levels: Levels, repeats: Repeats
) -> Iterator[Finding]:
    """Decode the files, or some of them if the look is a quick one, and yield what was found."""
    # Not the first ones: what a broken download or copy lacks is mostly at the end.
    step = max(1, total // QUICK) if look.quick else 1
    tried, bad = 0, list[BadFile]()
    with progress("decoding", -(-total // step)) as advance:
        try:
            rest = files.begin()
            for found in files.outcomes(itertools.islice(rest, 0, total, step)):
                tried += 1
                advance(1)
                if found.pixels is None:
                    bad.append((found.where, found.error))
                else:
                    levels.see(found.pixels, found.where)
                    repeats.see(found.pixels, found.where)
            # Only now: at its end an archive is verified, and closed.
            for _ in rest:
                pass
        except DataError as error:
            # A damaged archive cannot be read to its end.
            bad.append(("", str(error)))

    whole = tried - sum(1 for where, _ in bad if where)
    if whole:
        which = f"all {whole:,} images" if whole == total else f"{whole:,} of {total:,} images"
        spread = ", spread evenly," if look.quick and step > 1 else ""
        yield Finding(True, f"{which}{spread} can be decoded")
    if bad:
        yield bad_files(bad, total)


def draw_samples(files: ImageFiles, total: int, captions: Sequence[str]) -> Iterator[Sample]:
    """Yield three of the images, spread evenly; those that cannot be decoded are left out."""
    places = sample_places(total)
    # No further than the last one: at its end an archive is closed. So it is when the iteration is
    # forgotten, which would be before the last images are read if it had no name.
    everything = files.begin()
    some = itertools.islice(everything, places[-1] + 1 if places else 0)
    chosen = (member for place, member in enumerate(some) if place in places)
    for place, found in zip(places, files.outcomes(chosen), strict=False):
        if found.pixels is not None:
            yield Sample((found.pixels,), captions[place])


def see_some(part: ImagePart, levels: Levels) -> None:
    """Take note of the levels of the first images of a part."""
    number = min(QUICK, len(part.labels))
    for place, image in enumerate(part.decode(0, number) if number else ()):
        levels.see(image, f"image {place}")


def seen_levels(split: ImageSplit) -> Levels:
    """Return the levels of some images of an open split, spread evenly."""
    levels = Levels()
    for place in split.places(np.array(sample_places(len(split), SEEN), np.int64)).tolist():
        name = f"image {place}" if split.names is None else os.fsdecode(split.names[place])
        levels.see(split.images[place], name)
    return levels


def draw_published(published: Published) -> Iterator[Sample]:
    """Yield three images of the last part, see `draw_samples`."""
    part = list(published.parts.values())[-1]
    total = len(part.labels)
    names = [published.classes[label] if label >= 0 else "no class" for label in part.labels]
    if isinstance(part.decode, ImageFiles):
        yield from draw_samples(part.decode, total, names)
        return
    for place in sample_places(total):
        yield Sample((part.decode(place, place + 1)[0],), names[place])
