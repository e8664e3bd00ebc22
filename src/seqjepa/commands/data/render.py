"""`seqjepa data render WORLD --out DIR`: a world's views as files in the layout of 3DIEBench."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from seqjepa.commands.options import choose, parse
from seqjepa.worlds import shapes
from seqjepa.worlds.export import export

WORLDS = {"shapes": shapes.Config}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the files go, and below it every field of the world."""

    world: Annotated[shapes.Config, tyro.conf.arg(name="")]
    out: Path
    """Folder to write to; one that was begun with the same options is completed."""
    quality: int = 95
    """Of the JPEGs, 1 to 100."""


def main(arguments: list[str]) -> None:
    """Parse and render."""
    name, rest = choose("world", arguments, WORLDS, prog="seqjepa data render")
    options = parse(Options, rest, prog=f"seqjepa data render {name}", default=Options(world=WORLDS[name](), out=tyro.MISSING))
    world = options.world
    export(world.plans(), world.classes, world.key(), options.out, quality=options.quality)
    sys.stdout.write(f"done: {options.out}\n")
