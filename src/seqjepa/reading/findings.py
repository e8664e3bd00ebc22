"""Findings of `seqjepa data check` in the files of a data set."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from seqjepa.errors import ConfigError, DataError


@dataclass(frozen=True)
class Finding:
    """Result of one look at a data set.

    Attributes:
        good: whether it is as expected.
        what: what was found; if it is not good, also what was expected and what to do, with the
            file's name.
    """

    good: bool
    what: str


@dataclass(frozen=True)
class Report:
    """All findings in one data set.

    Attributes:
        format: the data set or layout that this was taken for.
        findings: in the order in which they were made.
    """

    format: str
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, format: str, findings: Iterable[Finding]) -> Self:
        """Collect findings from a generator; an error that ends it becomes the last, bad one."""
        found: list[Finding] = []
        try:
            found.extend(findings)
        except (ConfigError, DataError) as error:
            found.append(Finding(False, str(error)))
        return cls(format, tuple(found))

    @property
    def good(self) -> bool:
        """True if every finding is good."""
        return all(finding.good for finding in self.findings)


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
