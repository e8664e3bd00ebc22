"""Transfer: a frozen model is asked about another world."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fixtures import signal_world, view_files
from fixtures.toys import subject_of
from seqjepa import cli
from seqjepa.commands.other_world import find_world
from seqjepa.config import EvaluateConfig
from seqjepa.errors import ConfigError
from seqjepa.evaluation import few_labels
from seqjepa.evaluation.features import FeatureTable
from seqjepa.evaluation.few_labels import choose
from seqjepa.evaluation.measure import measure
from seqjepa.evaluation.probes import generator_for
from seqjepa.evaluation.protocol import Protocol
from seqjepa.evaluation.subject import NotApplicableError
from seqjepa.evaluation.transfer import transfer
from seqjepa.model import load
from seqjepa.training.loop import train
from seqjepa.worlds import arrays, augmented, saccades, shapes, threediebench

SHORT = replace(signal_world.recipe().evaluate, max_steps=8)


class Lit(signal_world.Config):
    """The same world with other actions."""

    def build(self):
        world = super().build()
        world.spec = replace(world.spec, actions=world.spec.factors.select(("light",)))
        return world


@pytest.fixture(scope="module", autouse=True)
def short_probes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few_labels, "FEWEST", 8)
        yield


def asked(run: Path, world, **options) -> dict:
    _, results = transfer(run, world, config=SHORT, progress=False, device="cpu", **options)
    return results


def questions(records) -> set[tuple[str, str]]:
    return {(record["task"], record["input"]) for record in records}


def write_arrays(folder: Path, *, channels: int = 3, side: int = 16, dims: int = 1) -> Path:
    """Write a world of its own factor, without labels."""
    random = np.random.default_rng(0)
    folder.mkdir()
    np.save(folder / "views.npy", random.integers(0, 255, (40, 3, side, side, channels), np.uint8))
    np.save(folder / "poses.npy", random.random((40, 3, dims)))
    pose = [f"p{n}" for n in range(dims)]
    manifest = {"pose": pose, "groups": [{"name": "place", "dims": pose}]}
    (folder / "world.json").write_text(json.dumps(manifest))
    return folder


def write_images(folder: Path, number: int = 15, seed: int = 0) -> Path:
    """Write images of two classes, in two folders."""
    random = np.random.default_rng(seed)
    for name, level in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for image in range(number):
            pixels = level + random.integers(0, 40, (20, 24, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{image}.png")
    return folder


def test_another_world_gives_what_an_evaluation_on_it_gives(copied: Path) -> None:
    other = signal_world.Config(objects=48)
    results = asked(copied, other)
    model = load(copied)
    experiment = replace(model.experiment, world=other, evaluate=SHORT)
    whole = measure(subject_of(model.method, experiment, other.build()))[0]
    wanted = {
        (r.features, r.task, r.input, r.views, r.metric): r.value
        for r in whole
        if r.split == "test" and r.features in ("model", "pixels")
    }
    found = {
        (r["features"], r["task"], r["input"], r["views"], r["metric"]): r["value"]
        for r in results["records"]
    }
    assert len(wanted) > 20 and {about: found[about] for about in wanted} == wanted
    assert {about[0] for about in found} == {"model", "random", "pixels"}
    assert not results["left_out"] and results["sizes"] == {"train": 48, "test": 24}
    world = results["experiment"]["world"]
    assert world["objects"] == 48 and world["kind"] == "signal_world"


def test_results_are_written_as_returned(copied: Path) -> None:
    path, results = transfer(copied, signal_world.Config(), config=SHORT, progress=False)
    assert path == copied / "transfer" / "signal_world.json"
    assert json.loads(path.read_bytes()) == results


def test_another_world_of_the_same_name_has_a_file_of_its_own(copied: Path) -> None:
    for objects in (40, 48, 40, 48):
        asked(copied, signal_world.Config(objects=objects, labelled=False), name="A b!")
    files = sorted((copied / "transfer").iterdir())
    assert len(files) == 2 and files[0].name == "a_b.json"
    assert files[1].name.startswith("a_b_") and len(files[1].stem) == len("a_b_") + 8
    stored = [json.loads(file.read_bytes())["experiment"]["world"]["objects"] for file in files]
    assert stored == [40, 48]


def test_labels_are_drawn_by_class_and_anew() -> None:
    labels = torch.tensor([0, 1, 2] * 20 + [3, 3])
    draws = [choose(labels, 5, generator_for(0, "labels", f"{draw}")) for draw in range(4)]
    for draw in draws:
        assert len(set(draw.tolist())) == len(draw)
        assert labels[draw].bincount().tolist() == [5, 5, 5, 2]
        assert torch.equal(labels[draw], labels[draws[0]])
    assert len({tuple(draw.tolist()) for draw in draws}) == 4
    again = choose(labels, 5, generator_for(0, "labels", "0"))
    assert torch.equal(again, draws[0])


def test_few_labels_tell_what_is_plain_and_nothing_else(monkeypatch) -> None:
    """Two draws of features: classes far apart, and noise."""
    monkeypatch.setattr(few_labels, "FEWEST", 100)
    chance = torch.Generator().manual_seed(0)
    labels = torch.arange(120) % 4
    protocol = Protocol("model", EvaluateConfig(views=2, draws=2), seed=0, width=8)
    for signal, low, high in ((3.0, 0.97, 1.0), (0.0, 0.15, 0.35)):
        tables = {}
        for split in ("train", "test"):
            views = torch.randn(120, 3, 8, generator=chance)
            views[..., :4] += signal * 4 * torch.eye(4)[labels][:, None]
            tables[split] = FeatureTable(views, torch.zeros(120, 3, 0), labels)
        records = few_labels.few_labels(protocol, tables, None)
        tasks = {record.task for record in records}
        assert tasks == {"class, 1 label", "class, 5 labels", "class, 10 labels"}
        for record in records:
            if record.metric == "top1":
                assert low <= record.value <= high, record
            else:
                assert 0 <= record.value < 0.1 and (signal or record.value > 0)


def test_other_channels_are_refused_before_anything(copied: Path, tmp_path: Path) -> None:
    gray = write_arrays(tmp_path / "gray", channels=1)
    with pytest.raises(ConfigError, match="images of 3 channels, those of world 'arrays' have 1"):
        asked(copied, arrays.Config(path=str(gray)))
    assert not (copied / "transfer").exists()


def test_a_world_is_given_as_its_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="world must be of type WorldConfig, got str"):
        transfer(tmp_path / "nowhere", "shapes_tiny")


def test_what_does_not_fit_is_named(copied: Path, tmp_path: Path) -> None:
    """Other actions, another size and no labels: the factors are left."""
    folder = write_arrays(tmp_path / "mine", side=20, dims=2)
    results = asked(copied, arrays.Config(path=str(folder)), parts=("full",))
    assert questions(results["records"]) == {
        ("relative place", "pair"),
        ("individual place", "view"),
    }
    said = "\n".join(results["left_out"])
    assert "20 x 20 pixels, those trained on 16 x 16" in said
    assert "class: left out" in said
    for part in ("retrieval", "group"):
        assert f"{part}: left out, world 'arrays' has not the actions trained with (rot" in said
    with pytest.raises(NotApplicableError, match="retrieval: left out"):
        asked(copied, arrays.Config(path=str(folder)), parts=("retrieval",))


def test_sequences_need_the_actions_that_their_aggregator_reads(tmp_path: Path) -> None:
    folder = write_arrays(tmp_path / "mine", dims=2)
    np.save(folder / "labels.npy", np.arange(40) % 2)
    for condition, sequences in (("both", False), ("predictor", True)):
        recipe = signal_world.recipe()
        recipe = replace(recipe, method=replace(recipe.method, condition=condition))
        run = train(recipe, tmp_path / condition, quiet=True, device="cpu")
        results = asked(run, arrays.Config(path=str(folder)))
        found = {
            (r["features"], r["views"]) for r in results["records"] if r["input"] == "sequence"
        }
        wanted = {(name, m) for name in ("model", "random") for m in (1, 2, 3)}
        assert found == (wanted if sequences else set())
        assert any("z_AGG: left out" in line for line in results["left_out"]) is not sequences


def test_the_actions_are_those_trained_with(copied: Path) -> None:
    """The other world's own choice of actions does not count."""
    results = asked(copied, Lit(objects=40), parts=("retrieval",))
    assert {record["metric"] for record in results["records"]} >= {"mrr", "h@1", "pre"}
    assert results["part"] == "transfer"


