"""The commands and snippets of the how-to pages run as printed, only smaller."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.packages import entry_points, write_package
from fixtures.small_recipes import make_recipes_small, write_images
from seqjepa import cli, plugins
from seqjepa.recipes import load_code

ROOT = Path(__file__).parents[1]
PAGES = {
    name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in (
        "quickstart",
        *(f"howto/{name}" for name in ("own_data", "own_method", "own_world", "plugins")),
    )
}
SMALL = {"--seeds 3": "--seeds 1", "steps 300": "steps 2", "steps=300": "steps=2"}


def blocks(page: str, language: str) -> list[str]:
    """Return a page's blocks of code in a language, made smaller."""
    text = PAGES[page]
    for given, smaller in SMALL.items():
        text = text.replace(given, smaller)
    return re.findall(rf"(?s)```{language}\n(.*?)```", text)


@pytest.fixture
def workplace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Return a folder with what the pages take for granted, as the working folder."""
    make_recipes_small(monkeypatch, tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    write_images(tmp_path / "my_images")
    load_code(ROOT / "examples" / "own_arrays.py").main(
        tmp_path / "data" / "turned_digits", objects=40, views=4
    )

    # As after `pip install examples/plugin`.
    for place in (ROOT / "examples" / "plugin", tmp_path):
        monkeypatch.syspath_prepend(place)
    write_package(
        tmp_path, "seqjepa-spectral", entry_points(ROOT / "examples/plugin/pyproject.toml")
    )
    yield tmp_path
    plugins._entries.cache_clear()


@pytest.mark.slow
@pytest.mark.posix
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_and_snippets(page: str, workplace: Path) -> None:
    lines = "\n".join(blocks(page, "")).splitlines()
    commands = [line for line in lines if line.startswith("seqjepa ")]
    assert len(commands) >= 3
    for command in commands:
        assert cli.run(shlex.split(command)[1:]) == 0, command
    for snippet in blocks(page, "python"):
        exec(snippet, {})


def test_the_plug_ins_page_shows_the_examples_entry_points() -> None:
    shown = "\n".join(blocks("howto/plugins", "toml"))
    for group, entries in entry_points(ROOT / "examples/plugin/pyproject.toml").items():
        for name, value in entries.items():
            assert f'[project.entry-points."{group}"]\n{name} = "{value}"' in shown
