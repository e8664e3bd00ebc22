"""Parts of an evaluation: retrieval by the predictor, the group of actions, and all together."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import roma
import torch
from torch import Tensor

from fixtures import signal_world
from fixtures.contract import experiment
from fixtures.toys import toy_subject, value
from seqjepa import cli
from seqjepa.actions import ActionSpace, Group
from seqjepa.errors import ConfigError, DiskError
from seqjepa.evaluation import few_labels, group, retrieval, suite
from seqjepa.evaluation.bank import Bank
from seqjepa.evaluation.retrieval import chance, ranks_within, score
from seqjepa.evaluation.subject import NotApplicableError, Subject
from seqjepa.evaluation.timings import seconds_of
from seqjepa.evaluation.transfer import transfer
from seqjepa.training.loop import train

ROTATION = ActionSpace(
    ("x", "y", "z", "w"), (Group(name="r", dims=tuple("xyzw"), kind="quaternion"),)
)


@dataclass(eq=False)
class Toy(torch.nn.Module):
    """A predictor of rotation matrices, which stand for views: exact unless told otherwise."""

    ignores_actions: bool = False
    remembers: bool = True
    rolls_out: bool = True

    def __post_init__(self) -> None:
        super().__init__()
        self.anywhere = torch.nn.Parameter(torch.zeros(()))

    def predict(self, sources: Tensor, actions: Tensor) -> Tensor:
        if self.ignores_actions:
            return sources[:, -1]
        turned = sources[:, -1].unflatten(-1, (3, 3)) @ roma.unitquat_to_rotmat(actions[:, -1])
        return turned.flatten(1)

    def advance(self, sources: Tensor, predicted: Tensor) -> Tensor:
        return predicted


def toy(method: Toy, objects: int = 6, views: int = 22) -> tuple[Subject, Bank]:
    """Return a subject and its bank, whose embeddings are the views' rotations."""
    torch.manual_seed(0)
    poses = roma.random_unitquat((objects, views))
    embedded = roma.unitquat_to_rotmat(poses).flatten(2)
    bank = Bank(embedded, embedded, poses, torch.zeros(objects, dtype=torch.int64))
    return toy_subject(method, ROTATION), bank


def test_an_exact_predictor_finds_every_view(monkeypatch) -> None:
    subject, bank = toy(Toy())
    monkeypatch.setattr(retrieval, "read_bank", lambda subject: bank)
    records = retrieval.retrieval(subject)
    for observed in (1, 3, 5):
        for metric, wanted in {"mrr": 1, "h@1": 1, "h@10": 1, "pre": 0}.items():
            found = value(records, features="model", views=observed, metric=metric)
            assert found == pytest.approx(wanted, abs=1e-5), metric


def test_an_exact_predictor_obeys_the_group_over_twenty_steps(monkeypatch) -> None:
    subject, bank = toy(Toy())
    monkeypatch.setattr(group, "read_bank", lambda subject: bank)
    records = group.group(subject)
    for law in ("one step", "identity", "inverse", "composition"):
        assert value(records, task="group", metric=law) == pytest.approx(0, abs=1e-5), law
    for steps in range(1, 21):
        assert value(records, metric="error", views=steps) == pytest.approx(0, abs=1e-4)
        assert value(records, metric="mrr", views=steps) == 1


def test_ignoring_actions_obeys_all_laws_but_is_no_step(monkeypatch) -> None:
    subject, bank = toy(Toy(ignores_actions=True), objects=40)
    monkeypatch.setattr(group, "read_bank", lambda subject: bank)
    monkeypatch.setattr(retrieval, "read_bank", lambda subject: bank)
    records = group.group(subject)
    for law in ("identity", "inverse", "composition"):
        assert value(records, task="group", metric=law) == pytest.approx(0, abs=1e-5)
    assert value(records, task="group", metric="one step") == pytest.approx(1, abs=1e-5)
    # It finds the first view, by the action that changes nothing, and no other.
    found = retrieval.retrieval(subject)
    assert value(found, features="model", views=1, metric="h@1") == pytest.approx(1 / 22)
    assert value(found, features="model", views=1, metric="pre") > 0.3


