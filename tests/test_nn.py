"""The modules that methods are made of."""

import pytest
import torch
from torch import nn

from seqjepa.errors import ConfigError
from seqjepa.nn import ActionEmbedding, Aggregator, EMATarget, EncoderConfig

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (EncoderConfig(), 11_176_512),
        (EncoderConfig(stem="cifar"), 11_168_832),
        (EncoderConfig(name="resnet34"), 21_284_672),
    ],
)
def test_encoder_parameters(config, count):
    """Fact sheet; torchvision's ResNets less their 512 x 1000 + 1000 classifier."""
    with torch.device("meta"):
        encoder = config.build(3, MEAN, STD)
    assert parameters(encoder) == count and encoder.dim == 512


def test_resnet18_has_torchvisions_keys():
    with torch.device("meta"):
        state = EncoderConfig().build(3, MEAN, STD).backbone.state_dict()
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    norms = sum(value.numel() for name, value in state.items() if name.endswith(statistics))
    assert (len(state), norms) == (122 - 2, 9_620), "all but fc.weight and fc.bias"

    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7) and shapes["bn1.running_var"] == (64,)
    assert shapes["layer2.0.downsample.0.weight"] == (128, 64, 1, 1)
    assert shapes["layer2.0.downsample.1.bias"] == (128,)
    assert shapes["layer4.1.conv2.weight"] == (512, 512, 3, 3)
    assert "layer1.0.downsample.0.weight" not in shapes


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 16), ("cifar", 64), ("compact", 32)])
def test_stems(stem, side):
    backbone = EncoderConfig(width=2, stem=stem).build(1, (0.5,), (0.5,)).backbone
    seen = []
    backbone.layer1.register_forward_pre_hook(
        lambda module, inputs: seen.append(tuple(inputs[0].shape))
    )
    assert backbone(torch.rand(2, 1, 64, 64)).shape == (2, 16)
    assert seen == [(2, 2, side, side)]


@pytest.mark.parametrize("height", [8, 24])
def test_taps_that_see_no_pixel_have_no_gradient_in_bf16(height):
    encoder = EncoderConfig(width=8, stem="compact").build(3, MEAN, STD)
    block = encoder.backbone.layer4[0]
    weight = block.conv1.weight
    nn.init.ones_(block.bn2.weight)  # the branch is silent at first
    # What was never written is zero at times; hardly ten times.
    for _ in range(10):
        with torch.autocast("cpu", torch.bfloat16):
            loss = encoder(torch.rand(4, 3, height, 8)).square().sum()
        (gradient,) = torch.autograd.grad(loss, weight)
        assert gradient.isfinite().all()
        assert (gradient[..., [0, 2]] == 0).all(), "beside the one column"
        assert (gradient[..., 1, 1] != 0).any()


def test_initial_weights():
    """He's normal distribution by fan out; residual branches start silent."""
    torch.manual_seed(0)
    backbone = EncoderConfig(width=32).build(3, MEAN, STD).backbone
    weight = backbone.layer3[1].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)
    assert all((block.bn2.weight == 0).all() for block in (backbone.layer1[0], backbone.layer4[1]))
    assert (backbone.bn1.weight == 1).all()


def test_encoder_normalises_bytes_and_floats_alike():
    encoder = EncoderConfig(width=2, stem="compact").build(3, MEAN, STD).eval()
    images = torch.randint(0, 256, (2, 5, 3, 16, 16), dtype=torch.uint8)
    features = encoder(images)
    assert features.shape == (2, 5, 16) and features.min() >= 0
    torch.testing.assert_close(encoder(images.float() / 255), features)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    normal = (images[0].float() / 255 - mean) / std
    torch.testing.assert_close(encoder.backbone(normal), features[0])
    # They belong to the world, not to the weights.
    assert not {"mean", "std"} & set(encoder.state_dict())


def test_an_encoder_may_have_statistics_of_its_own():
    own = EncoderConfig(width=1, mean=MEAN, std=STD).build(3, (0.0,) * 3, (1.0,) * 3)
    world = EncoderConfig(width=1).build(3, MEAN, STD)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(own.normalise(images), world.normalise(images))

    with pytest.raises(ConfigError, match="a number for each channel"):
        EncoderConfig(mean=MEAN)
    with pytest.raises(ConfigError, match="a number for each channel"):
        EncoderConfig(mean=MEAN, std=(0.2, 0.0, 0.2))
    with pytest.raises(ConfigError, match="has 1 numbers, the images have 3 channels"):
        EncoderConfig(mean=(0.5,), std=(0.2,)).build(3, MEAN, STD)


def test_unknown_encoders_are_refused():
    with pytest.raises(
        ConfigError, match=r"unknown encoder\.name 'resnet19', did you mean 'resnet18'"
    ):
        EncoderConfig(name="resnet19")
    with pytest.raises(ConfigError, match=r"encoder\.width must be at least 1, got 0"):
        EncoderConfig(width=0)


