"""Evaluation: which questions are asked, what is found where something is planted, and what is
written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures import signal_world
from fixtures.toys import subject_of
from seqjepa import display
from seqjepa.config import Experiment, TrainConfig, from_json, to_json
from seqjepa.display import Stages
from seqjepa.errors import ConfigError, DataError, DiskError
from seqjepa.evaluation.class_probes import classify
from seqjepa.evaluation.control import random_control
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.evaluation.features import FeatureTable, extract
from seqjepa.evaluation.measure import measure
from seqjepa.evaluation.protocol import Protocol, Record, labelled
from seqjepa.evaluation.sampling import Sampling
from seqjepa.model import build_method, load
from seqjepa.runs import manifest
from seqjepa.runs.config_file import load_config
from seqjepa.types import Indices
from seqjepa.worlds.table import TableWorld

# Probes that find what is there; the recipe's are stopped early, to be quick.
THOROUGH = replace(signal_world.recipe().evaluate, max_steps=2000)

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def evaluated(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the run with its results."""
    folder = shutil.copytree(run_dir, tmp_path_factory.mktemp("evaluated") / "run")
    evaluate(folder, config=THOROUGH, progress=False, device="cpu")
    return folder


@pytest.fixture(scope="module")
def results(evaluated: Path) -> dict:
    return json.loads((evaluated / "results.json").read_bytes())


def quick(**changes: object) -> Experiment:
    recipe = replace(signal_world.recipe(), **changes)
    return replace(recipe, evaluate=replace(recipe.evaluate, max_steps=4))


def built(experiment: Experiment) -> tuple:
    world = experiment.world.build()
    return build_method(experiment, world.spec), experiment, world


def measured(experiment: Experiment) -> tuple[list[Record], dict[str, int]]:
    return measure(subject_of(*built(experiment)))


def figure(results: dict, *question: str | int) -> float:
    """Return the value of the one record with these features, split, task, input, views and
    metric."""
    keys = ("features", "split", "task", "input", "views", "metric")
    [value] = [
        record["value"]
        for record in results["records"]
        if tuple(record[key] for key in keys) == question
    ]
    return value


def test_results_say_what_they_came_from(evaluated: Path, results: dict) -> None:
    assert [path.name for path in evaluated.glob("*.tmp")] == []
    assert results["format"] == 2
    assert (results["seed"], results["step"], results["split"]) == (0, 2, "test")
    noted = from_json(load_config(results["experiment"], Path("results.json")))
    # As JSON: a test that loads the world's file by its path defines its class a second time.
    assert to_json(noted) == to_json(replace(signal_world.recipe(), evaluate=THOROUGH))
    assert results["sizes"] == {"train": 64, "test": 32, "ood_class": 32, "ood_light": 32}
    assert set(results["versions"]) == {"python", "seqjepa", "torch", "numpy", "scikit-learn"}

    machine, trained = results["machine"], results["trained"]
    assert machine["cpu"] and machine["threads"] >= 1
    assert machine["device"] == trained["device"] == "cpu"
    assert machine["precision"] == "fp32", "the recipe's evaluate.precision"
    assert trained["precision"] in ("bf16", "fp32")

    spec = json.loads((evaluated / "world.json").read_bytes())
    assert results["data"] == spec["data"] and results["data"] and results["changed_data"] == []


def test_every_question_is_answered_once(results: dict) -> None:
    records = results["records"]
    found = ("value", "steps", "rising")
    asked = [tuple(record[key] for key in record if key not in found) for record in records]
    assert len(set(asked)) == len(asked)

    # One view; mean, logits and, of an aggregator, sequence for each of 1 to 4 views.
    inputs = {"model": 1 + 4 + 4 + 4, "random": 1 + 4 + 4 + 4, "pixels": 1 + 4 + 4}
    # Relative and individual: rotation with four metrics, light, noise.
    factors = 2 * (4 + 1 + 1)
    for features, number in inputs.items():
        found = [record for record in records if record["features"] == features]
        assert len(found) == 2 * number + 3 * factors, "two splits with known classes, three in all"

    metrics = {record["metric"] for record in records}
    assert metrics == {"top1", "r2", "r2_global", "r2_nearest", "median_degrees"}
    splits = {record["split"] for record in records if record["task"] == "class"}
    assert splits == {"test", "ood_light"}


