"""Fixtures of the fault tests: a shell, and the run that nothing ever happened to."""

import os
from pathlib import Path

import pytest

from faults.harness import Shell

# The server that commands are forked from inherits it.
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell that runs commands."""
    return Shell(tmp_path_factory.mktemp("output"))


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of the tiny recipe, never interrupted."""
    folder = tmp_path_factory.mktemp("reference")
    result = Shell(folder).train(folder / "run")
    assert result.code == 0, result.output
    return folder / "run"
