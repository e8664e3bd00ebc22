"""Published files of images: what they hold, and how to decode them."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from seqjepa.errors import DataError
from seqjepa.reading.archives import Member
from seqjepa.reading.findings import Finding
from seqjepa.reading.pixels import MOST_BYTES, decode
from seqjepa.types import Indices

SAMPLE = 32  # images that a check decodes
# Files in memory that wait for decoding: enough for every core.
AHEAD = 4 * (os.cpu_count() or 1)

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ImagePart:
    """All images of one published file or folder, in its order.

    Attributes:
        labels: [N] int64, -1 where unknown.
        decode: returns the images start .. stop - 1 as [stop - start, S, S, 3], the same ones for
            the same arguments; quick if asked for in order.
        names: [N] file names; empty if the images are not files of their own.
    """

    labels: Indices
    decode: Callable[[int, int], Pixels]
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """A data set as its files have it.

    Attributes:
        classes: class names; a label is an index into them.
        parts: by origin, see `ImageSplit`.
    """

    classes: tuple[str, ...]
    parts: Mapping[str, ImagePart]


class ImageFiles:
    """Image files of a folder or archive, in its order; a call decodes some (`ImagePart.decode`).

    Args:
        begin: starts an iteration over the files.
        size: see `reading.pixels.decode`.
    """

    def __init__(self, begin: Callable[[], Iterator[Member]], size: int | tuple[int, int]) -> None:
        self.begin, self.size = begin, size
        self.place = -1
        self.rest: Iterator[Member] = iter(())

    def part(self, label: Callable[[Member], int]) -> ImagePart:
        """Return all files as a part, each with its label."""
        names, labels = [], []
        for member in self.begin():
            names.append(member.name)
            labels.append(label(member))
        return ImagePart(np.array(labels, np.int64), self, tuple(names))

    def sample(self, total: int) -> Finding:
        """Decode some of the `total` files, spread evenly, and report whether they are whole."""
        # Not the first ones: what a broken download or copy lacks is mostly at the end.
        tried = 0
        try:
            for member in itertools.islice(self.begin(), 0, None, max(1, total // SAMPLE)):
                self._decode(member)
                tried += 1
        except DataError as error:
            return Finding(False, str(error))
        return Finding(True, f"{tried} of them, spread evenly, can be decoded")

    def __call__(self, start: int, stop: int) -> Pixels:
        """Return the images start .. stop - 1 as [stop - start, S, S, 3]."""
        # The first call may resume a killed build; later ones go on where the last one ended.
        if start != self.place:
            self.rest = itertools.islice(self.begin(), start, None)

        images: list[Pixels] = []
        waiting: deque[Future[Pixels]] = deque()
        with ThreadPoolExecutor() as pool:
            for member in itertools.islice(self.rest, stop - start):
                # Memory stays bounded, however many files a chunk has.
                if len(waiting) == AHEAD:
                    images.append(waiting.popleft().result())
                waiting.append(self._submit(member, pool))
            images += [job.result() for job in waiting]

        if gone := stop - start - len(images):
            raise DataError(f"{gone} images went away while they were read: start again")
        self.place = stop
        return np.stack(images)

    def _submit(self, member: Member, pool: ThreadPoolExecutor) -> Future[Pixels]:
        if member.lasting:
            return pool.submit(self._decode, member)

        # The member of a tar can be read only before the next one is asked for.
        return pool.submit(decode, member.read(MOST_BYTES), member.where, self.size)

    def _decode(self, member: Member) -> Pixels:
        return decode(member.read(MOST_BYTES), member.where, self.size)


def resized(images: Pixels, size: int) -> Pixels:
    """Stretch images [N, H, W, 3] to [N, S, S, 3] bicubically, unless they have that size."""
    if images.shape[1:3] == (size, size):
        return images

    stretched = [
        Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in images
    ]
    return np.stack([np.asarray(image) for image in stretched])
