"""Row 13 of the fault catalogue: the target encoder gets no gradient, moves at every step, and
follows its recurrence."""

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
    history: list[
        tuple[Weights, Weights, Weights]
    ] = []  # the target before, the encoder, the target after each step
    after_step = SeqJEPA.after_step

    def watched(self: SeqJEPA, progress: float) -> None:
        target = self.target_encoder.module
        assert all(
            parameter.grad is None and not parameter.requires_grad
            for parameter in target.parameters()
        )
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
        momentum = (
            1 - (1 - 0.996) * (math.cos(math.pi * step / steps) + 1) / 2
        )  # seq-JEPA, section 3.2: from 0.996 to 1 along half a cosine
        for name, weight in encoder.items():
            expected[name] = momentum * expected[name] + (1 - momentum) * weight
            assert (after[name] - expected[name]).abs().max() <= 1e-6 * max(
                1.0, float(expected[name].abs().max())
            ), (step, name)
