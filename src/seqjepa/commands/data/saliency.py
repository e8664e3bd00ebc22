"""`seqjepa data saliency SOURCE --world.path PATH`: the saliency maps of a set of images, computed before any training asks for them."""

import sys
from dataclasses import dataclass

import tyro

from seqjepa.commands.options import choose, parse
from seqjepa.worlds import saccades
from seqjepa.worlds.images.base import sources


@dataclass(frozen=True, kw_only=True)
class Options:
    """The images, as in training."""

    world: saccades.Config


def main(arguments: list[str]) -> None:
    """Parse and compute; maps from a folder (`--world.saliency FOLDER`) are checked, and cached if they must be resized."""
    source, rest = choose("source", arguments, sources(), prog="seqjepa data saliency")
    default = Options(world=saccades.Config(source=source, path=tyro.MISSING))
    world = parse(Options, rest, prog=f"seqjepa data saliency {source}", default=default).world
    images = world.images()
    maps = world.maps(images)
    counts = ", ".join(f"{len(images.splits[split]):,} in {split}" for split in maps)
    sys.stdout.write(f"done: {world.saliency} saliency of {counts}\n")
