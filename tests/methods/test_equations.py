"""Each baseline's loss, and its gradient, against its formula written out with loops in float64;
and the sizes that the papers give."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fixtures.contract import NAMES, config, experiment
from fixtures.spaces import differences
from reference import plain_heads as plain
from reference.plain_heads import under
from seqjepa.actions import ActionSpace, Group
from seqjepa.heads import ProjectorConfig
from seqjepa.methods.base import Method
from seqjepa.nn import EncoderConfig
from seqjepa.types import SequenceBatch

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
SPACE = ActionSpace(
    ("row", "column", "hue"),
    (
        Group(name="place", dims=("row", "column"), scale=2.0),
        Group(name="hue", dims=("hue",), kind="circular"),
    ),
)


def make(name: str, **fields) -> Method:
    torch.manual_seed(0)
    method = (
        replace(experiment(name).method, **fields)
        .build(EncoderConfig(width=2, stem="compact").build(3, MEAN, STD), SPACE)
        .double()
    )
    for parameter in method.parameters():
        torch.nn.init.normal_(
            parameter, mean=0.1, std=0.4
        )  # a little above 0, or all features may be dead
    return method


def batch(num_views: int, size: int = 6) -> SequenceBatch:
    chance = torch.Generator().manual_seed(1)
    poses = torch.rand(size, num_views, 3, generator=chance).double()
    views = torch.rand(size, num_views, 3, 8, 8, generator=chance).double()
    return SequenceBatch(views, SPACE.along(poses), poses, torch.zeros(size, dtype=torch.int64))


def features(method: Method, data: SequenceBatch, encoder: str = "encoder") -> Tensor:
    """[B, T, D] of all views in one batch, as BatchNorm sees them; the ResNet itself has a plain
    version of its own."""
    return getattr(method, encoder)(data.views)


def project(
    w: dict[str, Tensor], x: Tensor, layers: int, *, last_norm: bool, name: str = "projector"
) -> Tensor:
    """Heads on [B, T, D]: both views are one batch to BatchNorm."""
    rows = plain.mlp(
        under(w, f"{name}.layers."), x.reshape(-1, x.shape[-1]), layers, last_norm=last_norm
    )
    return rows.reshape(*x.shape[:2], -1)


def simclr(m, w, data):
    p = project(w, features(m, data), 3, last_norm=True)
    return plain.nt_xent(p[:, 0], p[:, 1], 0.5)


def byol(m, w, data):
    p = project(w, features(m, data), 3, last_norm=True)
    q = plain.mlp(under(w, "predictor."), p.reshape(-1, p.shape[-1]), 2, last_norm=False).reshape(
        p.shape
    )
    t = project(
        under(w, "target_projector."),
        features(m, data, "target_encoder").detach(),
        3,
        last_norm=True,
        name="module",
    ).detach()
    pairs = [(q[b, i], t[b, 1 - i]) for b in range(len(q)) for i in (0, 1)]
    return sum(2 - 2 * plain.cosine(*pair) for pair in pairs) / len(q)


def vicreg_of(first, second):
    return (
        10 * plain.squared(first, second)
        + 10 * (plain.variance(first) + plain.variance(second)) / 2
        + plain.covariance(first)
        + plain.covariance(second)
    )


def vicreg(m, w, data):
    y = project(w, features(m, data), 3, last_norm=False)
    return vicreg_of(y[:, 0], y[:, 1])


def vicreg_traj(m, w, data):
    y = project(w, features(m, data), 3, last_norm=False)
    return vicreg_of(y[:, 0], y[:, 1]) + 0.01 * plain.trajectory(y[:, 0], y[:, 1], y[:, 2])


def sen(m, w, data):
    p = project(w, features(m, data), 3, last_norm=True)
    e = plain.embed(under(w, "action_embedding."), data.actions[:, 0])
    predicted = plain.mlp(under(w, "predictor."), torch.cat([e, p[:, 0]], 1), 1, last_norm=True)
    return plain.nt_xent(predicted, p[:, 1], 0.5)


def equimod(m, w, data):
    f = features(m, data)
    i, e = (
        project(w, f, 3, last_norm=True, name=name)
        for name in ("projector", "equivariant_projector")
    )
    a = plain.embed(under(w, "action_embedding."), data.actions[:, 0])
    predicted = plain.mlp(under(w, "predictor."), torch.cat([a, e[:, 0]], 1), 1, last_norm=True)
    return plain.nt_xent(i[:, 0], i[:, 1], 0.1) + plain.nt_xent(predicted, e[:, 1], 0.1)


def sie(m, w, data):
    f = features(m, data)
    half = f.shape[-1] // 2
    i = project(w, f[..., :half], 3, last_norm=False)
    e = project(w, f[..., half:], 3, last_norm=False, name="equivariant_projector")
    size = e.shape[-1]
    maps = [(w["predictor.linear.weight"] @ a).reshape(size, size) for a in data.actions[:, 0]]
    predicted = torch.stack([matrix @ row for matrix, row in zip(maps, e[:, 0], strict=True)])
    x, y = (torch.cat([i[:, v], e[:, v]], 1) for v in (0, 1))
    return (
        10 * plain.squared(i[:, 0], i[:, 1])
        + 4.5 * plain.squared(predicted, e[:, 1])
        + 10 * (plain.variance(x) + plain.variance(y)) / 2
        + 10 * plain.variance(predicted) / 2
        + plain.covariance(x)
        + plain.covariance(y)
    )


def conditional_byol(m, w, data):
    first = m.encoder(data.views[:, :1])
    p = project(w, first, 3, last_norm=True)[:, 0]
    a = plain.embed(under(w, "action_embedding."), data.actions[:, 0])
    q = plain.mlp(under(w, "predictor."), torch.cat([a, p], 1), 2, last_norm=False)
    second = m.target_encoder(data.views[:, 1:]).detach()
    t = project(under(w, "target_projector."), second, 3, last_norm=True, name="module").detach()[
        :, 0
    ]
    return sum(2 - 2 * plain.cosine(a, b) for a, b in zip(q, t, strict=True)) / len(q)


def conv_jepa(m, w, data):
    observed = m.encoder(data.views[:, :-1])
    p = project(w, observed, 2, last_norm=True)
    size, seen = p.shape[:2]
    moves = []
    for b in range(size):
        for i in range(seen):
            step = data.poses[b, -1] - data.poses[b, i]
            moves.append(torch.stack([step[0] / 2, step[1] / 2, (step[2] + 0.5) % 1 - 0.5]))
    a = plain.embed(under(w, "action_embedding."), torch.stack(moves))
    q = plain.mlp(
        under(w, "predictor."), torch.cat([a, p.reshape(-1, p.shape[-1])], 1), 2, last_norm=False
    )
    last = m.target_encoder(data.views[:, -1:]).detach()
    t = project(under(w, "target_projector."), last, 2, last_norm=True, name="module").detach()[
        :, 0
    ]
    return sum(
        1 - plain.cosine(q[b * seen + i], t[b]) for b in range(size) for i in range(seen)
    ) / (size * seen)


def context_ssl(m, w, data):
    """With every earlier pair in sight; two contexts of three pairs; the environment that seed 0
    draws."""
    torch.manual_seed(0)
    chosen = int(torch.randint(2, ()))
    f = features(m, data)
    columns = [[0, 1], [2]][chosen]
    sequences = []
    for start in (0, 3):
        tokens = []
        for k in range(start, start + 3):
            action = torch.zeros(3, dtype=torch.float64)
            action[columns] = data.actions[k, 0, columns]
            tokens += [
                torch.cat([f[k, 0], action]),
                torch.cat([f[k, 1], torch.zeros(3, dtype=torch.float64)]),
            ]
        sequences.append(tokens)
    out = plain.gpt(w, sequences, lambda layer, i, j: i == j or j // 2 < i // 2, 1, 2)
    z = [token / (token @ token).sqrt() for tokens in out for token in tokens]
    loss = plain.nt_xent(torch.stack(z[::2]), torch.stack(z[1::2]), 0.1, least=1e-7)
    total, count = 0.0, 0
    for k in range(6):
        pose = data.poses[k, 1]
        hue = 2 * torch.pi * pose[2]
        truth = torch.stack([pose[0] / 2, pose[1] / 2, hue.sin(), hue.cos()])
        for token in (z[2 * k], z[2 * k + 1]):
            x = token[None]
            for layer in (0, 2, 4):
                x = plain.linear(
                    under(w, "regressor."), str(layer), x if layer == 0 else plain.relu(x)
                )
            for column in [[0, 1], [2, 3]][chosen]:
                total, count = total + (x[0, column] - truth[column]) ** 2, count + 1
    return loss + 5 * total / count


EQUATIONS = {
    "simclr": (simclr, 2, {}),
    "byol": (byol, 2, {}),
    "vicreg": (vicreg, 2, {}),
    "vicreg_traj": (vicreg_traj, 3, {}),
    "sen": (sen, 2, {}),
    "equimod": (equimod, 2, {"projector": ProjectorConfig(widths=(1.0, 1.0, 0.5))}),
    "sie": (sie, 2, {"projector": ProjectorConfig(widths=(1.0, 1.0, 1.0))}),
    "conditional_byol": (conditional_byol, 2, {}),
    "conv_jepa": (conv_jepa, 4, {"projector": ProjectorConfig(widths=(2.0, 0.5))}),
    "context_ssl": (context_ssl, 2, {"pairs": 3, "drop_pairs": 0.0}),
}


def test_every_method_has_its_equation():
    assert {*EQUATIONS, "seq_jepa"} == set(NAMES), "seq_jepa's is in test_seq_jepa"


@pytest.mark.parametrize("name", EQUATIONS)
def test_loss_and_gradients(name):
    equation, num_views, fields = EQUATIONS[name]
    method, data = make(name, **fields), batch(num_views)
    names = [key for key, parameter in method.named_parameters() if parameter.requires_grad]
    torch.manual_seed(0)
    loss = method(data).loss
    gradients = torch.autograd.grad(loss, [method.get_parameter(key) for key in names])
    weights = {**method.state_dict(), **dict(method.named_parameters())}
    expected = equation(method, weights, data)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    wanted = torch.autograd.grad(expected, [method.get_parameter(key) for key in names])
    for key, mine, theirs in zip(names, gradients, wanted, strict=True):
        torch.testing.assert_close(
            mine,
            theirs,
            rtol=1e-4,
            atol=1e-6,
            msg=lambda text, key=key: f"gradient of {key}: {text}",
        )


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def full(name: str, action_dim: int = 4, **fields) -> Method:
    with torch.device("meta"):
        return config(name)(**fields).build(
            EncoderConfig().build(3, MEAN, STD), differences(action_dim)
        )


def test_parameter_counts_of_the_fact_sheet():
    """Methods: section 6, in the paper's setting: a ResNet-18's 512 features."""
    assert count(full("simclr").projector) == count(full("sen").projector) == 9_445_376
    sen = full("sen")
    assert (count(sen.predictor), count(sen.action_embedding)) == (4_456_448, 512)
    assert count(full("vicreg").projector) == count(full("vicreg_traj").projector) == 9_449_472
    released = {"projector": ProjectorConfig(widths=(4.0, 0.25)), "predictor_hidden": 4.0}
    byol, conditional = full("byol", **released), full("conditional_byol", **released)
    assert (count(byol.projector), count(byol.predictor), count(conditional.predictor)) == (
        1_314_816,
        528_512,
        790_656,
    )
    equimod = full("equimod")
    assert count(equimod.projector) == count(equimod.equivariant_projector) == 1_708_032
    assert count(equimod.predictor) == 32_768
    for action_dim, hypernetwork in ((4, 4_194_304), (6, 6_291_456), (9, 9_437_184)):
        sie = full("sie", action_dim)
        assert (count(sie.projector), count(sie.equivariant_projector), count(sie.predictor)) == (
            2_365_440,
            2_365_440,
            hypernetwork,
        )
    conv = full("conv_jepa", 2)
    assert (count(conv.projector), count(conv.predictor)) == (1_314_816, 395_392)
    context = full("context_ssl", 6)
    assert [count(layer) for layer in context.layers] == [50_358_272] * 3
    assert (count(context.read_in), count(context.read_out), count(context.norm)) == (
        1_062_912,
        1_049_088,
        4_096,
    )


def test_sie_zero_action_is_the_zero_map():
    method = make("sie", projector=ProjectorConfig(widths=(1.0, 1.0, 1.0)))
    embeddings = torch.randn(5, 16).double()
    assert not method.predictor(embeddings, torch.zeros(5, 3)).any()
    assert method.predictor(embeddings, torch.ones(5, 3)).any()


def test_sie_halves():
    method = make("sie", projector=ProjectorConfig(widths=(1.0, 1.0, 1.0)))
    z = torch.randn(3, 2, 16)
    halves = method.readouts(batch(2))
    assert torch.equal(halves["invariant half"](z), z[..., :8]) and torch.equal(
        halves["equivariant half"](z), z[..., 8:]
    )


class TestContextSSL:
    """What its masks hide, and its context at evaluation."""

    def test_masks(self):
        method = make("context_ssl", pairs=64, layers=2, drop_pairs=0.9)
        torch.manual_seed(0)
        masks = method._random_masks(3, torch.zeros(1))
        assert len(masks) == 2 and masks[0].shape == (3 * 2, 128, 128)
        assert not torch.equal(masks[0], masks[1]), "drawn for each layer"
        assert torch.equal(masks[0][0], masks[0][1]) and not torch.equal(
            masks[0][0], masks[0][2]
        ), "for each context, not for each head"
        sees = ~masks[0][0]
        assert sees.diagonal().all() and not sees.triu(1).any()
        assert not sees[1::2, ::2].diagonal().any(), "a view does not see its own partner"
        earlier = torch.tril(torch.ones(64, 64), -1).bool()
        pairs = sees.unflatten(1, (64, 2))
        assert torch.equal(
            pairs[..., 0] & earlier.repeat_interleave(2, 0),
            pairs[..., 1] & earlier.repeat_interleave(2, 0),
        ), "whole pairs"
        share = (pairs[..., 0] & earlier.repeat_interleave(2, 0)).sum() / (2 * earlier.sum())
        assert share.item() == pytest.approx(0.1, abs=0.01)

    def test_context_at_evaluation(self):
        """Each query reads the context and itself, and no other query; c = 0 reads nothing else; a
        context is read as at training."""
        method, data = make("context_ssl", pairs=3, drop_pairs=0.0).eval(), batch(2)
        with torch.no_grad():
            reads = method.readouts(data)
            assert list(reads) == ["context 0", "context 2, place", "context 2, hue"], (
                "as many tokens as there are training pairs for"
            )
            z = torch.randn(2, 3, 16).double()
            for name, read in reads.items():
                out = read(z)
                assert out.shape == z.shape and torch.allclose(
                    out.norm(dim=-1), torch.ones(2, 3, dtype=out.dtype)
                )
                assert torch.allclose(read(z[1:, 2:]), out[1:, 2:], atol=1e-6), (
                    f"{name}: queries do not see each other"
                )
            f = method.encoder(data.views)
            for group, shown in (("place", [1, 1, 0]), ("hue", [0, 0, 1])):
                read = reads[f"context 2, {group}"]
                assert not torch.allclose(reads["context 0"](z), read(z), atol=1e-3)
                action = data.actions[0, 0] * torch.tensor(shown)
                tokens = [
                    torch.cat([f[0, 0], action]),
                    torch.cat([f[0, 1], torch.zeros(3)]),
                    torch.cat([z[0, 0], torch.zeros(3)]),
                ]
                [[_, _, expected]] = plain.gpt(
                    method.state_dict(),
                    [tokens],
                    lambda layer, i, j: i == j or j // 2 < i // 2,
                    1,
                    2,
                )
                torch.testing.assert_close(
                    read(z)[0, 0], expected / expected.norm(), rtol=0, atol=1e-5
                )
