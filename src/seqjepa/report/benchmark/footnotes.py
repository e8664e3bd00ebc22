"""Footnotes of a benchmark's table.

They say how to read it, what is equal for all contenders, every exception, and which contenders did
not learn. All of it is computed from configs and results.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from seqjepa.config import method_defaults
from seqjepa.report.benchmark.entries import ROTATION, Entry, learned
from seqjepa.report.runs import Run, flatten

# The settings that should be equal, beside steps and views.
SECTIONS = ("encoder", "optim", "world", "evaluate", "train.precision", "train.accumulate")
PER_STEP = "views per step"
# Settings that name none where all are meant.
EVERY = ("world.actions", "evaluate.objects")

Facts = Mapping[str, Any]


def footnotes(found: Sequence[Entry], groups: Sequence[str] = ROTATION) -> list[str]:
    """Return the notes on a table of these contenders.

    Args:
        found: from `entries`.
        groups: of the world's factors, whose R² is shown.
    """
    several = any(len(entry.runs) > 1 for entry in found)
    how = "Mean ± standard deviation over n seeds" if several else "One seed"
    notes = [
        f"{how}. In bold the best of each column; controls do not compete, "
        "they are the first contender's that has them."
    ]
    notes += _conditions(found)

    for changed, names in _chosen(found).items():
        notes.append(f"Not the method's defaults in {', '.join(names)}: {changed}.")

    if ceilings := [entry.name for entry in found if entry.is_ceiling]:
        notes.append(
            f"{', '.join(ceilings)} learns from labels and actions: what an encoder of this size "
            "can tell after as many views. It does not compete."
        )
    if unlearned := [entry.name for entry in found if entry.runs and not learned(entry, groups)]:
        notes.append(
            "Did not learn in this recipe, z being no better than untrained features: "
            f"{', '.join(unlearned)}."
        )
    return notes + [f"Failed: {entry.name}, {why}" for entry in found for why in entry.failed]


def _conditions(found: Sequence[Entry]) -> list[str]:
    """Return a note on what is equal for all contenders, and one on each that makes exceptions."""
    facts = [(entry.name, run, _facts(run)) for entry in found for run in entry.runs]
    if not facts:
        return []
    common = _common([given for _, _, given in facts])

    # Seeds of a contender make the same exceptions: a dict keeps each once, in order.
    exceptions: dict[str, dict[str, None]] = {}
    shared = set(common)
    for name, run, given in facts:
        for key in common:
            if given.get(key) != common[key]:
                shared.discard(key)
                exception = _exception(key, run, given, common)
                exceptions.setdefault(name, {})[exception] = None

    but = "" if len(shared) == len(common) else ", but for the exceptions below"
    notes = [f"Equal for all{but}: {_equal(common, shared)}."]
    for name, changed in exceptions.items():
        notes.append(f"Except {name}: {'; '.join(changed)}.")
    return notes


def _facts(run: Run) -> Facts:
    """Return what a comparison should hold equal, by its key in config.json.

    Batch size and views count as their product. The precision is the one that was computed in,
    where the results know it.
    """
    train, results = run.config["train"], run.results or {}
    settings = {
        key: value for key, value in flatten(run.config).items() if key.startswith(SECTIONS)
    }
    # A config may leave the precision to the device, as `auto`.
    for key, where in (("train.precision", "trained"), ("evaluate.precision", "machine")):
        settings[key] = results.get(where, {}).get("precision", settings.get(key))
    views = train["batch_size"] * train["num_views"]
    return {"train.steps": train["steps"], PER_STEP: views, **settings}


def _chosen(found: Sequence[Entry]) -> dict[str, list[str]]:
    """Return the settings that are not their methods' defaults, in words, with the contenders."""
    chosen: dict[str, list[str]] = {}
    for entry in found:
        if not entry.runs:
            continue
        # Seeds share the settings of the method: the first run stands for all.
        settings = entry.runs[0].config["method"]
        given, default = flatten(settings), flatten(method_defaults(settings["kind"]))
        changed = [
            f"{key} {_shown(key, given[key])} instead of {_shown(key, default.get(key))}"
            for key in sorted(given)
            if given[key] != default.get(key)
        ]
        if changed:
            chosen.setdefault("; ".join(changed), []).append(entry.name)
    return chosen


def _common(facts: Sequence[Facts]) -> dict[str, Any]:
    """Return the most frequent value of each key, the first of them if there are several."""
    common = {}
    for key in dict.fromkeys(key for given in facts for key in given):
        # Lists cannot be counted, their JSON can.
        counts = Counter(json.dumps(given.get(key)) for given in facts)
        common[key] = json.loads(counts.most_common(1)[0][0])
    return common


def _equal(common: Facts, shared: set[str]) -> str:
    """Return what is equal, in words.

    Steps and views are those of most; settings are listed if they are the same for all.
    """

    def listed(section: str) -> str:
        # What is None stands for something that the other settings say.
        given = {key for key in shared if common[key] is not None or key in EVERY}
        keys = [key for key in sorted(given - {"train.steps"}) if key.startswith(f"{section}.")]
        return ", ".join(f"{key.partition('.')[2]} {_shown(key, common[key])}" for key in keys)

    steps, views = common["train.steps"], common[PER_STEP]
    return (
        f"{steps:,} optimizer steps; {views:,} {PER_STEP}, {steps * views:,} in all; "
        f"encoder ({listed('encoder')}); optimizer and schedule ({listed('optim')}); "
        f"{listed('train')}; world ({listed('world')}); probes"
    )


def _exception(key: str, run: Run, given: Facts, common: Facts) -> str:
    """Return a difference between a run and the others, in words."""
    if key != PER_STEP:
        return f"{key} {_shown(key, given.get(key))} instead of {_shown(key, common[key])}"
    train = run.config["train"]
    product = f"{train['batch_size']:,} × {train['num_views']} = {given[key]:,}"
    return f"{product} instead of {common[key]:,} {PER_STEP}"


def _shown(key: str, setting: Any) -> str:
    """Return a setting as people write it."""
    if setting is None:
        return "all" if key in EVERY else "none"
    return " ".join(map(str, setting)) or "none" if isinstance(setting, list) else str(setting)
