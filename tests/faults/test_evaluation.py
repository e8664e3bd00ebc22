"""Row 21 of the fault catalogue: evaluating changes nothing of the run and gives the same bytes
twice."""

from pathlib import Path

from faults.harness import TINY, Shell, contents


def test_evaluating_twice_gives_the_same_bytes_and_leaves_the_run_as_it_was(
    shell: Shell, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert shell.train(run).code == 0
    before = contents(run)

    found = []
    for _ in range(2):
        result = shell.run("evaluate", run, "--code", TINY)
        assert result.code == 0, result.output
        after = contents(run)
        found.append(after.pop("results.json"))
        del after["timings.json"]
        assert after == before
    assert found[0] == found[1]
