"""`seqjepa data render WORLD ... --out DIR`: write views as files in the layout of 3DIEBench."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from seqjepa.commands.options import choose, parse
from seqjepa.render.meshes.collection import class_counts, counted, find_models
from seqjepa.render.meshes.load import FORMATS
from seqjepa.store import export_meshes as meshes
from seqjepa.store.export import SKIPPED, export, plan_job
from seqjepa.worlds import shapes

SHOWN = 20  # meshes that are named on the terminal


@dataclass(frozen=True, kw_only=True)
class RenderOptions:
    """Options of all worlds: the place and the form of the files."""

    out: Path
    """Folder to write to; one that was begun with the same options is completed."""
    quality: int = 95
    """Quality of the JPEGs, 1 to 100."""


@dataclass(frozen=True, kw_only=True)
class ShapesOptions(RenderOptions):
    """Options of the built-in world of solids.

    The place of the files comes first. Every field of the world is below it.
    """

    world: Annotated[shapes.Config, tyro.conf.arg(name="")] = field(default_factory=shapes.Config)


@dataclass(frozen=True, kw_only=True)
class MeshesOptions(RenderOptions):
    """A collection of meshes: the place of the files, and how the meshes become pictures."""

    path: tyro.conf.Positional[Path]
    """A folder with OBJ, glTF, PLY, OFF or STL files or zip archives of them (ShapeNet, .sh3f,
    ...), or one archive."""
    world: Annotated[meshes.Config, tyro.conf.arg(name="")] = field(default_factory=meshes.Config)


def main(arguments: list[str]) -> None:
    """Parse and render."""
    name, rest = choose("world", arguments, ("shapes", "meshes"), prog="seqjepa data render")
    prog = f"seqjepa data render {name}"
    if name == "shapes":
        # tyro asks for the fields that are MISSING: they have no default.
        default = ShapesOptions(out=tyro.MISSING)
        _shapes(parse(ShapesOptions, rest, prog=prog, default=default))
    else:
        meshes_default = MeshesOptions(path=tyro.MISSING, out=tyro.MISSING)
        _meshes(parse(MeshesOptions, rest, prog=prog, default=meshes_default))


def _shapes(options: ShapesOptions) -> None:
    world = options.world
    job = plan_job(world.plans(), world.classes, world.key())
    export(job, options.out, quality=options.quality)
    sys.stdout.write(f"done: {options.out}\n")


def _meshes(options: MeshesOptions) -> None:
    found = find_models(options.path.expanduser(), options.world.labels)
    skipped = export(options.world.job(found), options.out, quality=options.quality)

    console = Console(highlight=False, markup=False, soft_wrap=True, emoji=False)
    good = tuple(model for model in found.models if model.place not in skipped)
    counts = ", ".join(f"{name} {count}" for name, count in class_counts(good).items())
    console.print(f"{len(good):,} objects: {counts}")

    # Meshes that are not in the files, by reason.
    if found.unread:
        console.print(f"not read: {', '.join(counted(found.unread))} (read: {', '.join(FORMATS)})")
    if found.doubles:
        console.print(f"{len(found.doubles):,} of objects that are there in another format:")
        _show(console, found.doubles)
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
    """Print the first of the lines, and how many more there are."""
    for line in lines[:SHOWN]:
        # Names of files may hold bytes that are no text.
        console.print(f"  {line.encode(errors='backslashreplace').decode()}")
    if len(lines) > SHOWN:
        console.print(f"  and {len(lines) - SHOWN:,} more")
