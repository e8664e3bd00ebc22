"""Row 13 of the fault catalogue: the target encoder follows its recurrence.

It gets no gradient and moves at every step.
"""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from faults import tiny
from seqjepa.methods.seq_jepa import SeqJEPA
from seqjepa.training.loop import train

Weights = dict[str, Tensor]


def weights(module: torch.nn.Module) -> Weights:
    return {
        name: parameter.detach().double().clone() for name, parameter in module.named_parameters()
    }


def test_the_target_follows_the_recurrence_in_double_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = tiny.recipe()
    # Of each step: the target before it, the encoder, the target after it.
    history: list[tuple[Weights, Weights, Weights]] = []
    after_step = SeqJEPA.after_step

    def watched(self: SeqJEPA, progress: float) -> None:
        target = self.target_encoder.module
        for parameter in target.parameters():
            assert parameter.grad is None and not parameter.requires_grad
        before, encoder = weights(target), weights(self.encoder)
        after_step(self, progress)
        history.append((before, encoder, weights(target)))

    monkeypatch.setattr(SeqJEPA, "after_step", watched)
    train(experiment, tmp_path / "run", device="cpu", quiet=True)

    steps = experiment.train.steps
    assert len(history) == steps
    expected = history[0][0]
    for step, (before, encoder, after) in enumerate(history, 1):
        assert any(not torch.equal(before[name], encoder[name]) for name in encoder)
        assert step == steps or any(not torch.equal(before[name], after[name]) for name in after)

        # seq-JEPA, section 3.2: from 0.996 to 1 along half a cosine.
        momentum = 1 - (1 - 0.996) * (math.cos(math.pi * step / steps) + 1) / 2
        for name, weight in encoder.items():
            expected[name] = momentum * expected[name] + (1 - momentum) * weight
            tolerance = 1e-6 * max(1.0, float(expected[name].abs().max()))
            assert (after[name] - expected[name]).abs().max() <= tolerance, (step, name)
