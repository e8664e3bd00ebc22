"""Measure how much trained runs use their actions.

    .venv/bin/python scripts/action_use.py runs/equal_views/every_seed0 ... [--out FILE.json]

For each run it prints the loss of the predictions on held-out objects with the true actions and
with those of other objects, and the share of the second that the true actions explain. A share of 0
means that the run does not use actions. The loss is one minus the cosine between prediction and
target, whatever the run was trained with, in eval mode: the mean over 12 batches of 64 sequences of
the split `val`. With --out, the figures are added to a JSON file, by the last two parts of the
run's path.
"""

import argparse
import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from seqjepa import load
from seqjepa.types import StepOutput

BATCHES, SIZE, SEED = 12, 64, 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dirs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    settings = {"split": "val", "batches": BATCHES, "size": SIZE, "seed": SEED}
    data = {"settings": settings, "runs": {}}
    if options.out and options.out.exists():
        data = json.loads(options.out.read_text())

    for run_dir in options.run_dirs:
        found = measure(run_dir)
        print(
            f"{run_dir} after {found['step']:,} steps: loss {found['true']:.4f}, with other "
            f"actions {found['others']:.4f}, explained {100 * found['explained']:.1f} %"
        )
        data["runs"]["/".join(run_dir.parts[-2:])] = found
    if options.out:
        options.out.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")


@torch.inference_mode()
def measure(run_dir: Path) -> dict[str, float]:
    """Return a run's number of steps, its losses, and the share that the true actions explain."""
    model = load(run_dir)
    world, num_views = model.experiment.world.build(), model.experiment.train.num_views
    batches = world.loader("val", num_views=num_views, batch_size=SIZE, seed=SEED)

    true = others = 0.0
    for number, batch in enumerate(islice(batches, BATCHES)):
        # The same permutation for every run, so that runs can be compared.
        order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(number))
        shuffled = replace(batch, actions=batch.actions[order])
        true += _cosine(model.method(batch)) / BATCHES
        others += _cosine(model.method(shuffled)) / BATCHES
    return {"step": model.step, "true": true, "others": others, "explained": 1 - true / others}


def _cosine(output: StepOutput) -> float:
    """Return the mean cosine loss of the predictions."""
    # It is the loss itself where nothing was added to it.
    return output.terms.get("cosine", output.loss).item()


if __name__ == "__main__":
    main()
