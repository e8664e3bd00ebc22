"""The committed pages show the committed results, and verdicts follow their rules."""

import math
import sys
from pathlib import Path

import pytest

from seqjepa.config import to_json
from seqjepa.evaluation.protocol import Record
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.report.runs import Run, Variant
from seqjepa.report.tables import Value

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "scripts" / "docs")]
import claims  # noqa: E402
import conditioning  # noqa: E402
import costs  # noqa: E402
import evidence  # noqa: E402
import experiments  # noqa: E402
import make  # noqa: E402
import predictors  # noqa: E402
import tables  # noqa: E402
from committed import Committed, MissingError  # noqa: E402
from evidence import FAILS, HOLDS, OPEN, Comparison, Evidence  # noqa: E402

SEEDS = (-0.001, 0.0, 0.001)  # three seeds that differ little


@pytest.fixture(scope="module")
def committed() -> Committed:
    return Committed.read()


def test_the_claims_page_is_up_to_date(committed):
    assert (DOCS / "claims.md").read_text() == claims.page(committed), "make docs, and commit"


def test_the_tables_of_pages_are_up_to_date(committed):
    for page, parts in (
        ("methods/contrast", make.objective_tables(committed)),
        ("results", make.results_tables(committed)),
        ("world_model", make.world_model_tables(committed)),
        ("benchmark", make.length_tables(committed)),
    ):
        text = (DOCS / f"{page}.md").read_text()
        for name, part in parts.items():
            assert part in text, f"{name} in docs/{page}.md: make docs, and commit"
    short = tables.table(committed, make.IN_README)
    assert short in (ROOT / "README.md").read_text(), "make docs, and commit"


def test_every_committed_run_is_one_of_the_experiments(committed):
    for name, variant in committed.items():
        experiment, _, run = name.partition("/")
        assert run in experiments.EXPERIMENTS[experiment], name
        assert variant.split == "test", "and no result of another split is among them"


def made(offsets=SEEDS, **figures) -> Variant:
    """Return a variant with given figures: view, mean, agg (shares), r2, individual.

    z_AGG has its figure for five views, and a hundredth more for each view more. Each seed has its
    offset added.
    """
    runs = []
    for seed, offset in enumerate(offsets):
        asked = {
            "view": ("class", "view", 1, "top1"),
            "mean": ("class", "mean", 5, "top1"),
            "r2": ("relative rotation", "pair", 2, "r2"),
            "individual": ("individual rotation", "view", 1, "r2"),
        }
        records = [
            record(*asked[name], figures[name] + offset) for name in asked if name in figures
        ]
        if "agg" in figures:
            for m in range(1, 9):
                top1 = figures["agg"] + offset + (m - 5) / 100
                records.append(record("class", "sequence", m, "top1", top1))
        config = to_json(shapes_tiny())
        results = {"experiment": config, "split": "test", "step": 4000, "records": records}
        results["sizes"] = {"test": 700}
        runs.append(Run(Path(f"seed{seed}"), config, {}, results))
    return Variant("made", tuple(runs))


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


def judged(claim: str, **variants: Variant) -> Evidence:
    """Return a claim's evidence from runs of equal views, or of others: `equal_time__every`."""
    named = {
        "/".join(name.split("__")) if "__" in name else f"equal_views/{name}": variant
        for name, variant in variants.items()
    }
    [found] = [each for each in claims.CLAIMS if each.name == claim]
    return claims.judge(found, Committed(named))


def test_nothing_is_not_tested():
    for claim in claims.CLAIMS:
        assert judged(claim.name).verdict == OPEN


@pytest.mark.parametrize(
    ("blind", "verdict"),
    [
        ({"agg": 0.9, "r2": 0.15}, HOLDS),
        ({"agg": 0.9, "r2": 0.25}, FAILS),
        ({"agg": 0.8, "r2": 0.15}, FAILS),
        ({"r2": 0.15}, OPEN),
    ],
)
def test_conditioning(blind, verdict):
    sighted = made(agg=0.91, r2=0.5)
    assert judged("C2", last=sighted, last_no_actions=made(**blind)).verdict == verdict


