"""Checkpoints of the authors become runs: the same function, and a run like any other."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import seqjepa
from fixtures import released
from fixtures.published import write_stl10
from fixtures.view_files import write
from reference import plain_release as plain
from seqjepa import cli
from seqjepa.config import EvaluateConfig
from seqjepa.errors import CheckpointError, ConfigError
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.exchange.importing import import_run, read_layout
from seqjepa.model import read_experiment
from seqjepa.recipes import recipe
from seqjepa.report.runs import read_run
from seqjepa.runs.folder import read_spec
from seqjepa.training.loop import train
from seqjepa.types import SequenceBatch
from seqjepa.worlds.views.fixations import patches

SMALL = {"width": 2, "action_width": 8, "layers": 1, "hidden": 12}
MEAN, STD = (0.5016, 0.5037, 0.5060), (0.1030, 0.0999, 0.0969)
STL10 = (0.4467, 0.4398, 0.4066), (0.2241, 0.2215, 0.2239)


def become_run(tmp_path: Path, tensors: released.Tensors, name: str | None = None, **world):
    """Import tensors, for a training of two small batches, and return the run's folder."""
    layout = read_layout(released.save(tmp_path / "released.pth", tensors))
    experiment = layout.settle(recipe(name or layout.recipe)())
    short = replace(experiment.train, steps=2, batch_size=4)
    experiment = replace(experiment, world=replace(experiment.world, **world), train=short)
    return import_run(layout, experiment, tmp_path / "run")


def sequences(actions: int, size: int, observed: int, batch: int = 2) -> SequenceBatch:
    generator = torch.Generator().manual_seed(1)
    views = torch.randint(
        0, 256, (batch, observed + 1, 3, size, size), dtype=torch.uint8, generator=generator
    )
    moves = torch.randn(batch, observed, actions, generator=generator)
    poses, labels = torch.zeros(batch, observed + 1, 1), torch.zeros(batch, dtype=torch.int64)
    return SequenceBatch(views, moves, poses, labels)


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference, as a share of the values' size."""
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize(
    ("actions", "kernel", "size", "observed", "statistics"),
    [
        pytest.param(4, 7, 128, 3, (MEAN, STD), id="rotation"),
        pytest.param(2, 3, 32, 4, STL10, id="saccades"),
    ],
)
def test_the_models_of_the_release_compute_the_same(
    tmp_path, actions, kernel, size, observed, statistics
):
    weights = released.seq_jepa(actions=actions, kernel=kernel)
    model = seqjepa.load(become_run(tmp_path, weights))
    shutil.rmtree(tmp_path)  # hundreds of megabytes
    assert model.experiment.train.num_views == observed + 1 and model.step == 0
    assert model.spec.image_shape == (3, size, size)

    batch = sequences(actions, size, observed)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in statistics)
    normal = (batch.views.float() / 255 - mean) / std
    # What the authors call the row of a fixation is the column of its patch.
    theirs = batch.actions.flip(-1) if actions == 2 else batch.actions
    expected = plain.forward(weights, normal, theirs)

    seen, last = batch.views[:, :observed], batch.views[:, observed]
    found = {
        "z": model.encode(seen),
        "target": model.target(last),
        "z_agg": model.aggregate(seen, batch.actions[:, : observed - 1]),
        "predicted": model.predict(seen, batch.actions),
        "loss": model.method(batch).loss.detach(),
    }
    for name, value in found.items():
        assert difference(value, expected[name]) < 1e-5, name


@pytest.mark.parametrize(
    ("aggregator", "predictor", "condition"),
    [(True, False, "aggregator"), (False, True, "predictor"), (False, False, "none")],
)
def test_what_reads_actions_is_told_by_the_shapes(tmp_path, aggregator, predictor, condition):
    weights = released.seq_jepa(aggregator=aggregator, predictor=predictor, **SMALL)
    importing = without_actions if condition == "none" else become_run
    model = seqjepa.load(importing(tmp_path, weights))
    assert model.experiment.method.condition == condition

    batch = sequences(4, 32, 3)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, STD))
    expected = plain.forward(weights, (batch.views.float() / 255 - mean) / std, batch.actions)
    found = model.predict(batch.views[:, :3], batch.actions)
    assert difference(found, expected["predicted"]) < 1e-5


