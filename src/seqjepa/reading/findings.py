"""Findings of `seqjepa data check` in the files of a data set."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from seqjepa.display import collected
from seqjepa.errors import ConfigError, DataError

SHOWN = 20  # bad files that are named on the terminal
COUNTED = 8  # classes and the like whose counts are shown
NARROW = 32  # of 256 levels: an image that uses fewer holds hardly anything
PLAIN = 3  # levels that an image of one colour may span, for JPEG adds noise
MANY = 0.1  # share of such images above which a warning says so

BadFile = tuple[str, str]  # a file's name, and what is wrong with it


@dataclass(frozen=True)
class Finding:
    """Result of one look at a data set.

    Attributes:
        good: whether it is as expected.
        what: what was found; if it is not good, also what was expected and what to do, with the
            file's name.
        warning: whether a good finding deserves a look.
        files: the bad files; of a single one, `what` has the message.
    """

    good: bool
    what: str
    warning: bool = False
    files: tuple[BadFile, ...] = ()


@dataclass(frozen=True)
class Look:
    """The options of a check.

    Attributes:
        quick: look at some of the images, spread evenly, and not at all.
        samples: yield samples.
    """

    quick: bool = False
    samples: bool = False


@dataclass(frozen=True)
class Sample:
    """Pictures of a data set, to be looked at.

    Attributes:
        pictures: [H, W, C] uint8 each: an image, or some views of an object.
        caption: what they show.
    """

    pictures: tuple[npt.NDArray[np.uint8], ...]
    caption: str


@dataclass(frozen=True)
class Report:
    """All findings in one data set.

    Attributes:
        format: the data set or layout that this was taken for.
        findings: in the order in which they were made, warnings of the library last.
        samples: pictures of it.
    """

    format: str
    findings: tuple[Finding, ...]
    samples: tuple[Sample, ...] = ()

    @classmethod
    def of(cls, format: str, results: Iterable[Finding | Sample]) -> Self:
        """Collect results of a generator; an error that ends it becomes a last, bad finding."""
        found: list[Finding | Sample] = []
        with collected() as warnings:
            try:
                found.extend(results)
            except BadFilesError as error:
                found.append(bad_files(error.files, error.total, error.what))
            except (ConfigError, DataError) as error:
                found.append(Finding(False, str(error)))

        samples = tuple(result for result in found if isinstance(result, Sample))
        findings = [result for result in found if isinstance(result, Finding)]
        said = {finding.what for finding in findings}
        findings += [doubt(message) for message in warnings if message not in said]
        return cls(format, tuple(findings), samples)

    @property
    def good(self) -> bool:
        """True if every finding is good."""
        return all(finding.good for finding in self.findings)


UNREADABLE = "images cannot be read"


class BadFilesError(DataError):
    """Files of a data set cannot be used.

    Args:
        files: their names, and what is wrong with each.
        total: number of files that were read.
        what: what is wrong with them, after their number.
        kept: where the list of them is; the message then has the first ones.
    """

    def __init__(
        self, files: Sequence[BadFile], total: int, what: str = UNREADABLE, kept: str = ""
    ) -> None:
        self.files, self.total, self.what = tuple(files), total, what
        message = files[0][1]
        if len(files) > 1 and kept:
            lines = "\n".join(f"  {line}" for line in shown(files))
            message = f"{_amount(files, total, what)}. All are listed in {kept}\n{lines}"
        elif len(files) > 1:
            message += f" ({len(files):,} of {total:,} {what}, see `seqjepa data check`)"
        super().__init__(message)


def bad_files(files: Sequence[BadFile], total: int, what: str = UNREADABLE) -> Finding:
    """Return the finding that files cannot be used; a single one has its own message."""
    if len(files) == 1:
        return Finding(False, files[0][1], files=tuple(files))
    return Finding(False, _amount(files, total, what), files=tuple(files))


def _amount(files: Sequence[BadFile], total: int, what: str) -> str:
    return f"{len(files):,} of {total:,} {what}: get the files again or leave them out"


def shown(files: Sequence[BadFile]) -> list[str]:
    """Return a line for each of the first bad files, and one for the rest."""
    lines = [message for _, message in files[:SHOWN]]
    if len(files) > SHOWN:
        lines.append(f"and {len(files) - SHOWN:,} more")
    return lines


def list_bytes(files: Sequence[BadFile]) -> bytes:
    """Return the contents of a list of bad files: a name, a tab and the message in each line."""
    lines = [f"{name}\t{message}\n" for name, message in files]
    return "".join(lines).encode(errors="surrogateescape")


def doubt(what: str) -> Finding:
    """Return a warning."""
    return Finding(True, what, warning=True)


def checksum(path: Path, published: str) -> Finding:
    """Compare a file with its published MD5; takes some 3 seconds for each gigabyte."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found == published:
        return Finding(True, f"{path.name} has the published MD5 {found}")
    return Finding(
        False,
        f"{path} has MD5 {found}, published is {published}: it is damaged or incomplete, download "
        "it again",
    )


