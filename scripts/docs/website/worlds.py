"""A page for each world: what it holds, its factors and actions, a picture, its options."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import seqjepa.worlds
from committed import DOCS
from seqjepa.actions import ActionSpace
from seqjepa.config import kind
from seqjepa.recipes import recipes
from seqjepa.render.scene import FACTORS
from seqjepa.worlds.base import WorldConfig, WorldSpec
from website.prose import cell, first_paragraph, markdown, options, table

# Worlds without a drawing of their own are shown by one of the same scene.
PICTURES = {"threediebench": "furniture"}
CAPTIONS = {
    "shapes": "Sequences of views, and the rotations between them.",
    "threediebench": "Public-domain meshes in 3DIEBench's scene; each view turns, floor and light "
    "change.",
    "arrays": "The arrays that `examples/own_arrays.py` writes: digits, turned and shifted.",
    "augmented": "Images, views of them, and what was done to each view.",
    "saccades": "Images, their saliency, and the patches that a sequence of fixations sees.",
}
# Factors of worlds whose spec is in their files.
KNOWN = {"threediebench": FACTORS}
MORE = {
    "threediebench": ("threediebench", "meshes"),
    "augmented": ("augmented", "images"),
    "saccades": ("saccades", "images"),
}


def names() -> list[str]:
    """Return every world of the package."""
    found = [module.name for module in pkgutil.iter_modules(seqjepa.worlds.__path__)]
    return [name for name in found if issubclass(config_of(name), WorldConfig)]


def config_of(name: str) -> Any:
    """Return the config class of a world's module; `object` if it has none."""
    module = importlib.import_module(f"seqjepa.worlds.{name}")
    return getattr(module, "Config", object)


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page."""
    for name in names():
        yield name, page(name)


def page(name: str) -> str:
    """Return the page of a world."""
    module, config = importlib.import_module(f"seqjepa.worlds.{name}"), config_of(name)
    about = markdown(module.__doc__)
    # A heading says already which world this is.
    lead = about.partition(": ")[2]
    mine = {
        recipe: function
        for recipe, function in recipes().items()
        if kind(type(function().world)) == name
    }
    # Worlds that read files need a path, which a recipe has.
    required = any(
        field.default is field.default_factory is dataclasses.MISSING
        for field in dataclasses.fields(config)
    )
    spec = (next(iter(mine.values()))().world if required else config()).outline()
    picture = PICTURES.get(name, name)
    assert (DOCS / "figures" / f"{picture}.png").exists()

    parts = [
        f"# {name}",
        lead[:1].upper() + lead[1:],
        f"![{CAPTIONS[name]}](../figures/{picture}.png)",
        f"*{CAPTIONS[name]}*",
        *holds(name, spec),
        "## Options",
        "They are options of `seqjepa train` and fields of the world's `Config`.",
        *(table(own) for _, own in options(config, "--world.") if own),
        "## Recipes",
        "`seqjepa train RECIPE` trains one of these on it:",
        "\n".join(f"- {describe(*each)}" for each in mine.items()),
    ]
    if name in MORE:
        links = " and ".join(f"[{other}](../data/{other}.md)" for other in MORE[name])
        parts.append(f"More about formats, files and choices: {links}.")
    return "\n\n".join(parts) + "\n"


def holds(name: str, spec: WorldSpec | None) -> list[str]:
    """Return the factors, splits and sizes of a world, as far as it knows them without files."""
    intro = (
        "The pose of a view holds every factor, and probes read them all. Actions are made of the "
        "groups that `--world.actions` names."
    )
    parts = ["## Factors and actions", intro]
    if spec is None:
        if name not in KNOWN:
            return []
        return [*parts, factors(KNOWN[name], KNOWN[name].select(config_of(name).actions))]

    views = "without limit" if spec.views_per_object is None else f"{spec.views_per_object}"
    splits = ", ".join(f"`{split}`" for split in spec.splits)
    shape = " x ".join(map(str, spec.image_shape))
    sizes = (
        f"Splits: {splits}. Views of an object: {views}. A view is {shape} (channels, height, "
        "width), unless an option says otherwise."
    )
    return [*parts, factors(spec.factors, spec.actions), sizes]


def factors(known: ActionSpace, given: ActionSpace) -> str:
    """Return the groups of factors as a table."""
    lines = ["| group | pose | action | width | by default |", "|---|---|---|---:|---|"]
    how = {
        "difference": "difference",
        "circular": "difference, the short way round",
        "euler": "relative rotation, unit quaternion",
        "quaternion": "relative rotation, unit quaternion",
    }
    chosen = {group.name for group in given.groups}
    for group in known.groups:
        mark = "an action" if group.name in chosen else ""
        columns = ", ".join(group.dims)
        lines.append(
            f"| `{group.name}` | {columns} | {how[group.kind]} | {group.action_dim} | {mark} |"
        )
    return "\n".join(lines)


def describe(name: str, function: object) -> str:
    """Return a recipe's name and the first paragraph of its docstring."""
    return f"`{name}`: {cell(first_paragraph(function.__doc__))}"