def test_a_predictor_that_cannot_go_on_is_asked_two_laws(monkeypatch) -> None:
    subject, bank = toy(Toy(rolls_out=False))
    monkeypatch.setattr(group, "read_bank", lambda subject: bank)
    assert {record.metric for record in group.group(subject)} == {"one step", "identity"}


def test_ranks_by_an_independent_count() -> None:
    random = np.random.default_rng(0)
    predicted, targets = random.normal(size=(3, 4, 5)), random.normal(size=(3, 7, 5))
    found = ranks_within(torch.from_numpy(predicted), torch.from_numpy(targets))
    for n in range(3):
        for v in range(4):
            cosines = [
                predicted[n, v] @ t / np.linalg.norm(predicted[n, v]) / np.linalg.norm(t)
                for t in targets[n]
            ]
            assert found[n, v] == 1 + sum(cosine > cosines[v] for cosine in cosines)


def test_ties_share_the_mean_of_their_ranks() -> None:
    """A collapsed model is at the middle, not first."""
    ranks = ranks_within(torch.ones(2, 5, 3), torch.ones(2, 5, 3))
    assert (ranks == 3).all()


def test_metrics_by_hand() -> None:
    scores = score(torch.tensor([[1.0, 2.0], [4.0, 11.0]]))
    assert scores == {
        "mrr": pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 11) / 4),
        "h@1": 0.25,
        "h@2": 0.5,
        "h@5": 0.75,
        "h@10": 0.75,
    }


def test_chance_among_fifty_is_what_random_embeddings_get() -> None:
    """SIE's random baseline: 0.090, 0.02, 0.10."""
    known = chance(50)
    assert [round(known[name], 3) for name in ("mrr", "h@1", "h@5")] == [0.090, 0.02, 0.1]
    torch.manual_seed(0)
    ranks = ranks_within(torch.randn(400, 50, 16), torch.randn(400, 50, 16))
    assert score(ranks)["mrr"] == pytest.approx(0.090, abs=0.004)


def test_the_nearest_of_all_objects_by_an_independent_search() -> None:
    _, bank = toy(Toy(), objects=3, views=4)
    predicted = torch.randn(3, 4, 9)
    flat, quaternions = bank.targets.flatten(0, 1), bank.poses.flatten(0, 1)
    errors = []
    for row, own in zip(predicted.flatten(0, 1), quaternions, strict=True):
        nearest = max(range(12), key=lambda n: float(row @ flat[n] / flat[n].norm()))
        errors.append(1 - float(own @ quaternions[nearest]) ** 2)
    found = retrieval.nearest_errors(ROTATION, bank, predicted)
    assert found == {"pre": pytest.approx(np.mean(errors), abs=1e-5)}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def asked(run: Path, *parts: str, **settings) -> dict[str, suite.Outcome]:
    outcomes = suite.evaluate_suite(run, parts, progress=False, device="cpu", **settings)
    return {outcome.name: outcome for outcome in outcomes}


def test_a_part_writes_a_file_of_its_own(copied: Path) -> None:
    outcomes = asked(copied, "retrieval", "group")
    assert not (copied / "results.json").exists()
    for name, outcome in outcomes.items():
        written = json.loads((copied / "suite" / f"{name}.json").read_bytes())
        assert written == outcome.results and written["part"] == name
        assert {"versions", "seed", "step", "machine", "data"} <= set(written)


def test_asking_everything_twice_writes_the_same_bytes_and_nothing_of_the_run(
    copied: Path, monkeypatch
) -> None:
    monkeypatch.setattr(few_labels, "FEWEST", 8)
    short = replace(signal_world.recipe().evaluate, max_steps=8)
    other = signal_world.Config(objects=40)

    before, found = contents(copied), []
    for _ in range(2):
        outcomes = asked(copied, "full", config=short)
        assert all(outcome.error is None for outcome in outcomes.values())
        transfer(copied, other, name="other", config=short, progress=False, device="cpu")
        found.append(contents(copied))
        del found[-1]["timings.json"]
    assert found[0] == found[1]

    assert before.items() <= found[0].items()
    written = {"results.json", "transfer/other.json"} | {f"suite/{p}.json" for p in suite.PARTS}
    assert found[0].keys() - before.keys() == written
    # What took time stands apart, for each file.
    noted = json.loads((copied / "timings.json").read_bytes())
    assert noted.keys() == written and set(noted["suite/group.json"]) == {"group"}
    assert seconds_of(copied) == noted["results.json"] and "model: sequences" in seconds_of(copied)