def test_what_pixels_show_is_found(results: dict) -> None:
    def pixels(*question: str | int, split: str = "test") -> float:
        return figure(results, "pixels", split, *question)

    assert pixels("class", "view", 1, "top1") == 1
    assert pixels("class", "mean", 4, "top1") == 1
    assert pixels("individual rotation", "view", 1, "r2") > 0.9
    assert pixels("individual rotation", "view", 1, "median_degrees") < 15
    assert pixels("relative light", "pair", 2, "r2") > 0.95
    assert pixels("individual light", "view", 1, "r2") > 0.95
    # Twice as bright as any light of training.
    assert pixels("individual light", "view", 1, "r2", split="ood_light") < 0.5


def test_what_no_pixel_shows_is_not_found(results: dict) -> None:
    for features in ("model", "random", "pixels"):
        assert figure(results, features, "test", "individual noise", "view", 1, "r2") < 0.1


def test_results_are_returned_as_written_and_chance_is_left_as_it_was(copied: Path) -> None:
    chance = torch.get_rng_state()
    results = evaluate(copied, config=quick().evaluate, progress=False, device="cpu")
    assert json.loads((copied / "results.json").read_bytes()) == results
    assert torch.equal(torch.get_rng_state(), chance)


def test_probes_can_be_others_than_the_runs(copied: Path, run_dir: Path) -> None:
    wanted = replace(quick().evaluate, views=2)
    results = evaluate(copied, config=wanted, progress=False, device="cpu")
    assert max(record["views"] for record in results["records"]) == 2
    assert results["experiment"]["evaluate"] == to_json(wanted)
    assert (copied / "config.json").read_bytes() == (run_dir / "config.json").read_bytes()


def test_probes_that_were_still_rising_are_named(
    copied: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    short = replace(signal_world.recipe().evaluate, max_steps=60)
    results = evaluate(copied, config=short, device="cpu")
    said = capfd.readouterr().err.replace("\n", " ")
    assert "still improving after 60 steps (model: " in said and "--max-steps 120" in said
    records = [Record(**record) for record in results["records"]]
    assert all(record.steps == 60 for record in records)
    assert any(record.rising for record in records)


def test_the_model_is_left_as_it_was(run_dir: Path) -> None:
    model, world = load(run_dir), signal_world.Config().build()
    before = {name: value.clone() for name, value in model.method.state_dict().items()}
    measure(subject_of(model.method, quick(), world, "val"))
    after = model.method.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def test_the_random_control_is_calibrated() -> None:
    """Its BatchNorm statistics fit training batches: in eval mode features are spread as in train
    mode. Its weights are another seed's."""
    recipe = quick(train=TrainConfig(batch_size=64, num_views=3))
    world = signal_world.Config().build()
    control, trained = random_control(recipe, world, CPU), build_method(recipe, world.spec)
    first, other = (method.encoder.backbone.conv1.weight for method in (control, trained))
    assert not torch.equal(first, other)

    again = random_control(recipe, world, CPU).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in control.state_dict().items())

    batch = next(world.loader("train", num_views=3, batch_size=64, seed=1))
    with torch.no_grad():
        frozen = control.eval().encoder(batch.views)
        fresh = control.train().encoder(batch.views)
    torch.testing.assert_close(frozen.std((0, 1)), fresh.std((0, 1)), rtol=0.3, atol=0.02)


