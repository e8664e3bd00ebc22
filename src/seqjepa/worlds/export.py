"""Rendered worlds as files, in the layout of 3DIEBench (Garrido et al. 2023), for loaders that were written for it.

    <out>/<class>/<object>/image_<i>.jpg     view i of an object
    <out>/<class>/<object>/latent_<i>.npy    its factors, float64 [P]
    <out>/<split>_images.npy                 the split's objects, strings such as "/chair/train_000012/"
    <out>/<split>_labels.npy                 their classes, int64
    <out>/render.json                        what the files were rendered from

Unlike there, the JPEGs' red is red: the original's channels are swapped.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import Progress

from seqjepa.errors import ConfigError, DiskError
from seqjepa.files import json_bytes, write_atomically
from seqjepa.worlds.cache import Plan
from seqjepa.worlds.decode import encode

CHUNK = 16  # objects rendered at a time: few enough for memory, enough for every core


def export(plans: Mapping[str, Plan], classes: Sequence[str], key: Mapping[str, Any], out: str | Path, *, quality: int = 95) -> None:
    """Render the splits to files. An object's folder is complete or not there, so an interrupted export goes on where it was.

    Args:
        plans: one per split.
        classes: class names; labels are indices into them.
        key: JSON data that say what the views depend on: a folder begun from another key is left alone.
        out: the folder; made if it is not there.
        quality: of the JPEGs, 1 to 100; colour is not subsampled.

    Raises:
        ConfigError: if the folder holds another export, or the quality is out of range.
        DiskError: if the files cannot be written.
    """
    if not 1 <= quality <= 100:
        raise ConfigError(f"quality must lie in 1..100, got {quality}")
    folder = Path(out)
    try:
        _claim(folder, {**key, "quality": quality})
        total = sum(plan.labels.size * plan.poses.shape[1] for plan in plans.values())
        with Progress(console=Console(stderr=True), transient=True) as progress, ThreadPoolExecutor() as pool:
            task = progress.add_task("rendering", total=total)
            for split, plan in plans.items():
                places = [f"{classes[label]}/{split}_{number:06d}" for number, label in enumerate(plan.labels)]
                for start in range(0, len(places), CHUNK):
                    _export_chunk(folder, places, plan, start, quality, pool)
                    progress.advance(task, len(places[start : start + CHUNK]) * plan.poses.shape[1])
                np.save(folder / f"{split}_images.npy", np.array([f"/{place}/" for place in places]))
                np.save(folder / f"{split}_labels.npy", plan.labels)
    except OSError as error:
        raise DiskError(
            f"cannot write to {folder}: {error.strerror or error}. Free space or choose another --out, then run it again"
        ) from error


def _claim(folder: Path, key: Mapping[str, Any]) -> None:
    """Note in the folder what it is rendered from, and clear away what an interrupted export left half done."""
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "render.json"
    if not note.exists():
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty and holds no {note.name}, so it was not rendered by us: choose another --out")
        write_atomically(note, json_bytes(key))
    elif note.read_bytes() != json_bytes(json.loads(json_bytes(key))):
        raise ConfigError(f"{folder} was rendered with other options, see {note}: choose another --out")
    for half in folder.glob("*/.*.tmp"):
        shutil.rmtree(half)


def _export_chunk(folder: Path, places: Sequence[str], plan: Plan, start: int, quality: int, pool: ThreadPoolExecutor) -> None:
    """Write the objects of a chunk that are not there yet; JPEGs are made side by side, for PIL does not hold the GIL."""
    stop = min(start + CHUNK, len(places))
    missing = [number for number in range(start, stop) if not (folder / places[number]).exists()]
    if not missing:
        return
    views = plan.render(start, stop)
    write = partial(_write_object, quality=quality)
    for _ in pool.map(write, *zip(*((folder / places[n], views[n - start], plan.poses[n]) for n in missing), strict=True)):
        pass  # the loop is there to raise what a thread raised


def _write_object(folder: Path, views: npt.NDArray[np.uint8], poses: npt.NDArray[np.float32], *, quality: int) -> None:
    half = folder.with_name(f".{folder.name}.tmp")
    half.mkdir(parents=True)
    for number, (view, pose) in enumerate(zip(views, poses, strict=True)):
        (half / f"image_{number}.jpg").write_bytes(encode(view, quality))
        np.save(half / f"latent_{number}.npy", pose.astype(np.float64))
    half.rename(folder)
