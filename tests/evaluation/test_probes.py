"""Inputs of probes, and what one of them predicts."""

import torch

from fixtures.blobs import blobs
from seqjepa.evaluation.probes import (
    Inputs,
    classification,
    concatenated,
    generator_for,
    per_prefix,
    running_mean,
    untrained,
)


def test_inputs_pick_different_rows() -> None:
    inputs = Inputs(torch.arange(20.0).view(2, 5, 2), 3, concatenated)
    choice = inputs.draw(torch.Generator().manual_seed(0))
    assert all(len(set(row)) == 3 for row in choice.tolist())
    picked = inputs(torch.tensor([1]), choice[1:])
    expected = [10.0 + 2 * row + column for row in choice[1].tolist() for column in (0, 1)]
    assert picked.tolist() == [[expected]]


def test_ways_to_combine_rows() -> None:
    rows = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
    assert concatenated(rows).tolist() == [[[1, 2, 3, 6]]]
    assert running_mean(rows).tolist() == [[[1, 2], [2, 4]]]
    assert per_prefix(rows[:, None]).tolist() == rows.tolist()


def test_rows_of_given_orders() -> None:
    orders = torch.tensor([[0, 1], [4, 5], [8, 9]])
    inputs = Inputs(torch.zeros(5000, 12, 1), 2, concatenated, orders)
    drawn = inputs.draw(generator_for(0))
    starts, counts = drawn[:, 0].unique(return_counts=True)
    assert starts.tolist() == [0, 4, 8] and counts.min() > 1500
    assert torch.equal(drawn[:, 1], drawn[:, 0] + 1)
    assert [choice[0].tolist() for choice in inputs.test_choices(8)] == orders.tolist()


def test_inputs_for_fewer_heads_are_for_the_first() -> None:
    views, labels = blobs(300, 0)
    three, two = Inputs(views, 3, running_mean), Inputs(views, 2, running_mean)
    probe = untrained(three, classification(labels), (4,), generator_for(0))
    # Its last layer starts from zero.
    probe.layers[-1][0].data.normal_(generator=generator_for(1))
    choice = two.test_choices(1)[0]
    whole = probe.predict(three, torch.cat([choice, choice[:, :1]], 1))
    assert torch.equal(probe.predict(two, choice), whole[:, :2])
