"""Each baseline's loss, and its gradient, against its formula written out with loops in float64.

The sizes that the papers give are tested too.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fixtures.contract import NAMES, config, experiment
from fixtures.spaces import differences
from reference import plain_heads as plain
from reference.plain_heads import under
from reference.plain_seq_jepa import inverse_error
from seqjepa.actions import ActionSpace, Group
from seqjepa.heads import ProjectorConfig
from seqjepa.methods.base import Method
from seqjepa.nn import EncoderConfig, random_pair_masks
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
    encoder = EncoderConfig(width=2, stem="compact").build(3, MEAN, STD)
    method = replace(experiment(name).method, **fields).build(encoder, SPACE).double()
    for parameter in method.parameters():
        # A little above 0, or all features may be dead.
        torch.nn.init.normal_(parameter, mean=0.1, std=0.4)
    return method


def batch(num_views: int, size: int = 6) -> SequenceBatch:
    chance = torch.Generator().manual_seed(1)
    poses = torch.rand(size, num_views, 3, generator=chance).double()
    views = torch.rand(size, num_views, 3, 8, 8, generator=chance).double()
    labels = torch.arange(size) % 5
    labels[-1] = -1  # unknown
    return SequenceBatch(views, SPACE.along(poses), poses, labels)


def features(method: Method, data: SequenceBatch, encoder: str = "encoder") -> Tensor:
    """Return features [B, T, D] of all views in one batch, as BatchNorm sees them.

    The ResNet itself has a plain version of its own.
    """
    return getattr(method, encoder)(data.views)


def project(
    w: dict[str, Tensor], x: Tensor, layers: int, *, last_norm: bool, name: str = "projector"
) -> Tensor:
    """Project [B, T, D] by a head: both views are one batch to BatchNorm."""
    rows = x.reshape(-1, x.shape[-1])
    out = plain.mlp(under(w, f"{name}.layers."), rows, layers, last_norm=last_norm)
    return out.reshape(*x.shape[:2], -1)


def project_target(w: dict[str, Tensor], x: Tensor, layers: int) -> Tensor:
    """Project [B, T, D] by the target head, without gradients."""
    w = under(w, "target_projector.")
    return project(w, x.detach(), layers, last_norm=True, name="module").detach()


def simclr(m, w, data):
    p = project(w, features(m, data), 3, last_norm=True)
    return plain.nt_xent(p[:, 0], p[:, 1], 0.5)


def byol(m, w, data):
    p = project(w, features(m, data), 3, last_norm=True)
    rows = p.reshape(-1, p.shape[-1])
    q = plain.mlp(under(w, "predictor."), rows, 2, last_norm=False).reshape(p.shape)
    t = project_target(w, features(m, data, "target_encoder"), 3)
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
    i = project(w, f, 3, last_norm=True)
    e = project(w, f, 3, last_norm=True, name="equivariant_projector")
    a = plain.embed(under(w, "action_embedding."), data.actions[:, 0])
    predicted = plain.mlp(under(w, "predictor."), torch.cat([a, e[:, 0]], 1), 1, last_norm=True)
    return plain.nt_xent(i[:, 0], i[:, 1], 0.1) + plain.nt_xent(predicted, e[:, 1], 0.1)


def sie(m, w, data):
    f = features(m, data)
    half = f.shape[-1] // 2
    i = project(w, f[..., :half], 3, last_norm=False)
    e = project(w, f[..., half:], 3, last_norm=False, name="equivariant_projector")

    # W(a) as a matrix for each sample.
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
    t = project_target(w, m.target_encoder(data.views[:, 1:]), 3)[:, 0]
    return sum(2 - 2 * plain.cosine(a, b) for a, b in zip(q, t, strict=True)) / len(q)


def conv_jepa(m, w, data):
    observed = m.encoder(data.views[:, :-1])
    p = project(w, observed, 2, last_norm=True)
    size, seen = p.shape[:2]

    # The direct action from each view to the last; a hue's is wrapped to half a turn.
    moves = []
    for b in range(size):
        for i in range(seen):
            step = data.poses[b, -1] - data.poses[b, i]
            moves.append(torch.stack([step[0] / 2, step[1] / 2, (step[2] + 0.5) % 1 - 0.5]))
    a = plain.embed(under(w, "action_embedding."), torch.stack(moves))
    joint = torch.cat([a, p.reshape(-1, p.shape[-1])], 1)
    q = plain.mlp(under(w, "predictor."), joint, 2, last_norm=False)

    t = project_target(w, m.target_encoder(data.views[:, -1:]), 2)[:, 0]
    losses = [1 - plain.cosine(q[b * seen + i], t[b]) for b in range(size) for i in range(seen)]
    return sum(losses) / (size * seen)


def context_ssl(m, w, data):
    """Return the loss with every earlier pair in sight, for two contexts of three pairs.

    The environment is the one that seed 0 draws.
    """
    torch.manual_seed(0)
    chosen = int(torch.randint(2, ()))
    f = features(m, data)

    # Tokens of each context: a view with the environment's part of the action, its partner with 0.
    columns = [[0, 1], [2]][chosen]
    nothing = torch.zeros(3, dtype=torch.float64)
    sequences = []
    for start in (0, 3):
        tokens = []
        for k in range(start, start + 3):
            action = nothing.clone()
            action[columns] = data.actions[k, 0, columns]
            tokens += [torch.cat([f[k, 0], action]), torch.cat([f[k, 1], nothing])]
        sequences.append(tokens)

    out = plain.gpt(w, sequences, sees_itself_and_earlier_pairs, 1, 2)
    z = [token / (token @ token).sqrt() for tokens in out for token in tokens]
    loss = plain.nt_xent(torch.stack(z[::2]), torch.stack(z[1::2]), 0.1, least=1e-7)

    # Both tokens of a pair regress the environment's part of the second view's pose.
    total, count = 0.0, 0
    for k in range(6):
        pose = data.poses[k, 1]
        hue = 2 * torch.pi * pose[2]
        truth = torch.stack([pose[0] / 2, pose[1] / 2, hue.sin(), hue.cos()])
        for token in (z[2 * k], z[2 * k + 1]):
            predicted = regress(under(w, "regressor."), token[None])[0]
            for column in [[0, 1], [2, 3]][chosen]:
                total, count = total + (predicted[column] - truth[column]) ** 2, count + 1
    return loss + 5 * total / count


def sees_itself_and_earlier_pairs(layer: int, row: int, column: int) -> bool:
    return row == column or column // 2 < row // 2


def regress(w: dict[str, Tensor], x: Tensor) -> Tensor:
    x = plain.relu(plain.linear(w, "0", x))
    x = plain.relu(plain.linear(w, "2", x))
    return plain.linear(w, "4", x)


def supervised(m, w, data):
    """Return the loss of sequences of which the last has no label."""
    f, labelled = features(m, data), len(data.labels) - 1
    total = 0.0
    for b in range(labelled):
        for row in f[b]:
            logits = plain.linear(w, "classifier", row[None])[0]
            total = total + logits.exp().sum().log() - logits[data.labels[b]]
    return total / (2 * labelled) + 5 * inverse_error(w, f, data.actions)


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
    "supervised": (supervised, 2, {"classes": 5}),
}


def with_inverse(equation):
    """Return a method's equation with 0.7 times the error of inverse dynamics."""

    def total(m, w, data):
        error = inverse_error(w, m.encoder(data.views), data.actions)
        return equation(m, w, data) + 0.7 * error

    return total