def without_actions(tmp_path: Path, weights: released.Tensors) -> Path:
    """Import a model without actions, which does not tell its data."""
    # Their code has the map of actions all the same, and does not use it.
    unused = {"action_proj.0.weight": torch.randn(8, 4)}
    layout = read_layout(released.save(tmp_path / "released.pth", weights | unused))
    assert layout.recipe is None and "action_proj.0.weight" in layout.ignored
    experiment = layout.settle(recipe("threediebench")())
    encoder = replace(experiment.encoder, mean=MEAN, std=STD)
    return import_run(layout, replace(experiment, encoder=encoder), tmp_path / "run")


def test_the_authors_patch_lies_at_the_transposed_fixation():
    """Cut a patch as their code does: a grid by `ij`, whose first channel samples columns."""
    side, size, row, column = 96, 32, 40, 60
    image = torch.stack(torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij"))
    across, down = torch.meshgrid(
        torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij"
    )
    grid = torch.stack(
        [across * size / side + 2 * row / side - 1, down * size / side + 2 * column / side - 1], -1
    )
    cut = F.grid_sample(image[None], grid[None], align_corners=False)[0]
    # A turn by 90 degrees clockwise, then mirrored: upright again.
    cut = cut.rot90(-1, (1, 2)).flip(2)

    ours = patches(image[None].byte(), torch.tensor([[[column, row]]]), size)[0, 0].float()
    assert (cut.mean((1, 2)) - ours.mean((1, 2))).abs().max() < 1e-3
    assert (cut - ours).abs().max() < 1  # their patch is stretched by half a pixel


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))


def test_a_run_of_3diebench_is_evaluated_and_trained_further(tmp_path, no_cache):
    data = write(tmp_path / "3DIEBench", train=20, val=6, views=5)
    small = {"path": str(tmp_path / "moved"), "image_size": 32, "views": 5}
    run = become_run(tmp_path, released.seq_jepa(**SMALL), **small)
    assert read_spec(run).outline and not read_spec(run).classes

    # Evaluation finds the data elsewhere, and no fault in them.
    probes = EvaluateConfig(views=3, encoded_views=4, draws=2, max_steps=20)
    results = evaluate(run, config=probes, progress=False, paths={"path": str(data)})
    assert results["step"] == 0 and results["changed_data"] == []
    assert read_run(run).metrics["step"].tolist() == [0], "a report of it needs a step"
    assert {record["input"] for record in results["records"]} >= {"sequence", "view", "pair"}

    # Training begins with these weights and a new optimizer, and notes the data then.
    experiment = read_experiment(run)
    experiment = replace(experiment, world=replace(experiment.world, path=str(data)))
    before = seqjepa.load(run).method.state_dict()
    with pytest.raises(ConfigError, match="another configuration"):
        train(replace(experiment, seed=1), run, resume=True, quiet=True)
    train(experiment, run, resume=True, quiet=True)

    model = seqjepa.load(run)
    assert model.step == 2 and not model.spec.outline and len(model.spec.classes) == 3
    moved = {
        name: difference(tensor, before[name])
        for name, tensor in model.method.state_dict().items()
        if name.endswith(".weight")
    }
    assert 0 < max(moved.values()) < 0.1, "two steps move weights a little"


def test_a_run_of_saccades_is_evaluated(tmp_path, no_cache):
    weights = released.seq_jepa(actions=2, kernel=3, **SMALL)
    parts = {"unlabeled": 12, "train": 12, "test": 8}
    generator = np.random.default_rng(0)
    pixels = {
        name: generator.integers(0, 256, (n, 96, 96, 3), np.uint8) for name, n in parts.items()
    }
    labels = {name: np.arange(parts[name]) % 3 for name in ("train", "test")}
    images = write_stl10(tmp_path, pixels, labels)
    run = become_run(tmp_path, weights, path=str(images), saliency="uniform")
    probes = EvaluateConfig(views=2, draws=1, max_steps=20)
    results = evaluate(run, config=probes, progress=False, quick=True)
    assert results["changed_data"] == []
    assert any("position" in record["task"] for record in results["records"])


def test_data_that_do_not_fit_the_model_are_named(tmp_path, no_cache):
    data = write(tmp_path / "3DIEBench", train=20, val=6, views=5)
    run = become_run(tmp_path, released.seq_jepa(**SMALL), path=str(data), image_size=32, views=5)
    spec = replace(read_spec(run), image_shape=(3, 64, 64))
    assert any("image_shape" in text for text in seqjepa.runs.folder.changed_data(run, spec))


def without(tensors: released.Tensors, *beginnings: str) -> released.Tensors:
    return {name: t for name, t in tensors.items() if not name.startswith(beginnings)}


