"""Command line arguments as a dataclass of options.

Every mistake becomes one message that names its cure.
"""

import contextlib
import dataclasses
import difflib
import io
import itertools
import re
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from seqjepa.errors import ConfigError, unknown

T = TypeVar("T")


def parse(options: type[T], arguments: Sequence[str], *, prog: str, default: T | None = None) -> T:
    """Return the options that the arguments ask for.

    Args:
        options: a dataclass; its fields are the options, and so are those of the dataclasses that
            `default` holds.
        arguments: without the command's name.
        prog: the words typed before the arguments.
        default: an instance with the defaults, if they are not the fields' own.

    Raises:
        ConfigError: at an unknown option, naming the nearest one, or at a value of the wrong type
            or range.
        SystemExit: after printing the help that was asked for.
    """
    # tyro's own message for an unknown option is long; this one is a line that names the nearest.
    more = f"{prog} --help lists the options"
    known = ["--help", *_names(options if default is None else default)]
    for argument in arguments:
        name = re.split("[= ]", argument)[0].replace("_", "-")
        if re.match("--[a-z]", argument) and name not in known:
            # Without dashes, which would make all short names alike.
            near = difflib.get_close_matches(name[2:], [each[2:] for each in known], n=1)
            hint = f", did you mean --{near[0]}?" if near else "."
            raise ConfigError(f"unknown option {name}{hint} {more}")

    # tyro prints other mistakes in a box and exits.
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            if default is None:
                return tyro.cli(options, args=arguments, prog=prog)
            return tyro.cli(options, args=arguments, prog=prog, default=default)
    except SystemExit as end:
        if not end.code:
            raise
        raise ConfigError(f"{_sentence(box.getvalue())}. {more}") from None


def choose(
    what: str, arguments: Sequence[str], known: Collection[str], *, prog: str, also: str = ""
) -> tuple[str, list[str]]:
    """Return the first argument, which must be a known name, and the other arguments.

    Args:
        what: the kind of thing that is named, such as a recipe.
        arguments: without the command's name.
        known: names.
        prog: the words typed before the arguments.
        also: suffix of files that may be given in place of a known name, such as `.py`.

    Raises:
        ConfigError: if the name is missing or unknown.
        SystemExit: after printing the names, if `--help` stands in its place.
    """
    usage = f"{prog} {what.upper()} [OPTIONS]"
    choices = [*known, f"FILE{also} of your own"] if also else [*known]
    names = ", ".join(choices)
    if arguments and arguments[0] in ("-h", "--help"):
        more = f"{prog} {what.upper()} --help lists the options"
        sys.stdout.write(f"usage: {usage}; {more}\n\n{what}: {names}\n")
        raise SystemExit(0)

    if not arguments or arguments[0].startswith("-"):
        raise ConfigError(f"name a {what} first: {usage}. Known: {names}")
    name, *rest = arguments
    if name not in known and not (also and name.endswith(also)):
        raise ConfigError(unknown(what, name, choices))
    return name, rest


def choose_recipe(
    arguments: Sequence[str], known: Collection[str], *, prog: str
) -> tuple[str, list[str]]:
    """Return the name of a recipe, or a file that has one, and the other arguments.

    Args:
        arguments, known, prog: see `choose`.

    Raises:
        ConfigError: as `choose`; data in the recipe's place are told where they belong.
    """
    if arguments and arguments[0] not in known and Path(arguments[0]).is_dir():
        folder = shlex.quote(arguments[0])
        raise ConfigError(
            f"{folder} is a folder, no recipe. For arrays, {prog} arrays --world.path {folder}; "
            "for images, `augmented` or `saccades` in place of `arrays`. "
            f"seqjepa data check {folder} says what is in it"
        )
    return choose("recipe", arguments, known, prog=prog, also=".py")


def take_option(name: str, arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the value of an option, None if it is not given, and the other arguments.

    It is for an option that decides what the other options are.

    Raises:
        ConfigError: if it has no value or is given twice.
    """
    values, rest = take_options(name, arguments)
    if len(values) > 1:
        raise ConfigError(f"{name} is given {len(values)} times: give it once")
    return (values[0] if values else None), rest


def take_options(name: str, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the values of an option that may be given several times, and the other arguments.

    Raises:
        ConfigError: if it has no value.
    """
    values, rest = list[str](), list[str]()
    left = iter(arguments)
    for argument in left:
        option, equals, value = argument.partition("=")
        if option != name:
            rest.append(argument)
            continue

        # Without `=` it is the next argument, unless that is an option or there is none.
        value = value if equals else next(left, "-")
        if not equals and value.startswith("-"):
            raise ConfigError(f"{name} needs a value")
        values.append(value)
    return values, rest


def take_paths(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return where the data of a run are now, by its world's field, and the other arguments.

    They are options such as `--world.path NEW`, of which each world has its own.
    """
    paths, rest = dict[str, str](), list(arguments)
    for argument in arguments:
        option = argument.partition("=")[0]
        if option.startswith("--world."):
            value, rest = take_option(option, rest)
            paths[option.removeprefix("--world.").replace("-", "_")] = value or ""
    return paths, rest


def _names(options: Any, prefix: str | None = None) -> Iterator[str]:
    """Yield the options of a dataclass; those of a dataclass directly in it have no prefix."""
    for field in dataclasses.fields(options):
        value = getattr(options, field.name, None)
        name = field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            yield from _names(value, "" if prefix is None else f"{prefix}{name}.")
        else:
            yield f"--{prefix or ''}{name}"
            if isinstance(value, bool):
                yield f"--{prefix or ''}no-{name}"


def _sentence(box: str) -> str:
    """Return the message in the first part of the box that tyro draws, in ASCII or not.

    The box's title repeats it, and its other parts quote the help.
    """
    lines = [line.strip("│|╭╰╮╯+ ").replace("─", "-") for line in box.splitlines()][1:]
    groups = itertools.groupby(lines, lambda line: not line.strip("-"))
    parts = [" ".join(part) for is_rule, part in groups if not is_rule]
    said = parts[0].rstrip(".") if parts else "the arguments cannot be read"
    return said[:1].lower() + said[1:]
