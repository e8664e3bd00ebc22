"""The world over real digits: views are what their poses say, actions are fixed functions of them,
policies depend on the split."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

import seqjepa
from fixtures.digits import Digits, digits  # noqa: F401, the latter is a fixture
from seqjepa.config import from_json, to_json
from seqjepa.errors import ConfigError
from seqjepa.keys import draw_key
from seqjepa.nn import EncoderConfig
from seqjepa.recipes import recipes
from seqjepa.recipes.cifar100 import cifar100
from seqjepa.types import SequenceBatch
from seqjepa.worlds.augmented import GROUPS, AugmentedWorld, Config
from seqjepa.worlds.views.augment import augment_views
from seqjepa.worlds.views.policy import COLUMNS, Policy

pytestmark = pytest.mark.usefixtures("digits")
CONFIG = Config(source="digits", path="", image_size=28, val_fraction=0.1)
SIGMA, SOLARIZE = COLUMNS.index("sigma"), COLUMNS.index("solarize")


def world(**changes) -> AugmentedWorld:
    return replace(CONFIG, **changes).build()


def draw(
    made: AugmentedWorld, split: str, count: int = 300, num_views: int = 4, seed: int = 0
) -> SequenceBatch:
    index = np.arange(count)
    return made.sequences(split, index, num_views, draw_key(seed, split, 0, index))


def test_the_spec():
    made = world()
    spec = made.spec
    assert spec.image_shape == (3, 28, 28)
    assert spec.classes == tuple("0123456789")
    assert spec.views_per_object is None
    assert spec.splits == ("train", "val", "test", "probe") and spec.probe_split == "probe"
    assert [made.size(split) for split in spec.splits] == [4000, 500, 500, 4000]

    # Nothing is solarized.
    varying = ["crop", "flip", "jitter", "order", "gray", "blur"]
    assert [group.name for group in spec.factors.groups] == varying
    assert [group.name for group in spec.actions.groups] == ["crop", "jitter", "blur"]
    assert spec.actions.action_dim == 9

    known = replace(spec, classes=(), mean=(0.5,) * 3, std=(0.25,) * 3, data={})
    assert CONFIG.outline() == known


@pytest.mark.parametrize(
    "actions", [("crop",), ("jitter",), ("blur",), ("solarize", "flip"), tuple(GROUPS)]
)
def test_conditioning_by_name(actions):
    spec = world(actions=actions).spec
    assert tuple(group.name for group in spec.actions.groups) == actions
    assert set(actions) <= {group.name for group in spec.factors.groups}
    assert spec.factors.pose == spec.actions.pose == COLUMNS, (
        "poses hold all parameters, whatever actions do"
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_poses_make_the_views_again(split):
    made = world()
    batch = draw(made, split)
    assert batch.views.dtype == torch.uint8 and batch.poses.shape == (300, 4, len(COLUMNS))
    whole = made.whole(split, np.arange(300))
    assert torch.equal(augment_views(whole, batch.poses, 28), batch.views)
    assert torch.equal(batch.labels, torch.from_numpy(made.splits[split].labels[:300]))


def test_whole_images_are_clean():
    made = world()
    whole = made.whole("test", np.array([3, 5]))
    rows = made.splits["test"].rows[[3, 5]]
    assert torch.equal(
        whole, torch.from_numpy(made.splits["test"].images[rows]).permute(0, 3, 1, 2)
    )


def test_actions_are_differences_by_fixed_numbers():
    """They have unit spread and are no function of the other views.

    A shorter sequence has the same actions; the release divides by the sequence.
    """
    made = world()
    batch, short = draw(made, "test"), draw(made, "test", num_views=2)
    torch.testing.assert_close(short.actions[:, 0], batch.actions[:, 0], rtol=0, atol=0)
    names = [dim for group in made.spec.actions.groups for dim in group.dims]
    scales = torch.tensor([scale for group in made.spec.actions.groups for scale in group.scales])
    columns = [COLUMNS.index(name) for name in names]
    torch.testing.assert_close(batch.actions, batch.poses.diff(dim=1)[..., columns] / scales)
    many = draw(made, "probe", 1000, num_views=10).poses[..., columns].flatten(0, 1)
    torch.testing.assert_close(many.std(0), scales, rtol=0.04, atol=0)


def test_scales_are_those_of_the_distributions():
    """A factor of the jitter is 1 with probability 0.2, else uniform in 1 +- x: variance 0.8 x^2 /
    3; sigma is uniform in 0.1 .. 2."""
    scales = {
        dim: scale
        for group in CONFIG.factors().groups
        for dim, scale in zip(group.dims, group.scales, strict=True)
    }
    for name, half in (("brightness", 0.4), ("contrast", 0.4), ("saturation", 0.2), ("hue", 0.1)):
        assert scales[name] == pytest.approx((0.8 * half**2 / 3) ** 0.5, rel=0.01)
    assert scales["sigma"] == pytest.approx(1.9 / 12**0.5, rel=0.01)
    assert scales["flip"] == pytest.approx(0.5, rel=0.01)
    assert scales["gray"] == pytest.approx(0.4, rel=0.01)

    # Only the last views are solarized.
    solarized = replace(CONFIG, actions=("solarize",)).factors().select(("solarize",))
    assert solarized.groups[0].scale == pytest.approx((0.4,), rel=0.02)
    never = replace(CONFIG, actions=("blur",), observed=Policy(p_blur=0), last=Policy(p_blur=0))
    assert never.factors().select(("blur",)).groups[0].scale == (1.0,)


def test_the_last_view_has_its_own_policy_while_training_only():
    made = world()
    train, probe, test = (
        draw(made, split, size).poses
        for split, size in (("train", 2000), ("probe", 500), ("test", 500))
    )
    blurred, solarized = (train[..., SIGMA] > 0).float().mean(0), train[..., SOLARIZE].mean(0)
    assert blurred[:3].tolist() == [1, 1, 1] and blurred[3] == pytest.approx(0.1, abs=0.03)
    assert solarized[:3].tolist() == [0, 0, 0] and solarized[3] == pytest.approx(0.2, abs=0.03)
    for poses in (probe, test):
        assert (poses[..., SIGMA] > 0).all() and not poses[..., SOLARIZE].any()


def test_a_view_depends_on_its_key_and_place_only():
    made, index = world(), np.arange(300)
    key = draw_key(0, "test", 0, index)
    batch = made.sequences("test", index, 4, key)
    some = np.array([250, 3, 77])
    alone = made.sequences("test", some, 4, key[some])
    assert torch.equal(alone.poses, batch.poses[some])
    assert torch.equal(alone.actions, batch.actions[some])
    assert (alone.views.int() - batch.views[some].int()).abs().max() <= 1
    longer = made.sequences("test", some, 9, key[some])
    assert torch.equal(longer.poses[:, :4], alone.poses)
    assert len(batch.poses.flatten(0, 1).unique(dim=0)) == 1200


def test_the_loader_may_begin_anywhere():
    made = world()
    options = {"num_views": 3, "batch_size": 64, "seed": 1}
    whole = list(islice(made.loader("train", **options), 70))  # into the second epoch
    for step in (1, 62, 69):
        again = next(made.loader("train", **options, start_step=step))
        assert torch.equal(again.views, whole[step].views)
        assert torch.equal(again.poses, whole[step].poses)
    assert not torch.equal(
        whole[0].poses, next(made.loader("train", **options | {"seed": 2})).poses
    )


def test_a_source_with_labelled_images_of_its_own_keeps_them():
    images = Digits().open(Path(), 28, 0.1)
    images = replace(
        images,
        splits=dict(images.splits) | {"labelled": images.splits["val"]},
        probe_split="labelled",
    )
    spec = CONFIG.build_from(images).spec
    assert spec.probe_split == "labelled" and spec.splits == ("train", "val", "test", "labelled")


def test_pixel_statistics_may_be_given():
    assert world().spec.mean == (0.13,) * 3
    given = world(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)).spec
    assert (given.mean, given.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": ("corp",)}, "unknown world.actions 'corp', did you mean 'crop'"),
        ({"image_size": 4}, "world.image_size must be at least 8, got 4"),
        ({"val_fraction": 1.0}, "world.val_fraction must be at least 0 and below 1, got 1.0"),
        ({"mean": (0.5, 0.5, 0.5)}, "world.mean and world.std go together"),
        ({"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.0, 0.5)}, "std is positive"),
    ],
)
def test_bad_options(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **changes)


def test_an_unknown_source():
    with pytest.raises(ConfigError, match=r"unknown world.source 'digit', did you mean 'digits'"):
        world(source="digit")


@pytest.mark.parametrize(
    "name",
    [
        "cifar100",
        "cifar100_paper",
        "cifar100_baseline",
        "tiny_imagenet",
        "tiny_imagenet_paper",
        "tiny_imagenet_baseline",
    ],
)
def test_recipes_are_the_papers(name):
    experiment = recipes()[name]()
    assert experiment.name == name and from_json(to_json(experiment)) == experiment
    tiny, baseline = name.startswith("tiny"), name.endswith("baseline")
    assert experiment.world.image_size == (64 if tiny else 32)
    assert experiment.encoder.stem == ("imagenet" if tiny else "cifar")

    assert experiment.train.batch_size == 512
    assert experiment.train.steps == 2000 * (100_000 if tiny else 50_000) // 512
    assert (experiment.train.num_views, experiment.optim.lr) == (
        (2, 1e-3) if baseline else (4, 4e-4)
    )
    assert (experiment.world.last == experiment.world.observed) is baseline
    assert (experiment.world.mean is not None) is name.endswith("paper")


def test_digits_from_training_to_results(tmp_path):
    """Trained for a few steps, then asked for class, crop, jitter, blur and the rest, of clean
    images, too."""
    base = cifar100()
    experiment = replace(
        base,
        world=replace(CONFIG, actions=("crop", "blur")),
        encoder=EncoderConfig(width=4, stem="compact"),
        method=replace(base.method, layers=1, action_width=8, heads=2, predictor_width=16),
        train=replace(
            base.train, steps=6, batch_size=16, num_views=3, log_every=2, checkpoint_every=3
        ),
        evaluate=replace(
            base.evaluate,
            objects=200,
            encoded_views=4,
            views=2,
            draws=2,
            max_steps=10,
        ),
    )

    seqjepa.train(experiment, tmp_path / "run", quiet=True)
    results = seqjepa.evaluate(tmp_path / "run", progress=False)

    found = {
        (record["task"], record["input"])
        for record in results["records"]
        if record["features"] == "model"
    }
    tasks = {
        f"{kind} {name}"
        for kind in ("relative", "individual")
        for name in ("crop", "flip", "jitter", "order", "gray", "blur")
    }

    assert {task for task, _ in found} == {"class", *tasks}
    assert ("class", "image") in found and ("class", "sequence") in found
    assert results["sizes"] == {"train": 200, "test": 500}