def test_means_and_sequences_of_one_view_are_that_view() -> None:
    """If a method represents a sequence by its first view, all inputs of one view agree about the
    same test views."""
    config = replace(signal_world.recipe().evaluate, views=2, draws=6)
    chance = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    tables, sequences = {}, {}
    for split in ("train", "test"):
        noise = torch.randn(300, 6, 8, generator=chance)
        views = noise + 2 * torch.eye(8)[labels][:, None]
        tables[split] = FeatureTable(views, torch.zeros(300, 6, 1), labels)
        sequences[split] = views[:, :, None].expand(-1, -1, 2, -1)

    records = classify(Protocol("model", config, 0, 8), tables, sequences)
    scores = {(record.input, record.views): record.value for record in records}
    assert 0.7 < scores["view", 1] < 0.95
    assert scores["view", 1] == pytest.approx(scores["mean", 1], abs=0.02)
    assert scores["view", 1] == pytest.approx(scores["sequence", 2], abs=0.02)
    assert scores["mean", 2] > scores["view", 1] + 0.05


def test_without_labels_only_factors_are_probed() -> None:
    records, _ = measured(quick(world=signal_world.Config(labelled=False)))
    names = ("rotation", "light", "noise")
    expected = {f"{task} {name}" for task in ("relative", "individual") for name in names}
    assert {record.task for record in records} == expected


def test_objects_with_few_views() -> None:
    """M goes as far as there are views."""
    records, _ = measured(quick(world=signal_world.Config(views=3)))
    assert {record.views for record in records if record.input == "sequence"} == {1, 2, 3}


def test_few_questions_have_the_same_answers() -> None:
    recipe = quick()
    few, sizes = measure(subject_of(*built(recipe)), quick=True)
    every, _ = measured(recipe)
    asked = [
        record
        for record in every
        if (record.features, record.split) == ("model", "test")
        and record.task in ("class", "relative rotation", "individual rotation")
    ]
    assert few == asked and set(sizes) == {"train", "test"}


def test_a_part_of_the_training_objects() -> None:
    experiment = quick()
    _, sizes = measured(replace(experiment, evaluate=replace(experiment.evaluate, objects=20)))
    assert sizes == {"train": 20, "test": 32, "ood_class": 32, "ood_light": 32}


def test_labels_that_training_does_not_know() -> None:
    method, _, world = built(signal_world.recipe())
    tables = {
        split: extract(method, world, split, Sampling(num_views=2, seed=0))
        for split in ("train", "test", "ood_class")
    }
    assert set(labelled(tables)) == {"train", "test"}

    tables["test"].labels[:5] = -1
    assert len(labelled(tables)["test"]) == 27
    tables["train"].labels[:] = -1
    assert labelled(tables) == {}