def test_fixations_are_judged_against_each_that_is_guided_less():
    runs = {"cliparts_last": made(agg=0.6), "cliparts_last_unguided": made(agg=0.5)}
    runs["cliparts_last_no_inhibition"] = made(agg=0.7)
    judgement = judged("C5", **{f"pixels__{name}": variant for name, variant in runs.items()})
    assert judgement.verdict == (
        "holds against fixations without saliency and inhibition of return; "
        "does not hold against fixations without inhibition of return"
    )
    # Of single runs, a difference that 700 test images cannot tell is none.
    one = {name: made([0.0], agg=0.6) for name in runs}
    one["cliparts_last_unguided"] = made([0.0], agg=0.59)
    one["cliparts_last_no_inhibition"] = made([0.0], agg=0.5)
    judgement = judged("C5", **{f"pixels__{name}": variant for name, variant in one.items()})
    assert judgement.one_seed and judgement.verdict == (
        "not clear against fixations without saliency and inhibition of return; "
        "holds against fixations without inhibition of return"
    )


def test_conditioning_is_judged_by_the_longest_run_of_the_papers_objective():
    falls, stays = made(agg=0.9, r2=0.1), made(agg=0.9, r2=0.49)
    sighted = made(agg=0.9, r2=0.5)
    short = {"last": sighted, "last_no_actions": stays, "demo": sighted, "demo_no_actions": falls}
    assert judged("C2", **short).verdict == FAILS
    long = {"long__last": sighted, "long__last_no_actions": falls}
    found = judged("C2", **short, **long)
    assert found.verdict == HOLDS and len(found.lines) == 3
    assert "a difference of +0.400 ± 0.001" in found.lines[-1]


def test_objectives_that_disagree_have_a_verdict_each():
    same = {"every": made(agg=0.9, mean=0.8), "demo": made(agg=0.9, mean=0.8)}
    assert judged("Q1", last=made(agg=0.9, mean=0.8), **same).verdict == HOLDS
    found = judged("Q1", last=made(agg=0.8, mean=0.85), **same).verdict
    assert found == (
        "does not hold with the last view predicted (the paper); holds with every next view "
        "predicted; holds with the demo's objective"
    )


def test_equal_views_and_equal_time_are_two_comparisons():
    better = {"view": 0.6, "mean": 0.8, "agg": 0.9, "r2": 0.2}
    worse = {name: value - 0.1 for name, value in better.items()}
    at_views = {"every": made(**better), "last": made(**worse)}
    assert judged("Q2", **at_views).verdict == "holds at equal views"
    in_time = {"equal_time__every": made(**better), "equal_time__last": made(**worse)}
    assert judged("Q2", **at_views, **in_time).verdict == HOLDS
    in_time["equal_time__last"] = made(**worse | {"mean": 0.85})
    expected = "holds at equal views; does not hold at equal time"
    assert judged("Q2", **at_views, **in_time).verdict == expected


def test_the_demo_is_the_measure_of_equal_time():
    ours, theirs = ({"view": v, "mean": v, "r2": v, "individual": v} for v in (0.6, 0.5))
    others = {name: made(**theirs) for name in ("last", "every", "equimod")}
    in_time = {f"equal_time__{name}": variant for name, variant in others.items()}
    assert judged("Q3", demo=made(**ours), **others, **in_time).verdict == HOLDS


def test_a_difference_within_its_error_does_not_count():
    noise = (-0.03, 0.0, 0.03)
    for gap, verdict in ((0.02, FAILS), (0.2, HOLDS)):
        every = made(noise, agg=0.9, mean=0.9 - gap)
        variants = dict.fromkeys(claims.OBJECTIVES, every)
        assert judged("Q1", **variants).verdict == verdict


