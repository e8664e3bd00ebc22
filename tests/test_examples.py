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
TINY = (
    *(
        "--encoder.width",
        "2",
        "--method.action-width",
        "8",
        "--method.predictor-width",
        "16",
        "--method.layers",
        "1",
    ),
    *(
        "--train.steps",
        "2",
        "--train.batch-size",
        "8",
        "--train.precision",
        "fp32",
        "--train.log-every",
        "1",
    ),
    *(
        "--evaluate.views",
        "2",
        "--evaluate.encoded-views",
        "3",
        "--evaluate.draws",
        "1",
        "--evaluate.objects",
        "32",
    ),
    *(
        "--evaluate.linear-epochs",
        "1",
        "--evaluate.mlp-epochs",
        "1",
        "--evaluate.linear-regression-epochs",
        "1",
    ),
)


def run(*arguments: object) -> None:
    assert cli.run([str(argument) for argument in arguments]) == 0


def check_results(run_dir: Path) -> None:
    assert len((run_dir / "metrics.jsonl").read_text().splitlines()) == 2
    assert json.loads((run_dir / "results.json").read_text())


@pytest.mark.parametrize("labelled", [True, False])
def test_own_arrays(tmp_path, labelled):
    example = load_code(EXAMPLES / "own_arrays.py")
    example.main(tmp_path / "digits", objects=40, views=4)
    if not labelled:
        (tmp_path / "digits" / "labels.npy").unlink()
        description = json.loads((tmp_path / "digits" / "world.json").read_text())
        (tmp_path / "digits" / "world.json").write_text(
            json.dumps({key: description[key] for key in ("pose", "groups")})
        )
    run(
        "train", "arrays", "--world.path", tmp_path / "digits", "--run-dir", tmp_path / "run", *TINY
    )
    run("evaluate", tmp_path / "run")
    check_results(tmp_path / "run")


def test_own_arrays_draws_what_it_says():
    draw = load_code(EXAMPLES / "own_arrays.py").draw
    digit = np.zeros((8, 8))
    digit[:, 4:] = 16  # the right half is white
    upright = draw(digit, 0.0, 0.0, 0.0)
    assert upright.shape == (32, 32) and upright.dtype == np.uint8
    np.testing.assert_array_equal(draw(digit, 0.0, 3.0, -2.0)[4:20, 9:29], upright[6:22, 6:26])
    assert abs(draw(digit, 90.0, 0.0, 0.0).astype(int) - np.rot90(upright)).max() <= 1, (
        "counter-clockwise"
    )


def test_own_world(tmp_path):
    run("train", EXAMPLES / "own_world.py", "--run-dir", tmp_path / "run", *TINY)
    run("evaluate", tmp_path / "run", "--code", EXAMPLES / "own_world.py")
    check_results(tmp_path / "run")


def test_own_world_shows_what_its_poses_say():
    world = load_code(EXAMPLES / "own_world.py").recipe().world.build()
    batch = next(world.loader("val", num_views=3, batch_size=16, seed=0))
    assert batch.views.shape == (16, 3, 1, 16, 16) and world.size("val") == 200
    for views, poses, label in zip(
        batch.views, batch.poses.int().tolist(), batch.labels, strict=True
    ):
        pictures = world.pictures[world.labels == label.item()]
        windows = [pictures[:, row : row + 16, column : column + 16] for row, column in poses]
        fits = [
            (window == view[0].numpy()).all((1, 2))
            for window, view in zip(windows, views, strict=True)
        ]
        assert np.all(fits, 0).any(), "one digit of the label's class fits all views"
    torch.testing.assert_close(batch.actions, (batch.poses[:, 1:] - batch.poses[:, :-1]) / 8)


def test_own_method(tmp_path):
    tiny = TINY[:2] + TINY[8:]  # without the options of seq_jepa
    method = EXAMPLES / "own_method.py"
    run(
        "train", EXAMPLES / "own_world.py", "--method", method, "--run-dir", tmp_path / "run", *tiny
    )
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["method"]["kind"] == "own_method" and config["train"]["num_views"] == 2
    run("evaluate", tmp_path / "run", "--code", method)
    check_results(tmp_path / "run")


def test_own_method_is_barlow_twins():
    """Equation 1 of the paper, written out."""
    example = load_code(EXAMPLES / "own_method.py")
    world = load_code(EXAMPLES / "own_world.py").recipe().world.build()
    encoder = EncoderConfig(width=2, stem="compact").build(1, (0.3,), (0.35,))
    method = example.Config(off_diagonal=0.1).build(encoder, world.spec.actions)
    batch = next(world.loader("train", num_views=2, batch_size=16, seed=0))
    loss = method(batch).loss.item()
    first, second = method.projector(method.encoder(batch.views)).detach().double().unbind(1)
    expected = sum(
        (1 - c if i == j else 0.1**0.5 * c) ** 2
        for i, row in enumerate((first.T @ second / 16).tolist())
        for j, c in enumerate(row)
    )
    assert loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("window", [7, 32])
def test_own_world_refuses_impossible_windows(window, capsys):
    assert cli.run(["train", str(EXAMPLES / "own_world.py"), "--world.window", str(window)]) == 2
    assert f"world.window must be 8 to 31 pixels, got {window}" in capsys.readouterr().err


def test_digits(tmp_path):
    load_code(EXAMPLES / "digit_images.py").main(tmp_path / "digits")
    assert len(list((tmp_path / "digits").glob("?/*.png"))) == 5000
    actions = ("--world.actions", "crop", "jitter")
    run(
        "train",
        "augmented",
        "--world.path",
        tmp_path / "digits",
        *actions,
        "--run-dir",
        tmp_path / "run",
        *TINY,
    )
    run("evaluate", tmp_path / "run")
    check_results(tmp_path / "run")
