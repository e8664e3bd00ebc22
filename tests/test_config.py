"""Experiments to JSON and back, and every way to get a key wrong."""

import json
from dataclasses import dataclass, replace

import pytest

from seqjepa.config import (
    EvaluateConfig,
    Experiment,
    OptimConfig,
    TrainConfig,
    find_kind,
    from_json,
    kind,
    to_json,
)
from seqjepa.errors import ConfigError, unknown
from seqjepa.from_json import build_dataclass, differences
from seqjepa.methods.base import MethodConfig
from seqjepa.methods.seq_jepa import Config as SeqJEPAConfig
from seqjepa.nn import EncoderConfig
from seqjepa.worlds.base import WorldConfig


@dataclass(frozen=True, kw_only=True)
class Inner:
    depth: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """A world's config with one field of every sort.

    Its kind is the name of this file, `test_config`.
    """

    path: str = "somewhere"
    names: tuple[str, ...] = ("a", "b")
    size: tuple[int, int] = (3, 4)
    limit: int | None = None
    shadows: bool = True
    inner: Inner = Inner()
    table: dict[str, tuple[int, ...]] | None = None
    scale: float | tuple[float, ...] = 1.0
    scales: float | tuple[float, ...] = (1.0, 2.0)


def experiment() -> Experiment:
    return Experiment(
        name="example",
        method=SeqJEPAConfig(predict="every", dropout=0.2),
        world=Config(limit=7, table={"train": (0, 2)}),
        encoder=EncoderConfig(width=8, stem="cifar"),
        optim=OptimConfig(lr=1e-3),
        train=TrainConfig(steps=3, batch_size=4, precision="fp32"),
        evaluate=EvaluateConfig(max_steps=2),
        seed=5,
    )


def test_round_trip_through_text():
    text = json.dumps(to_json(experiment()), allow_nan=False)
    assert from_json(json.loads(text)) == experiment()


def test_kinds_are_module_names():
    data = to_json(experiment())
    assert data["method"]["kind"] == "seq_jepa" == kind(SeqJEPAConfig)
    assert data["world"]["kind"] == "test_config"
    assert find_kind(MethodConfig, "seq_jepa") is SeqJEPAConfig
    with pytest.raises(ConfigError, match="unknown method 'seqjepa', did you mean 'seq_jepa'"):
        find_kind(MethodConfig, "seqjepa")
    message = r"unknown world 'shape', did you mean 'shapes'\? .* --code FILE"
    with pytest.raises(ConfigError, match=message):
        find_kind(WorldConfig, "shape")


def changed(path: str, value: object) -> dict:
    """Return the example's data with the value at a dotted path set, or removed (`...`)."""
    data = json.loads(json.dumps(to_json(experiment())))
    *parents, last = path.split(".")
    where = data
    for parent in parents:
        where = where[parent]
    if value is ...:
        del where[last]
    else:
        where[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train.stepz", 3, r"unknown key 'train\.stepz', did you mean 'train\.steps'"),
        ("sede", 1, "unknown key 'sede', did you mean 'seed'"),
        (
            "world.inner.dept",
            1.0,
            r"unknown key 'world\.inner\.dept', did you mean 'world\.inner\.depth'",
        ),
        ("method.learning_rate_of_the_moon", 1, r"unknown key 'method\.learning_rate_of_the_moon'"),
        ("train.steps", ..., r"keys missing: train\.steps"),
        ("world.kind", ..., r"'world\.kind' must name a world, got None"),
        ("world.kind", 3, r"'world\.kind' must name a world, got 3"),
        ("method.kind", "seq_jeqa", "unknown method 'seq_jeqa', did you mean 'seq_jepa'"),
        ("train", [1], r"key 'train' must be an object, got \[1\]"),
        ("train.steps", "3", r"key 'train\.steps' must be int, got '3'"),
        ("train.steps", 3.0, r"key 'train\.steps' must be int, got 3\.0"),
        ("train.steps", True, r"key 'train\.steps' must be int, got True"),
        ("optim.lr", False, r"key 'optim\.lr' must be float, got False"),
        ("optim.lr", None, r"key 'optim\.lr' must be float, got None"),
        ("world.shadows", 1, r"key 'world\.shadows' must be bool, got 1"),
        ("world.names", "ab", r"key 'world\.names' must be a list of str, got 'ab'"),
        ("world.names", ["a", 2], r"key 'world\.names\[1\]' must be str, got 2"),
        ("world.size", [1, 2, 3], r"key 'world\.size' must be tuple\[int, int\], got \[1, 2, 3\]"),
        ("world.limit", "x", r"key 'world\.limit' must be int, got 'x'"),
        ("world.table", {"train": 1}, r"key 'world\.table\.train' must be a list of int"),
        (
            "method.predict",
            "eevry",
            r"value of key 'method\.predict': 'eevry', did you mean 'every'",
        ),
        ("method.predict", 1, r"key 'method\.predict' must be .*'last'"),
        ("train.batch_size", 1, r"train\.batch_size must be at least 2"),
        ("train.accumulate", 3, r"train\.batch_size"),
        ("train.num_views", 0, r"train\.num_views must be at least 1, got 0"),
        ("optim.warmup", 1.0, r"optim\.warmup must be at least 0 and below 1, got 1.0"),
        ("optim.lr", -1, r"optim\.lr must be finite and at least 0, got -1"),
        (
            "optim.weight_decay",
            float("nan"),
            r"optim\.weight_decay must be finite and at least 0, got nan",
        ),
        ("optim.lr", float("inf"), r"optim\.lr must be finite"),
        ("evaluate.views", 0, r"evaluate\.views must be finite and above 0, got 0"),
        ("method.ema_momentum", 1.2, r"method\.ema_momentum must lie in 0\.\.1, got 1\.2"),
        ("evaluate.max_steps", 0, r"evaluate\.max_steps must be finite and above 0, got 0"),
        ("seed", -1, r"seed must be at least 0 and below 2\^32, got -1"),
        ("seed", 2**32, r"seed must be at least 0 and below 2\^32, got 4294967296"),
        ("encoder.name", "resnet20", r"encoder\.name 'resnet20', did you mean 'resnet"),
    ],
)
def test_wrong_keys_types_and_values_are_named(path, value, message):
    with pytest.raises(ConfigError, match=message):
        from_json(changed(path, value))


def test_whole_numbers_pass_for_floats_and_none_for_optional():
    assert from_json(changed("optim.lr", 1)).optim.lr == 1.0
    assert from_json(changed("world.limit", None)).world.limit is None


def test_not_an_object_at_all():
    with pytest.raises(ConfigError, match=r"the top level must be an object, got \[\]"):
        from_json([])


def test_defaults_may_be_left_out_where_that_is_said():
    assert build_dataclass(Config, {"names": ["c"]}, defaults=True) == Config(names=("c",))
    with pytest.raises(ConfigError, match="keys missing: path"):
        build_dataclass(Config, {"names": ["c"]})


def test_differences_name_both_values():
    first = experiment()
    second = replace(first, seed=6, train=replace(first.train, steps=9))
    old, new = to_json(first), to_json(second)
    assert differences(old, old) == []
    assert differences(old, new) == ["train.steps: 3 there, 9 here", "seed: 5 there, 6 here"]
    del new["seed"]
    assert differences(old, new)[-1] == "seed: 5 there, None here"


def test_unknown_names_are_told_what_there_is():
    near, far = (unknown("split", name, ["train", "val"]) for name in ("vall", "zzz"))
    assert near == "unknown split 'vall', did you mean 'val'? Known: train, val"
    assert far == "unknown split 'zzz'. Known: train, val"
