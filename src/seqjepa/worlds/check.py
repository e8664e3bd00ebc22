"""What `seqjepa data check` finds in the files of a data set."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        good: whether it is as expected.
        what: what was found; if it is not good, what was expected and what to do, with the file's name.
    """

    good: bool
    what: str


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        format: the data set or layout that this was taken for.
        findings: in the order in which they were made.
    """

    format: str
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, format: str, findings: Iterable[Finding]) -> Self:
        """Run through the findings of a generator."""
        return cls(format, tuple(findings))

    @property
    def good(self) -> bool:
        """Whether all is as expected."""
        return all(finding.good for finding in self.findings)
