"""`seqjepa data check PATH`: check that files are what a world expects, and whole."""

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from seqjepa import worlds
from seqjepa.commands.options import parse
from seqjepa.errors import DataError
from seqjepa.reading.findings import Report
from seqjepa.worlds.base import WorldConfig
from seqjepa.worlds.images.base import sources
from seqjepa.worlds.images.formats import folder


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """The files to check."""

    path: tyro.conf.Positional[Path]
    """A data set's folder, archive or file."""


def main(arguments: list[str]) -> None:
    """Parse, check and print.

    Raises:
        DataError: if the path does not exist, no world reads it, or something is not as expected.
    """
    path = parse(CheckOptions, arguments, prog="seqjepa data check").path.expanduser()
    if not path.exists():
        raise DataError(
            f"there is no {path}: name a data set's folder, archive or file; "
            "docs/data.md lists the formats"
        )
    found = reports(path)
    if not found:
        raise DataError(
            f"{path} is not in a format that a world of seqjepa reads; docs/data.md lists them"
        )

    console = Console(highlight=False, soft_wrap=True)
    for report in found:
        console.print(f"[bold]{report.format}[/bold]")
        for finding in report.findings:
            console.print("[green]good[/green]" if finding.good else "[red]bad [/red]", end=" ")
            console.print(finding.what, markup=False)

    if not all(report.good for report in found):
        raise DataError(f"{path} is not as expected: see what is marked bad above")


def reports(path: Path) -> list[Report]:
    """Return a report from every world, and every set of images, that knows the format."""
    # A world is known once its module is imported.
    for module in pkgutil.walk_packages(worlds.__path__, f"{worlds.__name__}."):
        importlib.import_module(module.name)

    found = [config.inspect(path) for config in WorldConfig.__subclasses__()]
    found += [source.inspect(path) for name, source in sources().items() if name != "folder"]
    known = [report for report in found if report is not None]
    if known:
        return known

    # A plain folder of images comes last: most other formats have images in folders, too.
    plain = folder.SOURCE.inspect(path)
    return [] if plain is None else [plain]
