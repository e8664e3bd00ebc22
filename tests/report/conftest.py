from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures import signal_world
from seqjepa.config import TrainConfig
from seqjepa.evaluation.evaluate import evaluate
from seqjepa.report import maps, style
from seqjepa.training.loop import train


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and evaluated run; tests copy it before they change it."""
    experiment = replace(
        signal_world.recipe(),
        train=TrainConfig(steps=6, batch_size=8, num_views=3, log_every=2, checkpoint_every=6),
    )
    folder = train(experiment, tmp_path_factory.mktemp("runs") / "first", quiet=True, device="cpu")
    evaluate(folder, progress=False, device="cpu")
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Coarse pictures, and the first two features instead of UMAP, which compiles for seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(style.PARAMETERS, "savefig.dpi", 40)
        patch.setattr(maps, "umap", lambda features: features[:, :2])
        yield
