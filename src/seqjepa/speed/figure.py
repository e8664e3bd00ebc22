"""What a benchmark finds, and how it is shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich import box
from rich.table import Table


@dataclass(frozen=True)
class Amount:
    """A number with its unit, and what it is the number of."""

    value: float
    unit: str
    what: str = ""

    def __str__(self) -> str:
        digits = f"{self.value:,.0f}" if abs(self.value) >= 100 else f"{self.value:.3g}"
        return " ".join(
            part
            for part in (digits + ("" if self.unit in ("x", "%") else " ") + self.unit, self.what)
            if part
        )


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure beside what is promised of it.

    Attributes:
        promise: its number in the project's list of promises.
        what: was measured.
        value: the figure, a ratio where that makes sense.
        ours, plain: what it was made from: of this package, and of the plain reference.
        least, most: what is promised; None where there is no such bound.
        about: which of the amounts the promise is about.
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
        """Whether the promise is kept; None where there is none."""
        if self.least is None and self.most is None:
            return None
        judged = (self.value if self.about == "value" else self.ours).value
        return (self.least is None or judged >= self.least) and (
            self.most is None or judged <= self.most
        )

    @property
    def promised(self) -> str:
        """The promise in words."""
        bounds = [
            f"{sign} {bound:,g}"
            for sign, bound in ((">=", self.least), ("<=", self.most))
            if bound is not None
        ]
        return " and ".join(bounds) + (" of ours" if bounds and self.about == "ours" else "")


def as_json(figures: Sequence[Figure], machine: dict[str, Any]) -> dict[str, Any]:
    """The figures as JSON data, with the machine they are of."""
    return {
        "machine": machine,
        "figures": [asdict(figure) | {"holds": figure.holds} for figure in figures],
    }


def as_table(figures: Sequence[Figure], title: str) -> Table:
    """The figures for the terminal, ratios first."""
    table = Table(
        "", "what", "figure", "promised", "holds", "ours", "plain", title=title, box=box.SIMPLE_HEAD
    )
    for each in figures:
        holds = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[each.holds]
        table.add_row(
            each.promise,
            each.what,
            f"[bold]{each.value}[/]",
            each.promised,
            holds,
            str(each.ours),
            str(each.plain),
        )
    return table
