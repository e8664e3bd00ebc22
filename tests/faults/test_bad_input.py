"""Rows 14 and 17 of the fault catalogue: bad options, and odd sizes of data.

Bad options fail with one message and leave nothing behind; odd sizes do not matter.
"""

from pathlib import Path

import pytest

from faults.harness import TINY, Shell, metrics

WRONG = {
    "misspelt option": (["--train.stepz", "5"], 2, "--train.stepz, did you mean --train.steps?"),
    "misspelt choice": (["--train.precision", "fp16"], 2, "--train.precision"),
    "misspelt encoder": (["--encoder.name", "resnet19"], 2, "did you mean 'resnet18'?"),
    "not a number": (["--train.steps", "five"], 2, "--train.steps"),
    "no value": (["--train.steps"], 2, "--train.steps"),
    "momentum above 1": (
        ["--method.ema-momentum", "1.2"],
        2,
        "method.ema_momentum must lie in 0..1, got 1.2",
    ),
    "momentum NaN": (
        ["--method.ema-momentum", "nan"],
        2,
        "method.ema_momentum must lie in 0..1, got nan",
    ),
    "no dropout left": (["--method.dropout", "1"], 2, "method.dropout"),
    "infinite rate": (["--optim.lr", "inf"], 2, "optim.lr must be finite"),
    "no views": (["--train.num-views", "0"], 2, "train.num_views must be at least 1, got 0"),
    "nothing to predict from": (
        ["--train.num-views", "1"],
        2,
        "train.num_views must be at least 2, got 1",
    ),
    "no steps": (["--train.steps", "-3"], 2, "train.steps must be at least 1, got -3"),
    "no width": (["--encoder.width", "0"], 2, "encoder.width must be at least 1, got 0"),
    "heads that do not divide the width": (
        ["--method.heads", "3"],
        2,
        "must be a multiple of method.heads = 3",
    ),
    "micro-batches that do not divide the batch": (
        ["--train.accumulate", "3"],
        2,
        "must be a multiple of train.accumulate 3",
    ),
    "a batch of one": (["--train.batch-size", "1"], 2, "train.batch_size must be at least 2"),
    "a contradiction": (
        ["--train.num-views", "2", "--method.condition", "aggregator"],
        2,
        "method.condition",
    ),
    "negative seed": (["--seed", "-1"], 2, "seed must be at least 0 and below 2^32, got -1"),
    "huge seed": (
        ["--seed", "4294967296"],
        2,
        "seed must be at least 0 and below 2^32, got 4294967296",
    ),
    "unknown device": (["--device", "tpu"], 2, "cannot compute on device 'tpu'"),
    "device that is no place to compute": (
        ["--device", "meta"],
        2,
        "cannot compute on device 'meta'",
    ),
    "objects with too few views": (
        ["--train.num-views", "9"],
        3,
        "9 views asked for, objects of world 'tiny' have 6",
    ),
    "less data than a batch": (
        ["--world.objects", "7"],
        3,
        "split 'train' of world 'tiny' has 7 objects, fewer than a batch of 8",
    ),
    "no data": (["--world.objects", "0"], 3, "split 'train' of world 'tiny' has 0 objects"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_option_is_one_message_and_nothing_written(
    shell: Shell, tmp_path: Path, case: str
) -> None:
    options, code, message = WRONG[case]
    result = shell.train(tmp_path / "run", *options)
    assert result.code == code and message in result.output, result.output
    assert result.output.startswith("error: ") and result.output.count("\n") <= 2
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "recipe", "message"),
    [
        ("train", "shapes_tinny", "unknown recipe 'shapes_tinny', did you mean 'shapes_tiny'?"),
        ("train", "missing.py", "no such file: missing.py"),
        ("trian", "shapes_tiny", "unknown command 'trian', did you mean 'train'?"),
        ("evaluate", "missing", "is not the folder of a run"),
    ],
)
def test_a_wrong_name_is_one_message(shell: Shell, command: str, recipe: str, message: str) -> None:
    result = shell.run(command, recipe)
    assert result.code == 2 and message in result.output and result.output.count("\n") == 1


def test_a_file_that_is_no_recipe_says_what_it_lacks(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "empty.py").touch()
    result = shell.run("train", tmp_path / "empty.py")
    assert result.code == 2 and "recipe()" in result.output


def test_debug_shows_where(shell: Shell, tmp_path: Path) -> None:
    result = shell.train(tmp_path / "run", "--seed", "-1", "--debug")
    assert result.code != 0 and "Traceback" in result.output and "below 2^32" in result.output


@pytest.mark.parametrize("objects", ["8", "9", "17"])
def test_epochs_that_do_not_divide_into_batches(shell: Shell, tmp_path: Path, objects: str) -> None:
    """No batch has one sequence, for which BatchNorm has no statistics: 9 = 8 + 1 objects train."""
    result = shell.train(tmp_path / "run", "--world.objects", objects)
    assert result.code == 0, result.output
    seen = [line["views_seen"] for line in metrics(tmp_path / "run")]
    assert seen == [24 * step for step in range(1, 13)]


def test_help_is_no_error(shell: Shell) -> None:
    for arguments in ([], ["--help"], ["train", "--help"], ["train", TINY, "--help"]):
        result = shell.run(*arguments)
        assert result.code == 0 and "usage: seqjepa" in result.output
