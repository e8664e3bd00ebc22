"""All tables and figures of the paper by their names."""

from collections.abc import Iterable, Sequence

from seqjepa.errors import ConfigError, unknown
from seqjepa.reproduce import augmentations, costs, lengths, objects, saccades
from seqjepa.reproduce.layout import HOURS, Run, Table

ALL = "all"
KNOWN = {
    table.name: table
    for module in (objects, augmentations, saccades, costs, lengths)
    for table in module.TABLES
}


def order(name: str) -> tuple[bool, int]:
    """Return the place of a table: tables come before figures, each by number."""
    kind = name.rstrip("0123456789")
    return kind == "figure", int(name.removeprefix(kind))


def find_tables(names: Iterable[str]) -> list[Table]:
    """Return tables by their names, each once, in the paper's order; `all` for all of them.

    Raises:
        ConfigError: if there are no names, or one is unknown.
    """
    chosen = set[str]()
    for name in names:
        if name not in (*KNOWN, ALL):
            raise ConfigError(unknown("table", name, (*KNOWN, ALL)))
        chosen |= set(KNOWN) if name == ALL else {name}
    if not chosen:
        raise ConfigError(f"name at least one table: {', '.join(sorted(KNOWN, key=order))}, or all")
    return [KNOWN[name] for name in sorted(chosen, key=order)]


def needed_parts(tables: Sequence[Table]) -> dict[Run, tuple[str, ...]]:
    """Return the runs that tables need, in their order, and the parts of each one's evaluation."""
    parts: dict[Run, dict[str, None]] = {}
    for table in tables:
        for cell in table.cells:
            for run in cell.runs:
                own = parts.setdefault(run, {})
                own |= {} if cell.where.part == HOURS else {cell.where.part: None}
    return {run: tuple(own) for run, own in parts.items()}
