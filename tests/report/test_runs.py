import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fixtures.run_copies import copy_run
from seqjepa.errors import ConfigError, DataError
from seqjepa.report import runs, write_report


def damage_metrics(folder: Path) -> None:
    (folder / "metrics.jsonl").write_text(
        '{"step": 1, "loss": 1}\n{"step": 2, "lo\n{"step": 3, "loss": 1}\n'
    )


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda folder: (folder / "config.json").unlink(), ConfigError, "is no run folder"),
        (lambda folder: (folder / "config.json").write_text("{}"), DataError, "config.json has no"),
        (
            lambda folder: (folder / "config.json").write_text("[]"),
            DataError,
            "must hold a JSON object",
        ),
        (lambda folder: (folder / "metrics.jsonl").unlink(), DataError, "metrics.jsonl is missing"),
        (
            lambda folder: (folder / "metrics.jsonl").write_text(""),
            DataError,
            "metrics.jsonl holds no step",
        ),
        (damage_metrics, DataError, "metrics.jsonl, line 2 "),
        (
            lambda folder: (folder / "results.json").write_text("{"),
            DataError,
            "results.json is damaged",
        ),
        (
            lambda folder: (folder / "results.json").write_text('{"format": 9}'),
            DataError,
            "has format 9, this version reads 1",
        ),
        (
            lambda folder: (folder / "results.json").write_text(
                '{"format": 1, "records": [{"a": 1}]}'
            ),
            DataError,
            "evaluate the run again",
        ),
    ],
)
def test_bad_run_folders(
    run_dir: Path,
    tmp_path: Path,
    change: Callable[[Path], None],
    error: type[Exception],
    words: str,
) -> None:
    folder = copy_run(run_dir, tmp_path / "run")
    change(folder)
    with pytest.raises(error, match=re.escape(words)) as caught:
        write_report([folder], tmp_path / "out")
    assert str(folder) in str(caught.value)
    assert not (tmp_path / "out").exists(), "nothing is written"


def test_no_runs_and_bad_places(run_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least one run folder"):
        write_report([], tmp_path)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="choose another --out") as caught:
            write_report([run_dir], place)
        assert str(place) in str(caught.value)


def test_a_seed_counts_once(run_dir: Path, tmp_path: Path) -> None:
    """Of a run and its copy one is kept; two that came out differently are named."""
    first = runs.read_run(run_dir)
    copy = runs.read_run(copy_run(run_dir, tmp_path / "copy"))
    assert [run.folder for variant in runs.group([first, copy]) for run in variant.runs] == [
        run_dir
    ]
    for other in (replace(copy, results=None), replace(copy, metrics={"step": np.array([1.0])})):
        with pytest.raises(
            ConfigError,
            match=f"{run_dir} and {copy.folder} have the same settings and seed but other results",
        ):
            runs.group([first, other])
    assert (
        len(
            runs.group([first, replace(copy, config={**copy.config, "seed": 77}, results=None)])[
                0
            ].runs
        )
        == 2
    )


def test_a_torn_last_line_and_steps_logged_twice(run_dir: Path, tmp_path: Path) -> None:
    folder = copy_run(run_dir, tmp_path / "run")
    lines = [
        '{"step": 2, "loss": 5}',
        '{"step": 4, "loss": 4, "time": {"seconds": 1}}',
        '{"step": 2, "loss": 3}',
        '{"step": 6, "lo',
    ]
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    metrics = runs.read_run(folder).metrics
    assert metrics["step"].tolist() == [2, 4] and metrics["loss"].tolist() == [3, 4]
    assert np.array_equal(metrics["time/seconds"], [np.nan, 1], equal_nan=True)
