"""Docstrings and dataclasses as Markdown."""

import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple

import docstring_parser
import tyro

SECTION = re.compile(r"^(Attributes|Args|Raises|Returns):$")


class Option(NamedTuple):
    """An option of a command or a field of a config.

    Attributes:
        name: as it is typed, such as `--method.predict`; in capitals if it is positional.
        values: what it takes.
        default: as it is typed, empty where there is none, `required` where it must be given.
        text: what it means.
    """

    name: str
    values: str
    default: str
    text: str


def markdown(docstring: str | None) -> str:
    """Return a docstring as Markdown, without its sections; what is indented becomes a block."""
    blocks = list[str]()
    for block in re.split(r"\n\n+", inspect.cleandoc(docstring or "")):
        if SECTION.match(block.partition("\n")[0]):
            break
        if not block.startswith("    "):
            blocks.append(as_code(block))
            continue

        # Blocks of code that only blank lines separate are one.
        code = textwrap.dedent(block)
        if blocks and blocks[-1].startswith("```text"):
            blocks[-1] = f"{blocks[-1].removesuffix('```')}\n{code}\n```"
        else:
            blocks.append(f"```text\n{code}\n```")
    return "\n\n".join(blocks)


def first_paragraph(docstring: str | None) -> str:
    """Return the first paragraph of a docstring."""
    return inspect.cleandoc(docstring or "").partition("\n\n")[0]


def title(docstring: str | None) -> tuple[str, str]:
    """Return the name at the head of a module's docstring, and its first paragraph in one line."""
    paragraph = first_paragraph(docstring)
    name = re.split(r" \(|[:,.]", paragraph)[0]
    return name, " ".join(paragraph.split())


def options(default: Any, prefix: str = "--") -> Iterator[tuple[str, list[Option]]]:
    """Yield the options of a dataclass in groups, as tyro makes them.

    Args:
        default: an instance that holds the defaults, or the class.
        prefix: of the options' names; dataclasses directly in `default` have none.

    Yields:
        The path of the field that holds a group, empty for the dataclass' own, and its options.
    """
    cls = default if isinstance(default, type) else type(default)
    hints, texts = typing.get_type_hints(cls, include_extras=True), descriptions(cls)
    own, groups = list[Option](), list[tuple[str, list[Option]]]()
    for field in dataclasses.fields(cls):
        value = getattr(default, field.name, tyro.MISSING)
        flat = prefix == "--" and "name=''" in repr(hints[field.name])
        name = prefix + field.name.replace("_", "-")
        if dataclasses.is_dataclass(value):
            inner = "--" if flat else f"{name}."
            for group, found in options(value, inner):
                path = field.name if not group else group if flat else f"{field.name}.{group}"
                groups.append((path, found))
            continue
        own.append(_option(name, hints[field.name], value, texts.get(field.name, "")))
    yield "", own
    yield from groups


def table(found: Iterable[Option], head: str = "option") -> str:
    """Return options as a table."""
    lines = [f"| {head} | values | default | |", "|---|---|---|---|"]
    for option in found:
        default = (
            f"`{option.default}`" if option.default not in ("", "required") else option.default
        )
        values = f"`{cell(option.values)}`" if option.values else ""
        lines.append(f"| `{option.name}` | {values} | {cell(default)} | {cell(option.text)} |")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Return a text for a table's cell."""
    return as_code(" ".join(text.split()).replace("|", "\\|"))


def as_code(text: str) -> str:
    """Return Markdown with options such as --resume as code, wherever they are not yet."""
    parts = text.split("`")
    # Every second part is code already.
    parts[::2] = [re.sub(r"(?<![\w-])--[a-z][\w.-]*\b", r"`\g<0>`", part) for part in parts[::2]]
    return "`".join(parts)


def descriptions(cls: type) -> dict[str, str]:
    """Return what a dataclass and its bases say of their fields."""
    found = dict[str, str]()
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        for parameter in docstring_parser.parse_from_object(base).params:
            # One text may be that of several fields.
            for name in parameter.arg_name.split(", "):
                found[name] = parameter.description or ""
    return found


def _option(name: str, hint: Any, value: Any, text: str) -> Option:
    """Return an option by a field's type, default and text."""
    positional = "Positional" in repr(hint)
    hint = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    if positional:
        name = name.removeprefix("--").replace("-", "_").upper()
    if hint is bool:
        # A flag that is on has to be turned off to matter.
        head, _, last = name.rpartition(".")
        off = f"{head}.no-{last}" if head else f"--no-{last.removeprefix('--')}"
        return Option(f"{name}`, `{off}", "", "on" if value else "off", text)
    default = "required" if value is tyro.MISSING else typed(value)
    return Option(name, values(hint), default, text)


def values(hint: Any) -> str:
    """Return what may be typed for a type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hasattr(hint, "__metadata__"):
        return values(arguments[0])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (typing.Union, UnionType):
        known = (argument for argument in arguments if argument is not type(None))
        return " | ".join(dict.fromkeys(map(values, known)))
    if origin is tuple:
        several = arguments[-1] is Ellipsis
        return f"{values(arguments[0])} ..." if several else " ".join(map(values, arguments))
    names = {str: "TEXT", Path: "PATH", int: "INT", float: "FLOAT"}
    return names.get(hint, getattr(hint, "__name__", str(hint)).upper())


def typed(value: Any) -> str:
    """Return a default as it would be typed."""
    if value is None:
        return ""
    if isinstance(value, str | Path):
        return str(value) or '""'
    if isinstance(value, Sequence):
        return " ".join(map(typed, value)) or "none"
    return str(value)
