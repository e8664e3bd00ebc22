"""Reports on few of anything: what needs more is left out with a note, and nobody complains."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fixtures import signal_world
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.report import maps, write_report
from seqjepa.training.loop import train
from seqjepa.worlds.arrays import Config

PLACE = [{"name": "place", "dims": ["x"]}]


def reported(
    tmp_path: Path, objects: int, views: int, labels: list[int] | None, **world: object
) -> str:
    """Train, evaluate and report on a small world without any warning; return the page."""
    data, chance = tmp_path / "data", np.random.default_rng(0)
    data.mkdir()
    np.save(data / "views.npy", chance.integers(0, 256, (objects, views, 16, 16, 3), np.uint8))
    np.save(data / "poses.npy", chance.uniform(-1, 1, (objects, views, 1)))
    if labels is not None:
        np.save(data / "labels.npy", np.array(labels))
    (data / "world.json").write_text(json.dumps({"pose": ["x"], "groups": PLACE} | world))

    recipe = replace(signal_world.recipe(), world=Config(path=str(data)))
    recipe = replace(recipe, train=replace(recipe.train, batch_size=4, num_views=views))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Compiled code of a library that is itself of an older time.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        run = train(recipe, tmp_path / "run", quiet=True, device="cpu")
        evaluate(run, progress=False, device="cpu", config=replace(recipe.evaluate, max_steps=20))
        return write_report([run], tmp_path / "report").read_text(encoding="utf-8")


def test_one_test_object(tmp_path: Path) -> None:
    html = reported(tmp_path, 6, 2, [0, 1] * 3)
    assert "Left out: <i>z</i>: a map needs 5 points of 2 dimensions, there are 2 of 16" in html
    assert "Left out: neighbours need two objects, there is one." in html
    assert (tmp_path / "report" / "sequences.png").exists()
    assert not list((tmp_path / "report").glob("map_*.png"))


@pytest.mark.parametrize("labels", [None, [0] * 24, list(range(24))])
def test_classes_of_none_or_one(tmp_path: Path, labels: list[int] | None) -> None:
    splits = {"train": range(16), "val": [16], "test": range(17, 23), "odd": [23]}
    listed = {name: list(objects) for name, objects in splits.items()}
    html = reported(tmp_path, 24, 3, labels, splits=listed)
    assert "Left out" not in html and (tmp_path / "report" / "neighbours_z.png").exists()


def test_two_test_objects_have_one_neighbour(tmp_path: Path) -> None:
    splits = {"train": list(range(8)), "val": [8], "test": [9, 10]}
    html = reported(tmp_path, 11, 2, [0, 1] * 5 + [0], splits=splits)
    assert "a map needs 5 points" in html and "neighbours need" not in html


def test_features_that_cannot_be_mapped() -> None:
    assert maps.why_not(np.ones((20, 8))) == "all features point the same way"
    features = np.random.default_rng(0).normal(size=(5, 2))
    assert maps.why_not(features) == "" and maps.why_not(features[:, :1])
    assert maps.why_not(np.zeros((20, 8)))
