"""Imports point one way: the picture in ARCHITECTURE.md is true."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "seqjepa"


def imports() -> dict[str, set[str]]:
    """Return the library's modules and what each imports of the library.

    Names are dotted and without `seqjepa.`; imports inside functions count too.
    """
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")

        imported = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}

        own = {item for item in imported if item.startswith("seqjepa.")}
        found[name] = {item.removeprefix("seqjepa.") for item in own}
    return found


def layers() -> list[list[str]]:
    """Return the picture's modules and packages, from those that import nothing on.

    Those between two arrows do not import each other.
    """
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    picture = re.search(r"Imports point one way.*?```\n(.*?)```", text, re.DOTALL)
    assert picture, "ARCHITECTURE.md has a picture of the imports"
    return [re.findall(r"\w+", layer) for layer in picture[1].split("←")]


IMPORTS = imports()
LAYERS = layers()
HEIGHT = {name: number for number, names in enumerate(LAYERS) for name in names}


def test_the_picture_names_every_module():
    tops = {name.split(".")[0] for name in IMPORTS} - {""}
    assert tops == set(HEIGHT) and len(HEIGHT) == sum(map(len, LAYERS))


@pytest.mark.parametrize("module", sorted(set(IMPORTS) - {""}))
def test_imports_point_one_way(module):
    room = module.split(".")[0]
    others = {item.split(".")[0] for item in IMPORTS[module]} - {room}
    wrong = sorted(other for other in others if HEIGHT.get(other, 0) >= HEIGHT[room])
    assert not wrong, f"{module} imports {wrong}, which stand no further left in ARCHITECTURE.md"


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("methods", ("worlds", "evaluation", "training", "config")),
        ("reading", ("types",)),
        ("render", ("types", "store")),
        ("worlds", ("methods", "nn", "config")),
        ("evaluation.probes", ("methods", "worlds", "model")),
        ("report", ("methods", "training")),
        ("report", ("evaluation.evaluate", "evaluation.features", "evaluation.probes")),
    ],
)
def test_what_must_not_know_of_each_other(room, forbidden):
    prefixes = tuple(f"{name}." for name in forbidden)
    for module, imported in IMPORTS.items():
        if f"{module}.".startswith(f"{room}."):
            assert not [item for item in imported if f"{item}.".startswith(prefixes)], module


def test_nobody_names_a_method_or_a_world():
    """Recipes, exchange, commands and speed name them; the rest sees the seams only."""
    seams = r"methods\.(?!base\b)|worlds\.(?!(base|table)\b)"
    for module, imported in IMPORTS.items():
        if module.split(".")[0] not in (
            "methods",
            "worlds",
            "recipes",
            "exchange",
            "commands",
            "speed",
        ):
            named = [item for item in imported if re.match(seams, item)]
            assert not named, f"{module} imports {named}"


def test_the_six_trips_go_through_files_that_exist():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    trips = re.findall(r"(?m)^\| \*\*A.*$", text)
    assert len(trips) == 6, "a row for each trip"
    for trip in trips:
        files = re.findall(r"`([\w/]+\.(?:py|html\.jinja))`", trip)
        assert len(files) > 6
        missing = [name for name in files if not (SOURCE / name).is_file()]
        assert not missing, f"{trip[:40]} names {missing}"
