"""Row 21 of the fault catalogue: evaluating changes nothing of the run and gives the same numbers
twice."""

import json
from pathlib import Path
from typing import Any

from faults.harness import TINY, Shell, contents


def figures(run: Path) -> Any:
    results = json.loads((run / "results.json").read_bytes())
    del results["seconds"]
    return results


def test_evaluating_twice_gives_the_same_numbers_and_leaves_the_run_as_it_was(
    shell: Shell, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert shell.train(run).code == 0
    before = contents(run)

    found = []
    for _ in range(2):
        result = shell.run("evaluate", run, "--code", TINY)
        assert result.code == 0, result.output
        found.append(figures(run))
        after = contents(run)
        del after["results.json"]
        assert after == before
    assert found[0] == found[1] and found[0]["records"]
