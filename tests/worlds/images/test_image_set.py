"""Splits of images, and which images are held out."""

from pathlib import Path

import numpy as np
import pytest

from seqjepa.errors import ConfigError, DataError
from seqjepa.store.checksums import Checksums, crc32
from seqjepa.worlds.images.image_set import ImageSplit, hold_out

IMAGES = np.arange(100 * 12, dtype=np.uint8).reshape(100, 2, 2, 3)
WHOLE = ImageSplit(IMAGES, np.arange(100) % 7, origin="train")
NAMED = ImageSplit(
    IMAGES, np.arange(100) % 7, names=np.array([f"{number}.png".encode() for number in range(100)])
)


def test_a_selection_of_a_selection() -> None:
    odd = WHOLE.select(np.arange(1, 100, 2))
    some = odd.select(np.array([3, 0, 49]))
    assert len(odd) == 50 and some.places(np.arange(3)).tolist() == [7, 1, 99]
    assert np.array_equal(some.pick(np.array([2, 0])), IMAGES[[99, 7]])
    assert some.labels.tolist() == [0, 1, 1]
    assert some.images is IMAGES and some.origin == "train"


@pytest.mark.parametrize("split", [WHOLE, NAMED, NAMED.select(np.arange(10, 90))])
@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25, 0.99])
def test_held_out_images_and_the_rest_are_all(split: ImageSplit, fraction: float) -> None:
    train, val = hold_out(split, fraction)
    assert len(val) == round(fraction * len(split))
    places = [part.places(np.arange(len(part))) for part in (train, val)]
    assert sorted(np.concatenate(places)) == split.places(np.arange(len(split))).tolist()
    assert all((np.diff(part) > 0).all() for part in places), "in order"


def test_few_images_are_held_out_from_too() -> None:
    """At least one, unless none are asked for; a single image is not split."""
    for number in (2, 3, 5):
        train, val = hold_out(WHOLE.select(np.arange(number)), 0.02)
        assert (len(train), len(val)) == (number - 1, 1)
    assert len(hold_out(WHOLE.select(np.arange(1)), 0.0)[0]) == 1
    said = r"set of images 'train' has 1 object, too few .*: add .* or lower world.val_fraction"
    with pytest.raises(DataError, match=said):
        hold_out(WHOLE.select(np.arange(1)), 0.02)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_a_fraction_out_of_range_is_refused_without_a_config_too(fraction: float) -> None:
    with pytest.raises(ConfigError, match=r"world.val_fraction must be at least 0 and below 1"):
        hold_out(WHOLE, fraction)


def test_a_larger_val_holds_the_smaller_one_and_new_images_move_few() -> None:
    for split in (WHOLE, NAMED):
        held = [
            set(hold_out(split, fraction)[1].places(np.arange(round(100 * fraction))).tolist())
            for fraction in (0.1, 0.3)
        ]
        assert held[0] < held[1]
    before = {NAMED.names[place] for place in hold_out(NAMED.select(np.arange(90)), 0.2)[1].rows}
    after = {NAMED.names[place] for place in hold_out(NAMED, 0.2)[1].rows}
    assert len(before & after) >= 14


def test_every_class_has_its_share_of_val() -> None:
    labels = np.arange(50_000) % 100
    _, val = hold_out(ImageSplit(np.zeros((50_000, 1, 1, 3), np.uint8), labels), 0.1)
    counts = np.bincount(val.labels, minlength=100)
    assert counts.min() >= 25 and counts.max() <= 80


def test_images_are_checked_against_their_sums(tmp_path: Path) -> None:
    sums = np.array([[crc32(image)] for image in IMAGES], np.uint32)
    damaged = IMAGES.copy()
    damaged[42, 1, 0, 2] ^= 1
    split = ImageSplit(
        damaged, WHOLE.labels, np.arange(40, 50), checksums=Checksums(sums, tmp_path)
    )
    assert np.array_equal(split.pick(np.array([0, 1, 3, 9, 9])), IMAGES[[40, 41, 43, 49, 49]])
    with pytest.raises(DataError, match="object 42"):
        split.pick(np.array([1, 2]))
