"""The run that evaluations are asked of: trained once, and copied for whoever writes into it."""

import shutil
from pathlib import Path

import pytest

from fixtures import signal_world
from seqjepa.training.loop import train


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of `signal_world.recipe`, to be read alone."""
    folder = tmp_path_factory.mktemp("run") / "run"
    return train(signal_world.recipe(), folder, quiet=True, device="cpu")


@pytest.fixture
def copied(run_dir: Path, tmp_path: Path) -> Path:
    """Return a copy of the run."""
    return Path(shutil.copytree(run_dir, tmp_path / "run"))
