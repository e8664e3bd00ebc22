"""Predictions of views from actions: `source`, `target` and `predict` are those of the loss."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fixtures import signal_world
from fixtures.contract import NAMES, experiment
from seqjepa.errors import ConfigError
from seqjepa.losses import nt_xent
from seqjepa.methods.base import Method
from seqjepa.model import build_method
from seqjepa.types import SequenceBatch

PREDICTORS = [
    "seq_jepa", "sen", "equimod", "sie", "conditional_byol", "conv_jepa", "context_ssl",
]  # fmt: skip


def make(name: str, num_views: int, **fields) -> tuple[Method, SequenceBatch]:
    """Return a method with random weights in eval mode, and a batch."""
    world = signal_world.Config().build()
    method = build_method(experiment(name, **fields), world.spec).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return method, next(world.loader("train", num_views=num_views, batch_size=8, seed=3))


def distance(predicted: Tensor, target: Tensor) -> Tensor:
    return 1 - F.cosine_similarity(predicted, target, dim=-1).mean()


@pytest.mark.parametrize(
    ("name", "num_views", "fields", "term", "compare"),
    [
        ("seq_jepa", 4, {}, "loss", distance),
        ("seq_jepa", 4, {"predict": "every"}, "loss_last", distance),
        ("seq_jepa", 3, {"present": True, "conditioning": "film"}, "loss", distance),
        ("seq_jepa", 3, {"condition": "none"}, "loss", distance),
        ("sen", 2, {}, "loss", lambda p, t: nt_xent(p, t, 0.5)),
        ("equimod", 2, {}, "equivariance", lambda p, t: nt_xent(p, t, 0.1)),
        ("sie", 2, {}, "equivariance", F.mse_loss),
        ("conditional_byol", 2, {}, "loss", lambda p, t: 2 * distance(p, t)),
        ("conv_jepa", 2, {}, "loss", distance),
        # Contexts of a single pair: nothing is seen but the query.
        ("context_ssl", 2, {"pairs": 1}, "contrast", lambda p, t: nt_xent(p, t, 0.1)),
    ],
)
def test_the_predictions_are_those_of_the_loss(name, num_views, fields, term, compare) -> None:
    method, batch = make(name, num_views, **fields)
    with torch.no_grad():
        output = method(batch)
        sources = method.source(method.encoder(batch.views[:, :-1]))
        predicted = method.predict(sources, batch.actions)
        found = compare(predicted, method.target(batch.views[:, -1]))
    expected = output.loss if term == "loss" else output.terms[term]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", PREDICTORS)
def test_predictions_and_targets_have_one_shape(name: str) -> None:
    method, batch = make(name, 4 if name in ("seq_jepa", "conv_jepa") else 2)
    with torch.no_grad():
        sources = method.source(method.encoder(batch.views))
        targets = method.target(batch.views)
        for seen in range(1, batch.views.shape[1]):
            predicted = method.predict(sources[:, :seen], batch.actions[:, :seen])
            assert predicted.shape == targets[:, 0].shape
    if method.rolls_out:
        assert predicted.shape == sources[:, 0].shape


def test_context_ssl_predicts_after_the_pairs_that_were_seen() -> None:
    """With views before, they are the context, as in a training sequence of pairs."""
    method, batch = make("context_ssl", 4, pairs=2)
    with torch.no_grad():
        sources = method.encoder(batch.views)
        predicted = method.predict(sources[:, :2], batch.actions[:, :2])

        # The training's tokens of two pairs, views 1 and 2, then 2 and 3.
        zeros = torch.zeros_like(batch.actions[:, 0])
        tokens = [(0, batch.actions[:, 0]), (1, zeros), (1, batch.actions[:, 1])]
        rows = torch.stack([torch.cat([sources[:, v], a], -1) for v, a in tokens], 1)
        seen = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 1]], dtype=torch.bool)
        expected = method._transform(rows, [~seen])[:, -1]
    torch.testing.assert_close(predicted, F.normalize(expected, dim=-1))


@pytest.mark.parametrize("name", sorted({*NAMES} - {*PREDICTORS}))
def test_methods_without_a_predictor_say_so(name: str) -> None:
    method, batch = make(name, 3 if name == "vicreg_traj" else 2)
    assert not method.predicts
    with pytest.raises(ConfigError, match="does not predict views from actions"):
        method.predict(method.encoder(batch.views), batch.actions)
    with pytest.raises(ConfigError, match="does not predict views from actions"):
        method.target(batch.views)
