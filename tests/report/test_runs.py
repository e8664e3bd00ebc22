import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fixtures.run_copies import copy_run
from seqjepa.errors import ConfigError, DataError
from seqjepa.report import runs, write_report

TORN = '{"step": 1, "loss": 1}\n{"step": 2, "lo\n{"step": 3, "loss": 1}\n'


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text)


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (remove("config.json"), ConfigError, "is no run folder"),
        (write("config.json", "{}"), DataError, "config.json has no"),
        (write("config.json", "[]"), DataError, "must hold a JSON object"),
        (remove("metrics.jsonl"), DataError, "metrics.jsonl is missing"),
        (write("metrics.jsonl", ""), DataError, "metrics.jsonl holds no step"),
        (write("metrics.jsonl", TORN), DataError, "metrics.jsonl, line 2 "),
        (write("results.json", "{"), DataError, "results.json is damaged"),
        (write("results.json", '{"format": 9}'), DataError, "9, this version reads up to 2"),
        (
            write("results.json", '{"format": 1, "records": [{"a": 1}]}'),
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


def test_results_are_of_test_unless_val_alone_was_asked(run_dir: Path, tmp_path: Path) -> None:
    folder = copy_run(run_dir, tmp_path / "run")
    (folder / "val" / "suite").mkdir(parents=True)
    on_val = json.loads((folder / "results.json").read_text()) | {"split": "val"}
    for file in ("val/results.json", "val/suite/health.json"):
        (folder / file).write_text(json.dumps(on_val))

    def read(split: str | None = None) -> tuple[str, list[str]]:
        run = runs.read_run(folder, split)
        return run.results["split"], list(run.parts)

    assert read() == read("test") == ("test", [])
    assert read("val") == ("val", ["health"])
    (folder / "results.json").unlink()
    assert read() == ("val", ["health"])


def test_a_folder_of_runs_is_no_run(run_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    inside = [str(copy_run(run_dir, out / name)) for name in ("sie_seed0", "sie_seed1")]
    remedy = f"It holds runs, name some of them: {', '.join(inside)}"
    with pytest.raises(ConfigError, match=re.escape(remedy) + "$"):
        runs.read_run(out)
    (out / "benchmark.md").write_text("# Benchmark")
    remedy += f". The benchmark's table is {out / 'benchmark.md'}"
    with pytest.raises(ConfigError, match=re.escape(remedy)):
        runs.read_run(out)


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
    [variant] = runs.group([first, copy])
    assert [run.folder for run in variant.runs] == [run_dir]
    both = f"{run_dir} and {copy.folder}"
    for other in (replace(copy, results=None), replace(copy, metrics={"step": np.array([1.0])})):
        message = f"{both} have the same settings and seed but other results"
        with pytest.raises(ConfigError, match=message):
            runs.group([first, other])
    another = replace(copy, config={**copy.config, "seed": 77}, results=None)
    [variant] = runs.group([first, another])
    assert len(variant.runs) == 2


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
