"""The page docs/claims.md: claims of the paper and questions of our own, with their verdicts.

Written by `make docs` from docs/results. A verdict is a rule applied to figures; nobody writes it
by hand. The rules are in evidence.py and told at the head of the page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import predictors
from committed import Committed, MissingError
from conditioning import OBJECTIVES as CONDITIONED
from conditioning import pairs
from evidence import (
    AGG,
    FAILS,
    INDIVIDUAL,
    MEAN,
    NAMES,
    ROTATION,
    UNCLEAR,
    VIEW,
    Comparison,
    Evidence,
    all_exceed,
    all_grow,
    bare,
    by_setting,
    difference,
    figure,
    missing,
    nothing,
    number,
    percent,
    sampling_error,
    shown,
    views_seen,
)
from seqjepa.report.tables import Question, Value
from wrapping import wrap

INVARIANT = ("byol", "simclr", "vicreg", "vicreg_traj")
EQUIVARIANT = ("equimod", "sen", "sie", "conditional_byol")
# The three objectives of seq-JEPA that are compared, and what they are called.
OBJECTIVES = {name: CONDITIONED[name] for name in ("last", "every", "demo")}
PATH_LENGTHS, PATH_ABLATIONS = range(2, 8), ("no actions", "no vision")
UNGUIDED = {
    "cliparts_last_unguided": "fixations without saliency and inhibition of return",
    "cliparts_last_no_inhibition": "fixations without inhibition of return",
}
LENGTHS = {1: "last_m1", 2: "last_m2", 3: "last", 4: "last_m4"}
SEQUENCES = {"equal_views": "equal views", "equal_sequences": "equal sequences"}
TIME = {"equal_views": "equal views", "equal_time": "equal time"}
# The demo's time is the measure, so its runs stand for equal views and for equal time. With online
# targets a view costs no more (docs/speed/methods.json).
IN_BOTH = ("demo", "demo_online")


@dataclass(frozen=True)
class Claim:
    """A statement, how it is tested, and the rule that gives the verdict."""

    name: str
    statement: str
    test: str
    judge: Callable[[Committed], Evidence]


def judge(claim: Claim, runs: Committed) -> Evidence:
    """Apply a claim's rule to the runs."""
    try:
        return claim.judge(runs)
    except MissingError:
        return nothing()


def page(runs: Committed) -> str:
    """Return the page, in Markdown."""
    found = [(claim, judge(claim, runs)) for claim in CLAIMS]
    summary = ["| | claim | here |", "|---|---|---|"]
    for claim, evidence in found:
        name = f"[{claim.name}](#{claim.name.lower()})"
        summary.append(f"| {name} | {claim.statement} | {evidence} |")

    parts = [INTRODUCTION, "\n".join(summary)]
    for claim, evidence in found:
        parts += [f"## {claim.name}", wrap(claim.statement), wrap(f"*Test:* {claim.test}")]
        parts.append("\n".join(wrap(f"- {line}") for line in evidence.lines))
        parts.append(f"Verdict: {evidence}.")
    return "\n\n".join(parts) + "\n"


def best_of_all(runs: Committed) -> Evidence:
    """Judge C1: accuracy against the invariant baselines, R² against the equivariant ones."""
    # With M = 3 the run of equal views is that of equal sequences, too.
    ours = runs["equal_views/last"]
    accuracy, rotation = figure(ours, AGG), figure(ours, ROTATION)

    settings = {}
    for experiment, place in SEQUENCES.items():
        try:
            one = _compared(runs, experiment, INVARIANT, VIEW, accuracy)
            five = _compared(runs, experiment, INVARIANT, MEAN, accuracy)
            turns = _compared(runs, experiment, EQUIVARIANT, ROTATION, rotation)
        except MissingError:
            settings[f"at {place}"] = nothing()
            continue

        figures = f"{shown(AGG, accuracy)}, {shown(ROTATION, rotation)}"
        lines = [f"{place}, seq-JEPA: {figures}"]
        for view, mean in zip(one, five, strict=True):
            figures = f"one view {percent(view.second)}, mean of five views {percent(mean.second)}"
            lines.append(f"{place}, {view.name}: {figures}")
        lines += [f"{place}, {each.name}: {shown(ROTATION, each.second)}" for each in turns]
        lines += _ahead(place, one, five, turns)
        settings[f"at {place}"] = all_exceed(lines, [*one, *turns])
    return by_setting(settings)


