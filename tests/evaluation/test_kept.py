"""Figures of controls that are kept beside the cached views."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fixtures import signal_world
from fixtures.toys import subject_of
from seqjepa.config import Experiment
from seqjepa.evaluation.kept import control_key, kept
from seqjepa.evaluation.measure import measure
from seqjepa.evaluation.protocol import Record
from seqjepa.evaluation.sampling import Sampling
from seqjepa.methods import equimod
from seqjepa.model import build_method
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.worlds import shapes
from seqjepa.worlds.base import WorldSpec

RECORDS = [Record("pixels", "test", "class", "view", 1, "top1", 0.25, 500, False)]
CPU = torch.device("cpu")
SAMPLINGS = {"train": Sampling(num_views=4, seed=0)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def spec() -> WorldSpec:
    return signal_world.Config().build().spec


def key(name: str, spec: WorldSpec, experiment: Experiment) -> dict | None:
    return control_key(name, experiment, spec, SAMPLINGS, CPU)


def never() -> list[Record]:
    raise AssertionError("the control is measured although its figures are kept")


def test_figures_are_measured_once(cache: Path) -> None:
    assert kept({"a": 1}, lambda: RECORDS) == RECORDS
    assert kept({"a": 1}, never) == RECORDS
    with pytest.raises(AssertionError):
        kept({"a": 2}, never)


@pytest.mark.parametrize("damage", ["", "[{}]", "nonsense", '{"records": 1}'])
def test_damaged_figures_are_measured_again(cache: Path, damage: str) -> None:
    kept({"a": 1}, lambda: RECORDS)
    (path,) = cache.rglob("records.json")
    path.write_text(damage)
    assert kept({"a": 1}, lambda: RECORDS) == RECORDS
    assert json.loads(path.read_bytes())[0]["value"] == 0.25


def test_what_cannot_be_kept_is_returned_with_a_warning(
    cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cache.write_text("a file where the folder should be")
    assert kept({"a": 1}, lambda: RECORDS) == RECORDS
    assert "cannot keep the figures of the control" in capfd.readouterr().err.replace("\n", " ")


def test_pixels_depend_on_data_and_probes_alone(spec: WorldSpec) -> None:
    base = shapes_tiny()
    other = replace(base, method=equimod.Config(), optim=replace(base.optim, lr=1.0), name="other")
    assert key("pixels", spec, base) == key("pixels", spec, other)
    assert key("random", spec, base) != key("random", spec, other)

    changes = [
        replace(base, seed=1),
        replace(base, world=shapes.Config(image_size=64)),
        replace(base, evaluate=replace(base.evaluate, max_steps=9)),
    ]
    for changed in changes:
        assert key("pixels", spec, base) != key("pixels", spec, changed)
    assert key("pixels", replace(spec, data={"train": "0"}), base) != key("pixels", spec, base)


def test_what_has_no_digest_is_not_kept(spec: WorldSpec) -> None:
    assert key("pixels", replace(spec, data={}), shapes_tiny()) is None
    # A world of a user's own: its code may change without a trace.
    own = signal_world.recipe()
    assert key("pixels", spec, own) is None
    assert kept(None, lambda: RECORDS) == RECORDS


def test_an_evaluation_measures_controls_once(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = signal_world.recipe()
    experiment = replace(experiment, evaluate=replace(experiment.evaluate, max_steps=3))
    world = experiment.world.build()
    method = build_method(experiment, world.spec)
    # As if the world were one of the library's.
    monkeypatch.setattr(signal_world.Config, "__module__", "seqjepa.worlds.signal")

    first, second = (subject_of(method, experiment, world, "val") for _ in range(2))
    assert measure(first) == measure(second)
    seconds, again = first.stages.seconds, second.stages.seconds
    assert "pixels: features" in seconds and "random model" in seconds
    assert "pixels: features" not in again and "random model" not in again
