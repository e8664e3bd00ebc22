"""Our figures of cells that compare two figures."""

from pathlib import Path

import pytest

from fixtures.small_scale import small
from seqjepa.reproduce import results
from seqjepa.reproduce.layout import OOD, Cell, Run, top1
from seqjepa.reproduce.results import Figure, figure

RUN = Run("threediebench")
CELL = Cell(RUN, top1(split=OOD), -17.27, minus=top1())


def test_a_change_is_worked_out_seed_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, outside = {0: 80.0, 1: 95.0, 2: 90.0}, {0: 60.0, 1: 70.0}
    found = {("model", "test"): inside, ("model", OOD): outside, ("pixels", OOD): {0: 9.0}}

    def values(run, where, *rest):
        return found.get((where.features, where.split), {})

    monkeypatch.setattr(results, "values", values)
    # -20 and -25; the third seed has one figure of the two.
    changed = figure(CELL, small(), Path(), 3)
    assert changed == Figure(-22.5, pytest.approx(12.5**0.5), 2)
    assert figure(CELL.of("pixels"), small(), Path(), 3) is None, "of pixels one is not there"
    assert figure(CELL.of("random"), small(), Path(), 3) is None
    found["pixels", "test"] = {0: 11.0}
    assert figure(CELL.of("pixels"), small(), Path(), 3) == Figure(-2.0, None, 1)