def conditioning(runs: Committed) -> Evidence:
    """Judge C2: R² falls without action conditioning, accuracy does not."""
    lines: list[str] = []
    judged = nothing()
    for _, name, pair in pairs(runs):
        turns, classes = ([figure(v, question) for v in pair] for question in (ROTATION, AGG))
        gap, points = difference(*turns), difference(*classes, scale=100, digits=1)
        lines.append(
            f"{CONDITIONED[name]}, {views_seen(pair[0])} views: R² {number(turns[0])} with "
            f"actions, {number(turns[1])} without, a difference of {gap}; z_AGG of five views "
            f"{percent(classes[0])} and {percent(classes[1])}, {points} points"
        )

        # The claim is about the paper's objective; the longest runs decide.
        if name == "last":
            judged = all_exceed([], [Comparison(*turns, by=0.3)])
            if abs(classes[0].mean - classes[1].mean) > 0.02:
                judged = replace(judged, verdict=FAILS)
    return replace(judged, lines=tuple(lines) or judged.lines)


def more_views(runs: Committed) -> Evidence:
    """Judge C3: accuracy grows with the number of views at test."""
    lines: list[str] = []
    curves: list[list[Value]] = []
    for name, told in OBJECTIVES.items():
        v = runs[f"equal_views/{name}"]
        curve = [figure(v, Question("class", "sequence", m, "top1")) for m in range(1, 9)]
        means = ", ".join(f"{100 * point.mean:.1f}" for point in curve)
        lines.append(f"{told}: M = 1 .. 8: {means} % (n = {curve[0].n})")
        curves.append(curve)
    return all_grow(lines, curves)


def longer_training(runs: Committed) -> Evidence:
    """Judge C4: R² grows with the number of views in training."""
    settings = {}
    for experiment, place in SEQUENCES.items():
        try:
            curve = [figure(runs[of_length(experiment, m)], ROTATION) for m in LENGTHS]
        except MissingError:
            settings[f"at {place}"] = nothing()
            continue
        points = ", ".join(
            f"{number(point)} with M = {m}" for m, point in zip(LENGTHS, curve, strict=True)
        )
        settings[f"at {place}"] = all_grow([f"{place}: relative rotation R² {points}"], [curve])
    return by_setting(settings)


def of_length(experiment: str, observed: int) -> str:
    """Return the name of an experiment's run with that many observed views."""
    # Three are the recipe's length: the same run at equal views and at equal sequences.
    return f"{'equal_views' if observed == 3 else experiment}/{LENGTHS[observed]}"


def path_integration(runs: Committed) -> Evidence:
    """Judge C7: heads that read views and actions against heads that read only one of them."""
    ours = runs["equal_views/last"]
    curves = {
        features: [
            predictors.figure(ours, predictors.path_column(m), features) for m in PATH_LENGTHS
        ]
        for features in ("model", *PATH_ABLATIONS)
    }
    lines = []
    for features, curve in curves.items():
        points = ", ".join(f"{point.mean:.3f}".replace("-", "−") for point in curve)
        lines.append(f"{features}: R² for M = 2 .. 7: {points} (n = {curve[0].n})")

    settings = {}
    for name in PATH_ABLATIONS:
        both = zip(curves["model"], curves[name], strict=True)
        settings[f"against {name}"] = all_exceed([], [Comparison(*pair, name) for pair in both])
    return replace(by_setting(settings), lines=tuple(lines))


