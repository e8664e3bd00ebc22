"""The promises of every method, on every kind of world: one table of checks for all."""

import copy
import itertools
import math
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from fixtures import signal_world
from fixtures.contract import NAMES, OPTIONS, VARIANTS, config, experiment
from seqjepa.config import EvaluateConfig, Experiment, OptimConfig, TrainConfig
from seqjepa.errors import ConfigError
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.heads import ProjectorConfig
from seqjepa.methods.base import Method, MethodConfig
from seqjepa.model import build_method, load
from seqjepa.nn import EncoderConfig
from seqjepa.recipes import load_code, with_method
from seqjepa.recipes.saccades import saccades
from seqjepa.recipes.shapes import shapes, shapes_baseline, shapes_tiny
from seqjepa.runs import checkpoint
from seqjepa.training.loop import train
from seqjepa.training.state import build_optimizer
from seqjepa.worlds import shapes as shapes_world
from seqjepa.worlds.base import World

ROOT = Path(__file__).parents[2]
WORLDS = ("signal", "shapes", "windows")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory) -> dict[str, World]:
    """Return one world of each kind.

    They show rotations in pixels, the renderer's scenes with two groups of actions, and windows of
    digits, whose actions are shifts.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJEPA_CACHE", str(tmp_path_factory.mktemp("cache")))
        scenes = shapes_world.Config(
            image_size=16,
            train_objects=29,
            test_objects=29,
            views=4,
            actions=("rotation", "floor_hue"),
        ).build()
    windows = load_code(ROOT / "examples" / "own_world.py").recipe().world.build()
    return {"signal": signal_world.Config().build(), "shapes": scenes, "windows": windows}


def variant(name: str, **changes) -> Experiment:
    """Return the experiment of a method, or of one with options."""
    method, options = VARIANTS[name]
    return experiment(method, **options, **changes)


def make(name: str, world: World, **changes) -> tuple[Method, object]:
    """Return the method or variant, and a batch for it."""
    chosen = variant(name, **changes)
    num_views, batch_size = chosen.train.num_views, chosen.train.batch_size
    batch = next(world.loader("train", num_views=num_views, batch_size=batch_size, seed=3))
    return build_method(chosen, world.spec), batch


@pytest.mark.parametrize(
    ("name", "world"),
    [*itertools.product(NAMES, WORLDS), *itertools.product(OPTIONS, WORLDS[1:2])],
)
def test_a_step(name, world, worlds):
    """Take a training step: gradients, losses, the batch and shapes are as the seams say.

    The loss is finite before and after; every trained parameter gets a gradient and no target does;
    the batch stays as it was; features and representation have the shapes that the seams name.
    """
    method, batch = make(name, worlds[world])
    torch.manual_seed(0)
    for parameter in method.parameters():
        # Zero-initialised parameters would hide missing gradients behind them, as would dead units.
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, mean=0.05, std=0.2)
    before = copy.deepcopy(batch)
    optimizer = build_optimizer(method, variant(name).optim)

    output = method(batch)
    output.loss.backward()
    for key, parameter in method.named_parameters():
        if key.startswith("target_"):
            assert not parameter.requires_grad and parameter.grad is None, key
        else:
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all() and parameter.grad.any(), key

    optimizer.step()
    method.after_step(0.5)
    assert method(batch).loss.isfinite() and output.loss.shape == ()
    for field in ("views", "actions", "poses", "labels"):
        assert torch.equal(getattr(batch, field), getattr(before, field)), field

    size, length, dim = len(batch), batch.views.shape[1], method.encoder.dim
    assert output.representation.views.shape[::2] == (size, dim)
    assert not output.representation.views.requires_grad
    assert all(not term.requires_grad for term in output.terms.values())

    with torch.no_grad():
        whole = method.eval().represent(batch)
    assert whole.views.shape == (size, length, dim) and whole.sequence.shape[0] == size
    assert whole.sequence.shape == output.representation.sequence.shape
    assert method.aggregates == name.startswith("seq_jepa")


@pytest.mark.parametrize("name", NAMES)
def test_targets_move_and_nothing_else_does(name, worlds):
    method, _ = make(name, worlds["signal"])
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    before = {key: value.clone() for key, value in method.state_dict().items()}

    # At the end of a run tau is 1.
    method.after_step(1.0)
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())

    # In the middle 1 - tau is .004 / 2.
    method.after_step(0.5)
    averaged = [key for key, _ in method.named_parameters() if key.startswith("target_")]
    assert bool(averaged) == (name in ("byol", "conditional_byol", "conv_jepa", "seq_jepa"))
    for key, value in method.state_dict().items():
        if key in averaged:
            online = before[key.removeprefix("target_").replace(".module", "", 1)]
            expected = before[key] + 0.002 * (online - before[key])
            torch.testing.assert_close(value, expected, rtol=0, atol=1e-6)
        else:
            assert torch.equal(value, before[key]), key


@pytest.mark.parametrize("name", VARIANTS)
def test_same_seed_same_loss(name, worlds):
    losses = []
    for _ in range(2):
        method, batch = make(name, worlds["signal"])
        torch.manual_seed(5)
        losses.append(method(batch).loss.item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", VARIANTS)
def test_what_it_reads(name, worlds):
    """A method that reads no actions does not care about actions and poses, one that does cares."""
    method, batch = make(name, worlds["signal"])
    chance = torch.Generator().manual_seed(0)
    order = torch.randperm(len(batch), generator=chance)
    other = replace(batch, actions=batch.actions[order], poses=batch.poses[order])
    losses = []
    for data in (batch, other):
        torch.manual_seed(1)
        losses.append(copy.deepcopy(method)(data).loss.item())
    reads = "inverse" in name or config(VARIANTS[name][0]).conditioned
    reads = reads or name.startswith(("seq_jepa", "supervised"))
    assert (losses[0] != losses[1]) == reads == variant(name).method.reads_actions


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(config(name)(), "projector")])
def test_projectors(name, kind, worlds):
    """Choose the "+" variants of Table 8 for every method that has a projector."""
    projector = replace(config(name)().projector, kind=kind)
    if kind == "transformer" and name == "sie":
        projector = replace(projector, heads=2)
    method, batch = make(name, worlds["signal"], projector=projector)

    loss = method(batch).loss
    loss.backward()
    assert loss.isfinite()

    projectors = [key for key, _ in method.named_children() if key.endswith("projector")]
    heads = [key for key in projectors if not key.startswith("target_")]
    assert heads == ["projector", "equivariant_projector"][: 1 + (name in ("equimod", "sie"))]
    for head in heads:
        found = dict(method.get_submodule(head).named_parameters())
        for parameter in found.values():
            assert parameter.grad is not None and parameter.grad.isfinite().all()
        assert any("self_attn" in key for key in found) == (kind == "transformer")


@pytest.mark.parametrize("name", [*NAMES, "seq_jepa, all options", "simclr, inverse"])
def test_trains_resumes_loads_and_is_evaluated(name, tmp_path):
    """A run that was stopped after 2 of 4 steps ends in the same bits, and loads.

    The loaded model gives the features that were trained.
    """
    whole, part = tmp_path / "whole", tmp_path / "part"
    train(variant(name), whole, quiet=True, device="cpu")

    # Without its manifest the last checkpoint counts for nothing, as if the run had been stopped.
    train(variant(name), part, quiet=True, device="cpu")
    (part / "checkpoints" / "step_00000004" / "manifest.json").unlink()
    train(variant(name), part, resume=True, quiet=True, device="cpu")
    digest, expected = (
        checkpoint.digest(run / "checkpoints" / "step_00000004") for run in (part, whole)
    )
    assert digest == expected

    model = load(whole)
    views = torch.randint(0, 256, (2, 3, 3, 16, 16), dtype=torch.uint8)
    assert model.encode(views).shape == (2, 3, 16)
    assert torch.equal(model.encode(views.double() / 255), model.encode(views.float() / 255))
    assert model.aggregate(views, torch.zeros(2, 2, 4)).shape[0] == 2

    results = evaluate(whole, progress=False, device="cpu")
    inputs = {record["input"] for record in results["records"] if record["features"] == "model"}
    sequence = {"sequence"} if model.method.aggregates else set()
    assert inputs == {"view", "mean", "logits", "pair"} | sequence


@pytest.mark.parametrize("name", NAMES)
def test_refuses_what_does_not_fit(name, worlds):
    chosen, spec = experiment(name), worlds["signal"].spec
    reads = chosen.method.reads

    wrong = replace(chosen, train=replace(chosen.train, num_views=1))
    with pytest.raises(ConfigError, match=r"train\.num_views"):
        build_method(wrong, spec)

    if reads is not None:
        wrong = replace(chosen, train=replace(chosen.train, num_views=5))
        message = rf"{reads} views of a sequence: set train\.num_views to {reads}, got 5"
        with pytest.raises(ConfigError, match=f"{name} reads {message}"):
            build_method(wrong, spec)

        few = replace(spec, views_per_object=1)
        message = rf"{reads} views of an object, those of world 'signal' have 1"
        cure = rf"set world\.views to at least {reads}"
        with pytest.raises(ConfigError, match=f"{name} reads {message}: {cure}"):
            build_method(chosen, few)

    blind = replace(spec, actions=spec.factors.select(()))
    if chosen.method.reads_actions:
        with pytest.raises(ConfigError, match=r"name some in world\.actions"):
            build_method(chosen, blind)
    else:
        assert build_method(chosen, blind)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_build_at_full_size(name):
    """Build the method in the paper's recipe, with the paper's encoder.

    The number of views per step stays the recipe's, within one sequence's views.
    """
    chosen = with_method(shapes(), name)
    assert abs(chosen.train.batch_size * chosen.train.num_views - 512 * 4) < 4
    with torch.device("meta"):
        spec = chosen.world.outline()
        method = chosen.method.build(EncoderConfig().build(3, spec.mean, spec.std), spec.actions)
    assert method.encoder.dim == 512


@pytest.mark.parametrize("name", NAMES)
def test_what_a_recipe_chose_holds_for_all_methods_and_nothing_else_does(name):
    default = config(name)()
    for recipe in (shapes, shapes_baseline):
        assert with_method(recipe(), name).method == default
    chosen = {"action_width": 64, "ema_momentum": 0.9, "predict": "every", "dropout": 0.0}
    known = {field.name: chosen[field.name] for field in fields(default) if field.name in chosen}
    assert with_method(shapes_tiny(), name).method == replace(default, **known)


def test_what_only_has_the_same_name_does_not_carry_over():
    # The recipe's aggregator has one layer with two heads; ContextSSL has a transformer of its own.
    recipe = signal_world.recipe()
    assert recipe.method.layers == 1
    assert with_method(recipe, "context_ssl").method == config("context_ssl")()

    weighted = replace(shapes_baseline(), method=config("vicreg")(invariance=25.0))
    assert with_method(weighted, "equimod").method == config("equimod")()

    # Of a head all but the widths carries over: they are each method's own.
    head = ProjectorConfig(kind="transformer", dropout=0.0, widths=(1.0,))
    headed = replace(shapes_baseline(), method=config("simclr")(projector=head))
    expected = replace(config("equimod")().projector, kind="transformer", dropout=0.0)
    assert with_method(headed, "equimod").method.projector == expected


def test_contexts_are_whole_where_a_recipe_allows():
    train = with_method(saccades(), "context_ssl").train
    assert (train.num_views, train.batch_size) == (2, 128), "of 160 pairs"


@pytest.mark.parametrize(
    "cls",
    [*map(config, NAMES), ProjectorConfig, EncoderConfig, OptimConfig, TrainConfig, EvaluateConfig],
)
def test_every_option_has_a_help_text(cls):
    """The command line finds a field's help by the field's own line in the docstring."""
    for field in fields(cls):
        assert re.search(rf"^ +{field.name}: \S", cls.__doc__, re.MULTILINE), field.name


@pytest.mark.parametrize("value", [math.inf, math.nan])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_finite(name, value):
    for field in fields(config(name)):
        if isinstance(field.default, float):
            with pytest.raises(ConfigError, match=rf"method\.{field.name} must"):
                config(name)(**{field.name: value})
    with pytest.raises(ConfigError, match="widths must be finite"):
        ProjectorConfig(widths=(1.0, value))


@pytest.mark.parametrize("name", NAMES)
def test_one_short_file_each(name):
    path = ROOT / "src" / "seqjepa" / "methods" / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 220


def test_a_check_of_an_earlier_version_is_not_passed_over() -> None:
    """It is called `validate` now, so nobody would call it."""
    with pytest.raises(ConfigError, match="`check` is called `validate` now, rename it"):

        class Old(MethodConfig):
            def check(self, actions, num_views, batch_size) -> None:
                """Refuse small batches."""


def test_inverse_dynamics_needs_actions_and_conditions_on_none() -> None:
    """Benchmarks show what a method is conditioned on; a target of its loss is no such thing."""
    for chosen in (
        config("simclr")(inverse=1.0),
        config("seq_jepa")(condition="none", inverse=1.0),
    ):
        assert chosen.reads_actions and not chosen.uses_actions
    assert not config("simclr")().reads_actions
    assert config("equimod")().reads_actions and config("equimod")().uses_actions


def test_classes_beyond_the_classifier_are_named(worlds) -> None:
    method, batch = make("supervised", worlds["signal"], classes=2)
    labels = torch.full((len(batch),), -1)
    labels[3] = 5
    with pytest.raises(
        ConfigError, match=r"a class 5, .*: set method\.classes to 6 or more, got 2"
    ):
        method(replace(batch, labels=labels))
    # Without any label only the action is learned.
    output = method(replace(batch, labels=torch.full_like(labels, -1)))
    assert output.terms["label"] == 0 and output.terms["action"] > 0
