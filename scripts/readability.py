"""Count what makes Python code hard or easy to read: a mirror, not a gate.

    .venv/bin/python scripts/readability.py            # src
    .venv/bin/python scripts/readability.py src tests --list

For each folder or file it prints, over all its Python files: how many functions of 15 or more body
lines have no blank line and no comment inside, comments on a line of their own for each 100 lines
of code, lines over 100 and 120 columns, docstrings that begin with a relative or interrogative word
instead of a verb or noun, and the median number of words in a docstring's first line.
"""

import argparse
import ast
import io
import statistics
import tokenize
from dataclasses import dataclass, field
from pathlib import Path

LONG = 15  # body lines from which a function is expected to have paragraphs
OPENERS = (
    "what", "whether", "how", "of", "where", "which", "in", "as", "when", "who", "whom", "whose",
    "why", "for", "from", "by", "with", "to", "that", "while", "until",
)  # fmt: skip
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Count:
    """Figures of a folder or a file.

    Attributes:
        lines: of code: neither blank nor a comment alone.
        comments: on a line of their own.
        over_100, over_120: lines longer than that.
        long: functions of LONG or more body lines.
        unbroken: those of them without a blank line or comment, as `file:line name`.
        docstrings: number of words in each first line.
        opened: docstrings that begin with one of OPENERS, as `file:line first line`.
    """

    lines: int = 0
    comments: int = 0
    over_100: int = 0
    over_120: int = 0
    long: int = 0
    unbroken: list[str] = field(default_factory=list)
    docstrings: list[int] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", default=["src"])
    parser.add_argument("--list", action="store_true", help="name the functions and docstrings")
    options = parser.parse_args()

    for place in options.paths:
        count = Count()
        for path in python_files(Path(place)):
            add(count, path)
        print(f"{place}: {summary(count)}")
        if options.list:
            print(*count.unbroken, *count.opened, sep="\n")


def python_files(path: Path) -> list[Path]:
    """Return the file itself, or all Python files in the folder and below it."""
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def add(count: Count, path: Path) -> None:
    """Add a file's figures to a count."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    count.over_100 += sum(len(line) > 100 for line in lines)
    count.over_120 += sum(len(line) > 120 for line in lines)

    # Comments behind code are left out: they rarely say why.
    own = own_comments(text)
    count.comments += len(own)
    count.lines += sum(bool(line.strip()) for line in lines) - len(own)

    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED):
            _add_docstring(count, node, path)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            _add_function(count, node, lines, own, path)


def own_comments(text: str) -> set[int]:
    """Return the numbers of the lines that hold a comment and nothing else."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    found = (token for token in tokens if token.type == tokenize.COMMENT)
    return {token.start[0] for token in found if not token.line[: token.start[1]].strip()}


def _add_docstring(count: Count, node: ast.AST, path: Path) -> None:
    docstring = ast.get_docstring(node)  # type: ignore[arg-type]
    if not docstring:
        return
    words = docstring.splitlines()[0].split()
    count.docstrings.append(len(words))
    if words and words[0].strip(".,:;`").lower() in OPENERS:
        count.opened.append(f"{path}:{getattr(node, 'lineno', 1)} {' '.join(words)}")


def _add_function(
    count: Count,
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    lines: list[str],
    own: set[int],
    path: Path,
) -> None:
    # A docstring is no part of the body: it has paragraphs of its own.
    body = node.body[1:] if ast.get_docstring(node) else node.body
    if not body:
        return
    first, last = body[0].lineno, node.end_lineno or body[-1].lineno
    if last - first + 1 < LONG:
        return

    count.long += 1
    inside = range(first, last + 1)
    if not any(not lines[number - 1].strip() or number in own for number in inside):
        count.unbroken.append(f"{path}:{node.lineno} {node.name}")


def summary(count: Count) -> str:
    """Return the figures as one paragraph, or one line where there are none."""
    if not count.lines:
        return "there is no Python in it"
    docstrings = len(count.docstrings)
    words = statistics.median(count.docstrings or [0])
    rate = 100 * count.comments / count.lines
    return (
        f"{count.lines:,} lines of code\n"
        f"  functions of {LONG} or more body lines without a break: "
        f"{len(count.unbroken)} of {count.long}\n"
        f"  comments on a line of their own: {rate:.1f} per 100 lines\n"
        f"  lines over 100 / 120 columns: {count.over_100} / {count.over_120}\n"
        f"  docstrings that begin with what, whether, how, of, ...: "
        f"{len(count.opened)} of {docstrings} ({len(count.opened) / max(docstrings, 1):.1%})\n"
        f"  median words in a docstring's first line: {words:g}"
    )


if __name__ == "__main__":
    main()
