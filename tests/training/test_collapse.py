"""Collapse is watched in both representations and in what the loss compares."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fixtures import signal_world
from fixtures.contract import NAMES, experiment
from seqjepa.evaluation.spectra import alpha, lidar
from seqjepa.model import build_method
from seqjepa.training.collapse import CollapseWatch, collapse_message, health, spectra
from seqjepa.types import Representation, StepOutput

# By method: the head whose outputs the loss compares, and their name in the log.
HEADS = {
    "byol": ("projector", "projection"),
    "conditional_byol": ("projector", "projection"),
    "context_ssl": ("read_out", "output"),
    "conv_jepa": ("projector", "projection"),
    "equimod": ("equivariant_projector", "equivariant_projection"),
    "sen": ("projector", "projection"),
    "seq_jepa": ("predictor", "prediction"),
    "sie": ("equivariant_projector", "equivariant_projection"),
    "simclr": ("projector", "projection"),
    "vicreg": ("projector", "projection"),
    "vicreg_traj": ("projector", "projection"),
}


def output(name: str, frozen: str = "") -> StepOutput:
    """Return a first step's output, with one head frozen at 0."""
    chosen, world = experiment(name), signal_world.Config().build()
    method = build_method(chosen, world.spec)
    if frozen:
        head: nn.Module = getattr(method, frozen)
        with torch.no_grad():
            for parameter in head.parameters():
                parameter.zero_().requires_grad_(False)

    num_views = chosen.train.num_views
    batch = next(world.loader("train", num_views=num_views, batch_size=16, seed=0))
    torch.manual_seed(0)
    return method(batch)


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_method_is_well(name: str) -> None:
    found = output(name)
    assert collapse_message(found) is None
    assert all(not rows.requires_grad for rows in found.compared.values())
    # Logits are compared with labels, and not with each other.
    assert bool(found.compared) == (name != "supervised")


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_is_frozen_at_0_is_reported(name: str) -> None:
    head, said = HEADS[name]
    found = output(name, head)
    figures = health(found)
    assert figures["z_std"] > 0.1
    assert figures.get(f"{said}_std", 0.0) < 1e-3
    # Predictions are watched, but what they begin with would only alarm readers of the log.
    assert (f"{said}_std" in figures) == (said != "prediction")
    assert f"{said}_rankme" not in figures, "it would take longer than a step"

    warnings: list[str] = []
    watch = CollapseWatch(warnings.append)
    assert watch.look(100, found) is None
    message = watch.look(200, found)
    assert message is not None and warnings == [message]
    assert f"the {said.replace('_', ' ')} that the loss compares has collapsed" in message


def test_what_train_health_asks_for_is_of_the_views_of_the_batch() -> None:
    found = output("seq_jepa")
    views = found.representation.views
    assert spectra(found) == {
        "health/lidar": float(lidar(views)),
        "health/alpha": float(alpha(views)),
    }

    # A single view of each object has no spread within the object.
    single = replace(found, representation=Representation(views[:, :1], views[:, 0]))
    assert spectra(single).keys() == {"health/alpha"}
