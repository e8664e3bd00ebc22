"""An experiment's JSON in files: portable, and readable by later versions."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fixtures import signal_world
from seqjepa.config import EvaluateConfig, from_json, to_json
from seqjepa.errors import ConfigError
from seqjepa.from_json import added_in
from seqjepa.methods import vicreg
from seqjepa.methods.base import MethodConfig
from seqjepa.runs import config_file
from seqjepa.runs.config_file import FORMAT, dump_config, expanded, load_config
from seqjepa.worlds.base import WorldConfig

EXPERIMENT = replace(signal_world.recipe(), method=vicreg.Config())
DATA = to_json(EXPERIMENT)
PATH = Path("run/config.json")


@dataclass(frozen=True, kw_only=True)
class Later(MethodConfig):
    """VICReg's config as a later version might have it."""

    invariance: float = 25.0
    negatives: tuple[str, ...] = added_in(FORMAT + 1, ("all",))


@dataclass(frozen=True, kw_only=True)
class Own(WorldConfig):
    """A user's own world, to which a field has been added since the run."""

    objects: int = 3
    shading: float = 0.5
    ranges: tuple[tuple[float, float], ...] = ((0.0, 1.0), (2.0, 3.0))


# Both stand for modules of their own: one of ours, one of a user's.
Later.__module__ = "seqjepa.methods.later"
Own.__module__ = "own"


@pytest.fixture
def next_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read files as the next version would."""
    monkeypatch.setattr(config_file, "FORMAT", FORMAT + 1)


def written(**changes: object) -> dict:
    """Return the JSON data of a file of this version, with some keys changed."""
    return dump_config(DATA | changes) | {"format": FORMAT}


def test_what_is_written_is_read() -> None:
    data = dump_config(DATA)
    assert data["format"] == FORMAT and load_config(data, PATH) == DATA
    # As JSON: another test may have loaded the world's file again, with a class of its own.
    assert to_json(from_json(load_config(data, PATH))) == DATA


def test_the_home_folder_is_not_written() -> None:
    path = str(Path.home() / "data")
    data = dump_config(DATA | {"world": {"kind": "arrays", "path": path}})
    assert data["world"]["path"] == "~/data"
    assert expanded(load_config(data, PATH))["world"]["path"] == path


def test_a_field_that_is_newer_than_the_file_takes_its_default(next_format: None) -> None:
    method = {"kind": "later", "invariance": 5.0}
    assert load_config(written(method=method), PATH)["method"] == method | {"negatives": ["all"]}


def test_a_key_that_the_file_should_have_is_missed(next_format: None) -> None:
    method = {"kind": "later", "negatives": ["own"]}
    assert load_config(written(method=method), PATH)["method"] == method
    with pytest.raises(ConfigError, match=r"keys missing: method\.invariance"):
        from_json(load_config(written(method=method), PATH))

    # A file of the format that has the field must have the key.
    current = written(method={"kind": "later", "invariance": 5.0}) | {"format": FORMAT + 1}
    with pytest.raises(ConfigError, match=r"keys missing: method\.negatives"):
        from_json(load_config(current, PATH))


def test_a_key_of_a_part_is_missed_too() -> None:
    data = written()
    for part in ("encoder", "optim", "train", "evaluate"):
        data[part] = dict(data[part])
    del data["optim"]["lr"]
    with pytest.raises(ConfigError, match=r"keys missing: optim\.lr"):
        from_json(load_config(data, PATH))


def test_fields_of_a_users_own_config_take_their_defaults() -> None:
    world = {"kind": "own", "objects": 4}
    added = {"shading": 0.5, "ranges": [[0.0, 1.0], [2.0, 3.0]]}
    assert load_config(written(world=world), PATH)["world"] == world | added
    assert from_json(load_config(written(world=world), PATH)).world == Own(objects=4)


def test_data_are_those_that_a_file_has() -> None:
    data = to_json(replace(EXPERIMENT, world=Own()))
    # Not a tuple inside a list, which would differ from the run's own file on resuming.
    assert data == json.loads(json.dumps(data))


def test_code_that_is_not_loaded_is_left_alone() -> None:
    world = {"kind": "nowhere", "size": 1}
    assert load_config(written(world=world), PATH)["world"] == world


def test_unknown_keys_are_refused() -> None:
    method = DATA["method"] | {"invarience": 5.0}
    with pytest.raises(ConfigError, match=r"did you mean 'method\.invariance'"):
        from_json(load_config(written(method=method), PATH))


def test_migrations_run_in_order_from_the_files_format(monkeypatch: pytest.MonkeyPatch) -> None:
    def renamed(old: str, new: str):
        return lambda data: {new if key == old else key: value for key, value in data.items()}

    steps = {FORMAT + 2: renamed("chance", "seed"), FORMAT + 1: renamed("draw", "chance")}
    monkeypatch.setattr(config_file, "MIGRATIONS", steps)
    monkeypatch.setattr(config_file, "FORMAT", FORMAT + 2)

    def read(key: str, written_in: int) -> dict:
        data = {name: value for name, value in DATA.items() if name != "seed"}
        return load_config(data | {key: 7, "format": written_in}, PATH)

    assert read("draw", FORMAT)["seed"] == read("chance", FORMAT + 1)["seed"] == 7
    assert "draw" in read("draw", FORMAT + 1), "which is no key of that format"


@pytest.mark.parametrize("written_in", [FORMAT + 1, "2", None])
def test_a_newer_format_is_refused(written_in: object) -> None:
    with pytest.raises(
        ConfigError, match=rf"run/config\.json: .*reads up to format {FORMAT}: upgrade seqjepa"
    ):
        load_config(DATA | {"format": written_in}, PATH)


def test_epochs_of_probes_are_dropped() -> None:
    """Format 3 named epochs and rates of probes, which learn to convergence since format 4."""
    old = {"linear_epochs": 2, "mlp_epochs": 3, "linear_regression_epochs": 4, "lr": 0.1}
    old |= {"mlp_lr": 0.2, "cosine": True, "batch_size": 5, "views": 3, "objects": None}
    old |= {"encoded_views": 4, "draws": 2, "precision": "bf16"}
    found = load_config({**DATA, "format": 3, "evaluate": old}, PATH)
    assert from_json(found).evaluate == EvaluateConfig(
        views=3, encoded_views=4, draws=2, precision="bf16"
    )
