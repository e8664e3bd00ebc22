"""Stages of the encoder: their maps, and the same figures as probes of the features give."""

import itertools
import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from fixtures import signal_world
from fixtures.contract import experiment
from seqjepa.evaluation import class_probes, stages, suite
from seqjepa.evaluation.factor_probes import regress
from seqjepa.evaluation.features import extract
from seqjepa.evaluation.protocol import Protocol, Tables
from seqjepa.evaluation.sampling import Sampling
from seqjepa.evaluation.subject import NotApplicableError
from seqjepa.model import load
from seqjepa.nn import STAGES, Encoder, EncoderConfig
from seqjepa.training.loop import train

NAMES = ["stem", "layer1", "layer2", "layer3", "features"]


# A mere look at each probe: what is compared does not depend on how well they have learned.
SHORT = replace(signal_world.recipe().evaluate, max_steps=4)


def asked(run: Path) -> suite.Outcome:
    [outcome] = suite.evaluate_suite(run, ["stages"], config=SHORT, progress=False, device="cpu")
    return outcome


@pytest.mark.parametrize("stem", ["imagenet", "cifar", "compact"])
def test_stages_by_hooks(stem: str) -> None:
    torch.manual_seed(0)
    encoder = EncoderConfig(width=4, stem=stem).build(3, [0.5] * 3, [0.25] * 3).eval()
    images = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8)
    seen: dict[str, Tensor] = {}
    for name in STAGES:
        module = encoder.backbone.get_submodule("maxpool" if name == "stem" else name)
        module.register_forward_hook(lambda _, inputs, out, name=name: seen.update({name: out}))
    with torch.no_grad():
        features, pooled = encoder(images), stages.pooled_stages(encoder, images)

    assert [part.shape[1] for part in pooled] == [4, 4, 8, 16, 32]
    for name, part in zip(STAGES, pooled, strict=True):
        assert torch.equal(part, seen[name].mean((2, 3))), name
    assert torch.equal(pooled[-1], features)


def test_features_have_the_figures_of_the_probes(copied: Path) -> None:
    records = asked(copied).results["records"]
    assert json.loads((copied / "suite" / "stages.json").read_bytes())["records"] == records

    # What the probes say of the features of both splits.
    model, world = load(copied), signal_world.Config().build()
    chosen, width = model.experiment, model.method.encoder.dim
    tables = {
        split: extract(model.method, world, split, Sampling.of(chosen, world, split))
        for split in ("train", "test")
    }
    protocol = Protocol("features", SHORT, chosen.seed, width)
    known = class_probes.classify(protocol, tables, None)
    wanted = [record for record in known if record.input == "view"]
    wanted += regress(protocol, tables, world.spec.factors)
    assert [r for r in records if r["features"] == "features"] == [asdict(r) for r in wanted]

    # Every stage is asked the same, and tells something of its own.
    assert list(dict.fromkeys(record["features"] for record in records)) == NAMES
    for name in NAMES:
        own = [(r["task"], r["metric"]) for r in records if r["features"] == name]
        assert own == [(record.task, record.metric) for record in wanted]
    values = [[r["value"] for r in records if r["features"] == name] for name in NAMES]
    assert all(one != other for one, other in itertools.pairwise(values))


def test_what_is_capped_and_what_is_not(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps are taken than the experiment allows, and of fewer objects."""
    seen: list[int] = []

    def few(protocol: Protocol, tables: Tables, space: object) -> list:
        seen.append(len(tables["train"]))
        assert protocol.config.max_steps == 3
        return []

    monkeypatch.setattr(stages, "regress", few)
    monkeypatch.setattr(stages, "OBJECTS", 40)
    monkeypatch.setattr(stages, "STEPS", 3)
    records = asked(copied).results["records"]
    assert seen == [40] * 5
    assert {record["steps"] for record in records} == {3}
    assert {(record["task"], record["input"]) for record in records} == {("class", "view")}


def test_an_encoder_without_stages_is_not_asked() -> None:
    encoder = Encoder(torch.nn.Flatten(), 3 * 16 * 16, [0.5] * 3, [0.25] * 3)
    chosen = replace(signal_world.recipe(), encoder=EncoderConfig(name="timm:flat"))
    subject = SimpleNamespace(
        experiment=chosen, world=None, method=SimpleNamespace(encoder=encoder)
    )
    with pytest.raises(NotApplicableError, match="'timm:flat' has no stages that are known"):
        stages.stages(subject)


def test_a_world_without_classes_is_asked_for_its_factors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "STEPS", 2)
    recipe = experiment("simclr", world=signal_world.Config(labelled=False))
    short = replace(recipe, train=replace(recipe.train, steps=1, num_views=2))
    records = asked(train(short, tmp_path / "run", quiet=True, device="cpu")).results["records"]
    assert {record["task"].split()[0] for record in records} == {"relative", "individual"}
