"""Runs to explore. UMAP compiles for seconds: maps of these tests are two columns of features."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fixtures.contract import experiment
from seqjepa.explore import bank
from seqjepa.explore.exploration import Exploration
from seqjepa.training.loop import train
from seqjepa.worlds.saccades import Config as Saccades


def first_columns(features):
    return features[:, :2]


@pytest.fixture(autouse=True)
def quick_map(monkeypatch):
    monkeypatch.setattr(bank, "umap", first_columns)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of noisy photos."""
    folder = tmp_path_factory.mktemp("photos")
    chance = np.random.default_rng(0)
    for label in "ab":
        (folder / label).mkdir()
        for number in range(12):
            pixels = chance.integers(0, 255, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def saccades(photos, tmp_path_factory):
    """An exploration of a run on fixations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQJEPA_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(bank, "umap", first_columns)
        world = Saccades(source="folder", path=str(photos), image_size=24, patch_size=8)
        folder = tmp_path_factory.mktemp("runs") / "saccades"
        base = experiment("seq_jepa", world=world)
        train(replace(base, train=replace(base.train, batch_size=4)), folder, quiet=True)
        yield Exploration.open(folder, torch.device("cpu"), {})


@pytest.fixture(scope="session")
def photo():
    """A maker of a photo's bytes."""

    def make(size=(50, 40), mode="RGB", form="PNG"):
        file = io.BytesIO()
        Image.new(mode, size).save(file, form)
        return file.getvalue()

    return make
