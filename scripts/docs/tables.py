"""Tables of committed runs in Markdown: a row for each run or control, a column for each figure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from committed import Committed
from seqjepa.report.runs import Run
from seqjepa.report.tables import CONTROLS, Question, text, value


class Column(NamedTuple):
    """A figure.

    Attributes:
        head: of the column.
        question: what was measured.
        split: on which objects, empty for those of the training distribution.
    """

    head: str
    question: Question
    split: str = ""

    @property
    def title(self) -> str:
        """The head with its unit."""
        units = {"top1": ", %", "median_degrees": ", °"}
        return f"{self.head}{units.get(self.question.metric, '')}"


VIEW = Column("z", Question("class", "view", 1, "top1"))
MEAN = Column("mean of five", Question("class", "mean", 5, "top1"))
AGG = Column("z_AGG of five", Question("class", "sequence", 5, "top1"))
RELATIVE = Column("relative R²", Question("relative rotation", "pair", 2, "r2"))
DEGREES = Column("median error", Question("relative rotation", "pair", 2, "median_degrees"))
INDIVIDUAL = Column("individual R²", Question("individual rotation", "view", 1, "r2"))
OWN_DEGREES = Column("median error", Question("individual rotation", "view", 1, "median_degrees"))
UNSEEN = Column("relative R², unseen classes", RELATIVE.question, "ood_class")
FIGURES = (VIEW, MEAN, AGG, RELATIVE, DEGREES, INDIVIDUAL, OWN_DEGREES)


def table(
    runs: Committed,
    rows: Mapping[str, str],
    columns: Sequence[Column] = FIGURES,
    *,
    head: str = "",
    controls: bool = True,
) -> str:
    """Return a table of the rows that have runs.

    Args:
        runs: the committed ones.
        rows: names of runs, `experiment/run`, with their labels.
        columns: the figures.
        head: of the first column.
        controls: whether the untrained encoder and pixels follow, as beside the first run.
    """
    found = {name: label for name, label in rows.items() if name in runs}
    if not found:
        return "*Not measured yet.*\n"

    heads = [column.title for column in columns]
    lines = [f"| {head} | n | {' | '.join(heads)} |", "|---|" + "---:|" * (len(columns) + 1)]
    for name, label in found.items():
        lines.append(row(runs[name].runs, "model", label, columns))
    if controls:
        # They are those of the data and of the architecture, the same for all rows.
        first = runs[next(iter(found))].runs
        labels = {"random": "untrained", "pixels": CONTROLS["pixels"]}
        lines += [row(first, features, label, columns) for features, label in labels.items()]
    return "\n".join(lines) + "\n"


def row(runs: Sequence[Run], features: str, label: str, columns: Sequence[Column]) -> str:
    """Return a row: mean ± standard deviation over the runs; accuracies in per cent."""
    split = str((runs[0].results or {})["split"])
    cells = [
        text(value(runs, features, column.split or split, column.question), column.question.metric)
        for column in columns
    ]
    return f"| {label} | {len(runs)} | {' | '.join(cells)} |"