CASES = {
    **EQUATIONS,
    **{
        f"{name}, inverse": (with_inverse(equation), num_views, fields | {"inverse": 0.7})
        for name, (equation, num_views, fields) in EQUATIONS.items()
        if name in ("simclr", "equimod")
    },
}


def test_every_method_has_its_equation():
    assert {*EQUATIONS, "seq_jepa"} == set(NAMES), "seq_jepa's is in test_seq_jepa"


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients(case):
    equation, num_views, fields = CASES[case]
    method, data = make(case.partition(",")[0], **fields), batch(num_views)
    trained = {key: p for key, p in method.named_parameters() if p.requires_grad}

    torch.manual_seed(0)
    loss = method(data).loss
    gradients = torch.autograd.grad(loss, list(trained.values()))

    weights = {**method.state_dict(), **dict(method.named_parameters())}
    expected = equation(method, weights, data)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)

    expected_gradients = torch.autograd.grad(expected, list(trained.values()))
    for key, gradient, value in zip(trained, gradients, expected_gradients, strict=True):
        torch.testing.assert_close(
            gradient, value, rtol=1e-4, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}"
        )


@pytest.mark.parametrize("name", ["simclr", "equimod"])
def test_inverse_leaves_all_other_weights_as_they_were(name):
    states = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        encoder = EncoderConfig(width=2, stem="compact").build(3, MEAN, STD)
        chosen = replace(experiment(name).method, inverse=weight)
        states.append(chosen.build(encoder, SPACE).state_dict())
    without, found = states
    assert all(torch.equal(found[key], tensor) for key, tensor in without.items())
    added = set(found) - set(without)
    assert added == {f"inverse.layers.{i}.{part}" for i in (0, 2) for part in ("weight", "bias")}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def full(name: str, action_dim: int = 4, **fields) -> Method:
    """Return a method of the paper's size, without memory for its weights."""
    with torch.device("meta"):
        encoder = EncoderConfig().build(3, MEAN, STD)
        return config(name)(**fields).build(encoder, differences(action_dim))


