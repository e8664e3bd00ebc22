"""Figures of speed beside what is promised of them, as JSON and as a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich import box
from rich.table import Table


@dataclass(frozen=True)
class Amount:
    """A number with its unit, and a few words on what it measures."""

    value: float
    unit: str
    what: str = ""

    def __str__(self) -> str:
        digits = f"{self.value:,.0f}" if abs(self.value) >= 100 else f"{self.value:.3g}"
        space = "" if self.unit in ("x", "%") else " "
        return f"{digits}{space}{self.unit} {self.what}".rstrip()


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure beside what is promised of it.

    Attributes:
        promise: its number in the project's list of promises.
        what: the thing that was measured.
        value: the figure, a ratio where that makes sense.
        ours, plain: the amounts it was made from, of this package and of the plain reference.
        least, most: the promised bounds; None if there is none.
        about: the amount that the promise is about.
    """

    promise: str
    what: str
    value: Amount
    ours: Amount
    plain: Amount
    least: float | None = None
    most: float | None = None
    about: Literal["value", "ours"] = "value"

    @property
    def holds(self) -> bool | None:
        """True if the promise is kept, None if there is none."""
        if self.least is None and self.most is None:
            return None
        judged = (self.value if self.about == "value" else self.ours).value
        above = self.least is None or judged >= self.least
        below = self.most is None or judged <= self.most
        return above and below

    @property
    def promised(self) -> str:
        """Promise in words, empty if there is none."""
        signs = ((">=", self.least), ("<=", self.most))
        bounds = [f"{sign} {bound:,g}" for sign, bound in signs if bound is not None]
        return " and ".join(bounds) + (" of ours" if bounds and self.about == "ours" else "")


def as_json(figures: Sequence[Figure], machine: dict[str, Any]) -> dict[str, Any]:
    """Return the figures as JSON data, with the machine that they were measured on."""
    measured = [asdict(figure) | {"holds": figure.holds} for figure in figures]
    return {"machine": machine, "figures": measured}


def as_table(figures: Sequence[Figure], title: str) -> Table:
    """Return the figures as a table for the terminal, ratios first."""
    heads = ("", "what", "figure", "promised", "holds", "ours", "plain")
    table = Table(*heads, title=title, box=box.SIMPLE_HEAD)
    for each in figures:
        holds = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[each.holds]
        value, ours, plain = f"[bold]{each.value}[/]", str(each.ours), str(each.plain)
        table.add_row(each.promise, each.what, value, each.promised, holds, ours, plain)
    return table
