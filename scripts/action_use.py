"""How much a trained run uses the actions: its loss on held-out objects with the true actions, and
with those of other objects.

    .venv/bin/python scripts/action_use.py runs/small

In eval mode, over 12 batches of 64 sequences of split `val`. No difference means that actions are
not used."""

import argparse
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch

from seqjepa import load

BATCHES, SIZE = 12, 64


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dirs", nargs="+", type=Path)
    for run_dir in parser.parse_args().run_dirs:
        model = load(run_dir)
        batches = model.experiment.world.build().loader(
            "val", num_views=model.experiment.train.num_views, batch_size=SIZE, seed=5
        )
        true = shuffled = 0.0
        for number, batch in enumerate(islice(batches, BATCHES)):
            order = torch.randperm(SIZE, generator=torch.Generator().manual_seed(number))
            true += model.method(batch).loss.item() / BATCHES
            shuffled += (
                model.method(replace(batch, actions=batch.actions[order])).loss.item() / BATCHES
            )
        print(
            f"{run_dir} after {model.step:,} steps: loss {true:.4f}, with other actions {shuffled:.4f}, difference {shuffled - true:.4f}"
        )


if __name__ == "__main__":
    main()