def retrieval(runs: Committed) -> Evidence:
    """Judge C8: the predictor's MRR against SIE's and EquiMod's."""
    others = {
        name: predictors.figure(runs[f"equal_views/{name}"], predictors.MRR)
        for name in ("sie", "equimod")
    }
    chance = predictors.figure(runs["equal_views/sie"], predictors.MRR, "chance")
    beside = ", ".join(f"{name} {number(found)}" for name, found in others.items())
    settings = {}
    for name, told in OBJECTIVES.items():
        try:
            ours = predictors.figure(runs[f"equal_views/{name}"], predictors.MRR)
        except MissingError:
            settings[f"with {told}"] = nothing()
            continue
        line = f"{told}: MRR {number(ours)}; {beside}; chance {chance.mean:.3f}"
        pairs = [Comparison(ours, found, other) for other, found in others.items()]
        settings[f"with {told}"] = all_exceed([line], pairs)
    return by_setting(settings)


def guided_fixations(runs: Committed) -> Evidence:
    """Judge C5: accuracy with saliency and inhibition of return against that without.

    Of single runs the sign would decide. Their test images are few, so that is not enough.
    """
    guided = runs["pixels/cliparts_last"]
    ours = figure(guided, AGG)
    error = sampling_error(guided, ours.mean)
    lines = [
        f"saliency and inhibition of return: {shown(AGG, ours)}; two such accuracies differ by "
        f"chance, by the number of test images, with a standard error of {100 * error:.1f} points"
    ]
    settings = {}
    for name, told in UNGUIDED.items():
        theirs = figure(runs[f"pixels/{name}"], AGG)
        line = f"{told}: {shown(AGG, theirs)}"
        comparison = Comparison(ours, theirs)
        judged = all_exceed([*lines, line], [comparison])
        if comparison.one_seed and abs(ours.mean - theirs.mean) < 2 * error:
            judged = replace(judged, verdict=UNCLEAR)
        settings[f"against {told}"] = judged
        lines = []
    return by_setting(settings)


def aggregate_over_view(runs: Committed) -> Evidence:
    """Judge C6 as the paper does, five views against one. Both are also shown for one view."""
    one_view = Question("class", "sequence", 1, "top1")
    found = _compare_inputs(runs, (AGG, "z_AGG of five views"), (VIEW, "z of one view"))
    single = _compare_inputs(runs, (one_view, "z_AGG of one view"), (VIEW, "z of it"))
    return Evidence((*found.lines, *single.lines), found.verdict, found.one_seed)


def aggregate_over_mean(runs: Committed) -> Evidence:
    """Judge Q1: z_AGG against the mean of the same views' z."""
    return _compare_inputs(runs, (AGG, "z_AGG of five views"), (MEAN, "mean of the same views' z"))


def every_over_last(runs: Committed) -> Evidence:
    """Judge Q2: predicting every next view against predicting the last one."""
    first = ("every", OBJECTIVES["every"])
    return _over(runs, first, {"last": OBJECTIVES["last"]}, (VIEW, MEAN, AGG, ROTATION))


def demo_over_others(runs: Committed) -> Evidence:
    """Judge Q3: the demo's objective against the paper's and against EquiMod."""
    others = {"last": OBJECTIVES["last"], "every": OBJECTIVES["every"], "equimod": "EquiMod"}
    return _over(runs, ("demo", OBJECTIVES["demo"]), others, (VIEW, MEAN, ROTATION, INDIVIDUAL))


def head_over_others(runs: Committed) -> Evidence:
    """Judge Q4: the demo's objective against other methods with the same inverse dynamics."""
    others = {
        "equimod_inverse": "EquiMod with inverse dynamics",
        "simclr_cold_inverse": "SimCLR at temperature 0.1 with inverse dynamics",
    }
    return _over(runs, ("demo", OBJECTIVES["demo"]), others, (VIEW, MEAN, ROTATION, INDIVIDUAL))


def online_over_all(runs: Committed) -> Evidence:
    """Judge Q5: the demo's objective with online targets against the others."""
    others = {
        "last": OBJECTIVES["last"],
        "equimod": "EquiMod",
        "equimod_inverse": "EquiMod with inverse dynamics",
        "simclr_cold_inverse": "SimCLR at temperature 0.1 with inverse dynamics",
    }
    ours = ("demo_online", f"{OBJECTIVES['demo']} with online targets")
    return _over(runs, ours, others, (VIEW, MEAN, ROTATION, INDIVIDUAL))


