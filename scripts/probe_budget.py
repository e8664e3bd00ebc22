"""Train the probes of rotation for twice as many steps as they took, and compare.

    .venv/bin/python scripts/probe_budget.py runs/equal_views/demo_seed0 ... --out FILE.json

For each evaluated run it prints the R² on test objects that results.json has, with the steps of its
probe, and the R² after twice as many. With --out, the figures are added to a JSON file, by the last
two parts of the run's path.
"""

import json
from dataclasses import replace
from pathlib import Path

import torch

from measured import measure_all
from seqjepa import load
from seqjepa.devices import use_bf16
from seqjepa.evaluation.factor_probes import QUESTIONS, ask
from seqjepa.evaluation.features import extract
from seqjepa.evaluation.protocol import Protocol, Record
from seqjepa.evaluation.sampling import choose_samplings, splits_to_probe


def main() -> None:
    measure_all(__doc__, measure)


def measure(run_dir: Path) -> dict[str, dict[str, float]]:
    """Return steps, R² and R² after twice the steps, by the probe's task."""
    model = load(run_dir)
    experiment, space = model.experiment, model.spec.factors.select(("rotation",))
    world, config = experiment.world.build(), experiment.evaluate
    bf16 = use_bf16(config.precision, torch.device("cpu"))

    splits = splits_to_probe(world.spec, "test")
    tables = {
        name: extract(model.method, world, splits[name], sampling, bf16=bf16)
        for name, sampling in choose_samplings(experiment, world, splits).items()
    }

    protocol = Protocol("model", config, experiment.seed, model.method.encoder.dim, bf16)
    found = {}
    for question in QUESTIONS:
        task = f"{question.task} rotation"
        before = _figure(run_dir, task)
        # No gain is below the tolerance: the probe stops at the cap.
        longer = replace(protocol.mlp(), max_steps=2 * (before.steps or 0), tolerance=-1.0)
        after = ask(protocol, question, tables, space, longer)
        [twice] = [record.value for record in after if record.metric == "r2"]
        found[task] = {"steps": before.steps, "r2": before.value, "twice": twice}
        print(f"{run_dir}: {task} R² {before.value:.4f} after {before.steps} steps, {twice:.4f}")
    return found


def _figure(run_dir: Path, task: str) -> Record:
    """Return the R² on test objects that results.json has."""
    results = json.loads((run_dir / "results.json").read_text())
    records = [Record(**record) for record in results["records"]]
    asked = ("model", "test", task, "r2")
    [found] = [
        each for each in records if (each.features, each.split, each.task, each.metric) == asked
    ]
    return found


if __name__ == "__main__":
    main()
