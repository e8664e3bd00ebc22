"""seq-JEPA against an independent plain version, and the checks of the paper's properties."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fixtures.spaces import differences
from reference import plain_seq_jepa as plain
from seqjepa.config import OptimConfig
from seqjepa.errors import ConfigError
from seqjepa.methods.seq_jepa import Config, SeqJEPA
from seqjepa.nn import EncoderConfig
from seqjepa.training.state import build_optimizer
from seqjepa.types import SequenceBatch

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
PREDICTS, CONDITIONS = ("last", "every"), ("both", "predictor", "aggregator", "none")
ALL_OPTIONS = {
    "loss": "contrast",
    "temperature": 0.3,
    "inverse": 0.7,
    "present": True,
    "conditioning": "film",
}
ONLINE = {**ALL_OPTIONS, "target": "online"}
OPTIONS = [
    *(
        {"loss": "contrast", "temperature": 0.3, "negatives": negatives, "predict": predict}
        for negatives, predict in itertools.product(("all", "others", "own"), PREDICTS)
    ),
    {"inverse": 0.7},
    {"inverse": 0.7, "condition": "none", "predict": "every"},
    {"present": True, "predict": "every"},
    {"present": True, "condition": "none"},
    {"conditioning": "film"},
    {"conditioning": "film", "condition": "predictor", "predict": "every"},
    {**ALL_OPTIONS, "predict": "every"},
    *({**ONLINE, "predict": predict, "condition": "predictor"} for predict in PREDICTS),
    {"loss": "contrast", "negatives": "others", "target": "online"},
]


def make(num_views=4, action_dim=4, width=1, **fields) -> SeqJEPA:
    """Return a small method with random weights, also where the method starts from zeros.

    Encoder and target differ.
    """
    small = Config(action_width=4, layers=2, heads=2, dropout=0.0, predictor_width=12)
    config, space = replace(small, **fields), differences(action_dim)
    config.validate(space, num_views, 6)

    torch.manual_seed(0)
    method = config.build(EncoderConfig(width=width, stem="compact").build(3, MEAN, STD), space)
    for parameter in method.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return method


def batch(num_views=4, size=6, action_dim=4, pixels=8) -> SequenceBatch:
    generator = torch.Generator().manual_seed(1)
    views = torch.rand(size, num_views, 3, pixels, pixels, generator=generator)
    actions = torch.randn(size, num_views - 1, action_dim, generator=generator)
    poses, labels = torch.zeros(size, num_views, 1), torch.zeros(size, dtype=torch.int64)
    return SequenceBatch(views, actions, poses, labels)


def plain_loss(weights, data: SequenceBatch, config: Config) -> torch.Tensor:
    mean, std = (torch.tensor(values).double().view(3, 1, 1) for values in (MEAN, STD))
    names = ("loss", "temperature", "negatives", "inverse", "present", "conditioning", "target")
    options = {name: getattr(config, name) for name in names}
    return plain.loss(
        weights,
        (data.views.double() - mean) / std,
        data.actions.double(),
        stride=2,
        predict=config.predict,
        condition=config.condition,
        layers=config.layers,
        heads=config.heads,
        **options,
    )


def momentum(progress: float) -> float:
    """Return tau, which rises from 0.996 to 1 along half a cosine (section 3.2)."""
    return 1 - (1 - 0.996) * (math.cos(math.pi * progress) + 1) / 2


@pytest.mark.parametrize(
    "fields",
    [
        *(
            {"predict": predict, "condition": condition}
            for predict, condition in itertools.product(PREDICTS, CONDITIONS)
        ),
        *OPTIONS,
    ],
    ids=lambda fields: " ".join(map(str, fields.values())),
)
def test_step_equals_plain_version(fields):
    """Compare loss, gradients, an AdamW step and an EMA step with equations 3 to 5.

    The options beyond the paper have their formulas at the head of the method's file.
    """
    data, progress = batch(), 0.3
    method = make(**fields).double()
    double = SequenceBatch(data.views.double(), data.actions.double(), data.poses, data.labels)
    weights = {
        name: tensor.clone().requires_grad_(tensor.is_floating_point())
        for name, tensor in method.state_dict().items()
    }
    names = [name for name, parameter in method.named_parameters() if parameter.requires_grad]

    # Loss and gradients.
    loss = method(double).loss
    loss.backward()
    expected = plain_loss(weights, data, method.config)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-9)
    plain_gradients = torch.autograd.grad(expected, [weights[name] for name in names])
    gradients = dict(zip(names, plain_gradients, strict=True))
    for name in names:
        gradient, message = method.get_parameter(name).grad, f"gradient of {name}"
        torch.testing.assert_close(gradient, gradients[name], rtol=1e-6, atol=1e-9, msg=message)

    # The steps of optimizer and target; decay is for weights of two or more axes.
    optim = OptimConfig(lr=1e-2, weight_decay=0.1)
    build_optimizer(method, optim).step()
    method.after_step(progress)
    tau = momentum(progress)
    for name in names:
        old = weights[name].detach()
        decay = optim.weight_decay * (old.ndim > 1)
        new = plain.adamw_first_step(old, gradients[name], optim.lr, decay)
        parameter, message = method.get_parameter(name).detach(), f"step of {name}"
        torch.testing.assert_close(parameter, new, rtol=0, atol=1e-5, msg=message)
        if name.startswith("encoder.") and method.target_encoder:
            target = name.replace("encoder.", "target_encoder.module.", 1)
            moved = tau * weights[target].detach() + (1 - tau) * new
            torch.testing.assert_close(method.get_parameter(target), moved, rtol=0, atol=1e-5)


@pytest.mark.parametrize("predict", PREDICTS)
def test_single_precision_agrees(predict):
    data, method = batch(), make(predict=predict)
    weights = {name: tensor.double() for name, tensor in method.state_dict().items()}
    expected = plain_loss(weights, data, method.config).item()
    assert method(data).loss.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("action_dim", "stem", "config", "trainable"),
    [
        (4, "imagenet", Config(), 27_262_784),
        (9, "cifar", Config(), 27_255_744),
        (2, "cifar", Config(), 27_254_848),
        (4, "imagenet", Config(condition="none"), 21_686_336),
    ],
)
def test_parameter_counts_of_the_paper(action_dim, stem, config, trainable):
    with torch.device("meta"):
        method = config.build(EncoderConfig(stem=stem).build(3, MEAN, STD), differences(action_dim))
    assert sum(p.numel() for p in method.parameters() if p.requires_grad) == trainable
    assert count(method.target_encoder) == (11_168_832 if stem == "cifar" else 11_176_512)

    sizes = count(method.aggregator), count(method.predictor)
    if config.condition == "none":
        assert sizes == (9_458_688, 1_051_136)
    else:
        assert sizes == (14_770_560 + 1_280 + 640, 1_313_280)
        assert count(method.action_embedding) == 128 * action_dim


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("pixels", "stem", "teraflops"),
    [(128, "imagenet", 6.131), (64, "imagenet", 1.672), (32, "cifar", 5.867)],
)
def test_flops_of_a_step(pixels, stem, teraflops):
    """P8, forward and backward, two operations per multiply-add.

    A target encoder that got gradients would stand out.
    """
    action_dim = 9 if stem == "cifar" else 4
    with torch.device("meta"):
        encoder = EncoderConfig(stem=stem).build(3, MEAN, STD)
        method = Config().build(encoder, differences(action_dim))
        data = SequenceBatch(
            views=torch.zeros(512, 4, 3, pixels, pixels),
            actions=torch.zeros(512, 3, action_dim),
            poses=torch.zeros(512, 4, 1),
            labels=torch.zeros(512, dtype=torch.int64),
        )

    with FlopCounterMode(display=False) as counter:
        method(data).loss.backward()
    assert counter.get_total_flops() / 1e12 == pytest.approx(teraflops, rel=0.01)


def test_target_follows_recurrence_without_gradient():
    """Redo the target's recurrence in float64."""
    method, data, total = make(), batch(), 20
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.05)
    mean = [p.double() for p in method.target_encoder.parameters()]
    for step in range(1, total + 1):
        optimizer.zero_grad()
        method(data).loss.backward()
        optimizer.step()
        before = [p.clone() for p in method.target_encoder.parameters()]
        method.after_step(step / total)
        after = list(method.target_encoder.parameters())
        assert all(p.grad is None and not p.requires_grad for p in after)

        # tau is 1 only at the end.
        moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        assert step == total or all(moved)

        tau, online = momentum(step / total), method.encoder.parameters()
        mean = [
            tau * m + (1 - tau) * p.detach().double() for m, p in zip(mean, online, strict=True)
        ]
        for exact, p in zip(mean, after, strict=True):
            torch.testing.assert_close(p.double(), exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize("averaged", [False, True])
def test_target_buffers(averaged):
    """Check that the target keeps its own BatchNorm statistics, unless they are averaged too."""
    method = make(ema_buffers=averaged, ema_momentum=0.5)
    method(batch())
    statistics = method.target_encoder.module.backbone.bn1
    before, online = statistics.running_mean.clone(), method.encoder.backbone.bn1.running_mean
    assert not torch.equal(before, online)

    method.after_step(0.0)
    expected = (before + online) / 2 if averaged else before
    torch.testing.assert_close(statistics.running_mean, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("predict", PREDICTS)
def test_order_of_view_action_pairs_does_not_matter(predict):
    """No positional encoding: only the last token is special, through its missing action."""
    method = make(num_views=5, predict=predict).eval()
    z, e = torch.randn(6, 4, 8), torch.randn(6, 3, 4)
    straight = method.aggregate(z, e)

    turned = method.aggregate(z[:, [2, 0, 1, 3]], e[:, [2, 0, 1]])
    torch.testing.assert_close(straight, turned, rtol=1e-5, atol=1e-6)

    views_only = method.aggregate(z[:, [2, 0, 1, 3]], e)
    assert (straight - views_only).abs().max() > 0.01, "actions belong to their views"

    other_last = method.aggregate(z[:, [3, 0, 1, 2]], e[:, [2, 0, 1]])
    assert (straight - other_last).abs().max() > 0.01, "the last view is special"


def test_one_view_depends_on_no_action():
    method, data = make(num_views=2), batch(num_views=2)
    output = method(data)
    other = make(num_views=2)(replace(data, actions=-data.actions))
    assert torch.equal(output.representation.sequence, other.representation.sequence)
    assert output.loss != other.loss, "the predictor sees the action"
    assert method.aggregate(torch.randn(6, 1, 8), data.actions[:, :0]).shape == (6, 12)


def test_representation_is_that_of_the_forward_pass():
    """Compare `forward` with `represent`, `aggregate` and `predict`, for all objectives."""
    data = batch()
    for predict, options in itertools.product(PREDICTS, ({}, ALL_OPTIONS, ONLINE)):
        method = make(predict=predict, **options).eval()
        with torch.no_grad():
            output = method(data)
            observed = SequenceBatch(
                data.views[:, :3], data.actions[:, :2], data.poses[:, :3], data.labels
            )
            representation = method.represent(observed)
            predicted = method.predict(representation.views, data.actions)
            target = method.target(data.views[:, 3])
            loss = 1 - torch.cosine_similarity(predicted, target).mean()

        torch.testing.assert_close(output.representation.views, representation.views)
        torch.testing.assert_close(output.representation.sequence, representation.sequence)
        torch.testing.assert_close(output.terms["loss_last"], loss)
        assert not output.representation.sequence.requires_grad
        assert not output.terms["loss_last"].requires_grad


@pytest.mark.parametrize(
    "options",
    [{}, {"present": True}, {"conditioning": "film"}, ALL_OPTIONS, ONLINE],
    ids=" ".join,
)
def test_every_prefix_counts_the_same(options):
    """Predict from each prefix alone, as at inference, and compare with the loss of all at once."""
    method, data = make(predict="every", **options).eval(), batch()
    with torch.no_grad():
        z, target = method.encoder(data.views), method.target(data.views)
        cosines = []
        for m in (1, 2, 3):
            predicted = method.predict(z[:, :m], data.actions[:, :m])
            cosines.append(torch.cosine_similarity(predicted, target[:, m]).mean())
        output = method(data)
        cosine = output.terms.get("cosine", output.loss)
        torch.testing.assert_close(cosine, 1 - torch.stack(cosines).mean())


def test_logged_terms_add_up():
    for fields, names in (
        ({}, {"loss_last"}),
        ({"loss": "contrast"}, {"loss_last", "cosine", "contrast"}),
        ({"inverse": 0.7}, {"loss_last", "cosine", "inverse"}),
        (ALL_OPTIONS, {"loss_last", "cosine", "contrast", "inverse"}),
    ):
        output = make(**fields)(batch())
        terms, weight = output.terms, fields.get("inverse", 0.0)
        assert set(terms) == names and not any(term.requires_grad for term in terms.values())
        objective = terms.get("contrast", terms["loss_last"])
        torch.testing.assert_close(
            output.loss, objective + weight * terms.get("inverse", torch.zeros(()))
        )


def fresh(**fields) -> SeqJEPA:
    """Return a small method with the weights that it starts from."""
    config = Config(action_width=4, layers=1, heads=2, dropout=0.0, predictor_width=12, **fields)
    torch.manual_seed(0)
    return config.build(EncoderConfig(width=1, stem="compact").build(3, MEAN, STD), differences(4))


def test_film_starts_without_the_action():
    """At first it is the predictor without the action; after a change of its map it is not."""
    data = batch()
    other = replace(data, actions=-data.actions)
    method = fresh(conditioning="film", condition="predictor")
    blind = fresh(condition="none")

    # All that both have is drawn in the same order but for the action embedding.
    weights = {
        name.replace("predictor.layers.", "predictor."): tensor
        for name, tensor in method.state_dict().items()
        if not name.startswith(("action_embedding.", "predictor.modulation."))
    }
    blind.load_state_dict(weights)
    assert method(data).loss == method(other).loss == blind(data).loss

    torch.nn.init.normal_(method.predictor.modulation.weight)
    assert method(data).loss != method(other).loss


def test_options_leave_all_other_weights_as_they_were():
    without = fresh().state_dict()
    for fields in ({"loss": "contrast"}, {"inverse": 1.0}):
        found = fresh(**fields).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in without.items())
        assert all(name.startswith("inverse.") for name in set(found) - set(without))


def test_contrast_takes_no_gradient_to_targets():
    method = make(loss="contrast")
    method(batch()).loss.backward()
    assert all(parameter.grad is None for parameter in method.target_encoder.parameters())


def test_online_targets_need_no_second_encoder():
    online, average, data = make(**ONLINE), make(**ALL_OPTIONS), batch()
    assert count(average) - count(online) == count(average.encoder)
    assert torch.equal(online.target(data.views), online.encoder(data.views))

    # The head reads the action to the last view as well: two views are enough for it.
    make(num_views=2, loss="contrast", inverse=1.0, target="online")(batch(2)).loss.backward()


@pytest.mark.parametrize(
    "fields",
    [*({"condition": condition} for condition in CONDITIONS), ALL_OPTIONS],
    ids=lambda fields: " ".join(map(str, fields.values())),
)
def test_training_goes_on_after_inference(fields):
    """Check that inference mode leaves none of its tensors in what training uses."""
    method, data = make(predict="every", **fields), batch(size=3)
    with torch.inference_mode():
        method(data)
        method.represent(data)
    method(data).loss.backward()
    with torch.autocast("cpu", torch.bfloat16):
        output = method(data)
    assert output.loss.dtype == torch.float32, "the loss is computed in full precision"


def test_bad_settings_are_refused():
    for field, value in (
        ("heads", 0),
        ("action_width", 0),
        ("ema_momentum", 1.2),
        ("dropout", 1.0),
        ("layers", -1),
        ("predictor_width", 0),
        ("temperature", 0.0),
        ("temperature", -0.1),
        ("inverse", -1.0),
    ):
        with pytest.raises(ConfigError, match=rf"method\.{field}.*got"):
            Config(**{field: value})

    with pytest.raises(ConfigError, match=r"width 12 .* multiple of method\.heads = 5"):
        make(heads=5)
    with pytest.raises(ConfigError, match="at least 2, got 1"):
        make(num_views=1)
    with pytest.raises(
        ConfigError, match=r"the world has none: name some in world\.actions, or set"
    ):
        make(action_dim=0)
    for fields, cure in (
        ({"condition": "aggregator"}, r"another method\.condition"),
        ({"inverse": 1.0}, r"method\.inverse = 0"),
    ):
        message = f"no action between observed views: use 3 or more, or {cure}"
        with pytest.raises(ConfigError, match=message):
            make(num_views=2, **fields)
        make(num_views=3, **fields)

    with pytest.raises(ConfigError, match="the world has none"):
        make(action_dim=0, condition="none", inverse=1.0)
    for condition in ("aggregator", "none"):
        with pytest.raises(ConfigError, match=rf"film needs condition .* got {condition}"):
            Config(conditioning="film", condition=condition)
    with pytest.raises(ConfigError, match=r"method\.target online needs loss contrast, got cosine"):
        Config(target="online")
    for negatives in ("all", "others"):
        config = Config(loss="contrast", negatives=negatives)
        with pytest.raises(ConfigError, match=r"contrast compares objects: .* got 1"):
            config.validate(differences(4), 4, 1)
        config.validate(differences(4), 4, 2)
    Config(loss="contrast", negatives="own").validate(differences(4), 4, 1)

    assert make(action_dim=0, condition="none")(batch(action_dim=0)).loss.isfinite()