def test_the_results_of_each_split_are_kept(copied: Path, monkeypatch) -> None:
    monkeypatch.setattr(few_labels, "FEWEST", 8)
    how = {"config": replace(signal_world.recipe().evaluate, max_steps=4)}
    for split in ("test", "val"):
        before = contents(copied)
        outcomes = asked(copied, "probes", "health", split=split, quick=True, **how)
        assert all(outcome.path.exists() for outcome in outcomes.values())
        transfer(copied, signal_world.Config(objects=40), name="other", split=split, **how)

    after, files = contents(copied), ("results.json", "suite/health.json", "transfer/other.json")
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {f"val/{file}" for file in (*files, "timings.json")}
    for file in files:
        assert json.loads(after[file])["split"] == "test"
        assert json.loads(after[f"val/{file}"])["split"] == "val"
    assert "model: features" in seconds_of(copied / "val")


def test_six_views_and_contexts_of_five(copied: Path) -> None:
    records = asked(copied, "retrieval")["retrieval"].results["records"]
    assert {record["views"] for record in records} == {1, 2, 3, 4, 5}
    assert {record["split"] for record in records} == {"test"}
    scores = {r["metric"]: r["value"] for r in records if r["features"] == "chance"}
    assert scores["mrr"] == pytest.approx(sum(1 / n for n in range(1, 7)) / 6)


def test_seconds_of_earlier_results_are_in_them(tmp_path: Path) -> None:
    assert seconds_of(tmp_path) == {}
    (tmp_path / "results.json").write_text('{"seconds": {"random model": 1.5}}')
    assert seconds_of(tmp_path) == {"random model": 1.5}
    (tmp_path / "timings.json").write_text('{"results.json": {"random model": 4}}')
    assert seconds_of(tmp_path) == {"random model": 4}


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("simclr", {}, "SimCLR has no predictor"),
        ("seq_jepa", {"world": signal_world.Config(views=6)}, None),
    ],
)
def test_what_a_run_cannot_be_asked(name, changes, why, tmp_path: Path, capsys) -> None:
    recipe = experiment(name, world=changes.get("world"))
    num_views = 2 if name == "simclr" else 3
    short = replace(recipe, train=replace(recipe.train, steps=2, num_views=num_views))
    short = replace(short, evaluate=replace(short.evaluate, views=2, draws=1, max_steps=4))
    run = train(short, tmp_path / "run", quiet=True, device="cpu")

    outcomes = asked(run, "retrieval", "group")
    if why is None:
        assert all(outcome.error is None for outcome in outcomes.values())
        return
    for outcome in outcomes.values():
        assert isinstance(outcome.error, NotApplicableError) and why in str(outcome.error)
    # Where nothing else is asked it is an error, beside others a line.
    assert cli.run(["evaluate", str(run), "--suite", "retrieval", "--device", "cpu"]) == 2
    assert why in capsys.readouterr().err
    assert cli.run(["evaluate", str(run), "--suite", "full", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert f"retrieval: left out, {why}" in said and "results.json" in said


def test_one_part_fails_and_the_others_go_on(copied: Path, capsys) -> None:
    (copied / "suite").mkdir()
    (copied / "suite" / "retrieval.json").mkdir()  # where a file is to be
    outcomes = asked(copied, "retrieval", "group")
    assert isinstance(outcomes["retrieval"].error, DiskError)
    assert outcomes["group"].results is not None
    parts = ["--suite", "retrieval", "group", "--device", "cpu"]
    assert cli.run(["evaluate", str(copied), *parts]) == 74
    captured = capsys.readouterr()
    assert "warning: retrieval: cannot write" in captured.err
    assert "group.json" in captured.out and "one step" in captured.out


def test_an_unknown_part_is_named_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'retrieval'"):
        asked(tmp_path / "nowhere", "retrievel")


def test_a_part_may_be_named_alone() -> None:
    assert suite.chosen_parts("group") == ["group"]
