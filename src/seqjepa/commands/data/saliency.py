"""`seqjepa data saliency SOURCE --world.path PATH`: compute the saliency maps of a set of images.

Training computes them, too, when it finds none in the cache.
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
    """The images."""

    world: saccades.Config


@dataclass(frozen=True, kw_only=True)
class SaliencyOptions:
    """Options of `seqjepa train` that choose the images.

    The images' size is that of the recipe on these images, unless it is given.
    """

    data: Annotated[Data, tyro.conf.arg(name="")]


def main(arguments: list[str]) -> None:
    """Parse and compute.

    Maps from a folder (`--world.saliency FOLDER`) are checked, and cached if they must be resized.

    Raises:
        ConfigError: if all positions are alike, so that there is nothing to compute.
    """
    source, rest = choose("source", arguments, sources(), prog="seqjepa data saliency")

    # The cache depends on the size: the default must be the one that the recipe will ask for.
    size = saccades.Config.image_size
    for recipe in recipes().values():
        world = recipe().world
        if isinstance(world, saccades.Config) and world.source == source:
            size = world.image_size
    config = saccades.Config(source=source, path=tyro.MISSING, image_size=size)
    default = SaliencyOptions(data=Data(world=config))
    options = parse(SaliencyOptions, rest, prog=f"seqjepa data saliency {source}", default=default)

    world = options.data.world
    images = world.images()
    maps = world.maps(images)  # computes them, or reads them from the cache
    if maps is None:
        raise ConfigError(
            f"world.saliency {world.saliency} has no maps: leave it out, or name a folder"
        )
    counts = ", ".join(f"{len(images.splits[split]):,} in {split}" for split in maps)
    sys.stdout.write(f"done: {world.saliency} saliency of {counts}\n")
