"""Build the documentation site into build/site/html: `make site`.

The sources are the Markdown files of the repository, copied to build/site/source under the same
paths, and pages made from the code: one for each method, world and command. Sphinx does the rest,
executing the notebooks; its warnings, such as a broken link, are errors.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext

from committed import Committed
from website import commands, methods, worlds

ROOT = Path(__file__).parents[2]
TEMPLATES = Path(__file__).parent / "website"
PAGES = ("*.md", "docs/**/*.md")
# What pages show or link to.
FILES = (
    "docs/figures/*",
    "docs/reproduce/*.png",
    "docs/results/**/*.json",
    "examples/**/*",
    "scripts/gpu.sh",
    "weights/**/*",
    "constraints.txt",
    "LICENSE",
)


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    source, html = out / "source", out / "html"
    write_source(source)
    if code := subprocess.run(build_command(source, html), check=False).returncode:
        sys.exit(code)
    print(f"The site: {html / 'index.html'}")


def build_command(source: Path, html: Path) -> list[str]:
    """Return the command that makes the site of its sources."""
    sphinx = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    return [*sphinx, "--builder", "html", str(source), str(html)]


def write_source(source: Path) -> None:
    """Write the sources of the site into a new folder."""
    shutil.rmtree(source, ignore_errors=True)
    for pattern in (*PAGES, *FILES):
        for path in filter(Path.is_file, ROOT.glob(pattern)):
            copy(path, source / path.relative_to(ROOT))
    for path in TEMPLATES.glob("*.*"):
        if path.suffix in (".md", ".css") or path.name == "conf.py":
            copy(path, source / path.name)

    # Notebooks are kept as scripts, which Sphinx would take for code.
    for path in ROOT.glob("docs/notebooks/*.py"):
        place = source / path.relative_to(ROOT)
        jupytext.write(jupytext.read(path), place.with_suffix(".ipynb"))
    index = source / "docs" / "notebooks" / "index.md"
    index.write_text(index.read_text(encoding="utf-8").replace(".py)", ".ipynb)"), encoding="utf-8")

    written = {
        "docs/methods": dict(methods.pages(Committed.read())),
        "docs/worlds": dict(worlds.pages()),
        "cli": dict(commands.pages()),
    }
    for folder, pages in written.items():
        (source / folder).mkdir(parents=True, exist_ok=True)
        for name, text in pages.items():
            (source / folder / f"{name}.md").write_text(text, encoding="utf-8")

    # In the menu these pages stand below the one that lists them.
    data = sorted(path.stem for path in (source / "docs" / "data").glob("*.md"))
    add_menu(source / "docs/methods.md", "methods", ["contrast", *written["docs/methods"]])
    add_menu(source / "docs/data.md", "worlds", list(written["docs/worlds"]))
    add_menu(source / "docs/data.md", "data", data)
    add_menu(source / "docs/reproduce.md", "reproduce", ["index"])
    tables = source / "docs" / "reproduce" / "index.md"
    add_menu(tables, ".", re.findall(r"\]\((\w+)\.md\)", tables.read_text(encoding="utf-8")))


def add_menu(page: Path, folder: str, names: list[str]) -> None:
    """Put pages of a folder into the menu below a page."""
    entries = "\n".join(f"{folder}/{name}" for name in names)
    menu = f"\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n"
    page.write_text(page.read_text(encoding="utf-8") + menu, encoding="utf-8")


def copy(path: Path, place: Path) -> None:
    """Copy a file; Sphinx follows links to where it is, and finds other pages nowhere there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)


if __name__ == "__main__":
    main()
