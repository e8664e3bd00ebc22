"""Every world that is known, and what reads a file or folder, by what it holds."""

import importlib
import pkgutil
from pathlib import Path

from seqjepa import plugins, worlds
from seqjepa.worlds.base import WorldConfig
from seqjepa.worlds.images.base import sources


def world_configs() -> list[type[WorldConfig]]:
    """Return the configs of all worlds: this package's, plug-ins', and those that were imported."""
    # A world is known once its module is imported.
    for module in pkgutil.walk_packages(worlds.__path__, f"{worlds.__name__}."):
        importlib.import_module(module.name)
    ours = [module.name for module in pkgutil.iter_modules(worlds.__path__)]
    others = [
        plugins.load_config("worlds", name, ours, WorldConfig)
        for name in plugins.registered("worlds")
    ]
    return list(dict.fromkeys([*WorldConfig.__subclasses__(), *others]))


def image_format(path: Path) -> str | None:
    """Return the name of the format of a set of labelled images, for `world.source`, or None."""
    # A plain folder of images comes last: most other formats have images in folders, too.
    for name, source in sorted(sources().items(), key=lambda item: item[0] == "folder"):
        if source.recognises(source.locate(path)):
            return name
    return None
