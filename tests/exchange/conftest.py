from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.contract import experiment
from seqjepa.config import EvaluateConfig
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.model import Model, load
from seqjepa.training.loop import train


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and evaluated run of seq_jepa; tests copy it before they change it."""
    small = replace(experiment("seq_jepa"), evaluate=EvaluateConfig(views=3, draws=1, max_steps=20))
    folder = train(small, tmp_path_factory.mktemp("runs") / "run", quiet=True, device="cpu")
    evaluate(folder, progress=False, device="cpu")
    return folder


@pytest.fixture(scope="session")
def model(run: Path) -> Model:
    return load(run)
