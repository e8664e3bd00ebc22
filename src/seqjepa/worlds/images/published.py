"""Published files of images: what they hold, and how to decode them."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from PIL import Image

from seqjepa.errors import DataError
from seqjepa.reading.archives import Member
from seqjepa.reading.findings import BadFile, BadFilesError
from seqjepa.reading.pixels import MOST_BYTES, decode
from seqjepa.types import Indices

DIGEST = 16  # bytes of the digest of a file
# Files in memory that wait for decoding: enough for every core.
AHEAD = 4 * (os.cpu_count() or 1)

Pixels = npt.NDArray[np.uint8]
Known = Callable[[bytes], Pixels | None]


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


@dataclass(frozen=True)
class Outcome:
    """An image file after it was read.

    Attributes:
        where: folder or archive and name, for messages.
        digest: of its bytes; empty if they cannot be read.
        pixels: [S, S, 3], None if it is bad.
        error: what is wrong with it.
    """

    where: str
    digest: bytes = b""
    pixels: Pixels | None = None
    error: str = ""


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
        self.watch(lambda _: None, _refuse)

    def __call__(self, start: int, stop: int) -> Pixels:
        """Return the images start .. stop - 1 as [stop - start, S, S, 3].

        Raises:
            BadFilesError: if some are bad, unless `watch` was called: then these are black.
            DataError: if an archive is damaged, or files went away.
        """
        # The first call may resume a killed build; later ones go on where the last one ended.
        if start != self.place:
            self.rest = itertools.islice(self.begin(), start, None)

        found = list(self.outcomes(itertools.islice(self.rest, stop - start)))
        if gone := stop - start - len(found):
            raise DataError(f"{gone} images went away while they were read: start again")
        self.place = stop
        self.note(start, found)
        return np.stack([self._black() if each.pixels is None else each.pixels for each in found])

    def watch(self, known: Known, note: Callable[[int, list[Outcome]], None]) -> None:
        """Prepare for calls that must not stop at bad files.

        Args:
            known: returns the pixels of a file by its digest, if they were decoded before.
            note: is given the first place of each call and its outcomes.
        """
        self.known, self.note = known, note

    def outcomes(self, files: Iterable[Member]) -> Iterator[Outcome]:
        """Yield an outcome for each of some files, which are decoded side by side."""
        waiting: deque[Future[Outcome]] = deque()
        with ThreadPoolExecutor() as pool:
            for member in files:
                # Memory stays bounded, however many files a chunk has.
                if len(waiting) == AHEAD:
                    yield waiting.popleft().result()

                # The member of a tar can be read only before the next one is asked for.
                data = None if member.lasting else _read(member)
                waiting.append(pool.submit(self._decode, member, data))
            for job in waiting:
                yield job.result()

    def _black(self) -> Pixels:
        height, width = (self.size,) * 2 if isinstance(self.size, int) else self.size
        return np.zeros((height, width, 3), np.uint8)

    def _decode(self, member: Member, data: bytes | str | None) -> Outcome:
        """Decode a file, of which `data` is what `_read` returned, or None if it is to be read."""
        where = member.where
        data = _read(member) if data is None else data
        if isinstance(data, str):
            return Outcome(where, error=data)

        digest = blake2b(data, digest_size=DIGEST).digest()
        pixels = self.known(digest)
        try:
            if pixels is None:
                pixels = decode(data, where, self.size)
            return Outcome(where, digest, pixels)
        except DataError as error:
            return Outcome(where, digest, error=str(error))


def label_all(
    files: Mapping[str, ImageFiles], label: Callable[[str, Member], int]
) -> dict[str, ImagePart]:
    """Return image files as parts, each file with its label.

    Args:
        files: by origin.
        label: returns the label of a file of an origin.

    Raises:
        BadFilesError: if some have none.
    """
    parts, bad, total = {}, list[BadFile](), 0
    for origin, part in files.items():
        names, labels = [], []
        for member in part.begin():
            names.append(member.name)
            try:
                labels.append(label(origin, member))
            except DataError as error:
                bad.append((member.where, str(error)))
        total += len(names)
        parts[origin] = ImagePart(np.array(labels, np.int64), part, tuple(names))

    if bad:
        raise BadFilesError(bad, total, "images are of no known class")
    return parts


def _refuse(start: int, outcomes: Sequence[Outcome]) -> None:
    """Raise a BadFilesError if there are bad files."""
    if bad := [(found.where, found.error) for found in outcomes if found.error]:
        raise BadFilesError(bad, len(outcomes))


def _read(member: Member) -> bytes | str:
    """Return a file's bytes, or a message that says why they cannot be read."""
    try:
        return member.read(MOST_BYTES)
    except DataError as error:
        return str(error)


def resized(images: Pixels, size: int) -> Pixels:
    """Stretch images [N, H, W, 3] to [N, S, S, 3] bicubically, unless they have that size."""
    if images.shape[1:3] == (size, size):
        return images

    stretched = [
        Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC) for image in images
    ]
    return np.stack([np.asarray(image) for image in stretched])
