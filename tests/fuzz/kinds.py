"""The kinds of data sets that are made at random, and the trials that each goes through."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from fuzz import arrays, images, meshes, packs, trial, views
from fuzz.damage import DAMAGE

TRIALS = ("odd", "faulty", "damaged")


@dataclass(frozen=True)
class Kind:
    """A kind of data set.

    Attributes:
        plans: of those that are whole.
        faulty: of those with a certain fault.
        checks: has `check_valid`, `check_refused` and `check_damaged`.
    """

    plans: st.SearchStrategy[Any]
    faulty: st.SearchStrategy[Any]
    checks: ModuleType = trial


KINDS = {
    "arrays": Kind(arrays.PLANS, arrays.FAULTY),
    "images": Kind(images.PLANS, images.FAULTY),
    "views": Kind(views.PLANS, views.FAULTY),
    "packs": Kind(packs.PLANS, packs.FAULTY),
    # What is trained on are their pictures.
    "meshes": Kind(meshes.PLANS, meshes.FAULTY, meshes),
}


def run(kind: str, trial: str, tries: int, random: int) -> int:
    """Put so many data sets of a kind through a trial; the seed decides which.

    Return how many there were: fewer, where there are not so many different ones.
    """
    chosen, made = KINDS[kind], 0
    check, strategies = {
        "odd": (chosen.checks.check_valid, (chosen.plans,)),
        "faulty": (chosen.checks.check_refused, (chosen.faulty,)),
        "damaged": (chosen.checks.check_damaged, (chosen.plans, DAMAGE)),
    }[trial]

    def tried(drawn: tuple[Any, ...]) -> None:
        nonlocal made
        made += 1
        check(*drawn)

    # Files are written and trained on: examples are slow, and a shared machine is slower at times.
    slow = settings(
        max_examples=tries, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    seed(random)(slow(given(st.tuples(*strategies))(tried)))()
    return made
