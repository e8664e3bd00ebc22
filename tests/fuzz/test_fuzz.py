"""Odd but valid data sets train to the right numbers; others end in one clear message.

The seed is fixed, so that a run of the tests is as good as the next; `make soak` takes others.
"""

import pytest

from fuzz.kinds import KINDS, TRIALS, run

TRIES = 10


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize("kind", KINDS)
def test_data_made_at_random(kind: str, trial: str) -> None:
    run(kind, trial, TRIES, random=0)
