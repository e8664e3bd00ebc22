"""The documentation site is built without a warning, and shows all that the code has."""

import pkgutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

import seqjepa
from seqjepa import cli
from seqjepa.commands import data, speed
from seqjepa.commands.options import _names
from seqjepa.config import find_kind, to_json
from seqjepa.methods.base import MethodConfig

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "scripts" / "docs")]
from committed import Committed  # noqa: E402
from website import commands, methods, prose, worlds  # noqa: E402

COMMANDS = [[command, *words] for command, shown in commands.SHOWN.items() for words in shown]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_site(tmp_path: Path) -> None:
    program = ROOT / "scripts" / "docs" / "make_site.py"
    made = subprocess.run(
        [sys.executable, program, tmp_path], capture_output=True, text=True, timeout=880
    )
    assert made.returncode == 0, made.stderr

    html = tmp_path / "html"
    pages = [f"docs/methods/{name}" for name in methods.names()]
    pages += [f"docs/worlds/{name}" for name in worlds.names()]
    pages += [f"cli/{name}" for name in cli.COMMANDS]
    pages += [f"docs/notebooks/{path.stem}" for path in ROOT.glob("docs/notebooks/*.py")]
    for page in ("index", "api", "README", "docs/concepts", *pages):
        text = (html / f"{page}.html").read_text(encoding="utf-8")
        assert "</html>" in text and 'src="None"' not in text
    imagined = (html / "docs/notebooks/imagine.html").read_text(encoding="utf-8")
    assert "a random turn:" in imagined, "notebooks are executed"
    assert "75.7 ± 0.9" in (html / "index.html").read_text(encoding="utf-8"), "README's table"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_of_a_command_is_shown(words: list[str]) -> None:
    found = commands.parsed(words)
    shown = {option.name for _, own in prose.options(found) for option in own}
    shown = {name for names in shown for name in names.split("`, `")}
    positional = {f"--{name.lower().replace('_', '-')}" for name in shown if name.isupper()}
    assert {name for name in shown if not name.isupper()} | positional == set(_names(found))
    page = commands.page(words[0])
    assert all(f"`{name}`" in page for name in shown)


def test_every_command_is_shown() -> None:
    assert list(commands.SHOWN) == list(cli.COMMANDS)
    actions = {module.name for module in pkgutil.iter_modules(data.__path__)}
    assert {words[0] for words in commands.SHOWN["data"]} == actions
    # Measurements with options of their own, and one of those without.
    assert {words[0] for words in commands.SHOWN["speed"]} == {*speed.OPTIONS, "render"}


def test_every_public_name_is_shown() -> None:
    page = (ROOT / "scripts" / "docs" / "website" / "api.md").read_text(encoding="utf-8")
    lines = page.splitlines()
    for name in seqjepa.__all__:
        assert any(line.endswith(f":: seqjepa.{name}") for line in lines), name


@pytest.mark.parametrize("name", methods.names())
def test_a_methods_page_has_its_settings(name: str) -> None:
    page = methods.page(name, Committed({}))
    defaults = to_json(find_kind(MethodConfig, name)())
    for key, value in defaults.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            option = f"| `--method.{key.replace('_', '-')}` |"
            [row] = [line for line in page.splitlines() if line.startswith(option)]
            assert f"| `{value}` |" in row
    assert "No run of it is among the committed results" in page
    assert page.index("## What it minimises") < page.index("```text\n", 200), "has its equation"


def test_a_methods_page_has_its_results() -> None:
    page = methods.page("seq_jepa", Committed.read())
    assert "| `demo` | 3 | 75.7 ± 0.9 |" in page
    assert "- `last`: `seqjepa train shapes_tiny --method.predict last`" in page


@dataclass(frozen=True, kw_only=True)
class Inner:
    """Some more.

    Attributes:
        width, height: sizes | in pixels.
        kind: what it is.
    """

    width: int = 3
    height: int = 4
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True, kw_only=True)
class Options:
    """All sorts of options."""

    path: tyro.conf.Positional[Path]
    """A file."""
    fast: bool = True
    """Be quick."""
    names: tuple[str, ...] = ()
    """Who."""
    limit: int | None = None
    """How much."""
    inner: Annotated[Inner, tyro.conf.arg(name="")] = field(default_factory=Inner)


def test_options_of_a_dataclass() -> None:
    found = dict(prose.options(Options(path=tyro.MISSING)))
    assert found == {
        "": [
            prose.Option("PATH", "PATH", "required", "A file."),
            prose.Option("--fast`, `--no-fast", "", "on", "Be quick."),
            prose.Option("--names", "TEXT ...", "none", "Who."),
            prose.Option("--limit", "INT", "", "How much."),
        ],
        "inner": [
            prose.Option("--width", "INT", "3", "sizes | in pixels."),
            prose.Option("--height", "INT", "4", "sizes | in pixels."),
            prose.Option("--kind", "a | b", "a", "what it is."),
        ],
    }
    assert "| `--width` | `INT` | `3` | sizes \\| in pixels. |" in prose.table(found["inner"])


def test_docstrings_become_markdown() -> None:
    text = """A head.

        y = x
          + 1

        z = y

    A paragraph
    of two lines.

    Attributes:
        x: not shown.
    """
    expected = "A head.\n\n```text\ny = x\n  + 1\n\nz = y\n```\n\nA paragraph\nof two lines."
    assert prose.markdown(text) == expected
    assert prose.as_code("with --a.b-c, `x --d` or (--e).") == "with `--a.b-c`, `x --d` or (`--e`)."
    assert prose.title("SIE (Garrido 2023), as in it: half.\n\nMore.") == (
        "SIE",
        "SIE (Garrido 2023), as in it: half.",
    )
