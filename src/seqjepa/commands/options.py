"""From command line arguments to a dataclass of options. Every mistake becomes one message that
names its cure.
"""

import contextlib
import dataclasses
import difflib
import io
import itertools
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

import tyro

from seqjepa.errors import ConfigError, unknown

T = TypeVar("T")


def parse(options: type[T], arguments: Sequence[str], *, prog: str, default: T | None = None) -> T:
    """The options that the arguments ask for.

    Args:
        options: a dataclass; its fields are the options, and so are those of the dataclasses that
            `default` holds.
        arguments: without the command's name.
        prog: what was typed before the arguments.
        default: where defaults come from, if not from the fields.

    Raises:
        ConfigError: at an unknown option, naming the nearest one, or at a value of the wrong type
            or range.
        SystemExit: after printing the help that was asked for.
    """
    more = f"{prog} --help lists the options"
    known = ["--help", *_names(options if default is None else default)]
    for name in (
        re.split("[= ]", argument)[0].replace("_", "-")
        for argument in arguments
        if re.match("--[a-z]", argument)
    ):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise ConfigError(
                f"unknown option {name}{f', did you mean {near[0]}?' if near else '.'} {more}"
            )
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
    """The name that the first argument has to be, and the other arguments.

    Args:
        what: the name is of.
        arguments: without the command's name.
        known: names.
        prog: what was typed before the arguments.
        also: what else than a known name may stand there, if it ends so (`.py`).

    Raises:
        ConfigError: if the name is missing or unknown.
        SystemExit: after printing the names, if `--help` stands in its place.
    """
    usage = f"{prog} {what.upper()} [OPTIONS]"
    names = ", ".join([*known, *([f"FILE{also} of your own"] if also else [])])
    if arguments and arguments[0] in ("-h", "--help"):
        sys.stdout.write(
            f"usage: {usage}; {prog} {what.upper()} --help lists the options\n\n{what}: {names}\n"
        )
        raise SystemExit(0)
    if not arguments or arguments[0].startswith("-"):
        raise ConfigError(f"name a {what} first: {usage}. Known: {names}")
    name, *rest = arguments
    if name not in known and not (also and name.endswith(also)):
        raise ConfigError(
            unknown(what, name, [*known, *([f"FILE{also} of your own"] if also else [])])
        )
    return name, rest


def take_option(name: str, arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """The value of an option that decides what the other options are, None where it is not given,
    and the other arguments.

    Raises:
        ConfigError: if it has no value or is given twice.
    """
    values, rest = [], list(arguments)
    while found := [argument for argument in rest if argument.partition("=")[0] == name]:
        at = rest.index(found[0])
        inline, value = found[0].partition("=")[1:]
        following = rest[at + 1 : at + 2]
        if not inline and (not following or following[0].startswith("-")):
            raise ConfigError(f"{name} needs a value")
        values.append(value if inline else following[0])
        del rest[at : at + (1 if inline else 2)]
    if len(values) > 1:
        raise ConfigError(f"{name} is given {len(values)} times: give it once")
    return (values[0] if values else None), rest


def _names(options: Any, prefix: str | None = None) -> Iterator[str]:
    """The options of a dataclass; those of a dataclass that stands in it directly have no
    prefix.
    """
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
    """What tyro says in the first part of the box it draws, in ASCII or not: its title repeats
    that, its other parts quote the help.
    """
    lines = [line.strip("│|╭╰╮╯+ ").replace("─", "-") for line in box.splitlines()][1:]
    parts = [
        " ".join(part)
        for is_rule, part in itertools.groupby(lines, lambda line: not line.strip("-"))
        if not is_rule
    ]
    said = parts[0].rstrip(".") if parts else "the arguments cannot be read"
    return said[:1].lower() + said[1:]
