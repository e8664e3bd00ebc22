"""The figures of a benchmark's contenders, read from the data of results.json.

Contenders are in three groups: methods that are given no actions, methods that are, and those that
also aggregate views. Last comes the supervised control.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seqjepa.evaluation.protocol import Record
from seqjepa.recipes import CEILING
from seqjepa.report.runs import Run
from seqjepa.report.tables import CONTROLS, SHOWN_VIEWS, Question, Value, question_of, value

# Metrics in the head of a narrow column.
UNITS = {"top1": "top-1, %", "r2": "R²", "median_degrees": "median error, °"}
ROTATION = ("rotation",)  # the group of factors that the paper's tables are about
# Of each group: what is asked of the features of how many views, and the metric.
FACTOR_FIGURES = (
    ("relative", "pair", 2, "r2"),
    ("individual", "view", 1, "r2"),
    ("relative", "pair", 2, "median_degrees"),
)


@dataclass(frozen=True)
class Entry:
    """A contender's runs and their figures.

    Attributes:
        name: the contender's.
        conditioned: whether its method is given actions.
        runs: one for each seed that has results.
        failed: one text for each other seed: why it has none.
    """

    name: str
    conditioned: bool
    runs: tuple[Run, ...]
    failed: tuple[str, ...] = ()

    @property
    def is_ceiling(self) -> bool:
        """True if it learns from labels: it shows what could be known, and does not compete."""
        return any(run.config["method"]["kind"] == CEILING for run in self.runs)

    @property
    def split(self) -> str:
        """The held-out split of the training distribution that was evaluated."""
        return next((str(run.results["split"]) for run in self.runs if run.results), "test")

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The figures of all runs on that split."""
        return tuple(
            record for run in self.runs for record in run.records if record.split == self.split
        )

    @cached_property
    def aggregates(self) -> bool:
        """True if the method makes one representation of several views."""
        return any(
            record.features == "model" and record.input == "sequence" for record in self.records
        )

    @cached_property
    def readouts(self) -> tuple[str, ...]:
        """The names of the method's other representations."""
        found = dict.fromkeys(record.features for record in self.records)
        return tuple(features for features in found if features not in ("model", *CONTROLS))

    @property
    def views_seen(self) -> int:
        """The number of views in the training of a run."""
        train = self.runs[0].config["train"]
        return int(train["steps"] * train["batch_size"] * train["num_views"])

    def values(self, features: str, question: Question) -> list[float]:
        """Return the figures of all runs that have it."""
        return [
            record.value
            for record in self.records
            if record.features == features and question_of(record) == question
        ]

    def answer(self, features: str, question: Question) -> Value | None:
        """Return mean and spread over the runs; None where the question was not asked."""
        return value(self.runs, features, self.split, question)


def entries(
    results: Iterable[tuple[str, Mapping[str, Any]]],
    conditioned: Mapping[str, bool],
    failed: Mapping[str, Sequence[str]] | None = None,
) -> list[Entry]:
    """Return the contenders in the order of tables.

    Args:
        results: name of the contender and the data of a results.json, for each run, in any order.
        conditioned: by name, whether the contender's method is given actions.
        failed: by name, why runs have no results.
    """
    # A contender that only failed has an entry too.
    failures = failed or {}
    by_name: dict[str, list[Run]] = {name: [] for name in failures}
    for name, data in results:
        by_name.setdefault(name, []).append(Run(Path(name), data["experiment"], {}, data))

    found = []
    for name, runs in by_name.items():
        by_seed = tuple(sorted(runs, key=lambda run: run.seed))
        found.append(Entry(name, conditioned[name], by_seed, tuple(failures.get(name, ()))))
    return sorted(
        found,
        key=lambda entry: (entry.is_ceiling, entry.aggregates, entry.conditioned, entry.name),
    )


@dataclass(frozen=True)
class FigureOfMerit:
    """A figure by which contenders are compared: a column of the table.

    Attributes:
        key: its name in JSON.
        title: for people: the quantity, and the metric.
        question: what was measured.
    """

    key: str
    title: tuple[str, str]
    question: Question


def figures_of_merit(
    found: Sequence[Entry], groups: Sequence[str] = ROTATION
) -> tuple[FigureOfMerit, ...]:
    """Return the figures that at least one contender has.

    Args:
        found: the contenders.
        groups: of the world's factors, to be predicted from features.
    """
    m = shown_views(found)
    every = [
        ("top1_view", "z of one view", Question("class", "view", 1, "top1")),
        ("top1_mean", f"mean of {m} views’ z", Question("class", "mean", m, "top1")),
        ("top1_logits", f"mean of {m} views’ logits", Question("class", "logits", m, "top1")),
        ("top1_sequence", f"z_AGG of {m} views", Question("class", "sequence", m, "top1")),
    ]
    for kind, source, views, metric in FACTOR_FIGURES:
        for group in groups:
            question = Question(f"{kind} {group}", source, views, metric)
            every.append((f"{kind}_{group}_{metric}", question.task, question))

    asked = {question_of(record) for entry in found for record in entry.records}
    return tuple(
        FigureOfMerit(key, (quantity, UNITS[question.metric]), question)
        for key, quantity, question in every
        if question in asked
    )


def shown_views(found: Iterable[Entry]) -> int:
    """Return M, the number of views in means and sequences.

    It is the paper's, or the largest below it that all contenders have figures of.
    """
    known = [
        {record.views for record in entry.records if record.input in ("mean", "sequence")}
        for entry in found
        if entry.runs
    ]
    if not known:
        return 1
    return max((m for m in set.intersection(*known) if m <= SHOWN_VIEWS), default=1)


def learned(entry: Entry, groups: Sequence[str] = ROTATION) -> bool:
    """Return True if z predicts the class or a group of factors better than untrained features.

    It is also True where nothing was compared.
    """
    asked = [Question("class", "view", 1, "top1")]
    asked += [Question(f"relative {group}", "pair", 2, "r2") for group in groups]
    gains = []
    for question in asked:
        trained, untrained = entry.answer("model", question), entry.answer("random", question)
        if trained and untrained:
            gains.append(trained.mean > untrained.mean)
    return not gains or any(gains)


def control(found: Iterable[Entry], features: str, question: Question) -> Value | None:
    """Return a control's figure, from the first contender that has it."""
    # Not each has all: only a method that aggregates has an untrained z_AGG.
    return next((figure for entry in found if (figure := entry.answer(features, question))), None)
