"""The pages of the command line, from the dataclasses that the commands parse."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any, NoReturn
from unittest import mock

import tyro

from seqjepa import cli, errors
from website.prose import first_paragraph, markdown, options, table

# What is typed behind a command to choose its options; a recipe's own are shown as an example.
SHOWN = {
    "train": [["shapes_demo"]],
    "import": [],  # a file decides its options, which are those of a recipe
    "evaluate": [[]],
    "benchmark": [["shapes_tiny"]],
    "reproduce": [[]],
    "decode": [[]],
    "explore": [[]],
    "report": [[]],
    "export": [[]],
    "data": [
        ["check"],
        ["pack"],
        ["render", "shapes"],
        ["render", "meshes"],
        ["saliency", "folder"],
    ],
    "speed": [["render"], ["step"], ["methods"]],
}
HOW = {
    "train": "seqjepa train RECIPE --run-dir FOLDER [OPTIONS]",
    "import": "seqjepa import FILE [--recipe NAME] [--method NAME] [--run-dir FOLDER] [OPTIONS]",
    "evaluate": "seqjepa evaluate RUN_DIR [OPTIONS]",
    "benchmark": "seqjepa benchmark RECIPE --methods METHOD ... [OPTIONS]",
    "reproduce": "seqjepa reproduce TABLE ... [OPTIONS]",
    "decode": "seqjepa decode RUN_DIR [OPTIONS]",
    "explore": "seqjepa explore RUN_DIR [OPTIONS]",
    "report": "seqjepa report RUN_DIR ... --out FOLDER",
    "export": "seqjepa export RUN_DIR --format FORMAT [OPTIONS]",
}
# Headings of groups of options.
GROUPS = {
    "experiment": "Experiment",
    "how": "Probes",
    "decoder": "Decoder",
    "method": "Method",
    "world": "World",
    "encoder": "Encoder",
    "optim": "Optimizer",
    "train": "Training",
    "evaluate": "Evaluation",
}


class _Parsed(Exception):
    """Raised in place of parsing, with what would have been parsed."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found


def parsed(words: list[str]) -> Any:
    """Return the dataclass, or the instance with its defaults, that a command parses."""

    def record(cls: type, *, default: Any = None, **_: Any) -> NoReturn:
        raise _Parsed(cls if default is None else default)

    with mock.patch.object(tyro, "cli", record):
        try:
            cli.run(words)
        except _Parsed as end:
            return end.found
    raise AssertionError(f"seqjepa {' '.join(words)} parses no options")


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each page."""
    yield "index", index()
    for command in cli.COMMANDS:
        yield command, page(command)


def index() -> str:
    """Return the page of all commands, with the exit codes."""
    lines = ["# Command line", "", "```text", "seqjepa COMMAND ... [OPTIONS]", "```", ""]
    lines += ["| command | |", "|---|---|"]
    for command, text in cli.COMMANDS.items():
        what, _, example = text.partition(": ")
        lines.append(f"| [`seqjepa {command}`]({command}.md) | {what}: `{example}` |")
    lines += [
        "",
        "`--help` behind any command lists its options, `--debug` shows tracebacks and `--version`",
        "the version. Options may be written with dashes or underscores, and with a space or `=`",
        "before the value. The exit code says how a command ended.",
        "",
        "| exit code | meaning |",
        "|---:|---|",
        "| 0 | done |",
    ]
    kinds = [kind for kind in vars(errors).values() if "exit_code" in getattr(kind, "__dict__", ())]
    for kind in sorted(kinds, key=lambda kind: kind.exit_code):
        text = first_paragraph(kind.__doc__)
        lines.append(f"| {kind.exit_code} | `{kind.__name__}`: {text} |")
    toctree = "\n".join(cli.COMMANDS)
    return "\n".join([*lines, "", f"```{{toctree}}\n:hidden:\n\n{toctree}\n```", ""])


def page(command: str) -> str:
    """Return the page of a command."""
    module = importlib.import_module(cli.module_of(command))
    about = cli.COMMANDS[command].partition(": ")[0]
    _, _, more = inspect.cleandoc(module.__doc__ or "").partition("\n\n")
    parts = [f"# seqjepa {command}", f"{about[:1].upper()}{about[1:]}.", more]
    if command in HOW:
        parts.append(f"```text\n{HOW[command]}\n```")

    for words in SHOWN[command]:
        found = parsed([command, *words])
        cls = found if isinstance(found, type) else type(found)
        if len(SHOWN[command]) > 1:
            parts.append(f"## seqjepa {' '.join([command, *words])}")
        elif words:
            parts.append(
                f"Below are the options and defaults of the recipe `{words[0]}`; "
                f"`seqjepa {command} RECIPE --help` lists another's."
            )
        parts.append(markdown(cls.__doc__))
        parts += tables(found, "###" if len(SHOWN[command]) > 1 else "##")
    return "\n\n".join(parts) + "\n"


def tables(found: Any, level: str) -> list[str]:
    """Return a table for each group of options, with headings."""
    parts = list[str]()
    for group, own in options(found):
        parts += [f"{level} {GROUPS.get(group, f'`{group}`')}"] if group and own else []
        parts += [table(own)] if own else []
    return parts
