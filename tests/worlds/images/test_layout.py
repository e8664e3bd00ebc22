"""Splits and classes by the names of folders."""

import pytest

from seqjepa.errors import DataError
from seqjepa.worlds.images.layout import arrange


def names(*tops: str, inner: tuple[str, ...] = ("elm/1.png", "oak/2.png")) -> list[str]:
    return [f"{top}/{name}" for top in tops for name in inner]


@pytest.mark.parametrize(
    ("tops", "splits"),
    [
        (("train", "val", "test"), ("train", "val", "test")),
        (("Train", "Test"), ("train", "test")),
        (("TRAIN", "VAL"), ("train", "val")),
        (("training", "testing"), ("train", "test")),
        (("Training", "Validation", "Test"), ("train", "val", "test")),
        (("train", "valid", "test"), ("train", "val", "test")),
        (("train", "dev", "test"), ("train", "val", "test")),
        (("train", "eval"), ("train", "val")),
        (("Training Set", "Test Set"), ("train", "test")),
        (("training_set", "test_set"), ("train", "test")),
        (("trainset", "valset", "testset"), ("train", "val", "test")),
        (("TrainingData", "TestData"), ("train", "test")),
        (("train_images", "test_images"), ("train", "test")),
        (("train2017", "val2017"), ("train", "val")),
        (("train_64x64", "test_64x64"), ("train", "test")),
        (("1_train", "2_test"), ("train", "test")),
        (("train_val", "test"), ("train", "test")),
        (("seg_train", "seg_test"), ("train", "test")),
        (("seg_train/seg_train", "seg_test/seg_test"), ("train", "test")),
        (("asl_alphabet_train", "asl_alphabet_test"), ("train", "test")),
        (("pets/data/Train", "pets/data/test"), ("train", "test")),
        (("images/train", "images/test"), ("train", "test")),
        (("train/images", "test/images"), ("train", "test")),
        (("train/pets", "test/pets"), ("train", "test")),
    ],
)
def test_splits_by_any_usual_name(tops: tuple[str, ...], splits: tuple[str, ...]) -> None:
    found = arrange(names(*tops), "set")
    assert found.splits == tuple(split for split in splits for _ in range(2))
    assert found.classes == ("elm", "oak") * len(tops) and found.notes == ()


def test_splits_inside_classes() -> None:
    found = arrange(names("elm", "oak", inner=("Train/1.png", "Test/2.png")), "set")
    assert found.splits == ("train", "test") * 2
    assert found.classes == ("elm", "elm", "oak", "oak")
    with pytest.raises(DataError, match=r"has Test, Train inside .*, beside more: make train, val"):
        arrange(
            [*names("elm", inner=("Train/1.png", "Test/2.png", "more/3.png")), "a/1.png"], "set"
        )


@pytest.mark.parametrize(
    ("found", "classes", "first"),
    [
        (names("elm", "oak", inner=("1.png",)), ("elm", "oak"), "elm/1.png"),
        (names("images", inner=("1.png",)), (None,), "1.png"),
        (names("one", inner=("1.png",)), ("one",), "one/1.png"),
        (names("pets/images"), ("elm", "oak"), "elm/1.png"),
        (names("test tube", "train station", "cat", inner=("1.png",)), None, "test tube/1.png"),
        (names("0", "1", inner=("1.png",)), ("0", "1"), "0/1.png"),
    ],
)
def test_what_wraps_is_seen_through(found: list[str], classes: object, first: str) -> None:
    layout = arrange(found, "set")
    assert layout.splits == () and layout.names[0] == first
    assert layout.classes == (classes or tuple(name.split("/")[0] for name in found))


def test_folds_with_splits_are_not_taken_for_classes() -> None:
    found = names("fold1", "fold2", inner=("train/elm/1.png", "test/elm/2.png"))
    with pytest.raises(DataError, match="and folders in them: name one of fold1, fold2, or make"):
        arrange(found, "set")


def test_a_vehicle_is_a_class_and_that_is_said() -> None:
    layout = arrange(names("bus", "car", "train", inner=("1.png",)), "set")
    assert layout.classes == ("bus", "car", "train")
    assert layout.notes == ("the folder train, beside bus, car, is taken for a class",)


def test_images_beside_classes_are_counted() -> None:
    layout = arrange(["1.png", "elm/2.png"], "set")
    assert layout.notes == ("1 of 2 images lie in no folder of a class",)


ODD = "at its top, expected train and at least one of val and test"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (names("train"), ODD),
        (names("Test", "Val"), ODD),
        (names("train", "test", "unlabeled"), ODD),
        (names("seg_train", "seg_test", "seg_pred"), ODD),
        (names("train_a", "test_b"), ODD),
        ([*names("train", "test"), "1.png"], "images outside folders, test, train at its top"),
        (
            names("train", "val", "validation"),
            "has val and validation, which are both the split val",
        ),
        (names("Train", "train", "test"), "Train and train, which are both the split train"),
        (names("images", "masks", inner=("1.png",)), "no classes: move masks elsewhere"),
    ],
)
def test_what_cannot_be_decided_is_an_error(found: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        arrange(found, "set")
    assert str(caught.value).startswith("set has ") and "\n" not in str(caught.value)
