"""Finding formats by name, and opening them by path."""

from pathlib import Path

import pytest

from seqjepa.errors import ConfigError, DataError
from seqjepa.worlds.images.base import find_source, open_images, sources


def test_sources_are_found_by_the_names_of_their_modules() -> None:
    assert set(sources()) == {"cifar100", "tiny_imagenet", "stl10", "imagenet", "folder"}
    assert all(source.name == name for name, source in sources().items())
    assert find_source("stl10") is sources()["stl10"]
    with pytest.raises(
        ConfigError, match=r"unknown world\.source 'cifar10', did you mean 'cifar100'"
    ):
        find_source("cifar10")


def test_a_path_that_leads_nowhere_names_the_field(tmp_path: Path) -> None:
    for source in sources():
        with pytest.raises(DataError, match=r"world\.path: there is no .*nothing"):
            open_images(source, str(tmp_path / "nothing"), 32, 0.1)