WHOLE = released.seq_jepa(**SMALL)
BAD = {
    "a part is missing": (without(WHOLE, "predictor."), r"missing: predictor\.\*\n"),
    "actions are missing": (without(WHOLE, "action_proj.0"), r"missing: action_proj\.0\.\*"),
    "another net": (
        {"encoder.stem.weight": torch.ones(3), "decoder.0.bias": torch.ones(2)},
        r"(?s)missing: encoder|missing: target_encoder\.\*, .*unexpected: decoder\.0\.bias",
    ),
    "a tensor is missing": (
        without(WHOLE, "encoder.layer3.1.conv2", "target_encoder.bn1.bias"),
        r"2 missing: encoder\.layer3\.1\.conv2\.weight, target_encoder\.bn1\.bias",
    ),
    "one too many": (WHOLE | {"decoder.bias": torch.ones(3)}, "1 unexpected: decoder.bias"),
    "a wrong shape": (
        WHOLE | {"predictor.3.bias": torch.ones(17)},
        r"1 mis-shaped: predictor\.3\.bias \(float32 \[17\], not float32 \[16\]\)",
    ),
    "a size that no memory holds": (
        WHOLE | {"encoder.conv1.weight": torch.ones(20_000, 1, 7, 7)},
        "mis-shaped",
    ),
    "NaN": (
        WHOLE | {"predictor.3.bias": torch.full((16,), torch.nan)},
        r"NaN or infinity in predictor\.3\.bias",
    ),
    "other actions": (released.seq_jepa(actions=6, **SMALL), "actions have 6 numbers"),
}


@pytest.mark.parametrize(("tensors", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_and_nothing_is_written(tmp_path, tensors, message):
    with pytest.raises(CheckpointError, match=message):
        become_run(tmp_path, tensors, "threediebench")
    assert not (tmp_path / "run").exists()


def test_other_precisions_and_old_counters_are_taken_over(tmp_path):
    half = {name: t.half() if t.is_floating_point() else t for name, t in WHOLE.items()}
    kept = {name: t for name, t in half.items() if not name.endswith("num_batches_tracked")}
    state = seqjepa.load(become_run(tmp_path, kept)).method.state_dict()
    assert state["predictor.3.bias"].dtype == torch.float32
    assert torch.equal(state["predictor.3.bias"], half["predictor.3.bias"].float())
    assert state["encoder.backbone.bn1.num_batches_tracked"] == 0


def test_a_folder_that_holds_a_run_is_left_alone(tmp_path):
    run = become_run(tmp_path, WHOLE)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="already holds a run"):
        become_run(tmp_path, WHOLE)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_an_import_that_was_killed_is_made_again(tmp_path):
    run = become_run(tmp_path, WHOLE)
    shutil.rmtree(run / "checkpoints")
    become_run(tmp_path, WHOLE)
    assert seqjepa.load(run).step == 0


def test_the_command_says_what_it_left_out_and_how_to_go_on(tmp_path, capsys):
    file = released.save(tmp_path / "rot.pth", WHOLE)
    assert cli.run(["import", str(file), "--run-dir", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "not taken over: optimizer, min_loss, epoch, run_id, online_linprobe" in said
    options = said.partition("To train it: ")[2].split()

    # These words name the run: only data are missing.
    assert options[:3] == ["seqjepa", "train", "threediebench"]
    assert cli.run([*options[1:], "--world.path", str(tmp_path / "nowhere")]) == 3
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name the file first"),
        (["none.pth"], 4, "none.pth cannot be read: No such file"),
        (["FILE", "--recipe", "nonsense"], 2, "unknown recipe 'nonsense'"),
        (["FILE", "--recipe", "threediebench", "--method", "byol"], 2, "add --method seq_jepa"),
        (["FILE", "--recipe", "stl10_release"], 4, "choose another --recipe"),
        (["FILE", "--method.layers", "2"], 4, "missing: transformer_encoder"),
        (["FILE", "--method.heads", "5"], 2, "must be a multiple of method.heads"),
        (["FILE", "--nonsense", "2"], 2, "unknown option --nonsense"),
    ],
)
def test_mistakes_of_the_command(tmp_path, capsys, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    released.save(tmp_path / "rot.pth", WHOLE)
    words = ["rot.pth" if word == "FILE" else word for word in arguments]
    assert cli.run(["import", *words]) == code
    error = capsys.readouterr().err
    assert message in error and error.count("error: ") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["rot.pth"]
