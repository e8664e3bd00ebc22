"""Our figures of cells that compare two figures."""

import math
from pathlib import Path

import pytest

from fixtures.small_scale import small
from seqjepa.report.tables import Value
from seqjepa.reproduce.layout import OOD, Cell, Run, top1
from seqjepa.reproduce.results import Results

RUN = Run("threediebench")
CELL = Cell(RUN, top1(split=OOD), -17.27, minus=top1())


def test_a_change_is_worked_out_seed_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, outside = {0: 80.0, 1: 95.0, 2: 90.0}, {0: 60.0, 1: 70.0}
    found = {("model", "test"): inside, ("model", OOD): outside, ("pixels", OOD): {0: 9.0}}

    def by_seed(self, run, where):
        return found.get((where.features, where.split), {})

    monkeypatch.setattr(Results, "by_seed", by_seed)
    results = Results(small(), Path(), 3)
    # -20 and -25; the third seed has one figure of the two.
    changed = results.figure(CELL)
    assert changed == Value(-22.5, pytest.approx(12.5**0.5), 2)
    assert results.figure(CELL.of("pixels")) is None, "of pixels one is not there"
    assert results.figure(CELL.of("random")) is None
    found["pixels", "test"] = {0: 11.0}
    alone = results.figure(CELL.of("pixels"))
    assert (alone.mean, alone.n) == (-2.0, 1) and math.isnan(alone.spread)