def test_p_values():
    """Against t distributions' tables: one-sided 5 % is 2.132 at 4 and 2.920 at 2 degrees."""
    spread = 0.1 * math.sqrt(3 / 2)  # of three each: the difference's standard error is 0.1
    below, above = (
        Comparison(Value(gap, spread, 3), Value(0.0, spread, 3)) for gap in (0.212, 0.2145)
    )
    assert below.p > 0.05 > above.p

    # A single run scatters as the other side does: standard error s sqrt(1 + 1/3).
    single = 0.1 / math.sqrt(4 / 3)
    below, above = (
        Comparison(Value(gap, math.nan, 1), Value(0.0, single, 3)) for gap in (0.291, 0.293)
    )
    assert below.p > 0.05 > above.p

    one = Value(0.5, math.nan, 1)
    assert Comparison(one, Value(0.4, math.nan, 1)).p == 0 and Comparison(one, one).p == 1
    assert Comparison(one, Value(0.4, math.nan, 1), by=0.2).p == 1


def test_holms_correction(monkeypatch):
    """Of three, the smallest has to be below a third of 5 %, the next below half, the last 5 %."""
    for given, expected in (
        ((0.016, 0.024, 0.049), [True, True, True]),
        ((0.049, 0.016, 0.026), [False, True, False]),
        ((0.017, 0.017, 0.017), [False, False, False]),
    ):
        values = iter(given)
        monkeypatch.setattr(Comparison, "p", property(lambda self: self.by))
        compared = [Comparison(Value(0, 0, 1), Value(0, 0, 1), by=p) for p in values]
        assert evidence.significant(compared) == expected


def test_a_verdict_on_single_runs_says_so():
    figures = {"view": 0.5, "mean": 0.7, "agg": 0.8, "r2": 0.1}
    single = dict.fromkeys(claims.OBJECTIVES, made((0.0,), **figures))
    assert str(judged("C6", **single)) == "**holds** (one seed)"
    several = dict.fromkeys(claims.OBJECTIVES, made(**figures))
    assert str(judged("C6", **several)) == "**holds**"

    page = claims.page(Committed({f"equal_views/{name}": v for name, v in single.items()}))
    claim = "| z_AGG of five views classifies better than z of one view. |"
    assert f"{claim} **holds** (one seed) |" in page
    assert "| **not tested** |" in page and "[C5](#c5)" in page


def test_the_comparison():
    ours = made(view=0.6, mean=0.7, agg=0.9, r2=0.4)
    others = {name: made(view=0.8, mean=0.95, r2=0.5) for name in claims.INVARIANT}
    others |= {name: made(view=0.95, mean=0.99, r2=0.3) for name in claims.EQUIVARIANT}

    def found(**changed) -> Evidence:
        return judged("C1", last=ours, **(others | changed))

    assert found().verdict == "holds at equal views"
    lines = " ".join(found().lines)
    assert "the mean of the same five views, which the paper does not show, against none" in lines
    assert "more accurate than one view, against all" in lines

    # One other method that is better in a figure is enough.
    accurate = found(byol=made(view=0.91, mean=0.95, r2=0.5))
    assert accurate.verdict == "does not hold at equal views"
    assert "more accurate than one view, against all but byol" in " ".join(accurate.lines)
    equimod = made(view=0.9, mean=0.95, r2=0.41)
    assert found(equimod=equimod).verdict == "does not hold at equal views"

    in_sequences = {f"equal_sequences__{name}": variant for name, variant in others.items()}
    assert found(**in_sequences).verdict == HOLDS
    for name in others:
        rest = {key: other for key, other in others.items() if key != name}
        assert judged("C1", last=ours, **rest).verdict == OPEN, f"{name} is missing"


