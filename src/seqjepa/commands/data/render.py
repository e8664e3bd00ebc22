"""`seqjepa data render WORLD ... --out DIR`: views as files in the layout of 3DIEBench."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from seqjepa.commands.options import choose, parse
from seqjepa.render.meshes.collection import class_counts, find_models
from seqjepa.store import export_meshes as meshes
from seqjepa.store.export import SKIPPED, export, plan_job
from seqjepa.worlds import shapes

SHOWN = 20  # meshes that are named on the terminal


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the files go."""

    out: Path
    """Folder to write to; one that was begun with the same options is completed."""
    quality: int = 95
    """Of the JPEGs, 1 to 100."""


@dataclass(frozen=True, kw_only=True)
class Shapes(Target):
    """The built-in world of solids: where the files go, and below it every field of the world."""

    world: Annotated[shapes.Config, tyro.conf.arg(name="")] = field(default_factory=shapes.Config)


@dataclass(frozen=True, kw_only=True)
class Meshes(Target):
    """A collection of meshes, where the files go, and how the meshes become pictures."""

    path: tyro.conf.Positional[Path]
    """A folder with OBJ, GLB or PLY files or zip archives of such (ShapeNet, .sh3f, ...), or one
    archive."""
    world: Annotated[meshes.Config, tyro.conf.arg(name="")] = field(default_factory=meshes.Config)


def main(arguments: list[str]) -> None:
    """Parse and render."""
    name, rest = choose("world", arguments, ("shapes", "meshes"), prog="seqjepa data render")
    prog = f"seqjepa data render {name}"
    if name == "shapes":
        _shapes(parse(Shapes, rest, prog=prog, default=Shapes(out=tyro.MISSING)))
    else:
        _meshes(parse(Meshes, rest, prog=prog, default=Meshes(path=tyro.MISSING, out=tyro.MISSING)))


def _shapes(options: Shapes) -> None:
    world = options.world
    export(
        plan_job(world.plans(), world.classes, world.key()), options.out, quality=options.quality
    )
    sys.stdout.write(f"done: {options.out}\n")


def _meshes(options: Meshes) -> None:
    found = find_models(options.path.expanduser(), options.world.labels)
    skipped = export(options.world.job(found), options.out, quality=options.quality)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    good = [model for model in found.models if model.place not in skipped]
    console.print(
        f"{len(good):,} objects: "
        + ", ".join(f"{name} {count}" for name, count in class_counts(tuple(good)).items())
    )
    if found.unlabelled:
        console.print(f"{found.unlabelled:,} meshes have no label and were left out")
    if found.absent:
        console.print(f"{len(found.absent):,} that the labels name are not there:")
        _show(console, found.absent)
    if skipped:
        console.print(f"{len(skipped):,} skipped, see {options.out / SKIPPED}:")
        _show(console, [f"{place}: {reason}" for place, reason in skipped.items()])
    console.print(f"done: {options.out}")


def _show(console: Console, lines: Sequence[str]) -> None:
    """The first of them, and how many more there are."""
    for line in lines[:SHOWN]:
        console.print(f"  {line}")
    if len(lines) > SHOWN:
        console.print(f"  and {len(lines) - SHOWN:,} more")
