"""`seqjepa import FILE [--recipe NAME]`: a run folder from weights that other code has trained.

The file decides the encoder and, if it is seq-JEPA's, the method. The recipe decides the rest, and
every field of it is an option.
"""

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from seqjepa.commands.options import parse, take_option
from seqjepa.config import Experiment, to_json
from seqjepa.errors import ConfigError
from seqjepa.exchange.importing import import_run, read_layout
from seqjepa.exchange.layout import Layout
from seqjepa.recipes import recipe, with_method
from seqjepa.report.runs import flatten

USAGE = "seqjepa import FILE [--recipe NAME] [--method NAME] [OPTIONS]"


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Where the run goes, and below it every field of the experiment.

    `--recipe NAME` (or FILE.py) gives the data and the settings to go on with; seq-JEPA's own
    checkpoints have a default. `--method NAME` puts a ResNet into another method than the recipe's.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    run_dir: Path | None = None
    """Folder of the run; default runs/ and the file's name without its ending."""


def main(arguments: list[str]) -> None:
    """Parse, import and say how to go on."""
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(f"usage: {USAGE}; seqjepa import FILE --help lists the options\n")
        return
    if not arguments or arguments[0].startswith("-"):
        raise ConfigError(f"name the file first: {USAGE}")
    file, rest = Path(arguments[0]), arguments[1:]
    name, rest = take_option("--recipe", rest)
    method, rest = take_option("--method", rest)

    # The file decides defaults, so it is read before the options are.
    layout = read_layout(file)
    name = name or layout.recipe
    if name is None:
        raise ConfigError(
            f"{file} is {layout.title}, which does not tell the data to go on with: name a recipe, "
            "--recipe NAME"
        )
    base = recipe(name)()
    if method is not None:
        base = with_method(base, method)
    default = ImportOptions(experiment=layout.settle(base))
    options = parse(ImportOptions, rest, prog="seqjepa import FILE", default=default)

    run_dir = options.run_dir or Path("runs") / file.stem
    import_run(layout, options.experiment, run_dir)
    train = ["seqjepa", "train", name, *(["--method", method] if method else [])]
    train += [*_changes(base, options.experiment), "--run-dir", str(run_dir), "--resume"]
    sys.stdout.write(_ignored(layout))
    sys.stdout.write(
        f"done: {run_dir}, {layout.title}. Next: seqjepa evaluate {shlex.quote(str(run_dir))}\n"
        f"To train it: {shlex.join(train)}\n"
    )


def _ignored(layout: Layout) -> str:
    """Return a line that names what of the file was left out, empty if nothing was."""
    # Entries of a head are named by their beginning.
    names = list(dict.fromkeys(name.partition(".")[0] for name in layout.ignored))
    return f"not taken over: {', '.join(names)}\n" if names else ""


def _changes(base: Experiment, experiment: Experiment) -> Iterator[str]:
    """Yield the options that make an experiment of the one that a recipe returns."""
    before, after = flatten(to_json(base)), flatten(to_json(experiment))
    for key, value in after.items():
        if before.get(key) == value or key == "method.kind":
            continue
        section, _, field = key.rpartition(".")
        option = f"{section}{'.' if section else ''}"
        dashed = field.replace("_", "-")
        if isinstance(value, bool):
            yield f"--{option}{'' if value else 'no-'}{dashed}"
        else:
            yield from [f"--{option}{dashed}", *_words(value)]


def _words(value: Any) -> list[str]:
    """Return the value of an option as it is typed."""
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
