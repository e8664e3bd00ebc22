"""Methods, worlds and recipes of other packages, and every way for such a package to be wrong."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fixtures.packages import write_package
from seqjepa import cli, plugins, recipes
from seqjepa.config import find_kind, from_json, to_json
from seqjepa.errors import ConfigError
from seqjepa.methods import simclr
from seqjepa.methods.base import MethodConfig
from seqjepa.nn import EncoderConfig
from seqjepa.recipes.shapes import shapes_tiny
from seqjepa.worlds.base import WorldConfig
from seqjepa.worlds.recognise import world_configs

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugin"
METHOD = """
from dataclasses import dataclass
from seqjepa.methods import simclr

@dataclass(frozen=True, kw_only=True)
class Config(simclr.Config):
    '''SimCLR under another name.'''
    sharpness: float = 2.0
"""
WORLD = """
from dataclasses import dataclass
from seqjepa.reading.findings import Look, Report
from seqjepa.worlds.base import WorldConfig

@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    '''A world that cannot be built.'''
    path: str = ""

    @classmethod
    def inspect(cls, path, look=Look()):
        return Report("a plug-in's format", ()) if path.suffix == ".plugin" else None
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that puts a package with entry points where Python finds it."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    plugins._entries.cache_clear()

    def installed(name: str, group: str, entry: str, **modules: str) -> None:
        key, value = entry.split(" = ")
        write_package(tmp_path, name, {f"seqjepa.{group}": {key: value}})
        for module, text in modules.items():
            (tmp_path / f"{module}.py").write_text(text)

    yield installed
    plugins._entries.cache_clear()
    for module in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[module], "__file__", None) or ""):
            del sys.modules[module]


def test_nothing_is_imported_before_it_is_asked_for(install: Install) -> None:
    install("broken", "methods", "broken_one = broken_one:Config", broken_one="1 / 0")
    assert plugins.registered("methods") == ["broken_one"]
    assert find_kind(MethodConfig, "simclr") is simclr.Config
    assert recipes.with_method(shapes_tiny(), "byol").name == "shapes_tiny_byol"
    assert "broken_one" not in sys.modules


def test_a_method_is_found_like_ours(install: Install) -> None:
    install("sharp", "methods", "sharp_clr = sharp_clr:Config", sharp_clr=METHOD)
    experiment = recipes.with_method(shapes_tiny(), "sharp_clr")
    assert experiment.name == "shapes_tiny_sharp_clr" and experiment.train.num_views == 2
    data = to_json(experiment)
    assert data["method"]["kind"] == "sharp_clr" and data["method"]["sharpness"] == 2.0
    assert from_json(json.loads(json.dumps(data))) == experiment
    with pytest.raises(ConfigError, match=r"did you mean 'sharp_clr'\? Known: .*sharp_clr"):
        find_kind(MethodConfig, "sharpclr")


def test_a_world_is_found_and_recognises_its_files(install: Install, tmp_path: Path) -> None:
    install("dark", "worlds", "dark_world = dark_world:Config", dark_world=WORLD)
    config = find_kind(WorldConfig, "dark_world")
    assert config in world_configs()
    data = to_json(replace(shapes_tiny(), world=config(path="x")))
    assert data["world"] == {"kind": "dark_world", "path": "x"}
    (tmp_path / "some.plugin").touch()
    assert cli.run(["data", "check", str(tmp_path / "some.plugin")]) == 0


