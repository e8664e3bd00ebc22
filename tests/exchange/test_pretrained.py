"""A model in a folder: the same bits after a trip, without data; anything else is refused."""

import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import torch
from huggingface_hub import constants

import seqjepa
from fixtures import signal_world
from fixtures.contract import NAMES
from fixtures.malice import Malice
from fixtures.untrained import untrained
from seqjepa.errors import CheckpointError, ConfigError
from seqjepa.exchange.pretrained import from_pretrained, pretrained_files
from seqjepa.files import sha256
from seqjepa.model import Model, load
from seqjepa.worlds import arrays

VIEWS, ACTIONS = torch.rand(2, 3, 3, 16, 16), torch.rand(2, 3, 4)


def written(model: Model, folder: Path) -> Path:
    folder.mkdir()
    for name, data in pretrained_files(model).items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    return written(model, tmp_path / "model")


def test_outputs_are_the_same_bits_without_the_world(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_world.Config, "build", None)
    loaded = seqjepa.from_pretrained(folder)
    assert (loaded.experiment, loaded.spec) == (model.experiment, model.spec)
    assert (loaded.step, loaded.environment) == (model.step, model.environment)
    assert loaded.step == 4 and not loaded.method.training

    for call in (
        lambda of: of.encode(VIEWS),
        lambda of: of.aggregate(VIEWS, ACTIONS[:, 1:]),
        lambda of: of.predict(VIEWS, ACTIONS),
        lambda of: of.target(VIEWS),
    ):
        assert torch.equal(call(loaded), call(model))


@pytest.mark.parametrize("name", NAMES)
def test_every_method_makes_the_trip(name: str, tmp_path: Path) -> None:
    model = untrained(name)
    loaded = from_pretrained(str(written(model, tmp_path / "model")))
    expected, found = model.method.state_dict(), loaded.method.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_there_are_the_weights_and_nothing_of_the_optimizer(model: Model, folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    assert tensors.keys() == model.method.state_dict().keys()


def test_where_data_were_is_not_told(tmp_path: Path) -> None:
    model = untrained("simclr")
    world = arrays.Config(path=str(tmp_path / "secret" / "pictures"))
    files = pretrained_files(replace(model, experiment=replace(model.experiment, world=world)))
    assert json.loads(files["config.json"])["experiment"]["world"]["path"] == "pictures"
    assert b"secret" not in files["config.json"]


def change(key: str, value: object) -> Callable[[Path], None]:
    """Return a function that changes a key of a folder's config; None removes it."""

    def changed(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        *outer, last = key.split(".")
        inner = config
        for name in outer:
            inner = inner[name]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
        (folder / "config.json").write_text(json.dumps(config))

    return changed


def reweigh(edit: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """Return a function that edits a folder's weights, and gives them a digest that fits."""

    def changed(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = safetensors.torch.load_file(path)
        edit(tensors)
        path.write_bytes(safetensors.torch.save(tensors))
        change("sha256", sha256(path.read_bytes()))(folder)

    return changed


def flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def overwrite(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


STEM = "encoder.backbone.conv1.weight"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, r"model.safetensors is damaged: its sha256 is not that in config.json"),
        (overwrite("model.safetensors", b""), "is damaged"),
        (overwrite("config.json", b"{"), "config.json is damaged"),
        (overwrite("config.json", b"[1]"), "is no config that `seqjepa export` wrote"),
        (overwrite("config.json", b'{"model_type": "bert"}'), "is no config that"),
        (overwrite("config.json", b"\xff"), "config.json is damaged"),
        (change("format", 2), "is of format 2, this seqjepa reads format 1: upgrade seqjepa"),
        (change("experiment.format", 99), "is of format 99, .* upgrade seqjepa"),
        (change("sha256", None), "is damaged: it has no sha256"),
        (change("experiment", [1]), "does not fit this version"),
        (change("experiment.method.kind", "no_such"), "unknown method 'no_such'"),
        (change("experiment.encoder.width", "2"), "encoder.width.* must be int"),
        (change("world", 3), "must be an object"),
        (change("world.mean", None), "keys missing: mean"),
        (change("experiment.encoder.width", 3), r"mis-shaped: encoder\."),
        (reweigh(lambda tensors: tensors.pop(STEM)), f"1 missing: {STEM}"),
        (reweigh(lambda tensors: tensors.update(more=torch.ones(1))), "1 unexpected: more"),
        (
            reweigh(lambda tensors: tensors.update({STEM: torch.ones(2, 2)})),
            r"1 mis-shaped: encoder.backbone.conv1.weight \(float32 \[2, 2\]",
        ),
        (
            reweigh(lambda tensors: tensors.update({STEM: tensors[STEM].half()})),
            "1 mis-shaped: encoder.backbone.conv1.weight .float16",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "it has no model.safetensors"),
        (lambda folder: (folder / "config.json").unlink(), "it has no config.json"),
    ],
)
def test_a_damaged_or_foreign_folder_is_refused_in_words(
    damage: Callable[[Path], object], message: str, folder: Path
) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        from_pretrained(folder)


def test_no_pickle_is_read(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Malice(tmp_path / "ran")))
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is not read: a pickle can run"):
        from_pretrained(folder)
    assert not (tmp_path / "ran").exists()


def test_other_folders_are_refused_in_words(run: Path, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"folder of a run: seqjepa\.load reads it"):
        from_pretrained(run)
    with pytest.raises(CheckpointError, match=r"it has no config\.json and no model\.safetensors"):
        from_pretrained(folder / "model.safetensors")
    with pytest.raises(ConfigError, match="has no revision 'main': leave it out"):
        from_pretrained(folder, revision="main")
    with pytest.raises(ConfigError, match=r"exported model: seqjepa\.from_pretrained reads it"):
        load(folder)


class TestHub:
    """Names that are no folder are looked for on the hub; nothing here needs the network."""

    def test_a_model_comes_from_a_snapshot(
        self, model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []

        def snapshot_download(name: str, **options: object) -> str:
            asked.append((name, options["revision"], options["allow_patterns"]))
            return str(folder)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
        loaded = from_pretrained("someone/demo", revision="v1")
        assert asked == [("someone/demo", "v1", ["config.json", "model.safetensors"])]
        assert torch.equal(loaded.encode(VIEWS), model.encode(VIEWS))

    def test_offline_is_one_message(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(ConfigError, match="someone/demo is no folder here, and the hub") as e:
            from_pretrained("someone/demo")
        assert "check the name and the connection" in str(e.value) and "\n" not in str(e.value)

    @pytest.mark.parametrize("name", ["runs/a/b", "a folder/x", "--", ""])
    def test_names_that_the_hub_cannot_have(self, name: str) -> None:
        with pytest.raises((ConfigError, CheckpointError)) as error:
            from_pretrained(name)
        assert "\n" not in str(error.value)

    def test_without_the_package_a_folder_is_still_read(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        assert from_pretrained(folder).step == 4
        with pytest.raises(ConfigError, match=r"pip install 'seqjepa\[export\]'"):
            from_pretrained("someone/demo")
