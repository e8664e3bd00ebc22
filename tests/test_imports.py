"""Imports point one way: the picture in ARCHITECTURE.md is true."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "seqjepa"


def imports() -> dict[str, set[str]]:
    """What each module imports of ours, at its top or inside functions, as dotted names without
    `seqjepa.`"""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = (
            ".".join(path.relative_to(SOURCE).with_suffix("").parts)
            .removesuffix("__init__")
            .removesuffix(".")
        )
        imported = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute"
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        found[name] = {
            item.removeprefix("seqjepa.") for item in imported if item.startswith("seqjepa.")
        }
    return found


def layers() -> list[list[str]]:
    """The picture's modules and packages, from those that import nothing on: between two arrows
    nobody imports anybody."""
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
    mine = module.split(".")[0]
    others = {item.split(".")[0] for item in IMPORTS[module]} - {mine}
    wrong = sorted(other for other in others if HEIGHT.get(other, 0) >= HEIGHT[mine])
    assert not wrong, f"{module} imports {wrong}, which stand no further left in ARCHITECTURE.md"


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("methods", ("worlds", "evaluation", "training", "config")),
        ("reading", ("types",)),
        ("render", ("types", "store")),
        ("worlds", ("methods", "nn", "config")),
        ("evaluation.probes", ("methods", "worlds", "model")),
        (
            "report",
            (
                "methods",
                "training",
                "evaluation.evaluate",
                "evaluation.features",
                "evaluation.probes",
            ),
        ),
    ],
)
def test_what_must_not_know_of_each_other(room, forbidden):
    for module, imported in IMPORTS.items():
        if f"{module}.".startswith(f"{room}."):
            assert not [
                item
                for item in imported
                if f"{item}.".startswith(tuple(f"{name}." for name in forbidden))
            ], module


def test_nobody_names_a_method_or_a_world():
    """But for recipes, commands and benchmarks, which are there to name them: the rest sees the
    seams only."""
    seams = r"methods\.(?!base\b)|worlds\.(?!(base|table)\b)"
    for module, imported in IMPORTS.items():
        if module.split(".")[0] not in ("methods", "worlds", "recipes", "commands", "speed"):
            named = [item for item in imported if re.match(seams, item)]
            assert not named, f"{module} imports {named}"
