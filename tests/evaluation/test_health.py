"""Health of features: measures without labels by spectra that are known, and nearest neighbours."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from fixtures import signal_world
from fixtures.contract import experiment
from seqjepa.evaluation import suite
from seqjepa.evaluation.features import aggregate, extract
from seqjepa.evaluation.health import measures
from seqjepa.evaluation.knn import nearest_votes
from seqjepa.evaluation.metrics import top1
from seqjepa.evaluation.sampling import Sampling
from seqjepa.evaluation.spectra import alpha, lidar, rankme
from seqjepa.model import load
from seqjepa.training.loop import train


def with_spectrum(values: np.ndarray, rows: int = 400, seed: int = 0) -> np.ndarray:
    """Return features whose singular values around their mean are these, the largest first."""
    random = np.random.default_rng(seed)
    # The columns of `left` are orthonormal and orthogonal to the constant.
    left = np.linalg.qr(np.c_[np.ones(rows), random.normal(size=(rows, len(values)))])[0][:, 1:]
    right = np.linalg.qr(random.normal(size=(len(values), len(values))))[0]
    return left * values @ right + random.normal(size=len(values))


def slow_rank(values: np.ndarray) -> float:
    """Return exp of the entropy of shares, one after the other."""
    shares = [value / sum(values) + 1e-7 for value in values]
    return float(np.exp(-sum(share * np.log(share) for share in shares)))


def slow_lidar(samples: np.ndarray) -> float:
    """Return LiDAR by loops over objects and samples, and by roots of matrices."""
    objects, draws, width = samples.shape
    middle = samples.reshape(-1, width).mean(0)
    between, within = np.zeros((width, width)), np.zeros((width, width))
    for rows in samples:
        mean = sum(rows) / draws
        between += np.outer(mean - middle, mean - middle) / objects
        for row in rows:
            within += np.outer(row - mean, row - mean) / (objects * draws)
    scales, axes = np.linalg.eigh(within + 1e-4 * np.eye(width))
    root = axes @ np.diag(1 / np.sqrt(scales)) @ axes.T
    return slow_rank(np.linalg.svd(root @ between @ root, compute_uv=False))


def clusters(dims: int, width: int = 24, objects: int = 300, seed: int = 0) -> np.ndarray:
    """Return samples of objects whose means lie in a subspace, with the same noise everywhere."""
    random = np.random.default_rng(seed)
    means = random.normal(size=(objects, dims)) @ random.normal(size=(dims, width))
    return means[:, None] + 0.01 * random.normal(size=(objects, 8, width))


@pytest.mark.parametrize("rank", [1, 7, 32])
def test_equal_singular_values_give_their_number(rank: int) -> None:
    values = np.r_[np.full(rank, 3.0), np.zeros(32 - rank)]
    found = float(rankme(torch.from_numpy(with_spectrum(values))))
    assert found == pytest.approx(rank, rel=1e-3)


def test_rankme_of_any_spectrum_by_numpy() -> None:
    features = np.random.default_rng(0).gamma(1.0, size=(50, 4, 12)) * np.arange(1, 13)
    flat = features.reshape(-1, 12)
    values = np.linalg.svd(flat - flat.mean(0), compute_uv=False)
    assert float(rankme(torch.from_numpy(features))) == pytest.approx(slow_rank(values), rel=1e-5)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("width", [6, 200])
def test_alpha_is_the_exponent_of_a_power_law(exponent: float, width: int) -> None:
    eigenvalues = np.arange(1.0, width + 1) ** -exponent
    # The largest are no part of the fit, and so may be anything larger; nor is the end of a tail.
    eigenvalues[:2] *= 40
    eigenvalues[100:] *= 0.01
    features = with_spectrum(10 * np.sqrt(eigenvalues))
    assert float(alpha(torch.from_numpy(features))) == pytest.approx(exponent, abs=1e-3)


def test_alpha_of_any_spectrum_by_numpy() -> None:
    features = np.random.default_rng(0).gamma(1.0, size=(90, 3, 20)) * np.arange(1, 21)
    eigenvalues = np.linalg.eigvalsh(np.cov(features.reshape(-1, 20).T))[::-1][2:]
    slope = np.polyfit(np.log(np.arange(3, 21)), np.log(eigenvalues), 1)[0]
    assert float(alpha(torch.from_numpy(features))) == pytest.approx(-slope, rel=1e-4)


def test_alpha_leaves_out_what_is_only_rounding() -> None:
    features = with_spectrum(np.arange(1.0, 21) ** -0.5)
    dead = np.concatenate([features, np.ones((len(features), 12))], 1)
    assert float(alpha(torch.from_numpy(dead))) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("dims", [2, 9])
def test_lidar_of_clusters_in_a_subspace_is_about_its_dimension(dims: int) -> None:
    """By construction the spread within objects is the same in all directions."""
    random = np.random.default_rng(1)
    basis = np.linalg.qr(random.normal(size=(24, dims)))[0]
    means = random.normal(size=(2000, dims)) @ basis.T
    samples = means[:, None] + 0.01 * random.normal(size=(2000, 8, 24))
    assert float(lidar(torch.from_numpy(samples))) == pytest.approx(dims, rel=0.02)


@pytest.mark.parametrize("dims", [3, 24])
def test_lidar_by_loops(dims: int) -> None:
    samples = clusters(dims, objects=60)
    found = float(lidar(torch.from_numpy(samples)))
    assert found == pytest.approx(slow_lidar(samples), rel=1e-6)
    assert found < dims


def test_lidar_weighs_objects_by_the_spread_of_their_views_unlike_rankme() -> None:
    random = np.random.default_rng(0)
    scale = np.r_[1.0, np.full(7, 0.05)]
    means = random.normal(size=(500, 1, 8)) * scale
    samples = torch.from_numpy(means + random.normal(size=(500, 4, 8)) * scale)
    assert rankme(samples) < 4 < 7.5 < lidar(samples)


def test_a_collapsed_representation() -> None:
    constant = torch.ones(20, 4, 8)
    assert measures(constant, 0) == pytest.approx({"rankme": 1, "lidar": 1}, abs=1e-4)


def test_one_sample_of_each_object_has_no_lidar() -> None:
    assert measures(torch.randn(20, 1, 8), 0).keys() == {"rankme", "alpha"}


def test_more_objects_than_are_taken_are_drawn_at_random() -> None:
    torch.manual_seed(0)
    samples = torch.randn(1500, 2, 8)
    once, again, other = (measures(samples, seed) for seed in (0, 0, 1))
    first = {name: float(of(samples[:1000])) for name, of in (("rankme", rankme), ("alpha", alpha))}
    assert once == again != other
    assert all(once[name] != value for name, value in first.items())
    assert once["lidar"] == pytest.approx(8, rel=0.05)


def labelled_rows(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 5
    rows = np.eye(5, 6)[labels] + random.normal(size=(count, 6))
    return torch.from_numpy(rows).float(), torch.from_numpy(labels)


def test_nearest_neighbours_by_brute_force() -> None:
    (known, labels), (asked, truth) = labelled_rows(150, 0), labelled_rows(600, 1)
    votes = nearest_votes(known, labels, asked, 20)
    for row, counted in zip(asked.tolist(), votes, strict=True):
        cosines = [
            np.dot(row, other) / np.linalg.norm(row) / np.linalg.norm(other)
            for other in known.tolist()
        ]
        wanted = np.zeros(5)
        for n in sorted(range(150), key=lambda n: -cosines[n])[:20]:
            wanted[labels[n]] += np.exp(cosines[n] / 0.1)
        assert counted.tolist() == pytest.approx(wanted, rel=1e-3)
    assert 0.4 < top1(truth, votes) < 0.95


def test_nearest_neighbours_by_scikit_learn() -> None:
    (known, labels), (asked, _) = labelled_rows(150, 0), labelled_rows(600, 1)
    other = KNeighborsClassifier(
        20, metric="cosine", algorithm="brute", weights=lambda distances: np.exp(-distances / 0.1)
    )
    wanted = other.fit(known.numpy(), labels.numpy()).predict(asked.numpy())
    found = nearest_votes(known, labels, asked, 20).argmax(-1)
    assert (found.numpy() == wanted).mean() > 0.995


def test_a_single_neighbour_decides_alone() -> None:
    known, labels = labelled_rows(50, 0)
    assert top1(labels, nearest_votes(known, labels, 3 * known, 1)) == 1


def asked_for(run: Path) -> list[dict]:
    [outcome] = suite.evaluate_suite(run, ["health"], progress=False, device="cpu")
    assert outcome.error is None and outcome.results is not None
    return outcome.results["records"]


def test_figures_are_those_of_the_features(copied: Path) -> None:
    records = asked_for(copied)
    assert json.loads((copied / "suite" / "health.json").read_bytes())["records"] == records

    # Both representations of both models, by four measures.
    known = {(r["features"], r["input"], r["views"], r["metric"]): r["value"] for r in records}
    assert len(known) == len(records) == 2 * 2 * 4
    assert {(r["task"], r["split"]) for r in records} == {("health", "test")}

    model, world = load(copied), signal_world.Config().build()
    table = extract(model.method, world, "test", Sampling.of(model.experiment, world, "test"))
    orders = table.orders(5, 8)
    sequences = aggregate(model.method, table, world.spec.actions, orders)[:, :, 4]
    for source, views, samples in (("view", 1, table.views), ("sequence", 5, sequences)):
        for metric, of in (("rankme", rankme), ("lidar", lidar), ("alpha", alpha)):
            assert known["model", source, views, metric] == float(of(samples)), metric
            assert known["random", source, views, metric] != known["model", source, views, metric]


def test_nearest_training_views_tell_the_class(copied: Path) -> None:
    [found] = [
        r["value"] for r in asked_for(copied) if r["metric"] == "knn" and r["input"] == "view"
    ][:1]
    model, world = load(copied), signal_world.Config().build()
    tables = {
        split: extract(model.method, world, split, Sampling.of(model.experiment, world, split))
        for split in ("train", "test")
    }
    rows = {split: table.views.flatten(0, 1).numpy() for split, table in tables.items()}
    labels = {split: np.repeat(table.labels.numpy(), 6) for split, table in tables.items()}
    # 64 objects with 6 views, in 3 classes.
    other = KNeighborsClassifier(
        64 * 6 // 3, metric="cosine", algorithm="brute", weights=lambda d: np.exp(-d / 0.1)
    )
    wanted = other.fit(rows["train"], labels["train"]).score(rows["test"], labels["test"])
    assert found == pytest.approx(wanted, abs=0.006)


def test_without_an_aggregator_and_without_classes(tmp_path: Path) -> None:
    recipe = experiment("simclr", world=signal_world.Config(labelled=False))
    short = replace(recipe, train=replace(recipe.train, steps=2, num_views=2))
    records = asked_for(train(short, tmp_path / "run", quiet=True, device="cpu"))
    assert {record["input"] for record in records} == {"view"}
    assert {record["metric"] for record in records} == {"rankme", "lidar", "alpha"}
