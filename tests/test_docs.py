"""The committed pages are what the committed results give, and verdicts follow their rules."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from seqjepa.config import to_json
from seqjepa.recipes import with_method
from seqjepa.recipes.shapes import shapes_small, shapes_tiny, shapes_tiny_last
from seqjepa.report.runs import Run, group

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path.insert(0, str(ROOT / "scripts" / "docs"))
import claims  # noqa: E402
import evidence  # noqa: E402
import make  # noqa: E402


def test_the_claims_page_is_up_to_date():
    assert (DOCS / "claims.md").read_text() == claims.page(group(make.committed())), (
        "make docs, and commit"
    )


def run(experiment, folder="results", *, seed=0, **config) -> Run:
    """A run whose figures are the last keywords: view, mean, agg (shares), r2."""
    figures = {name: config.pop(name) for name in ("view", "mean", "agg", "r2") if name in config}
    data = to_json(experiment) | {"seed": seed}
    for path, value in config.items():
        part, _, key = path.partition("__")
        data[part] = data[part] | {key: value}
    asked = {
        "view": ("class", "view", 1, "top1"),
        "mean": ("class", "mean", 5, "top1"),
        "r2": ("relative rotation", "pair", 2, "r2"),
    }
    keys = ("task", "input", "views", "metric")
    records = [
        dict(zip(keys, asked[name], strict=True), value=value)
        for name, value in figures.items()
        if name != "agg"
    ]
    agg = figures.get("agg", 0.0)
    records += [
        {
            "task": "class",
            "input": "sequence",
            "views": m,
            "metric": "top1",
            "value": agg + (m - 5) / 100,
        }
        for m in range(1, 9)
    ]
    results = {
        "experiment": data,
        "split": "test",
        "records": [record | {"features": "model", "split": "test"} for record in records],
    }
    return Run(DOCS / folder / f"{experiment.name}_{seed}.json", data, {}, results)


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
    assert (found["C3"], found["C6"], found["Q2"]) == (claims.HOLDS, claims.HOLDS, claims.FAILS), (
        "last has the better mean of views"
    )
    assert found["Q1"] == "does not hold with last view predicted; holds with every view predicted"
    assert (
        verdicts(run(shapes_tiny(), **every), run(shapes_tiny_last(), **last | {"mean": 0.7}))["Q2"]
        == claims.HOLDS
    )


def test_a_difference_within_its_error_does_not_count():
    noisy = [
        run(shapes_tiny(), seed=seed, view=0.5, mean=mean, agg=0.8, r2=0.1)
        for seed, mean in enumerate((0.7, 0.8, 0.89))
    ]
    assert verdicts(*noisy)["Q1"] == claims.FAILS
    clear = [
        run(shapes_tiny(), seed=seed, view=0.5, mean=mean, agg=0.8, r2=0.1)
        for seed, mean in enumerate((0.70, 0.71, 0.72))
    ]
    assert verdicts(*clear)["Q1"] == claims.HOLDS


def test_a_single_run_scatters_as_the_other_side_does():
    several, one = evidence.Value(0.80, 0.10, 4), evidence.Value(0.91, math.nan, 1)
    assert not evidence.exceeds(one, several), "twice 0.1 sqrt(1 + 1/4) is more than 0.11"
    assert evidence.exceeds(replace(one, mean=1.03), several) and not evidence.exceeds(several, one)
    assert evidence.exceeds(replace(one, mean=0.92), one) and not evidence.exceeds(
        replace(one, mean=0.92), one, by=0.02
    )


def test_a_verdict_on_single_runs_says_so():
    figures = {"view": 0.5, "mean": 0.7, "agg": 0.8, "r2": 0.1}
    found = claims.page(group([run(shapes_tiny(), **figures)]))
    assert (
        "| z_AGG of five views classifies better than z of one view. | **holds** (one seed) |"
        in found
    )
    assert "**holds** (one seed)" not in claims.page(
        group([run(shapes_tiny(), seed=seed, **figures) for seed in (0, 1)])
    )
    assert "| **not tested** |" in found and "[C5](#c5)" in found


def test_runs_that_stopped_early_are_told():
    whole, short = (
        run(shapes_small(), view=0.5, agg=0.9, r2=0.5, method__condition=name)
        for name in ("both", "none")
    )
    short.results["step"] = 10_000
    [first, second, _] = claims.conditioning(group([whole, short])).lines
    assert first.startswith("with actions: ") and second.startswith(
        "without (10,000 of 12,000 steps): "
    )


def test_a_run_of_the_demo_and_of_the_benchmark_counts_once(monkeypatch):
    demo = [run(shapes_tiny(), seed=seed, view=0.5) for seed in (0, 1)]
    both = [run(with_method(shapes_tiny(), "vicreg"), "results/benchmark", view=0.7)]
    both += [
        run(
            replace(shapes_tiny(), name="shapes_tiny_seq_jepa:predict=every"),
            "results/benchmark",
            seed=s,
            view=0.6,
        )
        for s in (0, 2)
    ]
    monkeypatch.setattr(make, "runs", lambda pattern: both if "benchmark" in pattern else demo)
    found = {entry.name: [run.seed for run in entry.runs] for entry in make.benchmark()[0]}
    assert found == {"vicreg": [0], "seq_jepa:predict=every": [0, 1, 2]}
    assert [run.folder for run in make.committed()] == [
        run.folder for run in (*demo, both[0], both[2])
    ]


def test_the_comparison():
    def entry(name, **figures):
        return run(
            with_method(shapes_tiny_last(), name),
            "results/benchmark",
            **{"view": 0.8, "mean": 0.95, "r2": 0.3} | figures,
        )

    ours = entry("seq_jepa", view=0.6, mean=0.7, agg=0.9, r2=0.4)
    others = {name: entry(name, r2=0.5) for name in claims.INVARIANT} | {
        name: entry(name, view=0.95) for name in claims.EQUIVARIANT
    }
    assert verdicts(ours, *others.values())["C1"] == claims.HOLDS
    lines = " ".join(claims.best_of_all(group([ours, *others.values()])).lines)
    assert (
        "its accuracy is not the best (byol, simclr, vicreg, vicreg_traj)" in lines
        and "even against one view" not in lines
    )
    behind = claims.best_of_all(
        group([ours, *(others | {"byol": entry("byol", view=0.91)}).values()])
    )
    assert "It is not the most accurate even against one view (byol)." in behind.lines
    assert (
        verdicts(ours, *(others | {"equimod": entry("equimod", r2=0.41)}).values())["C1"]
        == claims.FAILS
    )
    assert (
        verdicts(ours, *(others | {"byol": entry("byol", view=0.91)}).values())["C1"]
        == claims.FAILS
    )
    for name in others:
        rest = [other for key, other in others.items() if key != name]
        assert verdicts(ours, *rest)["C1"] == claims.OPEN, f"{name} is missing"
    half = others["sie"].results["records"][2] | {"features": "equivariant half", "value": 0.45}
    better = entry("sie", view=0.95)
    better.results["records"].append(half)
    assert verdicts(ours, *(others | {"sie": better}).values())["C1"] == claims.FAILS, (
        "a readout of SIE's has more R2"
    )


def test_a_missing_figure_is_not_tested():
    blind = run(shapes_small(), agg=0.9, r2=0.1, method__condition="none")
    assert verdicts(run(shapes_small(), agg=0.9, r2=0.5), blind)["C2"] == claims.OPEN


def test_longer_training():
    def length(m, r2):
        return run(shapes_tiny_last(), "results/benchmark", train__num_views=m + 1, agg=0.9, r2=r2)

    rising = [length(1, 0.1), length(2, 0.2), length(3, 0.3)]
    assert verdicts(*rising)["C4"] == claims.HOLDS
    assert verdicts(*rising, length(4, 0.25))["C4"] == claims.FAILS
