"""Footnotes of a benchmark's table: how to read it, what is equal for all contenders, every
exception, and who did not learn.

All of it is computed from configs and results.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from seqjepa.config import method_defaults
from seqjepa.report.benchmark.entries import Entry, learned
from seqjepa.report.runs import Run, flatten

SECTIONS = (
    "encoder",
    "optim",
    "world",
    "evaluate",
    "train.precision",
    "train.accumulate",
)  # beside steps and views, what should be equal
PER_STEP = "views per step"
EVERY = (
    "world.actions",
    "evaluate.objects",
)  # settings of which none are given where all are meant

Facts = Mapping[str, Any]


def footnotes(found: Sequence[Entry], group: str = "rotation") -> list[str]:
    """The notes on a table of these contenders.

    Args:
        found: from `entries`.
        group: of the world's factors, whose R² is shown.
    """
    several = any(len(entry.runs) > 1 for entry in found)
    how = "Mean ± standard deviation over n seeds" if several else "One seed"
    notes = [
        f"{how}. In bold the best of each column; controls do not compete, they are the first contender's that has them."
    ]
    facts = [(entry.name, run, _facts(run)) for entry in found for run in entry.runs]
    if facts:
        common = _common([mine for _, _, mine in facts])
        exceptions: dict[str, dict[str, None]] = {}
        for name, run, mine in facts:
            changed = [
                _exception(key, run, mine, common) for key in common if mine.get(key) != common[key]
            ]
            exceptions.setdefault(name, {}).update(dict.fromkeys(changed))
        shared = {
            key for key in common if all(mine.get(key) == common[key] for _, _, mine in facts)
        }
        notes.append(
            f"Equal for all{'' if len(shared) == len(common) else ', but for the exceptions below'}: {_equal(common, shared)}."
        )
        notes += [
            f"Except {name}: {'; '.join(changed)}."
            for name, changed in exceptions.items()
            if changed
        ]
    notes += [
        f"Not the method's defaults in {', '.join(names)}: {changed}."
        for changed, names in _chosen(found).items()
    ]
    if unlearned := [entry.name for entry in found if entry.runs and not learned(entry, group)]:
        notes.append(
            f"Did not learn in this recipe, z being no better than untrained features: {', '.join(unlearned)}."
        )
    return notes + [f"Failed: {entry.name}, {why}" for entry in found for why in entry.failed]


def _facts(run: Run) -> Facts:
    """What a comparison should hold equal, by its key in config.json; batch size and views as their
    product, and the precision that was computed in where the results know it."""
    train, results = run.config["train"], run.results or {}
    settings = {
        key: value for key, value in flatten(run.config).items() if key.startswith(SECTIONS)
    }
    for key, where in (("train.precision", "trained"), ("evaluate.precision", "machine")):
        settings[key] = results.get(where, {}).get("precision", settings.get(key))
    return {
        "train.steps": train["steps"],
        PER_STEP: train["batch_size"] * train["num_views"],
        **settings,
    }


def _chosen(found: Sequence[Entry]) -> dict[str, list[str]]:
    """The settings of methods that are not their defaults, in words, and whose they are."""
    chosen: dict[str, list[str]] = {}
    for entry in found:
        for run in entry.runs[:1]:
            default = flatten(method_defaults(run.config["method"]["kind"]))
            mine = flatten(run.config["method"])
            changed = [
                f"{key} {_shown(key, mine[key])} instead of {_shown(key, default.get(key))}"
                for key in sorted(mine)
                if mine[key] != default.get(key)
            ]
            if changed:
                chosen.setdefault("; ".join(changed), []).append(entry.name)
    return chosen


def _common(facts: Sequence[Facts]) -> dict[str, Any]:
    """The most frequent value of each key, the first of them if there are several."""
    keys = dict.fromkeys(key for mine in facts for key in mine)
    counts = {key: Counter(json.dumps(mine.get(key)) for mine in facts) for key in keys}
    return {key: json.loads(count.most_common(1)[0][0]) for key, count in counts.items()}


def _equal(common: Facts, shared: set[str]) -> str:
    """What is equal, in words: steps and views for most, and of the settings those that are the
    same for all."""

    def listed(section: str) -> str:
        mine = [key for key in sorted(shared - {"train.steps"}) if key.startswith(f"{section}.")]
        return ", ".join(f"{key.partition('.')[2]} {_shown(key, common[key])}" for key in mine)

    steps, views = common["train.steps"], common[PER_STEP]
    return (
        f"{steps:,} optimizer steps; {views:,} {PER_STEP}, {steps * views:,} in all; encoder ({listed('encoder')}); "
        f"optimizer and schedule ({listed('optim')}); {listed('train')}; world ({listed('world')}); probes"
    )


def _exception(key: str, run: Run, mine: Facts, common: Facts) -> str:
    if key == PER_STEP:
        train = run.config["train"]
        return f"{train['batch_size']:,} × {train['num_views']} = {mine[key]:,} instead of {common[key]:,} {PER_STEP}"
    return f"{key} {_shown(key, mine.get(key))} instead of {_shown(key, common[key])}"


def _shown(key: str, setting: Any) -> str:
    """A setting as people write it."""
    if setting is None:
        return "all" if key in EVERY else "none"
    return " ".join(map(str, setting)) or "none" if isinstance(setting, list) else str(setting)
