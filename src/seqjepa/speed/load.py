"""`seqjepa speed load`: P4, batches of cached and of packed views against decoding JPEGs one by
one.
"""

import itertools
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
    """P4: views per core-second of the loader over a memory map that the operating system has in
    memory, and of the plain reference; and of files in 3DIEBench's layout as they are and packed in
    three ways.
    """
    with scratch() as folder, one_thread():
        (folder / "map").mkdir()
        paths, found = pictures(folder, files), []
        worlds = {"": mapped_world(folder / "map", batch_size)} | worlds_of_files(
            folder, files // VIEWS
        )
        for what, world in worlds.items():
            size = batch_size if what in PROMISED else files // VIEWS
            index = np.resize(np.arange(world.size("train")), size)
            ours, plain = alternate(
                partial(world.sequences, "train", index, VIEWS, index),
                lambda: decode(paths, PIXELS),
                rounds,
            )
            found.append(_figure(what, size, size * VIEWS / ours, files / plain))
    return found


def _figure(what: str, batch_size: int, ours: float, plain: float) -> Figure:
    """Rates in views per core-second; what decodes JPEGs promises nothing."""
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
    """3DIEBench's world over so many objects as files of its size, and over packs of them."""
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
    for what, (coding, size) in forms.items():
        places[f", packed {what}"] = folder / what
        pack(folder / "files", folder / what, coding=coding, size=size, views=VIEWS)
    return {
        what: threediebench.Config(path=str(path), image_size=PIXELS, views=VIEWS).build()
        for what, path in places.items()
    }


def mapped_world(folder: Path, objects: int, views: int = 8) -> World:
    """A world whose views are noise in a file that is mapped into memory, as a cache is."""
    rng = np.random.default_rng(0)
    shape = (objects, views, PIXELS, PIXELS, 3)
    np.save(
        folder / "views.npy", np.frombuffer(rng.bytes(int(np.prod(shape))), np.uint8).reshape(shape)
    )
    poses = rng.uniform(-1, 1, (objects, views, len(FACTORS.pose))).astype(np.float32)
    table = ViewTable(
        np.load(folder / "views.npy", mmap_mode="r"), poses, np.zeros(objects, np.int64)
    )
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
    plan = shapes.Config(
        image_size=STORED_PIXELS, train_objects=objects, test_objects=1, views=VIEWS
    ).plans()["train"]
    paths = []
    for place, view in enumerate(
        itertools.islice(plan.render(0, objects).reshape(-1, *plan.image_shape), number)
    ):
        paths.append(folder / f"{place}.jpg")
        Image.fromarray(view).save(paths[-1], quality=95)
    return paths