def test_an_older_checkpoint_is_not_taken_in_silence(
    copied: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    [newest] = (copied / "checkpoints").iterdir()
    _, contents = manifest.read_files(newest)
    older = shutil.copytree(newest, newest.parent / "step_00000001")
    (older / "manifest.json").write_bytes(manifest.describe(1, contents, None, {}))
    (newest / "method.safetensors").write_text("")

    warnings: list[str] = []
    assert load(copied, warn=warnings.append).step == 1
    [warning] = warnings
    assert "step_00000002/method.safetensors is damaged" in warning
    assert warning.endswith("going on from step 1")

    with pytest.raises(DataError):
        evaluate(copied, split="none", progress=False, device="cpu")
    assert "going on from step 1" in capfd.readouterr().err.replace("\n", " ")


def test_a_device_that_is_not_there(run_dir: Path) -> None:
    with pytest.raises(ConfigError, match="cannot compute on device 'nowhere'"):
        load(run_dir, "nowhere")


def test_an_unknown_split(run_dir: Path) -> None:
    with pytest.raises(DataError, match="unknown split 'tets', did you mean 'test'"):
        evaluate(run_dir, split="tets", progress=False)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        evaluate(tmp_path, progress=False)


def test_results_that_cannot_be_written(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqjepa.evaluation.evaluate.measure", lambda *_, **__: ([], {}))

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seqjepa.evaluation.subject.write_atomically", full)
    with pytest.raises(DiskError, match=r"results.json: No space left on device"):
        evaluate(run_dir, progress=False)


def test_progress_is_silent_on_demand(capfd: pytest.CaptureFixture[str]) -> None:
    for progress in (False, True):
        stages = Stages(progress)
        with stages("a stage"):
            pass
        out, err = capfd.readouterr()
        assert out == ""
        assert ("a stage: 0.0 s" in err) == progress
        assert set(stages.seconds) == {"a stage"}


@pytest.mark.parametrize("progress", [False, True])
def test_what_evaluation_calls_is_silent_with_it(
    copied: Path, monkeypatch: pytest.MonkeyPatch, progress: bool
) -> None:
    quiet = []

    def spy(*_: object, **__: object) -> tuple[list[Record], dict[str, int]]:
        quiet.append(display._quiet.get())
        return [], {}

    monkeypatch.setattr("seqjepa.evaluation.evaluate.measure", spy)
    evaluate(copied, progress=progress, device="cpu")
    assert quiet == [not progress] and not display._quiet.get()


def test_records_are_plain() -> None:
    record = Record("model", "test", "class", "view", 1, "top1", 0.5)
    assert json.dumps(vars(record))


class Glimpses(TableWorld):
    """Views without a trace of the class, and whole images that are nothing else; only the images
    of one split have labels."""

    def whole(self, split: str, index: Indices) -> torch.Tensor:
        shown = torch.from_numpy(self.tables[split].labels[index]).clamp_min(0)
        colours = (255 * torch.eye(3)).to(torch.uint8)
        return colours[shown][:, :, None, None].expand(-1, -1, 20, 20)


def test_probes_on_whole_images_and_on_the_labelled_split() -> None:
    recipe = signal_world.recipe()
    world = recipe.world.build()
    tables = {
        split: replace(table, views=np.full_like(table.views, 128))
        for split, table in world.tables.items()
    }
    tables["labelled"] = tables["train"]
    tables["train"] = replace(tables["train"], labels=np.full(64, -1))
    spec = replace(world.spec, splits=("train", "labelled", "val", "test"), probe_split="labelled")
    glimpses = Glimpses(spec, tables)

    method = random_control(recipe, glimpses, CPU)
    records, sizes = measure(subject_of(method, recipe, glimpses))
    assert sizes == {"train": 64, "test": 32}, "the labelled split is no test: probes learn there"

    found = {(r.features, r.input, r.views): r.value for r in records if r.task == "class"}
    for features in ("model", "random", "pixels"):
        assert found[features, "image", 1] == 1
    assert found["model", "view", 1] < 0.5 and found["model", "sequence", 4] < 0.5


def test_what_never_varies_has_no_figure() -> None:
    recipe = signal_world.recipe()
    world = recipe.world.build()
    names = list(world.spec.factors.pose)
    for table in world.tables.values():
        table.poses[..., names.index("light")] = 0.5
    records, _ = measure(subject_of(*built(recipe)[:2], world))
    asked = {record.task for record in records if record.metric == "r2"}
    groups = {task.partition(" ")[2] for task in asked}
    assert groups == {"rotation", "noise"}


def test_a_split_may_have_fewer_views_than_training() -> None:
    """It is asked about no longer sequences than it allows; nothing changes for the others."""
    method, recipe, world = built(signal_world.recipe())
    few = world.tables["ood_light"]
    world.tables["ood_light"] = replace(few, views=few.views[:, :3], poses=few.poses[:, :3])
    assert (world.views("ood_light"), world.views("test")) == (3, 6)
    records, _ = measure(subject_of(method, recipe, world))
    for kind in ("mean", "logits", "sequence"):
        of_kind = [record for record in records if record.input == kind]
        assert {r.views for r in of_kind if r.split == "ood_light"} == {1, 2, 3}

    def others(found: list[Record]) -> list[Record]:
        return [record for record in found if record.split != "ood_light"]

    whole, _ = measured(recipe)
    assert others(records) == others(whole)
    assert max(record.views for record in others(whole)) == 4