def test_longer_training():
    rising = {"last_m1": made(r2=0.1), "last_m2": made(r2=0.2), "last": made(r2=0.3)}
    assert judged("C4", **rising).verdict == OPEN
    assert judged("C4", **rising, last_m4=made(r2=0.4)).verdict == "holds at equal views"
    falling = {f"equal_sequences__last_m{m}": made(r2=0.1) for m in (1, 2, 4)}
    expected = "holds at equal views; does not hold at equal sequences"
    assert judged("C4", **rising, last_m4=made(r2=0.4), **falling).verdict == expected


def test_tables_have_a_row_each_with_n_and_spread():
    runs = Committed({"equal_views/demo": made((0.0, 0.1), view=0.5, r2=0.3)})
    rows = {"equal_views/demo": "ours", "equal_views/last": "not measured"}
    lines = tables.table(runs, rows, (tables.VIEW, tables.RELATIVE), head="objective").splitlines()
    assert lines[0] == "| objective | n | z, % | relative R² |"
    assert lines[2] == "| ours | 2 | 55.0 ± 7.1 | 0.350 ± 0.071 |"
    assert lines[3] == "| untrained | 2 | – | – |" and len(lines) == 5
    assert tables.table(Committed({}), rows).startswith("*Not")


def test_conditioning_shows_differences_and_the_share_of_the_loss(monkeypatch):
    monkeypatch.setattr(conditioning, "_shares", lambda: {"equal_views/demo": 0.26})
    figures = {"view": 0.7, "agg": 0.9}
    found = Committed(
        {
            "equal_views/demo": made(r2=0.5, **figures),
            "equal_views/demo_no_actions": made((0.0,), r2=0.4, **figures),
        }
    )
    [line] = conditioning.table(found).splitlines()[2:]
    told = "the demo's objective"
    assert line.startswith(f"| {told} | 1.0 million | 3/1 | 0.500 ± 0.001 | 0.400 | +0.100 |")
    assert line.endswith("| 26 % |")


def test_both_places_of_actions_are_held_against_the_same_run_without():
    names = ("demo", "demo_both", "demo_no_actions")
    found = Committed({f"equal_views/{name}": made(r2=0.5) for name in names})
    assert [name for _, name, _ in conditioning.pairs(found)] == ["demo", "demo_both"]


def test_the_table_of_costs_is_up_to_date(tmp_path):
    table = costs.table()
    assert table in (DOCS / "benchmark.md").read_text(), "make docs, and commit"
    assert "| `seq_jepa:predict=last` | 64 |" in table
    assert costs.table(tmp_path / "none.json") == "*Not measured yet.*"


def test_a_run_that_is_missing_is_told_apart_from_a_typing_error():
    with pytest.raises(MissingError, match="equal_views/lsat"):
        Committed({})["equal_views/lsat"]


def asked(name: str, *values: float) -> Variant:
    """Return a variant of which some seeds were asked for retrieval, and one was not."""

    def records(found: float) -> tuple[Record, ...]:
        numbers = {"model": found, "chance": 0.0625}
        return tuple(
            Record(features, "test", "retrieval", "view", 1, "h@1", number)
            for features, number in numbers.items()
        )

    runs = [Run(Path(name), {}, {}, None, parts={"retrieval": records(v)}) for v in values]
    return Variant(name, (*runs, Run(Path(name), {}, {}, None)))


def test_the_table_of_predictors():
    rows = {"equal_views/demo": "ours", "equal_views/last": "not asked", "equal_views/x": "gone"}
    runs = {"equal_views/demo": asked("demo", 0.3, 0.4), "equal_views/last": asked("last")}
    found = predictors.table(Committed(runs), rows).splitlines()
    assert found[2].startswith("| ours | 2 | 0.350 ± 0.071 | – |")
    assert found[3].startswith("| chance | | 0.062 | – |") and len(found) == 4
    del runs["equal_views/demo"]
    assert predictors.table(Committed(runs), rows) == "*Not measured yet.*\n"
