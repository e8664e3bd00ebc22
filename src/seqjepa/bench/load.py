"""`seqjepa bench load`: P4, batches of cached views against decoding JPEGs one by one."""

import itertools
from pathlib import Path

import numpy as np
from PIL import Image

from seqjepa.bench.figure import Amount, Figure
from seqjepa.bench.plain import decode
from seqjepa.bench.timing import alternate, one_thread, scratch
from seqjepa.worlds import shapes
from seqjepa.worlds.base import World, WorldSpec
from seqjepa.worlds.scene import FACTORS
from seqjepa.worlds.table import TableWorld, ViewTable

PIXELS, STORED_PIXELS = 128, 256  # of a view; of a JPEG of 3DIEBench
VIEWS = 4


def figures(rounds: int = 5, batch_size: int = 512, files: int = 64) -> list[Figure]:
    """P4: views per core-second of the loader over a memory map that the operating system has in memory, and of the plain reference."""
    with scratch() as folder, one_thread():
        world = mapped_world(folder, batch_size)
        batches = world.loader("train", num_views=VIEWS, batch_size=batch_size, seed=0)
        paths = pictures(folder, files)
        ours, plain = alternate(lambda: next(batches), lambda: decode(paths, PIXELS), rounds)
    rate = batch_size * VIEWS / ours
    return [
        Figure(
            promise="P4",
            what=f"loading views, {PIXELS} px, batch {batch_size}",
            value=Amount(rate / (files / plain), "x"),
            ours=Amount(rate, "views per core-second"),
            least=50_000,
            about="ours",
            plain=Amount(files / plain, "views per core-second", "(JPEGs, one by one)"),
        )
    ]


def mapped_world(folder: Path, objects: int, views: int = 8) -> World:
    """A world whose views are noise in a file that is mapped into memory, as a cache is."""
    rng = np.random.default_rng(0)
    shape = (objects, views, PIXELS, PIXELS, 3)
    np.save(folder / "views.npy", np.frombuffer(rng.bytes(int(np.prod(shape))), np.uint8).reshape(shape))
    poses = rng.uniform(-1, 1, (objects, views, len(FACTORS.pose))).astype(np.float32)
    table = ViewTable(np.load(folder / "views.npy", mmap_mode="r"), poses, np.zeros(objects, np.int64))
    spec = WorldSpec(
        name="noise",
        image_shape=(3, PIXELS, PIXELS),
        classes=("noise",),
        factors=FACTORS,
        actions=FACTORS.select(("rotation",)),
        splits=("train",),
        views_per_object=views,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
    )
    return TableWorld(spec, {"train": table})


def pictures(folder: Path, number: int) -> list[Path]:
    """So many pictures of the shapes world as JPEG files of 3DIEBench's size."""
    objects = -(-number // VIEWS)
    plan = shapes.Config(image_size=STORED_PIXELS, train_objects=objects, test_objects=1, views=VIEWS).plans()["train"]
    paths = []
    for place, view in enumerate(itertools.islice(plan.render(0, objects).reshape(-1, *plan.image_shape), number)):
        paths.append(folder / f"{place}.jpg")
        Image.fromarray(view).save(paths[-1], quality=95)
    return paths
