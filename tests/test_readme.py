"""Snippets and commands of the README run as printed, only smaller; so does every recipe.

The commands of docs/training.md are tested as well.
"""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from fixtures.small_recipes import make_recipes_small, write_images
from fixtures.view_files import write
from seqjepa import cli
from seqjepa.evaluation import few_labels
from seqjepa.recipes import load_code, recipes
from seqjepa.worlds import threediebench

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
TRAINING = (ROOT / "docs" / "training.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README + TRAINING, re.DOTALL)
SHELL = "\n".join(block for language, block in BLOCKS if not language)
COMMANDS = [line for line in SHELL.splitlines() if line.startswith("seqjepa ")]


@pytest.fixture
def small_recipes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make all recipes small; give the test a working folder and a cache of its own."""
    make_recipes_small(monkeypatch, tmp_path)


def test_the_python_snippets(small_recipes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    [snippet] = [block for language, block in BLOCKS if language == "python"]
    names: dict[str, Any] = {}
    exec(snippet, names)
    assert [names[name].ndim for name in ("z", "z_agg", "z_next")] == [3, 2, 2]
    assert Path("runs/demo/results.json").exists()

    # The page on evaluation asks the same run.
    monkeypatch.setattr(few_labels, "FEWEST", 2)
    page = (ROOT / "docs" / "evaluation.md").read_text()
    [further] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(further, names)
    for file in ("suite/retrieval.json", "suite/group.json", "transfer/tiny.json"):
        assert (Path("runs/demo") / file).exists(), file


def test_the_commands(small_recipes: None, tmp_path: Path) -> None:
    assert len(COMMANDS) >= 7
    load_code(ROOT / "examples" / "own_arrays.py").main(tmp_path / "my_folder", objects=40, views=4)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    write_images(tmp_path / "my_images")
    for command in COMMANDS:
        assert cli.run(shlex.split(command)[1:]) == 0, command


def test_the_world_json() -> None:
    described = [json.loads(block) for language, block in BLOCKS if language == "json"]
    assert len(described) == 1 and set(described[0]) == {"pose", "groups"}


def ready(name: str) -> bool:
    """Return true if the recipe's data exist or a test can write them.

    Recipes of other data sets have tests of their own.
    """
    world = recipes()[name]().world
    return isinstance(world, threediebench.Config) or not hasattr(world, "path")


@pytest.mark.parametrize("name", [name for name in recipes() if ready(name)])
def test_every_recipe_trains(name: str, small_recipes: None, tmp_path: Path) -> None:
    world = recipes()[name]().world
    if isinstance(world, threediebench.Config):
        write(tmp_path / "3DIEBench", views=6, translated="translation" in world.actions)
    assert cli.run(["train", name, "--run-dir", "run"]) == 0


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_is_described(name: str) -> None:
    assert f"`{name}`" in TRAINING + (ROOT / "docs" / "data.md").read_text()
