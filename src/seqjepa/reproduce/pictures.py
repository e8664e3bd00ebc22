"""Pictures for the tiny scale: objects of the `shapes` world, as a folder of PNGs by class."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from seqjepa.display import progress
from seqjepa.files import disk_errors, locked
from seqjepa.recipes import recipe
from seqjepa.reproduce.scales import DRAWN, PICTURES
from seqjepa.worlds.base import World

SIDE, NUMBER = 64, 2000


def write_pictures(out: Path, name: str = PICTURES, number: int = NUMBER) -> Path:
    """Return a folder of pictures below `out`, written once.

    Other processes wait until it is complete. A tenth of the pictures is the test, as in every
    folder of images without splits.

    Args:
        out: the folder above it.
        name: of the folder, one of `DRAWN`; each has objects of its own.
        number: of pictures.

    Raises:
        DiskError: if it cannot be written.
    """
    folder = out / name
    waiting = f"waiting for another process to draw {folder} ..."
    with disk_errors(f"cannot write {folder}"), locked(out, waiting):
        if not folder.exists():
            partial = out / f"{name}.partial"
            _write(_world(number, 1 + DRAWN.index(name)), partial)
            partial.replace(folder)
    return folder


def _world(number: int, seed: int) -> World:
    """Return a world with that many objects, seen once; none of them is in the recipe's."""
    # Its config is known to the recipe alone: Any.
    config: Any = recipe("shapes_tiny")().world
    few = replace(
        config, image_size=SIDE, train_objects=number, test_objects=1, views=2, render_seed=seed
    )
    built: World = few.build()
    return built


def _write(world: World, folder: Path) -> None:
    number = world.size("train")
    with progress("drawing pictures", number) as advance:
        for start in range(0, number, 100):
            index = np.arange(start, min(start + 100, number))
            batch = world.sequences("train", index, 1, index)
            for place, views, label in zip(index, batch.views, batch.labels, strict=True):
                path = folder / world.spec.classes[int(label)] / f"{place:05}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(views[0].permute(1, 2, 0).contiguous().numpy()).save(path)
            advance(len(index))