def _compared(
    runs: Committed, experiment: str, names: Sequence[str], question: Question, ours: Value
) -> list[Comparison]:
    """Return our figure beside that of each of the methods."""
    found = [(name, figure(runs[f"{experiment}/{name}"], question)) for name in names]
    return [Comparison(ours, theirs, name) for name, theirs in found]


def _ahead(
    place: str, one: Sequence[Comparison], five: Sequence[Comparison], turns: Sequence[Comparison]
) -> list[str]:
    """Return which methods are not surpassed in accuracy and in R²."""
    lines = []
    for told, compared in (
        ("more accurate than one view", one),
        ("more accurate than the mean of the same five views, which the paper does not show", five),
        ("higher in R²", turns),
    ):
        missed = [each.name for each in missing(compared)]
        but = f"all but {', '.join(missed)}" if missed else "all"
        lines.append(f"{place}: {told}, against {but if len(missed) < len(compared) else 'none'}")
    return lines


def _compare_inputs(
    runs: Committed, first: tuple[Question, str], second: tuple[Question, str]
) -> Evidence:
    """Judge whether one input beats another, for each of the objectives.

    Each input is a question with its name.
    """
    settings = {}
    for name, told in OBJECTIVES.items():
        v = runs[f"equal_views/{name}"]
        pair = Comparison(figure(v, first[0]), figure(v, second[0]))
        figures = f"{first[1]} {percent(pair.first)}, {second[1]} {percent(pair.second)}"
        settings[f"with {told}"] = all_exceed([f"{told}: {figures}"], [pair])
    return by_setting(settings)


def _over(
    runs: Committed, ours: tuple[str, str], others: dict[str, str], asked: Sequence[Question]
) -> Evidence:
    """Judge whether a run beats others in all figures, at equal views and in equal time.

    Each run has a name in the text.
    """
    settings = {}
    for experiment, place in TIME.items():
        lines: list[str] = []
        compared: list[Comparison] = []
        try:
            mine = runs[f"{'equal_views' if ours[0] in IN_BOTH else experiment}/{ours[0]}"]
            for name, told in others.items():
                theirs = runs[f"{experiment}/{name}"]
                pairs = [
                    Comparison(
                        figure(mine, each), figure(theirs, each), f"{NAMES[each]} against {told}"
                    )
                    for each in asked
                ]
                figures = ", ".join(
                    f"{shown(each, pair.first)} against {bare(each, pair.second)}"
                    for each, pair in zip(asked, pairs, strict=True)
                )
                lines.append(f"{place}, {ours[1]} against {told}: {figures}")
                compared += pairs
            if missed := [each.name for each in missing(compared)]:
                lines.append(f"{place}: no difference that counts in {'; '.join(missed)}")
            settings[f"at {place}"] = all_exceed(lines, compared)
        except MissingError:
            settings[f"at {place}"] = nothing()
    return by_setting(settings)


INTRODUCTION = """# The claims, and what is found here

The runs are of small nets, on the procedural `shapes` world where nothing else is said, with probes
on frozen features of held-out objects. They do not have the paper's data, sizes or lengths, so a
verdict says what holds *here*. `make docs` computes it from the runs in `docs/results` by the rules
in `scripts/docs/claims.py` and writes this page.

- A difference counts at the 5 % level of Welch's t-test over seeds, one-sided. If a claim needs
  several differences, Holm's correction is made for their number, and all have to count.
- A single run is taken to scatter as the other side does. If neither side has several seeds, the
  sign alone decides, and the verdict says "one seed".
- A curve grows when each mean exceeds the one before it.
- *Equal views* (1.02 million, 256 a step), *equal sequences* (256,000, 64 a step) and *equal time*
  are three comparisons. Encoder, optimizer and probes are the same in all of them.

Each file in `docs/results` holds its run's config, seed, versions and machine."""

