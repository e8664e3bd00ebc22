"""Figures of committed runs as evidence: when one exceeds another, and what follows for a claim."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import ttest_ind_from_stats

from committed import MissingError
from seqjepa.report.runs import Variant
from seqjepa.report.tables import Question, Value, value

HOLDS, FAILS, OPEN, UNCLEAR = "holds", "does not hold", "not tested", "not clear"
LEVEL = 0.05  # of a claim

VIEW = Question("class", "view", 1, "top1")
MEAN = Question("class", "mean", 5, "top1")
AGG = Question("class", "sequence", 5, "top1")
ROTATION = Question("relative rotation", "pair", 2, "r2")
INDIVIDUAL = Question("individual rotation", "view", 1, "r2")
NAMES = {
    VIEW: "z of one view",
    MEAN: "mean of five views' z",
    AGG: "z_AGG of five views",
    ROTATION: "relative rotation R²",
    INDIVIDUAL: "individual rotation R²",
}


@dataclass(frozen=True)
class Comparison:
    """Two figures of which the first is claimed to be larger.

    Attributes:
        first, second: the figures.
        name: of what is compared, for the text; may be empty.
        by: the claimed difference.
    """

    first: Value
    second: Value
    name: str = ""
    by: float = 0.0

    @property
    def one_seed(self) -> bool:
        """Whether both figures are of a single run."""
        return self.first.n == self.second.n == 1

    @property
    def p(self) -> float:
        """The one-sided p-value of Welch's t-test.

        A single run is taken to scatter as the other side does (the pooled t-test). Of two single
        runs the sign decides: the value is 0 or 1.
        """
        gap = self.first.mean - self.second.mean - self.by
        spreads = [side.spread if side.n > 1 else 0.0 for side in (self.first, self.second)]
        if self.one_seed or not any(spreads):
            return 0.0 if gap > 0 else 1.0

        test = ttest_ind_from_stats(
            gap,
            spreads[0],
            self.first.n,
            0.0,
            spreads[1],
            self.second.n,
            equal_var=1 in (self.first.n, self.second.n),
            alternative="greater",
        )
        return float(test.pvalue)


@dataclass(frozen=True)
class Evidence:
    """The text under a claim.

    Attributes:
        lines: the figures.
        verdict: HOLDS, FAILS, OPEN, UNCLEAR, or a sentence where settings disagree.
        one_seed: whether it rests on a comparison of two single runs.
    """

    lines: tuple[str, ...]
    verdict: str
    one_seed: bool = False

    def __str__(self) -> str:
        return f"**{self.verdict}**{' (one seed)' if self.one_seed else ''}"


def nothing() -> Evidence:
    """Return the evidence of a claim whose runs are missing."""
    return Evidence(("not all runs that this needs are in docs/results yet",), OPEN)


def all_exceed(lines: Sequence[str], comparisons: Sequence[Comparison]) -> Evidence:
    """Return a verdict that holds if every comparison is significant, see `significant`."""
    verdict = HOLDS if all(significant(comparisons)) else FAILS
    return Evidence(tuple(lines), verdict, any(each.one_seed for each in comparisons))


def all_grow(lines: Sequence[str], curves: Iterable[Sequence[Value]]) -> Evidence:
    """Return a verdict that holds if every mean of every curve exceeds the one before it."""
    steps = [step for curve in curves for step in zip(curve[1:], curve, strict=False)]
    verdict = HOLDS if all(after.mean > before.mean for after, before in steps) else FAILS
    return Evidence(tuple(lines), verdict, any(a.n == b.n == 1 for a, b in steps))


def significant(comparisons: Sequence[Comparison]) -> list[bool]:
    """Return for each comparison whether its difference counts.

    Holm's correction keeps the chance that any of them counts by mistake below LEVEL.
    """
    order = sorted(range(len(comparisons)), key=lambda i: comparisons[i].p)
    found = [False] * len(comparisons)
    for place, i in enumerate(order):
        # The smallest p-value has to pass for all, the next for one less; the first miss ends it.
        if comparisons[i].p > LEVEL / (len(comparisons) - place):
            break
        found[i] = True
    return found


def missing(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return the comparisons whose difference does not count, see `significant`."""
    counted = zip(comparisons, significant(comparisons), strict=True)
    return [each for each, counts in counted if not counts]


def by_setting(settings: Mapping[str, Evidence]) -> Evidence:
    """Return one verdict where all settings agree, else one for each that was tested.

    Args:
        settings: by its name in the verdict, such as `at equal views`.
    """
    tested = {name: each for name, each in settings.items() if each.verdict != OPEN}
    if not tested:
        return nothing()
    lines = tuple(line for each in tested.values() for line in each.lines)
    one_seed = any(each.one_seed for each in tested.values())

    verdicts = {each.verdict for each in tested.values()}
    if len(verdicts) == 1 and len(tested) == len(settings):
        return Evidence(lines, verdicts.pop(), one_seed)
    told = "; ".join(f"{each.verdict} {name}" for name, each in tested.items())
    return Evidence(lines, told, one_seed)


def figure(variant: Variant, question: Question, features: str = "model") -> Value:
    """Return what was measured on the held-out objects.

    Raises:
        MissingError: it was not measured.
    """
    found = value(variant.runs, features, variant.split, question)
    if found is None:
        raise MissingError(f"{variant.label}: {question}")
    return found


def sampling_error(variant: Variant, accuracy: float) -> float:
    """Return the standard error of the difference between two such accuracies on its test objects.

    Each is taken to be of objects drawn anew.
    """
    results = variant.runs[0].results or {}
    return math.sqrt(2 * accuracy * (1 - accuracy) / results["sizes"][variant.split])


def views_seen(variant: Variant) -> str:
    """Return the number of views that the first run was trained on."""
    run = variant.runs[0]
    train, steps = run.config["train"], (run.results or {}).get("step", 0)
    return f"{steps * train['batch_size'] * train['num_views'] / 1e6:.1f} million"


def shown(question: Question, found: Value) -> str:
    """Return a figure with the name of what was measured."""
    return f"{NAMES[question]} {bare(question, found)}"


def bare(question: Question, found: Value) -> str:
    """Return a figure as an R² or an accuracy, whichever it is."""
    return number(found) if question.metric == "r2" else percent(found)


def percent(found: Value) -> str:
    """Return an accuracy with its spread and number of runs."""
    spread = "" if found.n < 2 else f" ± {100 * found.spread:.1f}"
    return f"{100 * found.mean:.1f}{spread} % (n = {found.n})"


def number(found: Value) -> str:
    """Return an R² with its spread and number of runs."""
    spread = "" if found.n < 2 else f" ± {found.spread:.3f}"
    return f"{found.mean:.3f}{spread} (n = {found.n})".replace("-", "−")


def difference(first: Value, second: Value, scale: float = 1.0, digits: int = 3) -> str:
    """Return a difference with its standard error; of single runs there is none."""
    gap = f"{scale * (first.mean - second.mean):+.{digits}f}"
    if first.n < 2 or second.n < 2:
        return gap.replace("-", "−")
    error = scale * math.hypot(
        first.spread / math.sqrt(first.n), second.spread / math.sqrt(second.n)
    )
    return f"{gap} ± {error:.{digits}f}".replace("-", "−")