def test_action_embedding_is_linear_then_normal():
    torch.manual_seed(0)
    embedding = ActionEmbedding(4, 8)
    actions = torch.randn(16, 3, 4) + 1
    out = embedding(actions)
    rows = actions.flatten(0, 1) @ embedding.linear.weight.T
    normal = (rows - rows.mean(0)) / (rows.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(out.flatten(0, 1), normal)
    assert parameters(embedding) == 32, "no bias, no gain"
    torch.testing.assert_close(embedding.norm.running_mean, 0.1 * rows.mean(0).detach())

    before = embedding.norm.running_mean.clone()
    assert embedding(actions[:, :0]).shape == (16, 0, 8)
    assert torch.equal(embedding.norm.running_mean, before), "no action, no statistics"


def aggregator(**fields) -> Aggregator:
    torch.manual_seed(0)
    module = Aggregator(12, **{"layers": 3, "heads": 2, "feedforward": 24, "dropout": 0.1} | fields)
    nn.init.normal_(module.agg)
    return module


@pytest.mark.parametrize("grad", [True, False])
def test_packed_prefixes_are_prefixes_alone(grad):
    """Without gradient PyTorch takes its fast path, which must respect the mask as well."""
    module, past, present = aggregator().eval(), torch.randn(5, 6, 12), torch.randn(5, 6, 12)
    with torch.set_grad_enabled(grad):
        packed = module(past, present, [1, 4, 2, 6])
        assert packed.shape == (5, 4, 12)
        for place, m in enumerate([1, 4, 2, 6]):
            alone = module(past[:, :m], present[:, :m], [m])[:, 0]
            torch.testing.assert_close(packed[:, place], alone, rtol=1e-5, atol=1e-5)

            agg = module.agg.expand(5, 1, 12)
            tokens = torch.cat([agg, past[:, : m - 1], present[:, m - 1 : m]], 1)
            for layer in module.layers:
                tokens = layer(tokens)
            by_hand = module.norm(tokens[:, 0])
            torch.testing.assert_close(packed[:, place], by_hand, rtol=1e-5, atol=1e-5)


def test_attention_is_what_the_layers_attend_to():
    """By hand: softmax(q k / sqrt(width)) of the tokens that each layer gets."""
    module, past, present = aggregator().eval(), torch.randn(5, 3, 12), torch.randn(5, 3, 12)
    with torch.no_grad():
        found = module.attention(past, present)
        assert found.shape == (5, 3, 2, 4)

        x = torch.cat([module.agg.expand(5, 1, 12), past[:, :2], present[:, 2:]], 1)
        for number, layer in enumerate(module.layers):
            attend = layer.self_attn
            q, k, _ = (x @ attend.in_proj_weight.T + attend.in_proj_bias).split(12, -1)
            q, k = (rows.unflatten(-1, (2, 6)).transpose(1, 2) for rows in (q[:, :1], k))
            by_hand = torch.softmax(q @ k.transpose(-1, -2) / 6**0.5, -1)[:, :, 0]
            torch.testing.assert_close(found[:, number], by_hand, rtol=1e-5, atol=1e-5)
            x = layer(x)


def test_prefixes_do_not_see_what_comes_later():
    """In training mode too: gradients reach the tokens of the prefix and no others."""
    module = aggregator(dropout=0.0)
    past, present = (torch.randn(2, 4, 12, requires_grad=True) for _ in range(2))
    module(past, present, [1, 2, 3, 4])[:, 1].sum().backward()
    assert [bool(past.grad[:, t].any()) for t in range(4)] == [True, False, False, False]
    assert [bool(present.grad[:, t].any()) for t in range(4)] == [False, True, False, False]


def test_aggregator_layers_differ_and_count():
    with torch.device("meta"):
        module = Aggregator(640, layers=3, heads=4, feedforward=2560, dropout=0.1)
    assert [parameters(layer) for layer in module.layers] == 3 * [4_923_520]
    assert parameters(module.norm) == 1_280 and module.agg.shape == (640,)
    first, second, _ = aggregator().layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)
    assert (Aggregator(12, layers=1, heads=2, feedforward=24, dropout=0.1).agg == 0).all()


def test_ema_target_moves_in_place():
    source = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    target = EMATarget(source)
    storage = [p.data_ptr() for p in target.parameters()]
    start = source[0].weight.detach().clone()
    nn.init.ones_(source[0].weight)
    target.update(source, 0.75)
    torch.testing.assert_close(target.module[0].weight, 0.75 * start + 0.25)
    assert storage == [p.data_ptr() for p in target.parameters()]
    assert not target(torch.randn(5, 3)).requires_grad

    target.update(source, 0.0)
    torch.testing.assert_close(target.module[0].weight, torch.ones(4, 3), rtol=0, atol=0)
    assert target.module[1].num_batches_tracked == 1 and source[1].num_batches_tracked == 0
