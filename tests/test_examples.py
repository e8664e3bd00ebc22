"""The examples run as their heads say, only smaller."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from seqjepa import cli
from seqjepa.nn import EncoderConfig
from seqjepa.recipes import load_code

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = ("--encoder.width=2",)
SMALL_SEQ_JEPA = ("--method.action-width=8", "--method.predictor-width=16", "--method.layers=1")
SHORT = (
    "--train.steps=2",
    "--train.batch-size=8",
    "--train.precision=fp32",
    "--train.log-every=1",
    "--evaluate.views=2",
    "--evaluate.encoded-views=3",
    "--evaluate.draws=1",
    "--evaluate.objects=32",
    "--evaluate.max-steps=1",
)
TINY = (*SMALL, *SMALL_SEQ_JEPA, *SHORT)


def run(*arguments: object) -> None:
    assert cli.run([str(argument) for argument in arguments]) == 0


def check_results(run_dir: Path) -> None:
    assert len((run_dir / "metrics.jsonl").read_text().splitlines()) == 2
    assert json.loads((run_dir / "results.json").read_text())


@pytest.mark.parametrize("labelled", [True, False])
def test_own_arrays(tmp_path, labelled):
    data, run_dir = tmp_path / "digits", tmp_path / "run"
    load_code(EXAMPLES / "own_arrays.py").main(data, objects=40, views=4)

    # Labels, and names of classes with them, may be left out.
    if not labelled:
        (data / "labels.npy").unlink()
        description = json.loads((data / "world.json").read_text())
        kept = {key: description[key] for key in ("pose", "groups")}
        (data / "world.json").write_text(json.dumps(kept))

    run("train", "arrays", "--world.path", data, "--run-dir", run_dir, *TINY)
    run("evaluate", run_dir)
    check_results(run_dir)


def test_own_arrays_draws_what_it_says():
    draw = load_code(EXAMPLES / "own_arrays.py").draw
    digit = np.zeros((8, 8))
    digit[:, 4:] = 16  # the right half is white
    upright = draw(digit, 0.0, 0.0, 0.0)
    assert upright.shape == (32, 32) and upright.dtype == np.uint8
    np.testing.assert_array_equal(draw(digit, 0.0, 3.0, -2.0)[4:20, 9:29], upright[6:22, 6:26])
    turned = draw(digit, 90.0, 0.0, 0.0).astype(int)
    assert abs(turned - np.rot90(upright)).max() <= 1, "counter-clockwise"


def test_own_world(tmp_path):
    run("train", EXAMPLES / "own_world.py", "--run-dir", tmp_path / "run", *TINY)
    run("evaluate", tmp_path / "run", "--code", EXAMPLES / "own_world.py")
    check_results(tmp_path / "run")


def test_own_world_shows_what_its_poses_say():
    world = load_code(EXAMPLES / "own_world.py").recipe().world.build()
    batch = next(world.loader("val", num_views=3, batch_size=16, seed=0))
    assert batch.views.shape == (16, 3, 1, 16, 16) and world.size("val") == 200

    # One digit of the label's class fits all views.
    poses = batch.poses.int().tolist()
    for views, places, label in zip(batch.views.numpy(), poses, batch.labels, strict=True):
        pictures = world.pictures[world.labels == label.item()]
        fits = np.ones(len(pictures), bool)
        for view, (row, column) in zip(views, places, strict=True):
            windows = pictures[:, row : row + 16, column : column + 16]
            fits &= (windows == view[0]).all((1, 2))
        assert fits.any()

    torch.testing.assert_close(batch.actions, (batch.poses[:, 1:] - batch.poses[:, :-1]) / 8)


def test_own_method(tmp_path):
    world, method, run_dir = EXAMPLES / "own_world.py", EXAMPLES / "own_method.py", tmp_path / "run"
    run("train", world, "--method", method, "--run-dir", run_dir, *SMALL, *SHORT)
    config = json.loads((run_dir / "config.json").read_text())
    assert config["method"]["kind"] == "own_method" and config["train"]["num_views"] == 2

    run("evaluate", run_dir, "--code", method)
    check_results(run_dir)


def test_own_method_is_barlow_twins():
    """Compare the loss with equation 1 of the paper, written out."""
    example = load_code(EXAMPLES / "own_method.py")
    world = load_code(EXAMPLES / "own_world.py").recipe().world.build()
    encoder = EncoderConfig(width=2, stem="compact").build(1, (0.3,), (0.35,))
    method = example.Config(off_diagonal=0.1).build(encoder, world.spec.actions)
    batch = next(world.loader("train", num_views=2, batch_size=16, seed=0))
    loss = method(batch).loss.item()

    first, second = method.projector(method.encoder(batch.views)).detach().double().unbind(1)
    expected = 0.0
    for i, row in enumerate((first.T @ second / 16).tolist()):
        for j, c in enumerate(row):
            expected += (1 - c) ** 2 if i == j else 0.1 * c**2
    assert loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("window", [7, 32])
def test_own_world_refuses_impossible_windows(window, capsys):
    assert cli.run(["train", str(EXAMPLES / "own_world.py"), "--world.window", str(window)]) == 2
    assert f"world.window must be 8 to 31 pixels, got {window}" in capsys.readouterr().err


def test_digits(tmp_path):
    data, run_dir = tmp_path / "digits", tmp_path / "run"
    load_code(EXAMPLES / "digit_images.py").main(data)
    assert len(list(data.glob("?/*.png"))) == 5000

    world = ("--world.path", data, "--world.actions", "crop", "jitter")
    run("train", "augmented", *world, "--run-dir", run_dir, *TINY)
    run("evaluate", run_dir)
    check_results(run_dir)
