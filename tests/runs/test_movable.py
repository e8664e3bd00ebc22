"""A run whose data are elsewhere now, and what else may change when it is resumed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fixtures import signal_world
from seqjepa import cli
from seqjepa.config import Experiment, to_json
from seqjepa.errors import ConfigError, DataError
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.report.runs import group, read_run
from seqjepa.runs import checkpoint
from seqjepa.runs.folder import RunFolder
from seqjepa.runs.movable import MAY_CHANGE, build_world, move, settled
from seqjepa.training.loop import train
from seqjepa.worlds.arrays import Config
from seqjepa.worlds.saccades import Config as Saccades

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    chance, folder = np.random.default_rng(0), tmp_path / "data"
    folder.mkdir()
    np.save(folder / "views.npy", chance.integers(0, 256, (20, 4, 16, 16, 3), np.uint8))
    np.save(folder / "poses.npy", chance.uniform(-1, 1, (20, 4, 2)))
    np.save(folder / "labels.npy", np.arange(20) % 2)
    world = {"pose": ["x", "y"], "groups": [{"name": "place", "dims": ["x", "y"]}]}
    (folder / "world.json").write_text(json.dumps(world))
    return folder


def experiment(path: Path, **changes: object) -> Experiment:
    recipe = signal_world.recipe()
    settings = {"steps": 4, "checkpoint_every": 2, "log_every": 2} | changes
    return replace(recipe, world=Config(path=str(path)), train=replace(recipe.train, **settings))


def begun(data: Path, folder: Path) -> Path:
    """Return a run that stopped after 2 of 4 steps."""
    train(experiment(data), folder, quiet=True, device="cpu")
    (folder / "checkpoints" / "step_00000004" / "manifest.json").unlink()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a run but for those of unfinished checkpoints."""
    finished = (*folder.glob("*.json*"), *folder.glob("checkpoints/step_00000002/*"))
    return {str(path): path.read_bytes() for path in finished}


def weights(folder: Path) -> bytes:
    [path] = (folder / "checkpoints" / "step_00000004").glob("method.safetensors")
    return path.read_bytes()


def test_what_may_change_is_one_list_and_documented() -> None:
    assert MAY_CHANGE == (
        "world.path",
        "world.*_path",
        "train.log_every",
        "train.checkpoint_every",
        "train.health",
    )
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    for key in MAY_CHANGE:
        assert f"`{key}`" in text, key


def test_the_same_data_elsewhere_are_trained_on(data: Path, tmp_path: Path) -> None:
    whole = train(experiment(data), tmp_path / "whole", quiet=True, device="cpu")
    run, moved = begun(data, tmp_path / "run"), tmp_path / "disk 2" / "data"
    shutil.move(data, moved)
    asked = experiment(moved, log_every=1, checkpoint_every=1)
    train(asked, run, resume=True, quiet=True, device="cpu")
    assert weights(run) == weights(whole)
    assert list(checkpoint.committed(run / "checkpoints")) == [3, 4]

    # The run knows where they are from now on, and so does its evaluation.
    config = json.loads((run / "config.json").read_text())
    assert config["world"]["path"] == str(moved) and config["train"]["log_every"] == 1
    assert evaluate(run, progress=False, device="cpu")["changed_data"] == []


def test_other_data_elsewhere_are_refused_and_nothing_changes(data: Path, tmp_path: Path) -> None:
    run, other = begun(data, tmp_path / "run"), tmp_path / "other"
    shutil.copytree(data, other)
    views = np.load(other / "views.npy")
    views[0, 0] += 1
    np.save(other / "views.npy", views)

    before = contents(run)
    with pytest.raises(DataError, match=r"is not what the run .* was begun with"):
        train(experiment(other), run, resume=True, quiet=True, device="cpu")
    assert contents(run) == before

    for changed in (experiment(data, batch_size=4), replace(experiment(data), seed=1)):
        with pytest.raises(ConfigError, match="a run of another configuration"):
            train(changed, run, resume=True, quiet=True, device="cpu")


def test_data_without_digests_are_not_known_elsewhere(data: Path, tmp_path: Path) -> None:
    spec = replace(Config(path=str(data)).build().spec, data={})

    def begin(path: str, *, allow: bool = False) -> None:
        config = to_json(experiment(Path(path)))
        with RunFolder.open(tmp_path / "run", config, resume=True, warn=warnings.append) as run:
            run.write_spec(spec, allow_changed=allow)

    warnings: list[str] = []
    begin("here")
    begin("here")
    with pytest.raises(DataError, match=r"world\.path: 'here' there, 'there' here"):
        begin("there")
    begin("there", allow=True)
    begin("there")
    assert len(warnings) == 1 and "world.path" in warnings[0]


def test_images_that_are_gone_may_be_elsewhere() -> None:
    with pytest.raises(DataError, match=r"no file or folder gone; .* add --world\.path NEW"):
        build_world(Saccades(source="folder", path="gone"))


def test_evaluation_and_report_take_another_path(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(experiment(data), tmp_path / "run", quiet=True, device="cpu")
    moved = tmp_path / "moved"
    shutil.move(data, moved)
    config = (run / "config.json").read_bytes()

    assert cli.run(["evaluate", str(run)]) == 3
    assert "If the data are elsewhere now, add --world.path NEW" in capsys.readouterr().err
    assert cli.run(["evaluate", str(run), "--world.path", str(moved)]) == 0
    assert "warning: the data" not in capsys.readouterr().err
    assert json.loads((run / "results.json").read_bytes())["changed_data"] == []
    assert (run / "config.json").read_bytes() == config

    for option in ("--world.views", "--world.ood-path"):
        assert cli.run(["evaluate", str(run), option, "3"]) == 2
        assert "Known: path" in capsys.readouterr().err
    assert cli.run(["report", str(run), "--out", str(tmp_path / "r"), f"--world.path={moved}"]) == 0
    assert "No pictures" not in (tmp_path / "r" / "index.html").read_text()


def test_seeds_are_one_variant_wherever_their_data_were(data: Path, tmp_path: Path) -> None:
    copied, folders = tmp_path / "copy", []
    shutil.copytree(data, copied)
    for seed, path in enumerate((data, copied)):
        chosen = replace(experiment(path, log_every=1 + seed), seed=seed)
        folders.append(train(chosen, tmp_path / f"run{seed}", quiet=True, device="cpu"))
    [variant] = group([read_run(folder) for folder in folders])
    assert len(variant.runs) == 2


def test_only_paths_of_the_world_move() -> None:
    asked = move(experiment(Path("a")), {"path": "b"})
    assert asked.world == Config(path="b")
    assert settled({"world": {"path": "a", "ood_path": "b", "views": 3}, "seed": 1}) == {
        "world": {"views": 3},
        "seed": 1,
    }
    with pytest.raises(ConfigError, match="Known: path"):
        move(experiment(Path("a")), {"val_fraction": "1"})


def test_a_world_without_data_on_disk_has_no_paths() -> None:
    with pytest.raises(ConfigError, match=r"path of the run's world 'path'\. Known: none"):
        move(shapes_tiny(), {"path": "elsewhere"})
