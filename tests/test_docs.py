"""The committed pages show the committed results, and verdicts follow their rules."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from seqjepa.config import to_json
from seqjepa.recipes import with_method
from seqjepa.recipes.shapes import shapes_small, shapes_tiny, shapes_tiny_last
from seqjepa.report.runs import Run, Variant, group

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "scripts" / "docs"))
import claims  # noqa: E402
import evidence  # noqa: E402
import make  # noqa: E402


def test_the_claims_page_is_up_to_date():
    page = claims.page(group(make.committed()))
    assert (DOCS / "claims.md").read_text() == page, "make docs, and commit"


def run(experiment, folder="results", *, seed=0, **config) -> Run:
    """Return a run with given figures: view, mean, agg (shares), r2; other keywords are config."""
    figures = {name: config.pop(name) for name in ("view", "mean", "agg", "r2") if name in config}
    data = to_json(experiment) | {"seed": seed}
    for path, value in config.items():
        part, _, key = path.partition("__")
        data[part] = data[part] | {key: value}

    records = []
    if "view" in figures:
        records.append(record("class", "view", 1, "top1", figures["view"]))
    if "mean" in figures:
        records.append(record("class", "mean", 5, "top1", figures["mean"]))
    if "r2" in figures:
        records.append(record("relative rotation", "pair", 2, "r2", figures["r2"]))

    # z_AGG has its figure for five views, and a hundredth more for each view more.
    agg = figures.get("agg", 0.0)
    sequences = {m: agg + (m - 5) / 100 for m in range(1, 9)}
    records += [record("class", "sequence", m, "top1", top1) for m, top1 in sequences.items()]

    results = {"experiment": data, "split": "test", "records": records}
    return Run(DOCS / folder / f"{experiment.name}_{seed}.json", data, {}, results)


def record(task, given, views, metric, value) -> dict[str, object]:
    return {
        "features": "model",
        "split": "test",
        "task": task,
        "input": given,
        "views": views,
        "metric": metric,
        "value": value,
    }


def verdicts(*runs: Run) -> dict[str, str]:
    variants = group(runs)
    return {claim.name: claims.judge(claim, variants).verdict for claim in claims.CLAIMS}


def test_nothing_is_not_tested():
    assert set(verdicts().values()) == {claims.OPEN}


@pytest.mark.parametrize(
    ("blind", "verdict"),
    [
        ({"agg": 0.9, "r2": 0.15}, claims.HOLDS),
        ({"agg": 0.9, "r2": 0.25}, claims.FAILS),
        ({"agg": 0.8, "r2": 0.15}, claims.FAILS),
    ],
)
def test_conditioning(blind, verdict):
    found = verdicts(
        run(shapes_small(), agg=0.91, r2=0.5, view=0.5),
        run(shapes_small(), method__condition="none", view=0.5, **blind),
    )
    assert found["C2"] == verdict


def test_inputs_and_objectives():
    every = {"view": 0.6, "mean": 0.8, "agg": 0.9, "r2": 0.2}
    last = {"view": 0.5, "mean": 0.85, "agg": 0.8, "r2": 0.1}
    found = verdicts(run(shapes_tiny(), **every), run(shapes_tiny_last(), **last))
    assert (found["C3"], found["C6"]) == (claims.HOLDS, claims.HOLDS)
    assert found["Q1"] == "does not hold with last view predicted; holds with every view predicted"

    # Last has the better mean of views.
    assert found["Q2"] == claims.FAILS
    last["mean"] = 0.7
    found = verdicts(run(shapes_tiny(), **every), run(shapes_tiny_last(), **last))
    assert found["Q2"] == claims.HOLDS


def test_a_difference_within_its_error_does_not_count():
    figures = {"view": 0.5, "agg": 0.8, "r2": 0.1}
    for means, verdict in (
        ((0.70, 0.80, 0.89), claims.FAILS),
        ((0.70, 0.71, 0.72), claims.HOLDS),
    ):
        runs = [
            run(shapes_tiny(), seed=seed, mean=mean, **figures) for seed, mean in enumerate(means)
        ]
        assert verdicts(*runs)["Q1"] == verdict


def test_a_single_run_scatters_as_the_other_side_does():
    several, one = evidence.Value(0.80, 0.10, 4), evidence.Value(0.91, math.nan, 1)
    assert not evidence.exceeds(one, several), "twice 0.1 sqrt(1 + 1/4) is more than 0.11"
    assert evidence.exceeds(replace(one, mean=1.03), several) and not evidence.exceeds(several, one)

    better = replace(one, mean=0.92)
    assert evidence.exceeds(better, one) and not evidence.exceeds(better, one, by=0.02)


def test_a_verdict_on_single_runs_says_so():
    figures = {"view": 0.5, "mean": 0.7, "agg": 0.8, "r2": 0.1}
    single = claims.page(group([run(shapes_tiny(), **figures)]))
    claim = "| z_AGG of five views classifies better than z of one view. |"
    assert f"{claim} **holds** (one seed) |" in single
    assert "| **not tested** |" in single and "[C5](#c5)" in single

    double = claims.page(group([run(shapes_tiny(), seed=seed, **figures) for seed in (0, 1)]))
    assert "**holds** (one seed)" not in double


def test_runs_that_stopped_early_are_told():
    whole, short = (
        run(shapes_small(), view=0.5, agg=0.9, r2=0.5, method__condition=name)
        for name in ("both", "none")
    )
    short.results["step"] = 10_000
    [first, second, _] = claims.conditioning(group([whole, short])).lines
    assert first.startswith("with actions: ")
    assert second.startswith("without (10,000 of 12,000 steps): ")


def test_a_run_of_the_demo_and_of_the_benchmark_counts_once(monkeypatch):
    demo = [run(shapes_tiny(), seed=seed, view=0.5) for seed in (0, 1)]
    contender = replace(shapes_tiny(), name="shapes_tiny_seq_jepa:predict=every")
    vicreg = run(with_method(shapes_tiny(), "vicreg"), "results/benchmark", view=0.7)
    same, other = (run(contender, "results/benchmark", seed=seed, view=0.6) for seed in (0, 2))
    benchmark = [vicreg, same, other]
    monkeypatch.setattr(make, "runs", lambda pattern: benchmark if "benchmark" in pattern else demo)

    found = {entry.name: [run.seed for run in entry.runs] for entry in make.benchmark()[0]}
    assert found == {"vicreg": [0], "seq_jepa:predict=every": [0, 1, 2]}
    folders = [run.folder for run in make.committed()]
    assert folders == [run.folder for run in (*demo, vicreg, other)]


def test_the_comparison():
    def entry(name, **figures):
        figures = {"view": 0.8, "mean": 0.95, "r2": 0.3} | figures
        return run(with_method(shapes_tiny_last(), name), "results/benchmark", **figures)

    seq_jepa = entry("seq_jepa", view=0.6, mean=0.7, agg=0.9, r2=0.4)
    others = {name: entry(name, r2=0.5) for name in claims.INVARIANT}
    others |= {name: entry(name, view=0.95) for name in claims.EQUIVARIANT}

    def runs(**changed):
        return [seq_jepa, *(others | changed).values()]

    assert verdicts(*runs())["C1"] == claims.HOLDS
    lines = " ".join(claims.best_of_all(group(runs())).lines)
    assert "its accuracy is not the best (byol, simclr, vicreg, vicreg_traj)" in lines
    assert "even against one view" not in lines

    # One other method that is better in a figure is enough.
    accurate = runs(byol=entry("byol", view=0.91))
    assert verdicts(*accurate)["C1"] == claims.FAILS
    message = "It is not the most accurate even against one view (byol)."
    assert message in claims.best_of_all(group(accurate)).lines
    assert verdicts(*runs(equimod=entry("equimod", r2=0.41)))["C1"] == claims.FAILS

    # A readout of SIE's with more R2 counts too.
    sie = entry("sie", view=0.95)
    half = others["sie"].results["records"][2] | {"features": "equivariant half", "value": 0.45}
    sie.results["records"].append(half)
    assert verdicts(*runs(sie=sie))["C1"] == claims.FAILS

    for name in others:
        rest = [other for key, other in others.items() if key != name]
        assert verdicts(seq_jepa, *rest)["C1"] == claims.OPEN, f"{name} is missing"


def test_a_missing_figure_is_not_tested():
    blind = run(shapes_small(), agg=0.9, r2=0.1, method__condition="none")
    assert verdicts(run(shapes_small(), agg=0.9, r2=0.5), blind)["C2"] == claims.OPEN


def test_longer_training():
    def length(m, r2):
        return run(shapes_tiny_last(), "results/benchmark", train__num_views=m + 1, agg=0.9, r2=r2)

    rising = [length(1, 0.1), length(2, 0.2), length(3, 0.3)]
    assert verdicts(*rising)["C4"] == claims.HOLDS
    assert verdicts(*rising, length(4, 0.25))["C4"] == claims.FAILS


def test_the_page_on_contrast_is_up_to_date():
    page = (DOCS / "methods" / "contrast.md").read_text()
    assert make.objectives.table(make.variant) in page, "make docs, and commit"


def test_the_table_of_costs_is_up_to_date(tmp_path):
    table = make.costs.table()
    assert table in (DOCS / "benchmark.md").read_text(), "make docs, and commit"
    assert "| `seq_jepa:predict=last` | 64 |" in table
    assert make.costs.table(tmp_path / "none.json") == "*Not measured yet.*"


def test_objectives_have_a_row_each_with_n_and_spread():
    labelled = [run(shapes_tiny(), seed=seed, view=0.5 + seed / 10) for seed in (0, 1)]

    def variant(label: str, pattern: str) -> Variant:
        return Variant(label, tuple(labelled) if "demo" in pattern else ())

    lines = make.objectives.table(variant).splitlines()
    assert len(lines) == 5 and lines[2].startswith("| contrast, inverse 5")
    assert "| 2 | 55.0 ± 7.1 |" in lines[2] and lines[3].startswith("| untrained | 2 | – |")
    assert make.objectives.table(lambda label, pattern: Variant(label, ())).startswith("*Not")
