"""Encoders in timm's form: its keys and shapes, and a net of them by torchvision's definition."""

import json

import pytest
import safetensors.torch
import torch
from torch.nn import functional as F

from fixtures.untrained import untrained
from seqjepa.errors import ConfigError
from seqjepa.exchange.timm import timm_files
from seqjepa.nn import EncoderConfig

DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{key}": (width,) for key in vectors} | {f"{name}.num_batches_tracked": ()}


def shapes(depths: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of timm's and torchvision's ResNet without classifier, by key.

    He et al. (2016), Table 1: a first layer of 7x7, and four stages of blocks of two 3x3.
    """
    found = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    inner = 64
    for stage, depth in enumerate(depths, start=1):
        outer = 64 * 2 ** (stage - 1)
        for block in range(depth):
            name = f"layer{stage}.{block}"
            found |= {f"{name}.conv1.weight": (outer, inner, 3, 3), **norm(f"{name}.bn1", outer)}
            found |= {f"{name}.conv2.weight": (outer, outer, 3, 3), **norm(f"{name}.bn2", outer)}
            if inner != outer:
                shortcut = f"{name}.downsample"
                found |= {f"{shortcut}.0.weight": (outer, inner, 1, 1)}
                found |= norm(f"{shortcut}.1", outer)
            inner = outer
    return found


def forward(weights: dict[str, torch.Tensor], x: torch.Tensor, depths: tuple[int, ...]):
    """Apply a ResNet as torchvision defines it: the stride is in each stage's first block."""

    def normed(name: str, x: torch.Tensor) -> torch.Tensor:
        mean, var, scale, shift = (
            weights[f"{name}.{key}"].double()
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        return x * scale[:, None, None] + shift[:, None, None]

    def convolved(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = weights[f"{name}.weight"].double()
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    x = F.max_pool2d(normed("bn1", convolved("conv1", x, 2)).relu(), 3, 2, 1)
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            shortcut = x
            if f"{name}.downsample.0.weight" in weights:
                shortcut = convolved(f"{name}.downsample.0", x, stride)
                shortcut = normed(f"{name}.downsample.1", shortcut)
            x = normed(f"{name}.bn1", convolved(f"{name}.conv1", x, stride)).relu()
            x = (normed(f"{name}.bn2", convolved(f"{name}.conv2", x)) + shortcut).relu()
    return x.mean((2, 3))


OWN = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}  # other than the world's


@pytest.mark.parametrize(("name", "own"), [("resnet18", {}), ("resnet34", {}), ("resnet18", OWN)])
def test_a_resnet_has_timms_keys_and_computes_the_same(name: str, own: dict) -> None:
    model = untrained("simclr", EncoderConfig(name=name, **own))
    files = timm_files(model)
    weights = safetensors.torch.load(files["model.safetensors"])
    expected = shapes(DEPTHS[name])
    assert {key: tuple(value.shape) for key, value in weights.items()} == expected

    config = json.loads(files["config.json"])
    assert config["architecture"] == name and config["num_features"] == 512
    assert config["num_classes"] == 0 and config["model_args"] == {"in_chans": 3}
    prepared = config["pretrained_cfg"]
    assert prepared["input_size"] == [3, 16, 16]
    torch.testing.assert_close(torch.tensor(prepared["mean"]), model.method.encoder.mean.flatten())
    torch.testing.assert_close(torch.tensor(prepared["std"]), model.method.encoder.std.flatten())

    # Images are prepared as timm's config says, and not by our encoder.
    views = torch.rand(2, 3, 16, 16)
    mean, std = (torch.tensor(prepared[key])[:, None, None] for key in ("mean", "std"))
    found = forward(weights, (views.double() - mean) / std, DEPTHS[name]).float()
    torch.testing.assert_close(found, model.encode(views), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("encoder", "got"),
    [
        (EncoderConfig(width=16), "width 16 and stem imagenet"),
        (EncoderConfig(stem="cifar"), "width 64 and stem cifar"),
        (EncoderConfig(width=8, stem="compact"), "width 8 and stem compact"),
    ],
)
def test_nets_that_timm_does_not_have_are_refused(encoder: EncoderConfig, got: str) -> None:
    with pytest.raises(ConfigError, match=f"{got}: no argument of timm.create_model makes it"):
        timm_files(untrained("simclr", encoder))