def count(path: Path, what: str, found: int, published: int) -> Finding:
    """Compare a number of things with the published one."""
    if found == published:
        return Finding(True, f"{found:,} {what}")
    return Finding(
        False,
        f"{path} holds {found:,} {what}, published are {published:,}: unpack or download it again",
    )


def plural(number: int, noun: str) -> str:
    """Return a number and a noun, such as `1 class` or `1,000 classes`."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{'' if number == 1 else ending}"


def listed(names: Iterable[str]) -> str:
    """Return names in a line, the first few of many."""
    found = list(names)
    more = f" and {len(found) - COUNTED:,} more" if len(found) > COUNTED else ""
    return ", ".join(found[:COUNTED]) + more


def kinds_of_files(kinds: Counter[str]) -> str:
    """Return kinds of files with their numbers in a line, the most first."""
    return listed(f"{number:,} {kind}" for kind, number in kinds.most_common())


def counted(counts: Mapping[str, int]) -> str:
    """Return counts by name in a line: all of a few, or the first few and the range of many."""
    line = listed(f"{name} {number:,}" for name, number in counts.items())
    if len(counts) > COUNTED:
        least, most = min(counts.values()), max(counts.values())
        line += f"; {least:,} each" if least == most else f"; {least:,} to {most:,} each"
    return line


class Levels:
    """Images that hold hardly anything, among all that are seen."""

    def __init__(self) -> None:
        self.images = 0
        self.plain: list[str] = []  # names of those of one colour
        self.narrow: dict[str, tuple[int, int]] = {}  # least and most level of others

    def see(self, pixels: npt.NDArray[np.uint8], name: str) -> None:
        """Take note of an image [..., C]."""
        flat = pixels.reshape(-1, pixels.shape[-1])
        lows, highs = flat.min(0).astype(int), flat.max(0).astype(int)
        low, high = int(lows.min()), int(highs.max())

        self.images += 1
        is_plain = (highs - lows).max() <= PLAIN and (high > PLAIN or low == high)
        if is_plain:
            self.plain.append(name)
        elif high - low < NARROW:
            self.narrow[name] = low, high

    def doubts(self) -> list[str]:
        """Return sentences that warn of many images that hold hardly anything."""
        found, some = [], MANY * self.images
        if len(self.narrow) > some:
            low = min(low for low, _ in self.narrow.values())
            high = max(high for _, high in self.narrow.values())
            found.append(
                f"{self._share(len(self.narrow))} use fewer than {NARROW} of the 256 levels, all "
                f"between {low} and {high}, such as {next(iter(self.narrow))}: if they hold 12 "
                "bits in 16, or numbers in 0..1, save them anew with the full range"
            )
        if len(self.plain) > some:
            found.append(
                f"{self._share(len(self.plain))} are of one colour, such as {self.plain[0]}"
            )
        return found

    def _share(self, images: int) -> str:
        which = "all" if images == self.images else f"{images:,} of the"
        return f"{which} {plural(self.images, 'image')} that were looked at"
