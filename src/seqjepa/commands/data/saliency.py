"""`seqjepa data saliency SOURCE --world.path PATH`: the saliency maps of a set of images, computed
before any training asks for them.
"""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from seqjepa.commands.options import choose, parse
from seqjepa.errors import ConfigError
from seqjepa.recipes import recipes
from seqjepa.worlds import saccades
from seqjepa.worlds.images.base import sources


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which images."""

    world: saccades.Config


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of `seqjepa train` that say which images; their size is that of the recipe on
    such images, unless it is given.
    """

    data: Annotated[Data, tyro.conf.arg(name="")]


def main(arguments: list[str]) -> None:
    """Parse and compute; maps from a folder (`--world.saliency FOLDER`) are checked, and cached if
    they must be resized.

    Raises:
        ConfigError: if all positions are alike, so that there is nothing to compute.
    """
    source, rest = choose("source", arguments, sources(), prog="seqjepa data saliency")
    worlds = [recipe().world for recipe in recipes().values()]
    sizes = {
        world.source: world.image_size for world in worlds if isinstance(world, saccades.Config)
    }  # that recipes ask for
    size = sizes.get(source, saccades.Config.image_size)
    default = Options(
        data=Data(world=saccades.Config(source=source, path=tyro.MISSING, image_size=size))
    )
    world = parse(Options, rest, prog=f"seqjepa data saliency {source}", default=default).data.world
    images = world.images()
    maps = world.maps(images)
    if maps is None:
        raise ConfigError(
            f"world.saliency {world.saliency} has no maps: leave it out, or name a folder"
        )
    counts = ", ".join(f"{len(images.splits[split]):,} in {split}" for split in maps)
    sys.stdout.write(f"done: {world.saliency} saliency of {counts}\n")
