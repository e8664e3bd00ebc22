"""Frozen features: which views they are of, and that nothing of the method changes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures import signal_world
from seqjepa.errors import ConfigError, DataError, NonFiniteError
from seqjepa.evaluation import features
from seqjepa.evaluation.features import (
    FeatureTable,
    aggregate,
    encode_parts,
    extract,
    extract_pixels,
    inference,
    windows,
)
from seqjepa.evaluation.sampling import Sampling
from seqjepa.keys import draw_key
from seqjepa.methods.base import Method
from seqjepa.model import build_method
from seqjepa.training.loop import train
from seqjepa.types import SequenceBatch
from seqjepa.worlds.table import TableWorld

SAMPLING = Sampling(num_views=5, seed=3)


@pytest.fixture(scope="module")
def world() -> TableWorld:
    return signal_world.Config().build()


@pytest.fixture
def method(world: TableWorld) -> Method:
    """A method with BatchNorm statistics of some batches, as trained ones have."""
    method = build_method(signal_world.recipe(), world.spec)
    batches = world.loader("train", num_views=3, batch_size=16, seed=0)
    with torch.no_grad():
        for _ in range(3):
            method(next(batches))
    return method


def views_of(world: TableWorld, split: str = "test") -> SequenceBatch:
    index = np.arange(world.size(split))
    key = draw_key(SAMPLING.seed, split, 0, index)
    return world.sequences(split, index, SAMPLING.num_views, key)


def test_features_are_the_encoders_in_eval_mode(world: TableWorld, method: Method) -> None:
    table, batch = extract(method, world, "test", SAMPLING), views_of(world)
    with torch.no_grad():
        expected = method.eval().encoder(batch.views)
    torch.testing.assert_close(table.views, expected)
    assert table.views.shape == (32, 5, method.encoder.dim)
    assert table.views.dtype == torch.float32
    assert torch.equal(table.poses, batch.poses)
    assert torch.equal(table.labels, batch.labels)


def test_extraction_and_aggregation_change_nothing(world: TableWorld, method: Method) -> None:
    method.train()
    method.predictor.eval()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    modes = [module.training for module in method.modules()]
    chance = torch.get_rng_state()

    table = extract(method, world, "train", SAMPLING)
    aggregate(method, table, world.spec.actions, windows(5, 3, 2))

    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
    assert [module.training for module in method.modules()] == modes
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(parameter.grad is None for parameter in method.parameters())


def test_features_that_no_memory_holds_are_refused_at_once(
    world: TableWorld, method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = 4 * 32 * 2 * 5 * method.encoder.dim
    sampling = Sampling(num_views=5, seed=3, draws=2)
    monkeypatch.setattr(features, "memory", lambda device: needed)
    extract(method, world, "test", sampling)

    monkeypatch.setattr(features, "memory", lambda device: needed - 1)
    monkeypatch.setattr(
        world, "sequences", lambda *arguments: pytest.fail("nothing is encoded"), raising=False
    )
    cure = r"lower evaluate\.objects .*evaluate\.encoded_views"
    with pytest.raises(ConfigError, match=rf"32 objects of split 'test', .* {cure}"):
        extract(method, world, "test", sampling)

    # A training that would end in it does not begin.
    with pytest.raises(ConfigError, match=rf"for evaluation, need .* {cure}"):
        train(signal_world.recipe(), tmp_path / "run", quiet=True, device="cpu")
    assert not (tmp_path / "run").exists()


def test_modes_come_back_after_an_error(world: TableWorld, method: Method) -> None:
    method.train()
    with pytest.raises(DataError, match="7 views asked for"):
        extract(method, world, "test", Sampling(num_views=7, seed=0))
    assert method.training


def test_features_do_not_depend_on_the_batches(
    world: TableWorld, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = extract(method, world, "test", SAMPLING)
    orders = windows(5, 4, 3)
    sequences = aggregate(method, whole, world.spec.actions, orders)
    monkeypatch.setattr(features, "IMAGES", 7)
    torch.testing.assert_close(extract(method, world, "test", SAMPLING).views, whole.views)
    torch.testing.assert_close(aggregate(method, whole, world.spec.actions, orders), sequences)


def test_features_can_be_trained_on(world: TableWorld, method: Method) -> None:
    table = extract(method, world, "test", SAMPLING)
    weight = torch.zeros(table.views.shape[-1], requires_grad=True)
    (table.views @ weight).sum().backward()  # tensors made in inference mode would refuse
    assert weight.grad is not None


def test_several_embeddings_of_views_that_are_drawn_once(
    world: TableWorld, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = extract(method, world, "test", SAMPLING)
    drawn, draw = [], world.sequences
    monkeypatch.setattr(
        world, "sequences", lambda *about: drawn.append(about) or draw(*about), raising=False
    )

    def encode(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        with inference(method):
            features = method.encoder(images)
        return 2 * features[:, :3], features

    left, right = encode_parts(encode, world, "test", SAMPLING, torch.device("cpu"))
    assert torch.equal(left.views, 2 * whole.views[..., :3])
    assert torch.equal(right.views, whole.views)
    assert torch.equal(left.poses, whole.poses) and torch.equal(left.labels, whole.labels)
    assert len(drawn) == 1, "32 objects of 5 views fit into one pass"


def test_a_part_of_the_objects(world: TableWorld, method: Method) -> None:
    some = extract(method, world, "train", Sampling(num_views=5, seed=3, objects=10))
    again = extract_pixels(
        world, "train", Sampling(num_views=5, seed=3, objects=10), torch.device("cpu")
    )
    everything = extract(method, world, "train", SAMPLING)
    assert len(some) == 10
    assert torch.equal(some.poses, again.poses)
    where = [int((everything.poses == pose).flatten(1).all(1).nonzero()) for pose in some.poses]
    assert len(set(where)) == 10
    torch.testing.assert_close(some.views, everything.views[where])


@pytest.mark.parametrize("condition", ["both", "predictor", "none"])
def test_sequences_are_what_the_method_says_of_them(world: TableWorld, condition: str) -> None:
    recipe = signal_world.recipe()
    config = type(recipe.method)(**{**vars(recipe.method), "condition": condition})
    encoder = recipe.encoder.build(3, world.spec.mean, world.spec.std)
    method = config.build(encoder, world.spec.actions).eval()
    batch = views_of(world)
    orders, actions = windows(5, 4, 2), world.spec.actions
    sequences = aggregate(method, extract(method, world, "test", SAMPLING), actions, orders)

    for k, order in enumerate(orders.tolist()):
        for m in range(1, 5):
            views, poses = batch.views[:, order[:m]], batch.poses[:, order[:m]]
            cut = SequenceBatch(views, actions.along(poses), poses, batch.labels)
            with torch.no_grad():
                torch.testing.assert_close(sequences[:, k, m - 1], method.represent(cut).sequence)


def test_pixels_are_area_averages(world: TableWorld) -> None:
    table, batch = extract_pixels(world, "test", SAMPLING, torch.device("cpu")), views_of(world)
    torch.testing.assert_close(table.views, batch.views.flatten(2) / 255)  # 16 x 16 already


def test_pixels_of_large_images_shrink() -> None:
    world = signal_world.Config(objects=4).build()
    large = {
        split: type(table)(table.views.repeat(2, 2).repeat(2, 3), table.poses, table.labels)
        for split, table in world.tables.items()
    }
    spec = type(world.spec)(**{**vars(world.spec), "image_shape": (3, 32, 32)})
    device = torch.device("cpu")
    small = extract_pixels(world, "test", SAMPLING, device)
    shrunk = extract_pixels(TableWorld(spec, large), "test", SAMPLING, device)
    torch.testing.assert_close(shrunk.views, small.views)


def test_windows_begin_at_even_distances() -> None:
    assert windows(8, 3, 4).tolist() == [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 0]]
    assert windows(4, 4, 9).tolist() == [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]


def test_broken_features_are_refused(world: TableWorld, method: Method) -> None:
    table = extract(method, world, "test", SAMPLING)
    broken = FeatureTable(table.views * torch.nan, table.poses, table.labels)
    with pytest.raises(NonFiniteError, match="sequence representations"):
        aggregate(method, broken, world.spec.actions, windows(5, 2, 1))
    next(method.encoder.parameters()).data.fill_(torch.inf)
    with pytest.raises(NonFiniteError, match="split 'test'"):
        extract(method, world, "test", SAMPLING)


def test_where_keeps_rows_together(world: TableWorld, method: Method) -> None:
    table = extract(method, world, "test", SAMPLING)
    red = table.where(table.labels == 0)
    assert len(red) == 11
    assert torch.equal(red.views, table.views[::3])
    assert torch.equal(red.poses, table.poses[::3])
    assert table.where(table.labels >= 0) is table


def test_several_draws_stand_one_after_the_other(world: TableWorld, method: Method) -> None:
    """Each is the sequence of a key of its own, in its order; where that means something, windows
    are beginnings, or every view."""
    table = extract(method, world, "test", Sampling(num_views=3, seed=3, draws=4))
    index = np.arange(world.size("test"))
    keys = [draw_key(3, "test", draw, index) for draw in range(4)]
    drawn = [world.sequences("test", index, 3, key) for key in keys]
    assert table.views.shape[1] == 12
    assert torch.equal(table.poses, torch.cat([batch.poses for batch in drawn], 1))
    with inference(method):
        last = method.encoder(drawn[3].views[:, 2])
    torch.testing.assert_close(table.views[:, 11], last)
    assert (table.sequence_length, table.longest) == (None, 12)

    assert windows(12, 2, 3, 3).tolist() == [[0, 1], [3, 4], [6, 7]]
    assert windows(12, 3, 8, 3)[:, 0].tolist() == [0, 3, 6, 9]
    assert windows(12, 1, 4, 3)[:, 0].tolist() == list(range(12))
