"""A table of the paper as data: rows and columns of cells, each with the run that it needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from seqjepa.evaluation.suite import PROBES
from seqjepa.report.runs import TRANSFER

OOD = "ood"  # in place of the split out of distribution, whose name differs between scales
HOURS, GFLOPS = "hours", "gflops"  # no parts of an evaluation: of the log, and counted on the spot

Published = float | tuple[float, float] | None
"""A number as printed, with its spread if there is one; None where the paper has none."""


@dataclass(frozen=True)
class Run:
    """A training run as the paper describes it, whatever the scale.

    Attributes:
        data: the data set, a key of `Scale.sources`.
        method: its name.
        observed: M, views observed in training; 0 for methods that read a fixed number of views.
        label: names the changes in the run's folder; empty if there are none.
        changes: fields of the experiment by their path in config.json, and their values.
        equal_views: whether a step has as many views as the recipe's, and not as many sequences.
    """

    data: str
    method: str = "seq_jepa"
    observed: int = 0
    label: str = ""
    changes: tuple[tuple[str, Any], ...] = ()
    equal_views: bool = False

    @property
    def name(self) -> str:
        """The name of its folder, without the seed."""
        parts = [self.data, self.method, f"m{self.observed}" if self.observed else "", self.label]
        parts.append("equal_views" if self.equal_views else "")
        return "-".join(part for part in parts if part)


@dataclass(frozen=True)
class Where:
    """The place of a figure in what a run leaves.

    Attributes:
        tasks, input, views, metric, split, features: as in `protocol.Record`; the mean over several
            tasks is taken.
        part: of the evaluation (`suite.PARTS`), `transfer/` and the key of another world in
            `Scale.sources`, or `HOURS` or `GFLOPS`.
    """

    tasks: tuple[str, ...] = ()
    input: str = "view"
    views: int = 1
    metric: str = "r2"
    split: str = "test"
    features: str = "model"
    part: str = PROBES

    @property
    def percent(self) -> bool:
        """True if the paper gives the figure in per cent."""
        return self.metric == "top1"

    @property
    def world(self) -> str:
        """The key of the other world that is asked about; empty if it is the run's own."""
        return self.part.removeprefix(TRANSFER) if self.part.startswith(TRANSFER) else ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        run: that it needs; None if it needs none.
        where: our figure is.
        published: the paper's.
        over: a run whose figure ours is divided by; None to leave it as it is.
        minus: the place in the same run of a figure that is subtracted from ours; None for none.
    """

    run: Run | None
    where: Where
    published: Published = None
    over: Run | None = None
    minus: Where | None = None

    @property
    def runs(self) -> list[Run]:
        """All runs that it needs."""
        return [run for run in (self.run, self.over) if run is not None]

    @property
    def sources(self) -> set[str]:
        """The keys in `Scale.sources` of all data that it needs."""
        return {run.data for run in self.runs} | ({self.where.world} - {""})

    def of(self, features: str) -> "Cell":
        """Return the cell with our figure of other features."""
        minus = None if self.minus is None else replace(self.minus, features=features)
        return replace(self, where=replace(self.where, features=features), minus=minus)


@dataclass(frozen=True)
class Line:
    """A row: its label, and a cell or nothing in each column."""

    label: str
    cells: tuple[Cell | None, ...]

    @classmethod
    def of(
        cls, label: str, run: Run | None, places: Sequence[Where], numbers: Sequence[Published]
    ) -> "Line":
        """Return the row of one run.

        Args:
            label: of the row.
            run: that all cells need; None if they need none.
            places: of our figures.
            numbers: the published ones; where the paper has fewer, the last cells are left out.
        """
        published = zip(places, numbers, strict=False)
        cells = [Cell(run, where, number) for where, number in published]
        return cls(label, (*cells, *[None] * (len(places) - len(cells))))


@dataclass(frozen=True)
class Grid:
    """A part of a table that is drawn as a heat map.

    Attributes:
        name: of its picture.
        title: above the picture.
        columns: the first and the one behind the last of the table's columns.
        ticks: names of these columns in the picture.
    """

    name: str
    title: str
    columns: tuple[int, int]
    ticks: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table or figure of the paper.

    Attributes:
        name: as on the command line.
        title: what it shows.
        stub: head of the column of labels.
        columns: heads of the other columns.
        lines: the rows.
        notes: what to know beside the figures.
        grids: what is drawn of it.
        controls: whether all rows of a column ask the same of the same data, so that one figure of
            untrained features, and of pixels, can stand below them.
    """

    name: str
    title: str
    stub: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    controls: bool = False

    @property
    def cells(self) -> list[Cell]:
        """All cells, row by row."""
        return [cell for line in self.lines for cell in line.cells if cell is not None]


def top1(source: str = "view", views: int = 1, split: str = "test") -> Where:
    """Return the place of a linear probe's accuracy."""
    return Where(("class",), source, views, "top1", split)


def relative(*groups: str, split: str = "test") -> Where:
    """Return the place of R2 of the change between two views, of groups of factors."""
    return Where(tuple(f"relative {group}" for group in groups), "pair", 2, split=split)


def individual(group: str, split: str = "test") -> Where:
    """Return the place of R2 of a group of factors of one view."""
    return Where((f"individual {group}",), split=split)


def transferred(where: Where, world: str) -> Where:
    """Return the place of the same figure on another world, by its key in `Scale.sources`."""
    return replace(where, part=f"{TRANSFER}{world}")


def retrieved(metric: str, views: int = 1) -> Where:
    """Return the place of a metric of retrieval from a context of M views."""
    source = "sequence" if views > 1 else "view"
    return Where(("retrieval",), source, views, metric, part="retrieval")
