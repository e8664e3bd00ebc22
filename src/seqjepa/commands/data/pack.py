"""`seqjepa data pack PATH --out DIR`: put millions of small files into a few large ones.

They are in 3DIEBench's layout; the large ones load faster.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from seqjepa.commands.options import parse
from seqjepa.store.packing import pack


@dataclass(frozen=True, kw_only=True)
class PackOptions:
    """The files to pack, and the form of the pack."""

    path: tyro.conf.Positional[Path]
    """A folder in the layout of 3DIEBench."""
    out: Path
    """Folder to write to; a pack that was begun with the same options is completed, a finished one
    verified and mended."""
    size: int | None = None
    """Pixels per side that pictures are shrunk to; without it, files are kept byte for byte."""
    format: Literal["jpeg", "raw"] = "jpeg"
    """JPEG files, or raw pixels: seven times as large, some forty times as fast."""
    quality: int = 95
    """Quality of the JPEGs that --size makes, 1 to 100."""
    views: int = 50
    """Number of views to take of each object, the first ones."""
    unlisted: bool = False
    """Pack every object that is found, for world.ood_path, instead of those that split files
    name."""


def main(arguments: list[str]) -> None:
    """Parse and pack."""
    options = parse(PackOptions, arguments, prog="seqjepa data pack")
    pack(
        options.path,
        options.out,
        coding=options.format,
        size=options.size,
        quality=options.quality,
        views=options.views,
        unlisted=options.unlisted,
    )
    sys.stdout.write(f"done: {options.out}\n")