def test_a_recipe_is_named_like_ours(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    module = "from seqjepa.recipes.shapes import shapes_tiny\n\ndef mine(): return shapes_tiny()"
    install("cook", "recipes", "cooked = cook:mine", cook=module)
    assert recipes.recipe("cooked")() == shapes_tiny()
    with pytest.raises(SystemExit):
        cli.run(["train", "--help"])
    assert " cooked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("group", "entry", "module", "message"),
    [
        ("methods", "one = one:Config", "import nothing_of_this_name", "ModuleNotFoundError: No"),
        ("methods", "one = one:Config", "raise SystemError('no GPU')", "SystemError: no GPU"),
        ("methods", "one = one:Konfig", METHOD, "AttributeError"),
        ("methods", "one = one:Config", WORLD, "must be a subclass of MethodConfig, got <class"),
        ("methods", "one = one", METHOD, "must be a subclass of MethodConfig, got <module 'one'"),
        ("worlds", "one = one:Config", METHOD, "must be a subclass of WorldConfig"),
        ("methods", "two = one:Config", METHOD, "must have the name of its module, 'one'"),
        ("methods", "simclr = one:Config", METHOD, "has the name of one of seqjepa's own"),
        ("worlds", "shapes = one:Config", WORLD, "has the name of one of seqjepa's own"),
    ],
)
def test_what_is_wrong_with_a_plug_in_is_said(
    install: Install, group: str, entry: str, module: str, message: str
) -> None:
    install("faulty-package", group, entry, one=module)
    base = MethodConfig if group == "methods" else WorldConfig
    with pytest.raises(ConfigError, match=message) as raised:
        find_kind(base, entry.split(maxsplit=1)[0])
    assert f"{group[:-1]} {entry.split(maxsplit=1)[0]!r} of the package faulty-package" in str(
        raised.value
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("one = one:nothing", "must be a function that returns an Experiment, got None"),
        ("one = one:NUMBER", "must be a function that returns an Experiment, got 3"),
        ("shapes_tiny = one:nothing", "has the name of one of seqjepa's own"),
    ],
)
def test_a_recipe_that_is_none(install: Install, entry: str, message: str) -> None:
    install("faulty", "recipes", entry, one="NUMBER = 3\n\ndef nothing(): return None")
    with pytest.raises(ConfigError, match=message):
        recipes.recipe(entry.split(maxsplit=1)[0])()


def test_two_packages_with_one_name(install: Install) -> None:
    install("first", "methods", "one = one:Config", one=METHOD)
    install("second", "methods", "one = another.one:Config")
    with pytest.raises(ConfigError, match=r"first.*have the same name|second.*have the same name"):
        find_kind(MethodConfig, "one")


def test_a_package_that_is_found_twice_is_one(install: Install) -> None:
    """As beside an old copy of its metadata."""
    install("first", "methods", "one = one:Config", one=METHOD)
    install("First", "methods", "one = one:Config")
    assert find_kind(MethodConfig, "one").__module__ == "one"


def test_a_file_may_not_have_a_plug_ins_name(install: Install, tmp_path: Path) -> None:
    install("sharp", "methods", "sharp_clr = sharp_clr:Config", sharp_clr=METHOD)
    (tmp_path / "own").mkdir()
    own = tmp_path / "own" / "sharp_clr.py"
    own.write_text(METHOD)
    with pytest.raises(ConfigError, match=r"of a plug-in.*rename the file"):
        recipes.load_code(own)


def test_the_error_is_a_line_of_the_command(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("broken", "methods", "broken_one = broken_one:Config", broken_one="1 / 0")
    assert cli.run(["train", "shapes_tiny", "--method", "broken_one"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: method 'broken_one' of the package broken (broken_one:Config)")
    assert "ZeroDivisionError: division by zero" in said and said.count("\n") == 1


def test_the_example_is_the_spectral_contrastive_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare the loss with equation 6 of the paper, written out."""
    monkeypatch.syspath_prepend(EXAMPLE)
    from fixtures.signal_world import Config as SignalConfig
    from seqjepa_spectral import spectral  # type: ignore[import-not-found]

    world = SignalConfig().build()
    batch = next(world.loader("train", num_views=2, batch_size=6, seed=0))
    channels = world.spec.image_shape[0]
    encoder = EncoderConfig(width=2, stem="compact").build(
        channels, world.spec.mean, world.spec.std
    )
    method = spectral.Config().build(encoder, world.spec.actions)

    # Half of the projections are longer than is allowed.
    pairs = method.projector(method.encoder(batch.views)).detach().double()
    length = pairs.norm(dim=-1).median().item()
    method.mu = length**2
    output = method(batch)

    rows = [[row * min(1, length / row.norm().item()) for row in pair] for pair in pairs]
    agree = sum((first @ second).item() for first, second in rows) / 6
    others = [(rows[i][0] @ rows[j][1]).item() ** 2 for i in range(6) for j in range(6) if i != j]
    assert output.loss.item() == pytest.approx(-2 * agree + sum(others) / 30, rel=1e-4)
    torch.testing.assert_close(output.loss, output.terms["agree"] + output.terms["others"])
