"""The kinds of data sets that are made at random, and the trials that each goes through."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from fuzz import arrays, meshes
from fuzz import trial as common
from fuzz.damage import DAMAGE

# Of each kind, those that are right, and those with a fault.
KINDS: dict[str, tuple[st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    "arrays": (arrays.PLANS, arrays.FAULTY),
    "meshes": (meshes.PLANS, meshes.FAULTY),
}
# Meshes are not trained on, but pictures of them: they have checks of their own.
CHECKS = {"meshes": meshes}


def _checks(kind: str) -> Any:
    return CHECKS.get(kind, common)


TRIALS: dict[
    str, Callable[[str], tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]]
] = {
    "odd": lambda kind: (_checks(kind).check_valid, (KINDS[kind][0],)),
    "faulty": lambda kind: (_checks(kind).check_refused, (KINDS[kind][1],)),
    "damaged": lambda kind: (_checks(kind).check_damaged, (KINDS[kind][0], DAMAGE)),
}


def run(kind: str, trial: str, tries: int, random: int) -> None:
    """Put so many data sets of a kind through a trial; the seed decides which."""
    check, strategies = TRIALS[trial](kind)
    # Files are written and trained on: examples are slow, and a shared machine is slower at times.
    chosen = settings(
        max_examples=tries, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    seed(random)(chosen(given(*strategies)(check)))()
