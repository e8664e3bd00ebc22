"""What is known of the contenders of a benchmark, read from the data of results.json.

They stand in three groups: methods that are given no actions, methods that are, and those that also
    aggregate views.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seqjepa.evaluation.protocol import Record
from seqjepa.report.runs import Run
from seqjepa.report.tables import SHOWN_VIEWS, Question, Value, question_of, value

CONTROLS = {"random": "untrained features", "pixels": "raw pixels"}


@dataclass(frozen=True)
class Entry:
    """What is known of a contender.

    Attributes:
        name: of the contender.
        conditioned: whether its method is given actions.
        runs: one for each seed that has results.
        failed: why others have none, one text for each.
    """

    name: str
    conditioned: bool
    runs: tuple[Run, ...]
    failed: tuple[str, ...] = ()

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
        """Whether the method makes one representation of several views."""
        return any(
            record.features == "model" and record.input == "sequence" for record in self.records
        )

    @cached_property
    def readouts(self) -> tuple[str, ...]:
        """The names of the method's other representations."""
        return tuple(
            dict.fromkeys(
                r.features for r in self.records if r.features not in ("model", *CONTROLS)
            )
        )

    @property
    def views_seen(self) -> int:
        """In the training of a run."""
        train = self.runs[0].config["train"]
        return int(train["steps"] * train["batch_size"] * train["num_views"])

    def values(self, features: str, question: Question) -> list[float]:
        """The figures of all runs that have it."""
        return [
            r.value for r in self.records if r.features == features and question_of(r) == question
        ]

    def answer(self, features: str, question: Question) -> Value | None:
        """Mean and spread over the runs; None where it was not asked."""
        return value(self.runs, features, self.split, question)


def entries(
    results: Iterable[tuple[str, Mapping[str, Any]]],
    conditioned: Mapping[str, bool],
    failed: Mapping[str, Sequence[str]] | None = None,
) -> list[Entry]:
    """Contenders in the order of tables.

    Args:
        results: name of the contender and the data of a results.json, for each run, in any order.
        conditioned: by name, whether the contender's method is given actions.
        failed: by name, why runs have no results.
    """
    failures = failed or {}
    runs: dict[str, list[Run]] = {name: [] for name in failures}
    for name, data in results:
        runs.setdefault(name, []).append(Run(Path(name), data["experiment"], {}, data))
    found = [
        Entry(
            name,
            conditioned[name],
            tuple(sorted(mine, key=lambda run: run.seed)),
            tuple(failures.get(name, ())),
        )
        for name, mine in runs.items()
    ]
    return sorted(found, key=lambda entry: (entry.aggregates, entry.conditioned, entry.name))


@dataclass(frozen=True)
class Column:
    """A figure of merit.

    Attributes:
        key: what it is called in JSON.
        title: for people: of what, and which metric.
        question: what was measured.
    """

    key: str
    title: tuple[str, str]
    question: Question


def columns(found: Sequence[Entry], group: str = "rotation") -> tuple[Column, ...]:
    """The figures that anyone has.

    Args:
        found: the contenders.
        group: of the world's factors, to be told from features.
    """
    m, name = shown_views(found), group.replace("_", " ")
    every = (
        Column("top1_view", ("z of one view", "top-1, %"), ("class", "view", 1, "top1")),
        Column("top1_mean", (f"mean of {m} views’ z", "top-1, %"), ("class", "mean", m, "top1")),
        Column(
            "top1_logits",
            (f"mean of {m} views’ logits", "top-1, %"),
            ("class", "logits", m, "top1"),
        ),
        Column(
            "top1_sequence", (f"z_AGG of {m} views", "top-1, %"), ("class", "sequence", m, "top1")
        ),
        Column("relative_r2", (f"relative {name}", "R²"), (f"relative {group}", "pair", 2, "r2")),
        Column(
            "individual_r2", (f"individual {name}", "R²"), (f"individual {group}", "view", 1, "r2")
        ),
        Column(
            "relative_degrees",
            (f"relative {name}", "median error, °"),
            (f"relative {group}", "pair", 2, "median_degrees"),
        ),
    )
    asked = {question_of(record) for entry in found for record in entry.records}
    return tuple(column for column in every if column.question in asked)


def shown_views(found: Iterable[Entry]) -> int:
    """M, the number of views in means and sequences: the paper's, or the largest below it that all
    contenders have figures of."""
    known = [
        {r.views for r in entry.records if r.input in ("mean", "sequence")}
        for entry in found
        if entry.runs
    ]
    return max((m for m in set.intersection(*known) if m <= SHOWN_VIEWS), default=1) if known else 1


def learned(entry: Entry, group: str = "rotation") -> bool:
    """Whether the z of a contender tells more than that of its untrained encoder, of classes or of
    the group of factors."""
    asked: tuple[Question, ...] = (
        ("class", "view", 1, "top1"),
        (f"relative {group}", "pair", 2, "r2"),
    )
    pairs = [
        (entry.answer("model", question), entry.answer("random", question)) for question in asked
    ]
    known = [(mine, untrained) for mine, untrained in pairs if mine and untrained]
    return not known or any(mine.mean > untrained.mean for mine, untrained in known)


def control(found: Iterable[Entry], features: str, question: Question) -> Value | None:
    """A control's figure, from the first contender that has it: only one that aggregates has an
    untrained z_AGG."""
    return next((figure for entry in found if (figure := entry.answer(features, question))), None)
