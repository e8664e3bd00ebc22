"""Figures of committed runs as evidence: where they are found, and when one exceeds another."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqjepa.report.runs import Run, Variant
from seqjepa.report.tables import Question, Value, value

HOLDS, FAILS, OPEN = "holds", "does not hold", "not tested"

VIEW = Question("class", "view", 1, "top1")
MEAN = Question("class", "mean", 5, "top1")
AGG = Question("class", "sequence", 5, "top1")
ROTATION = Question("relative rotation", "pair", 2, "r2")

Pair = tuple[Value, Value]  # two figures that are compared


@dataclass(frozen=True)
class Evidence:
    """The text under a claim.

    Attributes:
        lines: the figures.
        verdict: HOLDS, FAILS, OPEN, or a sentence where settings disagree.
        one_seed: whether it rests on a comparison of two single runs.
    """

    lines: tuple[str, ...]
    verdict: str
    one_seed: bool = False

    def __str__(self) -> str:
        return f"**{self.verdict}**{' (one seed)' if self.one_seed else ''}"


class MissingError(Exception):
    """A figure that a claim needs was not measured."""


def nothing() -> Evidence:
    """Return the evidence of a claim whose runs are missing."""
    return Evidence(("not all runs that this needs are in docs/results yet",), OPEN)


def all_exceed(lines: Sequence[str], pairs: Sequence[Pair]) -> Evidence:
    """Return a verdict that holds if the first figure of every pair exceeds the second."""
    holds = all(exceeds(*pair) for pair in pairs)
    return Evidence(tuple(lines), HOLDS if holds else FAILS, one_seed(pairs))


def all_grow(lines: Sequence[str], steps: Sequence[Pair]) -> Evidence:
    """Return a verdict that holds if every mean of a curve exceeds the one before it."""
    holds = all(after.mean > before.mean for before, after in steps)
    return Evidence(tuple(lines), HOLDS if holds else FAILS, one_seed(steps))


def exceeds(a: Value, b: Value, by: float = 0.0) -> bool:
    """Return whether a is larger than b by more than `by` and two standard errors."""
    # A single run is taken to scatter as the other side does. If both are single, the sign decides.
    known = [figure.spread for figure in (a, b) if figure.n > 1] or [0.0]
    spread_a = a.spread if a.n > 1 else known[0]
    spread_b = b.spread if b.n > 1 else known[0]

    error = math.hypot(spread_a / math.sqrt(a.n), spread_b / math.sqrt(b.n))
    return a.mean - b.mean - by > 2 * error


def one_seed(pairs: Iterable[Pair]) -> bool:
    """Return whether in any of the pairs both figures are of one seed."""
    return any(a.n == b.n == 1 for a, b in pairs)


def pick(
    variants: Iterable[Variant],
    method: str,
    *,
    name: str | None = None,
    benchmark: bool = False,
    **settings: object,
) -> Variant | None:
    """Return the first variant of a method with these settings of method or training, or None."""
    for variant in variants:
        if kind(variant) != method or in_benchmark(variant) != benchmark:
            continue
        config = variant.runs[0].config
        flat = {**config["train"], **config["method"]}
        named = name is None or config["name"] == name
        if named and all(flat.get(key) == wanted for key, wanted in settings.items()):
            return variant
    return None


def demo(variants: Iterable[Variant], predict: str) -> Variant | None:
    """Return the demo's variant that predicts `every` next view or the `last` one, or None."""
    name = "shapes_tiny" if predict == "every" else "shapes_tiny_last"
    return pick(variants, "seq_jepa", name=name, predict=predict)


def in_benchmark(variant: Variant) -> bool:
    """Return whether the runs are the benchmark's."""
    return variant.runs[0].folder.parent.name == "benchmark"


def kind(variant: Variant) -> str:
    """Return the method's name."""
    return str(variant.runs[0].config["method"]["kind"])


def contender(run: Run) -> str:
    """Return the run's name in the benchmark's table."""
    return str(run.config["name"]).removeprefix("shapes_tiny_")


def figure(variant: Variant, question: Question) -> Value:
    """Return what was measured on the encoder's features.

    Raises:
        MissingError: it was not measured.
    """
    found = value(variant.runs, "model", variant.split, question)
    if found is None:
        raise MissingError
    return found


def best_readout(variant: Variant) -> Value:
    """Return the highest R² of rotation among the method's readouts.

    The readouts are the encoder's features, or those that the method's paper reads instead (SIE's
    halves, ContextSSL's contexts).

    Raises:
        MissingError: none was measured.
    """
    # The controls are no readouts of the method.
    names = {record.features for run in variant.runs for record in run.records}
    measured = (
        value(variant.runs, name, variant.split, ROTATION) for name in names - {"random", "pixels"}
    )
    found = [answer for answer in measured if answer is not None]
    if not found:
        raise MissingError
    return max(found, key=lambda answer: answer.mean)


def stopped(variant: Variant) -> str:
    """Return the steps of runs that ended early, in parentheses, or an empty string."""
    ends = {
        (run.results["step"], run.config["train"]["steps"])
        for run in variant.runs
        if run.results and "step" in run.results
    }
    short = [f"{step:,} of {steps:,} steps" for step, steps in sorted(ends) if step != steps]
    return f" ({', '.join(short)})" if short else ""


def views_seen(variant: Variant) -> str:
    """Return the number of views that the first run was trained on."""
    run = variant.runs[0]
    train, steps = run.config["train"], (run.results or {}).get("step", 0)
    return f"{steps * train['batch_size'] * train['num_views'] / 1e6:.1f} million"


def percent(found: Value) -> str:
    """Return an accuracy with its spread and number of runs."""
    spread = "" if found.n < 2 else f" ± {100 * found.spread:.1f}"
    return f"{100 * found.mean:.1f}{spread} % (n = {found.n})"


def number(found: Value) -> str:
    """Return an R² with its spread and number of runs."""
    spread = "" if found.n < 2 else f" ± {found.spread:.3f}"
    return f"{found.mean:.3f}{spread} (n = {found.n})".replace("-", "−")
