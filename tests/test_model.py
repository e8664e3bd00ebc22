"""A loaded model: what it takes, and what it refuses in words."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures.contract import experiment
from seqjepa.errors import CheckpointError, ConfigError
from seqjepa.model import Model, load
from seqjepa.training.loop import train

NAN = float("nan")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return train(experiment("seq_jepa"), folder, quiet=True, device="cpu")


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return load(run)


VIEWS = torch.randint(0, 256, (2, 3, 3, 16, 16), dtype=torch.uint8)
FLOATS = VIEWS.float() / 255
ACTIONS = torch.rand(2, 2, 4)


@pytest.mark.filterwarnings("error")
def test_arrays_are_as_good_as_tensors(model: Model) -> None:
    expected, array = model.encode(VIEWS), FLOATS.numpy().copy()
    array.flags.writeable = False
    for views in (VIEWS.numpy(), FLOATS.double(), array, array.astype(">f4"), array.astype("f8")):
        torch.testing.assert_close(model.encode(views), expected, atol=1e-5, rtol=1e-4)
    mirrored = VIEWS.numpy()[..., ::-1]
    assert torch.equal(model.encode(mirrored), model.encode(VIEWS.flip(-1)))

    z_agg = model.aggregate(VIEWS, ACTIONS)
    assert torch.equal(model.aggregate(VIEWS.numpy(), ACTIONS.numpy()), z_agg)
    moves = np.zeros((2, 3, 4))
    assert torch.equal(model.predict(VIEWS, moves), model.predict(VIEWS, torch.zeros(2, 3, 4)))


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (VIEWS.float(), "got 0 to 255: divide them by 255, or keep uint8"),
        (VIEWS.double().numpy(), "divide them by 255"),
        (VIEWS.half(), "divide them by 255"),
        ((FLOATS - 0.5) / 0.25, "the encoder normalises"),
        (2 * FLOATS - 1, "got -1 to 1: pass them as they are, the encoder normalises"),
        (1.04 * FLOATS, "got 0 to 1.04: clamp them to 0..1"),
        (torch.full_like(FLOATS, NAN), "got NaN or infinity"),
        (torch.where(FLOATS > 0.9, torch.inf, FLOATS), "got NaN or infinity"),
        (VIEWS.long(), r"got torch\.int64: .*torch\.uint8"),
        (VIEWS > 3, r"got torch\.bool"),
        (VIEWS.numpy().astype(np.uint16), r"got torch\.uint16"),
        (VIEWS.numpy().astype(object), "a NumPy array of numbers, got object"),
        ([VIEWS, VIEWS], r"a tensor or a NumPy array, got list: .*torch\.stack"),
        (VIEWS.permute(0, 1, 3, 4, 2), r"\[2, 3, 16, 16, 3\]: move the channels forward"),
        (VIEWS[0, 0], r"at least one leading axis, got \[3, 16, 16\]: .* is views\[None\]"),
        (VIEWS[0, 0].permute(1, 2, 0), r"got \[16, 16, 3\]: move the channels forward"),
        (None, "got NoneType$"),
    ],
)
def test_other_views_are_refused_in_words(model: Model, views: object, message: str) -> None:
    for call in (
        lambda: model.encode(views),
        lambda: model.aggregate(views, ACTIONS),
        lambda: model.predict(views, torch.zeros(2, 3, 4)),
    ):
        with pytest.raises(ConfigError, match=message) as error:
            call()
        assert "views must be" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (ACTIONS * NAN, "actions hold NaN or infinity"),
        (ACTIONS.double() * 1e300, "actions hold NaN or infinity"),
        (torch.rand(2, 3, 4), r"go with actions \[2, 2, 4\] .* got \[2, 3, 4\]"),
        (ACTIONS.tolist(), "actions must be a tensor or a NumPy array, got list"),
    ],
)
def test_other_actions_are_refused_in_words(model: Model, actions: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model.aggregate(VIEWS, actions)


@pytest.mark.parametrize(
    "name", ["optimizer", "probe", "probe_optimizer", "state.json", "missing optimizer"]
)
def test_weights_are_loaded_beside_damaged_files_that_no_resume_takes(
    name: str, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    older, folder = sorted((tmp_path / "run" / "checkpoints").iterdir())
    shutil.rmtree(older)
    part = name.removeprefix("missing ")
    path = folder / (part if "." in part else f"{part}.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    if name.startswith("missing"):
        path.unlink()

    warnings: list[str] = []
    model = load(tmp_path / "run", warn=warnings.append)
    assert torch.equal(model.encode(VIEWS), load(run).encode(VIEWS))
    assert len(warnings) == 1 and path.name in warnings[0] and str(folder) in warnings[0]
    with pytest.raises(CheckpointError, match="no checkpoint can be used"):
        train(experiment("seq_jepa"), tmp_path / "run", resume=True, quiet=True, device="cpu")

    # Weights that are damaged themselves are not loaded.
    weights = folder / "method.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"method\.safetensors is damaged"):
        load(tmp_path / "run")
