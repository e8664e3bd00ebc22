"""`seqjepa report RUN_DIR ... --out DIR`: one HTML page and its pictures."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import UseAppendAction

from seqjepa.commands.options import parse, take_paths
from seqjepa.recipes import load_code
from seqjepa.report import write_report


@dataclass(frozen=True)
class ReportOptions:
    """The runs to report on, and where the page goes.

    `--world.path NEW` takes pictures of the same data from where they are now; so do
    `--world.ood-path` and other paths of the runs' world.
    """

    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of evaluated runs; those that differ only in their seed are shown as one, with mean
    and spread."""
    out: Path
    """Folder to write to."""
    split: Literal["test", "val"] | None = None
    """Held-out objects whose results are shown; default: test, or val if nothing was asked of
    test."""
    code: UseAppendAction[tuple[Path, ...]] = ()
    """A Python file of your own that defines the runs' world or method; repeat it for several."""


def main(arguments: list[str]) -> None:
    """Parse and write the report."""
    paths, arguments = take_paths(arguments)
    options = parse(ReportOptions, arguments, prog="seqjepa report")
    for file in options.code:
        load_code(file)
    page = write_report(options.run_dirs, options.out, split=options.split, paths=paths)
    sys.stdout.write(f"done: {page}\n")
