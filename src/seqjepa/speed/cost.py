"""Costs of a training view with each method, as JSON and as a table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of a training view with a method.

    Attributes:
        method: the contender as it is written.
        predictions: number of predictions or compared pairs that the loss of a step is made of;
            None for a method of one's own, which only its author can count.
        views: of a step.
        mflops: millions of operations in forward and backward for each view.
        time: of a training step for each view, in multiples of the reference's.
        precision: in which the time was measured, `bf16` or `fp32`.
    """

    method: str
    predictions: int | None
    views: int
    mflops: float
    time: float
    precision: str

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """Return the cells of a table's row: method, predictions, FLOPs and time."""
        predictions = "–" if self.predictions is None else str(self.predictions)
        return self.method, predictions, f"{self.mflops:.1f}", f"{self.time:.2f}"


def as_json(costs: Sequence[Cost], machine: dict[str, Any]) -> dict[str, Any]:
    """Return the costs as JSON data, with the machine that they were measured on."""
    return {"machine": machine, "figures": [asdict(cost) for cost in costs]}


def as_table(costs: Sequence[Cost], title: str) -> Table:
    """Return the costs as a table for the terminal."""
    table = Table(title=title, box=box.SIMPLE_HEAD)
    # A contender's settings make its name long: it is folded, not cut off.
    table.add_column("method", overflow="fold")
    for head in ("predictions\nper step", "FLOPs per view,\nmillions", "time per view,\nratio"):
        table.add_column(head, justify="right")

    for cost in costs:
        table.add_row(*cost.cells)
    return table
