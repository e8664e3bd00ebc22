"""`seqjepa data check PATH`: check that files are what a world expects, and whole."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import tyro
from rich.console import Console

from seqjepa.commands.options import parse
from seqjepa.errors import DataError, DiskError
from seqjepa.files import disk_errors, sha256, write_atomically
from seqjepa.reading.archives import is_archive, members
from seqjepa.reading.findings import (
    Finding,
    Look,
    Report,
    kinds_of_files,
    list_bytes,
    shown,
)
from seqjepa.store.cache import cache_root
from seqjepa.worlds.images.base import sources
from seqjepa.worlds.images.formats import folder
from seqjepa.worlds.recognise import world_configs

MOST_NAMES = 10_000  # files whose kinds are counted where no format is known


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """The files to check."""

    path: tyro.conf.Positional[Path]
    """A data set's folder, archive or file."""
    quick: bool = False
    """Open only some of the images, spread evenly: seconds instead of minutes for a large set."""
    samples: Path | None = None
    """PNG file to draw three samples of the data to."""


def main(arguments: list[str]) -> None:
    """Parse, check and print.

    Raises:
        DataError: if the path does not exist, no world reads it, or something is not as expected.
        DiskError: if the samples cannot be written.
    """
    options = parse(CheckOptions, arguments, prog="seqjepa data check")
    path = options.path.expanduser()
    if not path.exists():
        raise DataError(
            f"there is no {path}: name a data set's folder, archive or file; "
            "docs/data.md lists the formats"
        )

    try:
        found = reports(path, Look(options.quick, options.samples is not None))
    except OSError as error:
        where, reason = error.filename or path, error.strerror or error
        raise DataError(f"{where} cannot be read: {reason}. Allow it, or get it again") from error
    if not found:
        raise DataError(
            f"{path} is not in a format that a world of seqjepa reads; docs/data.md lists them, "
            f"and says how meshes become one. It holds {_kinds(path)}"
        )
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    for report in found:
        console.print(f"[bold]{report.format}[/bold]")
        for finding in report.findings:
            _print(console, finding)
    _list_bad(console, path, found)
    if options.samples is not None:
        _draw(console, options.samples.expanduser(), found)

    if not all(report.good for report in found):
        raise DataError(f"{path} is not as expected: see what is marked bad above")


def reports(path: Path, look: Look = Look()) -> list[Report]:
    """Return a report from every world, and every set of images, that knows the format."""
    found = [config.inspect(path, look) for config in world_configs()]
    found += [source.inspect(path, look) for name, source in sources().items() if name != "folder"]
    known = [report for report in found if report is not None]
    if known:
        return known

    # A plain folder of images comes last: most other formats have images in folders, too.
    plain = folder.SOURCE.inspect(path, look)
    return [] if plain is None else [plain]


def _print(console: Console, finding: Finding) -> None:
    """Print a finding, and the first of its bad files."""
    mark = "[green]good[/green]" if finding.good else "[red]bad [/red]"
    if finding.warning:
        mark = "[yellow]look[/yellow]"
    console.print(mark, end=" ")
    console.print(finding.what, markup=False)
    for line in shown(finding.files) if len(finding.files) > 1 else ():
        console.print(f"       {line}", markup=False)


def _list_bad(console: Console, path: Path, found: list[Report]) -> None:
    """Write the list of all bad files, if there are several, and print where it is."""
    files = [file for report in found for each in report.findings for file in each.files]
    if len(files) < 2:
        return

    # The data set is not ours to write to, and the cache may not be writable either.
    name = sha256(str(path.resolve()).encode(errors="surrogateescape"))[:12]
    for find in (cache_root, lambda: Path(tempfile.gettempdir())):
        try:
            out = find() / "checks" / f"{name}.txt"
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, list_bytes(files))
        except (OSError, DiskError):
            # Without a home folder there may be no cache at all.
            continue
        console.print(f"all {len(files):,} bad files are listed in {out}", markup=False)
        return


def _draw(console: Console, out: Path, found: list[Report]) -> None:
    """Write a picture of the samples."""
    from seqjepa.report.samples import draw_samples

    samples = [sample for report in found for sample in report.samples]
    if not samples:
        console.print("there is no whole image to draw as a sample")
        return
    png = draw_samples(samples)
    with disk_errors(f"cannot write {out}", "Choose another --samples"):
        write_atomically(out, png)
    console.print(f"samples: {out}", markup=False)


def _kinds(path: Path) -> str:
    """Return the kinds of files in a folder or archive, for messages."""
    if not path.is_dir() and not is_archive(path):
        return "no archive"
    names = (member.name for member in islice(members(path), MOST_NAMES))
    kinds = Counter(Path(name).suffix.lower() or "without a suffix" for name in names)
    return kinds_of_files(kinds) or "nothing"