def test_parameter_counts_of_the_fact_sheet():
    """Methods: section 6, in the paper's setting: a ResNet-18's 512 features."""
    assert count(full("simclr").projector) == count(full("sen").projector) == 9_445_376
    sen = full("sen")
    assert (count(sen.predictor), count(sen.action_embedding)) == (4_456_448, 512)

    assert count(full("vicreg").projector) == count(full("vicreg_traj").projector) == 9_449_472

    released = {"projector": ProjectorConfig(widths=(4.0, 0.25)), "predictor_hidden": 4.0}
    byol, conditional = full("byol", **released), full("conditional_byol", **released)
    assert (count(byol.projector), count(byol.predictor)) == (1_314_816, 528_512)
    assert count(conditional.predictor) == 790_656

    equimod = full("equimod")
    assert count(equimod.projector) == count(equimod.equivariant_projector) == 1_708_032
    assert count(equimod.predictor) == 32_768

    for action_dim, hypernetwork in ((4, 4_194_304), (6, 6_291_456), (9, 9_437_184)):
        sie = full("sie", action_dim)
        assert count(sie.projector) == count(sie.equivariant_projector) == 2_365_440
        assert count(sie.predictor) == hypernetwork

    conv = full("conv_jepa", 2)
    assert (count(conv.projector), count(conv.predictor)) == (1_314_816, 395_392)

    context = full("context_ssl", 6)
    assert [count(layer) for layer in context.layers] == [50_358_272] * 3
    assert (count(context.read_in), count(context.read_out)) == (1_062_912, 1_049_088)
    assert count(context.norm) == 4_096


def test_sie_zero_action_is_the_zero_map():
    method = make("sie", projector=ProjectorConfig(widths=(1.0, 1.0, 1.0)))
    embeddings = torch.randn(5, 16).double()
    assert not method.predictor(embeddings, torch.zeros(5, 3)).any()
    assert method.predictor(embeddings, torch.ones(5, 3)).any()


def test_sie_halves():
    method = make("sie", projector=ProjectorConfig(widths=(1.0, 1.0, 1.0)))
    z = torch.randn(3, 2, 16)
    halves = method.readouts(batch(2))
    assert torch.equal(halves["invariant half"](z), z[..., :8])
    assert torch.equal(halves["equivariant half"](z), z[..., 8:])


class TestContextSSL:
    """Tests of its masks, and of its context at evaluation."""

    def test_masks(self):
        torch.manual_seed(0)
        masks = random_pair_masks((2, 3, 2), 64, 0.9, torch.device("cpu"))

        # A mask is drawn for each layer and each context, not for each head.
        assert len(masks) == 2 and masks[0].shape == (3 * 2, 128, 128)
        assert not torch.equal(masks[0], masks[1])
        assert torch.equal(masks[0][0], masks[0][1])
        assert not torch.equal(masks[0][0], masks[0][2])

        sees = ~masks[0][0]
        assert sees.diagonal().all() and not sees.triu(1).any()
        assert not sees[1::2, ::2].diagonal().any(), "a view does not see its own partner"

        # Of the earlier pairs a tenth is seen, each pair as a whole.
        earlier = torch.tril(torch.ones(64, 64), -1).bool().repeat_interleave(2, 0)
        first, second = (sees.unflatten(1, (64, 2)) & earlier[..., None]).unbind(-1)
        assert torch.equal(first, second)
        share = first.sum() / earlier.sum()
        assert share.item() == pytest.approx(0.1, abs=0.01)

    def test_one_environment_has_no_contexts(self):
        method = make("context_ssl", pairs=3).eval()
        method.actions = SPACE.select(("place",))
        method.read_in = torch.nn.Linear(16 + 2, 64).double()
        data = batch(2)
        shown = replace(data, actions=data.actions[..., :2])
        with torch.no_grad():
            assert list(method.readouts(shown)) == ["context of 0 pairs"]

    def test_context_at_evaluation(self):
        """Check that a query reads the context and itself, and no other query.

        With c = 0 it reads nothing else. A context is read as at training.
        """
        method, data = make("context_ssl", pairs=3, drop_pairs=0.0).eval(), batch(2)
        with torch.no_grad():
            reads = method.readouts(data)
            z = torch.randn(2, 3, 16).double()

            # There are six training pairs: contexts of seven and more are left out.
            one = "context of 1 pair"
            assert list(reads) == ["context of 0 pairs", f"{one}, place", f"{one}, hue"]
            for name, read in reads.items():
                out = read(z)
                assert out.shape == z.shape
                assert torch.allclose(out.norm(dim=-1), torch.ones(2, 3, dtype=out.dtype))
                alone = read(z[1:, 2:])
                assert torch.allclose(alone, out[1:, 2:], atol=1e-6), f"{name}: sees other queries"

            f, nothing = method.encoder(data.views), torch.zeros(3)
            for group, shown in (("place", [1, 1, 0]), ("hue", [0, 0, 1])):
                read = reads[f"{one}, {group}"]
                assert not torch.allclose(reads["context of 0 pairs"](z), read(z), atol=1e-3)
                action = data.actions[0, 0] * torch.tensor(shown)
                pair = [torch.cat([f[0, 0], action]), torch.cat([f[0, 1], nothing])]
                tokens = [*pair, torch.cat([z[0, 0], nothing])]
                weights = method.state_dict()
                [[_, _, out]] = plain.gpt(weights, [tokens], sees_itself_and_earlier_pairs, 1, 2)
                torch.testing.assert_close(read(z)[0, 0], out / out.norm(), rtol=0, atol=1e-5)
