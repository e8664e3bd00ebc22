"""`seqjepa speed load`: P4, cached and packed views against decoding JPEGs one by one."""

from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from seqjepa.render.scene import FACTORS
from seqjepa.speed.figure import Amount, Figure
from seqjepa.speed.plain import decode
from seqjepa.speed.timing import alternate, one_thread, scratch
from seqjepa.store.export import export, plan_job
from seqjepa.store.pack import Coding
from seqjepa.store.packing import pack
from seqjepa.store.table import ViewTable
from seqjepa.worlds import shapes, threediebench
from seqjepa.worlds.base import World, WorldSpec
from seqjepa.worlds.table import TableWorld

PIXELS, STORED_PIXELS = 128, 256  # of a view; of a JPEG of 3DIEBench
VIEWS = 4
PROMISED = ("", ", packed raw")


def figures(rounds: int = 5, batch_size: int = 512, files: int = 64) -> list[Figure]:
    """Measure P4: views per core-second of each store, and of decoding JPEGs.

    The stores are a memory map that is in memory, 3DIEBench's files, and three packs of them.
    """
    with scratch() as folder, one_thread():
        (folder / "map").mkdir()
        paths, found = pictures(folder, files), []
        plain_work = partial(decode, paths, PIXELS)
        worlds = {"": mapped_world(folder / "map", batch_size)}
        worlds |= worlds_of_files(folder, files // VIEWS)

        for what, world in worlds.items():
            # Worlds that decode JPEGs get a small batch: they are slow, and promise nothing.
            size = batch_size if what in PROMISED else files // VIEWS
            index = np.resize(np.arange(world.size("train")), size)
            work = partial(world.sequences, "train", index, VIEWS, index)
            ours, plain = alternate(work, plain_work, rounds)
            found.append(_figure(what, size, size * VIEWS / ours, files / plain))
    return found


def _figure(what: str, batch_size: int, ours: float, plain: float) -> Figure:
    """Return a figure from two rates in views per core-second."""
    return Figure(
        promise="P4",
        what=f"loading views, {PIXELS} px, batch {batch_size}{what}",
        value=Amount(ours / plain, "x"),
        ours=Amount(ours, "views per core-second"),
        least=50_000 if what in PROMISED else None,
        about="ours",
        plain=Amount(plain, "views per core-second", "(JPEGs, one by one)"),
    )


def worlds_of_files(folder: Path, objects: int) -> dict[str, World]:
    """Return 3DIEBench's world over files of its size, and over three packs of them."""
    config = shapes.Config(
        image_size=STORED_PIXELS, train_objects=objects, test_objects=1, views=VIEWS
    )
    export(plan_job(config.plans(), config.classes, config.key()), folder / "files")

    places = {", files of 256 px": folder / "files"}
    forms: dict[str, tuple[Coding, int | None]] = {
        "JPEGs of 256 px": ("jpeg", None),
        "JPEGs": ("jpeg", PIXELS),
        "raw": ("raw", PIXELS),
    }
    # The name of a form is the name of its folder, too.
    for what, (coding, size) in forms.items():
        places[f", packed {what}"] = folder / what
        pack(folder / "files", folder / what, coding=coding, size=size, views=VIEWS)

    return {
        what: threediebench.Config(path=str(path), image_size=PIXELS, views=VIEWS).build()
        for what, path in places.items()
    }


def mapped_world(folder: Path, objects: int, views: int = 8) -> World:
    """Return a world whose views are noise in a file mapped into memory, as a cache is."""
    # Pixels are only copied, so any do.
    rng = np.random.default_rng(0)
    shape, path = (objects, views, PIXELS, PIXELS, 3), folder / "views.npy"
    np.save(path, np.frombuffer(rng.bytes(int(np.prod(shape))), np.uint8).reshape(shape))
    poses = rng.uniform(-1, 1, (objects, views, len(FACTORS.pose))).astype(np.float32)
    table = ViewTable(np.load(path, mmap_mode="r"), poses, np.zeros(objects, np.int64))

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
    """Write some pictures of the shapes world as JPEG files of 3DIEBench's size."""
    objects = -(-number // VIEWS)  # rounded up
    config = shapes.Config(
        image_size=STORED_PIXELS, train_objects=objects, test_objects=1, views=VIEWS
    )
    plan = config.plans()["train"]
    views = plan.render(0, objects).reshape(-1, *plan.image_shape)

    paths = list[Path]()
    for place, view in enumerate(views[:number]):
        paths.append(folder / f"{place}.jpg")
        Image.fromarray(view).save(paths[-1], quality=95)
    return paths
