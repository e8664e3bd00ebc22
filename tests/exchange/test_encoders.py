"""ResNets by torchvision's and timm's names become the encoder of any method."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import seqjepa
from fixtures import released
from reference import plain_release as plain
from seqjepa import cli
from seqjepa import nn as nn_module
from seqjepa.errors import CheckpointError, ConfigError
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.exchange.importing import import_run, read_layout
from seqjepa.nn import EncoderConfig
from seqjepa.recipes import recipe, with_method
from seqjepa.runs.folder import read_spec

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def resnet(**fields) -> released.Tensors:
    """Return a small ResNet with a classifier."""
    torch.manual_seed(0)
    return released.resnet(**{"width": 4} | fields) | {
        "fc.weight": torch.ones(10, 32),
        "fc.bias": torch.ones(10),
    }


def become_run(tmp_path, tensors, method="seq_jepa", encoder: EncoderConfig | None = None):
    """Import tensors into a method on `shapes`, and return the run's folder."""
    path = tmp_path / "resnet.pth"
    torch.save(tensors, path)
    layout = read_layout(path)
    experiment = layout.settle(with_method(recipe("shapes_tiny")(), method))
    experiment = replace(experiment, encoder=encoder or experiment.encoder)
    return import_run(layout, experiment, tmp_path / "run")


@pytest.mark.parametrize("method", ["seq_jepa", "byol", "simclr"])
def test_features_are_those_of_the_resnet(tmp_path, method):
    weights = resnet()
    model = seqjepa.load(become_run(tmp_path, weights, method))
    views = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    expected = plain.encode(weights, "", (views.float() / 255 - mean) / std)
    assert torch.allclose(model.encode(views), expected, rtol=1e-5, atol=1e-5)

    # An EMA target begins as a copy of the encoder, as in a training from scratch.
    target = getattr(model.method, "target_encoder", None)
    if method == "seq_jepa":
        assert torch.allclose(target(views), expected, rtol=1e-5, atol=1e-5)


def test_stem_depth_and_width_are_told_by_the_shapes(tmp_path):
    weights = resnet(kernel=3, depths=(3, 4, 6, 3))
    path = tmp_path / "resnet34.pth"
    torch.save(weights, path)
    layout = read_layout(path)
    assert layout.recipe is None and layout.ignored == ["fc.weight", "fc.bias"]

    # Of the stems with small kernels a recipe may name the one with a stride.
    settled = layout.settle(recipe("stl10")()).encoder
    assert (settled.name, settled.width, settled.stem) == ("resnet34", 4, "cifar")
    assert settled.mean is None, "nothing is known of its data"
    assert layout.settle(recipe("shapes_tiny")()).encoder.stem == "compact"


class Bottlenecks(nn.Module):
    """A net with names that only deeper ResNets have, in place of timm's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, bias=False)
        block = nn.ModuleDict({"conv3": nn.Conv2d(8, 32, 1, bias=False)})
        self.layer1 = nn.ModuleList([block])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer1[0]["conv3"](self.conv1(x)).mean((2, 3))


def test_deeper_resnets_are_timms(tmp_path, monkeypatch):
    net = Bottlenecks()
    with pytest.raises(ConfigError, match=r"--encoder\.name timm:resnet50"):
        become_run(tmp_path, net.state_dict())

    monkeypatch.setattr(nn_module, "_timm", lambda name, channels: (Bottlenecks(), 32))
    none = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    deep = EncoderConfig(name="timm:resnet50", **none)
    model = seqjepa.load(become_run(tmp_path, net.state_dict(), "simclr", encoder=deep))
    views = torch.rand(2, 3, 32, 32)
    assert torch.allclose(model.encode(views), net(views), atol=1e-5)


@pytest.mark.parametrize("kernel", [7, 3])
def test_a_pretrained_resnet_is_evaluated_and_trained_further(
    tmp_path, monkeypatch, capsys, kernel
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    torch.save(resnet(kernel=kernel), "resnet.pth")
    small = "--world.train-objects 40 --world.test-objects 40 --world.views 4"
    options = f"{small} --train.steps 1 --train.batch-size 4 --evaluate.max-steps 20"
    words = ["import", "resnet.pth", "--recipe", "shapes_tiny", "--method", "simclr"]
    assert cli.run([*words, *options.split()]) == 0
    said = capsys.readouterr().out
    assert "not taken over: fc\n" in said
    # Nothing is known of the data of weights for small images: the world's statistics are taken.
    assert read_spec(Path("runs/resnet")).outline == (kernel == 7)

    results = evaluate("runs/resnet", progress=False, quick=True)
    assert results["step"] == 0
    assert cli.run(said.partition("To train it: seqjepa ")[2].split()) == 0
    assert seqjepa.load("runs/resnet").step == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv1.weight": None}, "1 missing: conv1.weight"),
        ({"layer5.0.weight": torch.ones(2)}, "1 unexpected: layer5.0.weight"),
        ({"bn1.bias": torch.ones(5)}, r"mis-shaped: bn1\.bias \(float32 \[5\], not float32 \[4\]"),
        ({"bn1.bias": torch.full((4,), torch.inf)}, "NaN or infinity in bn1.bias"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, changes, message):
    changed = {name: t for name, t in (resnet() | changes).items() if t is not None}
    with pytest.raises(CheckpointError, match=message):
        become_run(tmp_path, changed, encoder=EncoderConfig(width=4, mean=MEAN, std=STD))
    assert not (tmp_path / "run").exists()


def test_a_recipe_must_be_named(tmp_path, capsys):
    torch.save(resnet(), tmp_path / "resnet.pth")
    assert cli.run(["import", str(tmp_path / "resnet.pth")]) == 2
    assert "name a recipe, --recipe NAME" in capsys.readouterr().err
