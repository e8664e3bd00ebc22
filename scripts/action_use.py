"""Measure how much a trained run uses the actions.

    .venv/bin/python scripts/action_use.py runs/small

It prints the loss on held-out objects with the true actions, and with those of other objects. No
difference means that the run does not use actions. The loss is that of eval mode, the mean over 12
batches of 64 sequences of the split `val`.
"""

import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from seqjepa import load

BATCHES, SIZE = 12, 64


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dirs", nargs="+", type=Path)
    for run_dir in parser.parse_args().run_dirs:
        print(f"{run_dir} after {compare(run_dir)}")


@torch.inference_mode()
def compare(run_dir: Path) -> str:
    """Return a run's number of steps and its losses."""
    model = load(run_dir)
    world, num_views = model.experiment.world.build(), model.experiment.train.num_views
    batches = world.loader("val", num_views=num_views, batch_size=SIZE, seed=5)

    true = shuffled = 0.0
    for number, batch in enumerate(islice(batches, BATCHES)):
        # The same permutation for every run, so that runs can be compared.
        order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(number))
        others = replace(batch, actions=batch.actions[order])
        true += model.method(batch).loss.item() / BATCHES
        shuffled += model.method(others).loss.item() / BATCHES

    losses = f"loss {true:.4f}, with other actions {shuffled:.4f}"
    return f"{model.step:,} steps: {losses}, difference {shuffled - true:.4f}"


if __name__ == "__main__":
    main()
