"""The measures of speed at small sizes: their counts, their verdicts, their leftovers.

Times promise nothing at these sizes."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from seqjepa import cli
from seqjepa.config import Experiment
from seqjepa.errors import ConfigError
from seqjepa.nn import EncoderConfig
from seqjepa.speed import augment, load, render, saccades, start, step
from seqjepa.speed.figure import Amount, Figure, as_json, as_table
from seqjepa.speed.plain import BareStep, PlainStep, decode, look
from seqjepa.speed.timing import alternate, alternate_with_training, one_thread, scratch
from seqjepa.training.state import build_optimizer
from seqjepa.types import SequenceBatch
from seqjepa.worlds import shapes

CPU = torch.device("cpu")


def small(experiment: Experiment) -> Experiment:
    """The same measure, with a thousand times less work."""
    world = shapes.Config(image_size=16, train_objects=8, test_objects=1, views=4)
    return replace(
        experiment,
        world=world,
        encoder=EncoderConfig(width=8, stem="compact"),
        method=replace(experiment.method, layers=1, action_width=16, predictor_width=16),
        train=replace(experiment.train, batch_size=4, log_every=1),
    )


def figure(value: float, ours: float = 0, **fields) -> Figure:
    return Figure(
        promise="P0",
        what="it",
        value=Amount(value, "x"),
        ours=Amount(ours, "s"),
        plain=Amount(2, "s", "(plainly)"),
        **fields,
    )


def test_a_promise_is_about_the_figure_or_about_ours() -> None:
    assert figure(1.8, least=1.8).holds and not figure(1.79, least=1.8).holds
    assert figure(10, most=10).holds and not figure(10.1, most=10).holds
    assert figure(1, least=0.99, most=1.01).holds and not figure(1.02, least=0.99, most=1.01).holds
    assert figure(0, ours=5, least=4, about="ours").holds
    assert not figure(5, ours=3, least=4, about="ours").holds
    assert figure(3).holds is None
    assert figure(1, least=50_000, about="ours").promised == ">= 50,000 of ours"
    assert figure(1).promised == ""


def test_amounts_are_readable() -> None:
    shown = [
        str(Amount(*each))
        for each in ((2.2345, "x"), (53_850.4, "views/s"), (0.03212, "s", "a step"), (7.5, "%"))
    ]
    assert shown == ["2.23x", "53,850 views/s", "0.0321 s a step", "7.5%"]


def test_the_table_and_the_json_have_every_figure() -> None:
    figures = [figure(2, least=1), figure(0.5, least=1), figure(7)]
    table = as_table(figures, "title")
    assert table.row_count == 3
    assert [column._cells[0] for column in table.columns][2] == "[bold]2x[/]"

    data = json.loads(json.dumps(as_json(figures, {"cores": 2})))
    assert [each["holds"] for each in data["figures"]] == [True, False, None]
    assert data["machine"] == {"cores": 2}


def test_ours_and_the_reference_take_turns_and_the_least_counts() -> None:
    calls, now = [], [0.0]
    slow = iter([50, 5, 3, 4])

    def ours() -> None:
        calls.append("ours")
        now[0] += next(slow)

    def plain() -> None:
        calls.append("plain")
        now[0] += 7

    assert alternate(ours, plain, 3, lambda: now[0]) == (3, 7)
    assert calls == ["ours", "plain"] * 4


def test_measures_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQJEPA_CACHE", "own")
    torch.set_num_threads(2)
    with pytest.raises(KeyError), scratch() as folder, one_thread():
        assert os.environ["SEQJEPA_CACHE"] == str(folder) and torch.get_num_threads() == 1
        raise KeyError
    assert not folder.exists() and torch.get_num_threads() == 2
    assert os.environ["SEQJEPA_CACHE"] == "own"
    torch.set_num_threads(1)


def test_the_real_loop_is_what_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = small(step.at_64_pixels())
    calls = []
    with scratch() as folder:
        ours, plain = alternate_with_training(experiment, lambda: calls.append(1), 2, CPU)
        assert not list(folder.glob("*/checkpoints"))
    assert len(calls) == 3 and ours > plain >= 0


def test_the_plain_step_is_the_same_arithmetic() -> None:
    """The losses of the first two steps are ours, but for rounding: only its form is slower."""
    experiment = small(step.at_64_pixels())
    experiment = replace(
        experiment,
        method=replace(experiment.method, dropout=0.0),
        optim=replace(experiment.optim, lr=1e-4, weight_decay=1e-2),
    )
    exact = replace(experiment, train=replace(experiment.train, precision="fp32"))
    with scratch():
        world = experiment.world.build()
        plain, bare = PlainStep(experiment, world, CPU), BareStep(exact, world, CPU)
    assert plain.batch.views.is_contiguous() and not bare.batch.views.is_contiguous()
    assert all(p.is_contiguous() for p in plain.method.parameters())

    optimizer = build_optimizer(bare.method, experiment.optim)
    for _ in range(2):
        before = [method.method(method.batch).loss.item() for method in (plain, bare)]
        assert before[0] == pytest.approx(before[1], abs=1e-4)
        plain()
        bare()
        optimizer.step()
        bare.method.after_step(0.0)

    targets = plain.method.target_encoder.parameters()
    for one, other in zip(targets, bare.method.target_encoder.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4)


def test_a_bare_step_has_gradients_and_changes_no_weight() -> None:
    experiment = small(step.demo())
    with scratch():
        bare = BareStep(experiment, experiment.world.build(), CPU)
    before = [p.clone() for p in bare.method.parameters()]
    bare()
    bare()
    assert all(torch.equal(a, b) for a, b in zip(before, bare.method.parameters(), strict=True))
    assert isinstance(bare.batch, SequenceBatch)
    assert all(p.grad is not None for p in bare.method.encoder.parameters())


def test_step_figures() -> None:
    with scratch(), one_thread():
        found = step.against_plain(small(step.at_64_pixels()), 1)
        found.append(step.overhead(small(step.demo()), 1))
    assert [each.promise for each in found][-2:] == ["P1", "P6"]
    assert [each.least for each in found][-2:] == [1.0, None] and found[-1].most == 10
    for each in found[:-1]:
        assert each.value.value == pytest.approx(each.ours.value / each.plain.value)
    share = 1 - found[-1].plain.value / found[-1].ours.value
    assert found[-1].value.value == pytest.approx(100 * share)


def test_the_documented_settings() -> None:
    p1, p6, p7 = step.at_64_pixels(), step.demo(), step.at_128_pixels()
    settings = [
        (e.world.image_size, e.train.batch_size, e.train.num_views, e.encoder.width)
        for e in (p1, p7)
    ]
    assert settings == [(64, 32, 4, 64), (128, 512, 4, 64)]
    assert p6.name == "shapes_tiny"


def test_flops_hold() -> None:
    """P8."""
    found = step.flops()
    assert [each.plain.value for each in found] == [6.131, 1.672, 5.867]
    assert all(each.holds for each in found)


def test_load_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    found = load.figures(rounds=1, batch_size=8, files=8)
    assert [each.least for each in found] == [50_000, None, None, None, 50_000]
    for each in found:
        assert each.promise == "P4" and each.about == "ours"
        assert each.value.value == pytest.approx(each.ours.value / each.plain.value)


def test_the_plain_loader_reads_pictures(tmp_path: Path) -> None:
    views = decode(load.pictures(tmp_path, 5), 32)
    assert views.shape == (5, 32, 32, 3) and views.std() > 10


def test_augment_figures() -> None:
    """P2; that the plain reference makes the same views is tested in
    tests/worlds/views/test_augment.py."""
    found = augment.figures(rounds=1, images=8, plain_images=2)
    promises = [(each.promise, each.least, each.about) for each in found]
    assert promises == [("P2", 10_000, "ours"), ("P2", 8, "value")]
    for each in found:
        assert each.value.value == pytest.approx(each.ours.value / each.plain.value)


def test_render_figures_and_the_compiler_changes_no_bit() -> None:
    found = render.figures(rounds=1, number=16, plain_number=2)
    assert [each.promise for each in found] == ["P5"] * 3
    assert found[0].least == 2500 and found[0].value.value > 10
    assert found[2].holds and found[2].value.value == 0


def test_pictures_of_the_render_benchmark_are_a_list_that_never_changes() -> None:
    assert (render.draw(3) == render.draw(20)[:3]).all()


def test_saccades_figures() -> None:
    """P3: the distribution at its size; the speed, small."""
    found = saccades.figures(rounds=1, batch_size=8, plain_number=2, draws=50_000)
    assert [each.promise for each in found] == ["P3"] * 3
    assert found[0].least == 4000 and found[0].value.value > 1
    assert found[1].holds and found[2].holds

    # A table gives this value for chi-square 1.44.
    p = saccades.p_value(np.array([44, 56]), np.array([50.0, 50.0]))
    assert p == pytest.approx(0.2301, abs=1e-4)
    assert saccades.p_value(np.array([5000, 1000]), np.array([3000.0, 3000.0])) < 1e-6


def test_the_plain_saccades_look_where_the_map_says() -> None:
    """One pixel of each map counts, then the square around it no more."""
    images = np.zeros((2, 40, 40, 3), np.uint8)
    images[:, 20, 10] = 255
    maps = torch.zeros(2, 40, 40)
    maps[:, 20, 10], maps[:, 2, 30] = 1, 1e-12
    views = look(images, maps, 2, 8)
    assert views.shape == (2, 2, 8, 8, 3)
    assert (views[:, 0, 4, 4] == 255).all() and (views[:, 1] == 0).all()


def test_start_figures() -> None:
    """P9."""
    (found,) = start.figures(rounds=1)
    assert found.promise == "P9" and found.holds and found.value.value > 1


def test_the_command_prints_a_table_or_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "figures", lambda rounds: [figure(float(rounds), least=1)])
    assert cli.run(["speed", "start", "--rounds", "3"]) == 0
    assert "3x" in capsys.readouterr().out
    assert cli.run(["speed", "start", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["figures"][0]["value"]["value"] == 5
    assert data["machine"]["torch"] == torch.__version__


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu() -> None:
    with pytest.raises(ConfigError, match="there is no CUDA device"):
        cli.run(["speed", "step", "--device", "cuda", "--debug"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_figures() -> None:
    with scratch():
        found = step.on_gpu(small(step.at_128_pixels()), torch.device("cuda"), 1)
    assert [each.promise for each in found] == ["P7", "P7"]
