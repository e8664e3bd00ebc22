"""The seams check what passes through them."""

import dataclasses

import pytest
import torch

from seqjepa.errors import ConfigError, DataError
from seqjepa.types import Representation, SequenceBatch, StepOutput


def parts(batch=4, length=3) -> dict[str, torch.Tensor]:
    return {
        "views": torch.randint(0, 256, (batch, length, 3, 5, 7), dtype=torch.uint8),
        "actions": torch.randn(batch, length - 1, 2),
        "poses": torch.randn(batch, length, 6),
        "labels": torch.arange(batch),
    }


def test_good_batches_pass():
    assert len(SequenceBatch(**parts())) == 4
    assert len(SequenceBatch(**parts() | {"views": torch.rand(4, 3, 3, 5, 7)})) == 4
    assert SequenceBatch(**parts(length=1)).actions.shape == (4, 0, 2), "one view has no action"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("views", torch.zeros(4, 3, 5, 7, dtype=torch.uint8), r"views .* \[4, 3, 5, 7\]"),
        ("views", torch.zeros(4, 3, 3, 5, 7, dtype=torch.int64), "views .* torch.int64"),
        ("actions", torch.zeros(4, 3, 2), r"actions must be \[B=4, T-1=2, A\], got \[4, 3, 2\]"),
        ("actions", torch.zeros(4, 2), "actions"),
        ("poses", torch.zeros(4, 2, 6), r"poses must be \[B=4, T=3, P\], got \[4, 2, 6\]"),
        (
            "labels",
            torch.zeros(5, dtype=torch.int64),
            r"labels must be int64 \[B=4\], got torch.int64 \[5\]",
        ),
        ("labels", torch.zeros(4), "labels .* torch.float32"),
        (
            "poses",
            torch.zeros(4, 3, 6).numpy(),
            "poses must be a tensor, got ndarray: .*from_numpy",
        ),
    ],
)
def test_bad_shapes_and_types_are_named(name, value, message):
    with pytest.raises(DataError, match=message):
        SequenceBatch(**parts() | {name: value})


def test_batches_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SequenceBatch(**parts()).labels = torch.zeros(4)


def test_chunks_are_the_batch_in_order():
    batch = SequenceBatch(**parts())
    pieces = batch.chunk(2)
    assert [len(piece) for piece in pieces] == [2, 2]
    for name in parts():
        torch.testing.assert_close(
            torch.cat([getattr(piece, name) for piece in pieces]),
            getattr(batch, name),
            rtol=0,
            atol=0,
        )


def test_to_moves_everything():
    moved = SequenceBatch(**parts()).to(torch.device("meta"))
    assert {getattr(moved, name).device.type for name in parts()} == {"meta"}
    assert moved.views.dtype == torch.uint8


def test_detach_cuts_the_graph():
    weight = torch.ones(1, requires_grad=True)
    representation = Representation(
        weight * torch.ones(2, 3, 4), weight * torch.ones(2, 4)
    ).detach()
    assert not representation.views.requires_grad and not representation.sequence.requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": torch.zeros(4)}, r"'loss' must be a scalar tensor, got \[4\]"),
        ({"loss": 0.5}, "'loss' must be a scalar tensor, got float"),
        ({"terms": {"agree": 0.5}}, "'agree' must be a scalar tensor, got float"),
        (
            {"representation": Representation(torch.zeros(8, 4), torch.zeros(2, 4))},
            r"views \[B, T, D\] .* got \[8, 4\] and \[2, 4\]",
        ),
    ],
)
def test_what_a_step_returns_is_checked(change, message):
    good = {
        "loss": torch.zeros(()),
        "terms": {"agree": torch.zeros(())},
        "representation": Representation(torch.zeros(2, 4, 4), torch.zeros(2, 4)),
    }
    assert not StepOutput(**good).compared
    with pytest.raises(ConfigError, match=message):
        StepOutput(**good | change)
