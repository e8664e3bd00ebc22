from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures import signal_world
from seqjepa.actions import ActionSpace, Group
from seqjepa.model import load
from seqjepa.report import maps, neighbours, sample
from seqjepa.report.maps import umap
from seqjepa.types import SequenceBatch


def a_sample(z: np.ndarray, labels: list[int], agg: np.ndarray, run_dir: Path) -> sample.Sample:
    spec = load(run_dir).spec
    count, length = z.shape[:2]
    poses = torch.rand(count, length, 5, generator=torch.Generator().manual_seed(0))
    views = torch.zeros(count, length, 3, 4, 4, dtype=torch.uint8)
    batch = SequenceBatch(views, spec.actions.along(poses), poses, torch.tensor(labels))
    return sample.Sample(spec, np.arange(count), batch, z, agg)


def test_nearest_are_those_of_other_objects() -> None:
    random = np.random.default_rng(0)
    features, owner = random.normal(size=(30, 8)), np.repeat(np.arange(10), 3)
    found = neighbours.nearest(features, owner, np.array([4, 29]))
    for query, items in zip((4, 29), found, strict=True):
        cosine = {
            i: features[i] @ features[query] / np.linalg.norm(features[i])
            for i in range(30)
            if owner[i] != owner[query]
        }
        assert items.tolist() == sorted(cosine, key=lambda i: -cosine[i])[:5]


def test_nearness_of_class_and_rotation(run_dir: Path) -> None:
    labels = np.arange(60) % 3
    z = np.random.default_rng(0).normal(size=(60, 2, 4))
    made = a_sample(z, labels.tolist(), np.eye(3)[labels], run_dir)
    assert neighbours.nearness(made, "agg").same_class == 1
    assert neighbours.nearness(made, "chance").same_class == pytest.approx(1 / 3, abs=0.1)
    rotations = made.rotations
    assert rotations is not None and rotations.shape == (60, 2, 4)
    posed = replace(made, z=np.concatenate([rotations, 1 - rotations**2], -1))
    assert neighbours.nearness(posed, "z").angle < 0.6 * neighbours.nearness(posed, "chance").angle


def test_unlabelled_objects(run_dir: Path) -> None:
    z = np.random.default_rng(0).normal(size=(8, 2, 4))
    agg = np.random.default_rng(1).normal(size=(8, 4))
    made = a_sample(z, [-1] * 8, agg, run_dir)
    assert np.isnan(neighbours.nearness(made, "z").same_class)
    assert neighbours.examples(made, 4) == [0] and maps.legend(made) == []
    assert len(neighbours.draw_neighbours(made, "z").axes) == 6


def test_a_long_class_leaves_room_for_the_angle(run_dir: Path) -> None:
    z = np.random.default_rng(0).normal(size=(8, 2, 4))
    made = a_sample(z, [0] * 8, np.zeros((8, 4)), run_dir)
    named = replace(made, spec=replace(made.spec, classes=("kitchenware", *made.spec.classes[1:])))
    query, *found = [axes.get_xlabel() for axes in neighbours.draw_neighbours(named, "z").axes]
    assert query == "kitchenware" and len(found) == 5
    assert all(label.startswith("kitchenwa… ") and label.endswith("°") for label in found)


def test_the_factor_that_colours_a_map(run_dir: Path) -> None:
    made = a_sample(np.zeros((40, 2, 4)), [0] * 40, np.zeros((40, 4)), run_dir)
    poses = made.batch.poses.numpy()
    [x, y, z] = maps.factors(made)
    assert (x.name, y.name, z.unit, z.cyclic) == ("x", "y", "°", False)
    assert np.allclose(y.values, np.degrees(poses[..., 1]))
    around = np.stack([np.cos(poses[..., 1]), np.sin(poses[..., 1])], -1)
    assert maps.best_ordered(replace(made, z=around)).name == "y"
    plain = replace(made.spec, factors=ActionSpace(made.spec.factors.pose, (signal_world.LIGHT,)))
    assert [factor.name for factor in maps.factors(replace(made, spec=plain))] == ["light"]
    turned = Group(name="turn", dims=("x", "y", "z", "light"), kind="quaternion")
    space = ActionSpace(made.spec.factors.pose, (turned,))
    factors = maps.factors(replace(made, spec=replace(made.spec, factors=space)))
    assert [factor.name for factor in factors] == [f"rotation about {axis}" for axis in "xyz"]
    assert factors[0].values.shape == (40, 2)


def test_distances_go_round() -> None:
    hue = maps.Factor("hue", "", np.linspace(0, 1, 11)[None], 1.0)
    assert hue.cyclic and np.allclose(
        hue.distance(np.array([0.1, 0.4]), np.array([0.9, 0.7])), [0.2, 0.3]
    )
    size = replace(hue, period=None)
    assert not size.cyclic and np.allclose(size.distance(np.array([0.1]), np.array([0.9])), [0.8])


def test_sampling_is_the_same_for_every_model_and_leaves_it_as_it_was(run_dir: Path) -> None:
    model = load(run_dir)
    world = model.experiment.world.build()
    before = {name: tensor.clone() for name, tensor in model.method.state_dict().items()}
    one, two = sample.draw(model, world), sample.draw(model, world)
    assert torch.equal(one.batch.views, two.batch.views)
    assert np.array_equal(one.z, two.z) and np.array_equal(one.agg, two.agg)
    assert one.z.shape[:2] == (32, 5) and len(one.agg) == 32
    assert np.allclose(one.z[:3], model.encode(one.batch.views[:3]).numpy(), atol=1e-5)
    after = model.method.state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())


@pytest.mark.slow
def test_umap_keeps_clusters_together_and_is_repeatable() -> None:
    random = np.random.default_rng(0)
    features = np.repeat(10 * random.normal(size=(3, 16)), 30, 0) + random.normal(size=(90, 16))
    points = umap(features)
    groups = points.reshape(3, 30, 2)
    radius = np.linalg.norm(groups - groups.mean(1, keepdims=True), axis=-1).mean()
    centres = groups.mean(1)
    apart = min(np.linalg.norm(centres[i] - centres[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert apart > 3 * radius
    assert np.array_equal(points, umap(features))
