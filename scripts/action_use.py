"""Measure how much trained runs use their actions.

    .venv/bin/python scripts/action_use.py runs/equal_views/every_seed0 ... [--out FILE.json]

For each run it prints the loss of the predictions on held-out objects with the true actions and
with those of other objects, and the share of the second that the true actions explain. A share of 0
means that the run does not use actions. The loss is one minus the cosine between prediction and
target, whatever the run was trained with, in eval mode: the mean over 12 batches of 64 sequences of
the split `val`. With --out, the figures are added to a JSON file, by the last two parts of the
run's path.
"""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from measured import measure_all
from seqjepa import load
from seqjepa.types import StepOutput

BATCHES, SIZE, SEED = 12, 64, 5


def main() -> None:
    settings = {"split": "val", "batches": BATCHES, "size": SIZE, "seed": SEED}
    measure_all(__doc__, measure, settings)


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

    found = {"step": model.step, "true": true, "others": others, "explained": 1 - true / others}
    print(
        f"{run_dir} after {model.step:,} steps: loss {true:.4f}, with other actions {others:.4f}, "
        f"explained {100 * found['explained']:.1f} %"
    )
    return found


def _cosine(output: StepOutput) -> float:
    """Return the mean cosine loss of the predictions."""
    # It is the loss itself where nothing was added to it.
    return output.terms.get("cosine", output.loss).item()


if __name__ == "__main__":
    main()
