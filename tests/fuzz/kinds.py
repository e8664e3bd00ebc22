"""The kinds of data sets that are made at random, and the trials that each goes through."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from fuzz import arrays, images, packs, views
from fuzz.damage import DAMAGE
from fuzz.trial import check_damaged, check_refused, check_valid

# Of each kind, those that are right, and those with a fault.
KINDS: dict[str, tuple[st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    "arrays": (arrays.PLANS, arrays.FAULTY),
    "images": (images.PLANS, images.FAULTY),
    "views": (views.PLANS, views.FAULTY),
    "packs": (packs.PLANS, packs.FAULTY),
}
TRIALS: dict[
    str, Callable[[str], tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]]
] = {
    "odd": lambda kind: (check_valid, (KINDS[kind][0],)),
    "faulty": lambda kind: (check_refused, (KINDS[kind][1],)),
    "damaged": lambda kind: (check_damaged, (KINDS[kind][0], DAMAGE)),
}


def run(kind: str, trial: str, tries: int, random: int) -> int:
    """Put so many data sets of a kind through a trial; the seed decides which.

    Return how many there were: fewer, where there are not so many different ones.
    """
    check, strategies = TRIALS[trial](kind)
    made = 0

    def tried(drawn: tuple[Any, ...]) -> None:
        nonlocal made
        made += 1
        check(*drawn)

    # Files are written and trained on: examples are slow, and a shared machine is slower at times.
    chosen = settings(
        max_examples=tries, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    seed(random)(chosen(given(st.tuples(*strategies))(tried)))()
    return made