AT_EQUAL_VIEWS = "`scripts/experiments.py equal_views`: `shapes_tiny` and `shapes_demo`."
LENGTH = "`scripts/experiments.py equal_views` and `equal_sequences`, the last view predicted"
CLAIMS = (
    Claim(
        "C1",
        "seq-JEPA (the last view predicted, M = 3, z_AGG of five views) is more accurate than one "
        "view of BYOL, SimCLR, VICReg and VICRegTraj, and its z tells relative rotation with a "
        "higher R² than EquiMod's, SEN's, SIE's and Conditional BYOL's (the paper's Table 1).",
        f"{LENGTH}. The features are the encoder's, as in that table. ContextSSL, whose R² is "
        "higher in the paper, too, is not trained here ([why](benchmark.md#contextssl)).",
        best_of_all,
    ),
    Claim(
        "C2",
        "Without action conditioning the relative rotation's R² falls by more than 0.3 at equal "
        "accuracy (within 2 points; the paper: from 0.71 to 0.29, the last view predicted).",
        "`scripts/experiments.py equal_views` and `long`, with and without `--method.condition "
        "none`. The longest runs of the paper's objective decide.",
        conditioning,
    ),
    Claim(
        "C3",
        "The accuracy of z_AGG grows with the number of views at test.",
        AT_EQUAL_VIEWS,
        more_views,
    ),
    Claim("C4", "R² grows with the number M of views in training.", f"{LENGTH}.", longer_training),
    Claim(
        "C5",
        "Fixations drawn by saliency with inhibition of return make the accuracy higher (the "
        "paper's Table 3, STL-10: 83.4 % against 79.9 and 78.0).",
        "`scripts/experiments.py pixels`, five fixations on cliparts of 22 classes, the last one "
        "predicted. STL-10 was not at hand, and saliency is the built-in model's, not DeepGaze's. "
        "A run is tested on fixations drawn as in its training.",
        guided_fixations,
    ),
    Claim(
        "C6",
        "z_AGG of five views classifies better than z of one view.",
        AT_EQUAL_VIEWS,
        aggregate_over_view,
    ),
    Claim(
        "C7",
        "The way from the first view to the last can be told from what was seen and done, and "
        "worse without the actions or without vision (the paper's Figure 6b).",
        "`seqjepa evaluate RUN --suite path` of the paper's objective in `equal_views`: rotation, "
        "heads trained anew for each ablation. Several actions in a row make a product that they "
        "give exactly, so vision is not needed in principle.",
        path_integration,
    ),
    Claim(
        "C8",
        "The predictor retrieves the view that an action leads to better than SIE's and EquiMod's "
        "(the paper's Table 10: MRR 0.388 against 0.319 and 0.136).",
        f"{AT_EQUAL_VIEWS} From one view, among the 16 of an object.",
        retrieval,
    ),
    Claim(
        "Q1",
        "Ours: z_AGG beats the mean of the same views' z, a control that the paper lacks.",
        AT_EQUAL_VIEWS,
        aggregate_over_mean,
    ),
    Claim(
        "Q2",
        "Ours: predicting every next view beats predicting the last in accuracy and in R².",
        "`scripts/experiments.py equal_views` and `equal_time`. The recipe's settings were chosen "
        "with every next view predicted.",
        every_over_last,
    ),
    Claim(
        "Q3",
        "Ours: the demo's objective beats the paper's, the same with every next view predicted, "
        "and EquiMod, in accuracy and in R².",
        "`scripts/experiments.py equal_views` and `equal_time`.",
        demo_over_others,
    ),
    Claim(
        "Q4",
        "Ours: the demo's objective beats EquiMod and SimCLR with the same inverse dynamics in "
        "accuracy and in R².",
        "`scripts/experiments.py equal_views` and `equal_time`.",
        head_over_others,
    ),
    Claim(
        "Q5",
        "Ours: with online targets the demo's objective beats the paper's, EquiMod, and both "
        "EquiMod and SimCLR with the same inverse dynamics, in accuracy and in R².",
        "`scripts/experiments.py equal_views` and `equal_time`.",
        online_over_all,
    ),
)