def test_images_are_seen_whole_by_a_run_without_views_of_images(
    copied: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("SEQJEPA_CACHE", str(tmp_path / "cache"))
    folder = write_images(tmp_path / "My pictures")
    command = ["evaluate", str(copied), "--world", str(folder), "--device", "cpu"]
    assert cli.run([*command, "--max-steps", "8"]) == 0
    said = capsys.readouterr().out
    assert "class, 1 label" in said and "one view of each" in said
    results = json.loads((copied / "transfer" / "my_pictures.json").read_bytes())
    assert {record["views"] for record in results["records"]} == {1}
    assert {record["input"] for record in results["records"]} == {"view"}
    assert {record["features"] for record in results["records"]} == {"model", "random", "pixels"}
    assert results["experiment"]["world"]["image_size"] == 16

    model = load(copied)
    world = find_world(str(folder), model.experiment, model.spec).build()
    index, key = np.arange(3), np.arange(3)
    views = world.sequences("test", index, 1, key).views[:, 0]
    assert torch.equal(views, world.whole("test", index))

    # A smaller view, which its own options allow; and mistakes.
    assert cli.run([*command, "--max-steps", "8", "--world.image-size", "12"]) == 0
    assert len(list((copied / "transfer").iterdir())) == 2
    for mistake in (["--quick"], ["--world.patch-size", "8"]):
        assert cli.run([*command, *mistake]) == 2
    assert cli.run(["evaluate", "--world", str(folder)]) == 2
    assert "name the run first" in capsys.readouterr().err


def test_images_are_seen_as_in_the_run(tmp_path: Path, run_dir: Path, capfd) -> None:
    folder, spec = write_images(tmp_path / "pictures"), load(run_dir).spec
    recipe = signal_world.recipe()
    for own in (
        augmented.Config(source="stl10", path="stl10", image_size=48, actions=("crop",)),
        saccades.Config(path="stl10", patch_size=24, saliency="uniform"),
    ):
        found = find_world(str(folder), replace(recipe, world=own), spec)
        assert found == replace(own, source="folder", path=str(folder))

    maps = saccades.Config(path="stl10", saliency="maps")
    found = find_world(str(folder), replace(recipe, world=maps), spec)
    assert found.saliency == "spectral_residual"
    assert "--world.saliency" in capfd.readouterr().err


def test_worlds_are_recognised_and_of_the_size_of_the_run(tmp_path: Path, run_dir: Path) -> None:
    model = load(run_dir)

    def find(what: str):
        return find_world(what, model.experiment, model.spec)

    own = write_arrays(tmp_path / "mine")
    assert find(str(own)) == arrays.Config(path=str(own))
    objects = view_files.write(tmp_path / "objects")
    wanted = threediebench.Config(path=str(objects), image_size=16, views=4)
    assert find(str(objects)) == wanted
    assert find("shapes_tiny") == replace(find("shapes_tiny"), image_size=16)
    assert isinstance(find("shapes_tiny"), shapes.Config)
    assert find("stl10").patch_size == 16

    (tmp_path / "nothing").mkdir()
    with pytest.raises(ConfigError, match="not in a format"):
        find(str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="did you mean 'shapes_tiny'"):
        find("shapes_tny")
