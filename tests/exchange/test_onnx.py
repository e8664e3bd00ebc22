"""ONNX graphs compute what torch computes, for any number of sequences and of views."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from fixtures.untrained import untrained
from seqjepa.errors import ConfigError
from seqjepa.exchange import onnx as exchange
from seqjepa.exchange.onnx import onnx_files
from seqjepa.model import Model

SIZES = [(1, 1), (1, 2), (4, 1), (3, 3), (2, 7)]


def session(data: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


def close(found: np.ndarray, expected: torch.Tensor) -> None:
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def simclr() -> Model:
    return untrained("simclr")


@pytest.fixture(scope="module")
def encoder(simclr: Model) -> bytes:
    files = onnx_files(simclr, "encoder")
    assert list(files) == ["encoder.onnx"]
    return files["encoder.onnx"]


def test_the_encoder_takes_what_encode_takes(simclr: Model, encoder: bytes) -> None:
    opsets = onnx.load_from_string(encoder).opset_import
    assert [entry.version for entry in opsets if not entry.domain] == [18]

    run = session(encoder)
    for size in (1, 2, 5):
        pixels = torch.randint(0, 256, (size, 3, 16, 16), dtype=torch.uint8)
        [z] = run.run(["z"], {"views": pixels.numpy().astype(np.float32) / 255})
        close(z, simclr.encode(pixels))


@pytest.mark.parametrize(
    ("name", "changes", "outputs"),
    [
        ("seq_jepa", {"condition": "both", "dropout": 0.1}, ["z", "z_agg", "prediction"]),
        (
            "seq_jepa",
            {"condition": "predictor", "conditioning": "film", "present": True, "inverse": 1.0},
            ["z", "z_agg", "prediction"],
        ),
        ("sie", {}, ["z", "prediction"]),
    ],
)
def test_the_whole(name: str, changes: dict[str, object], outputs: list[str]) -> None:
    model = untrained(name, **changes)
    fused = torch.backends.mha.get_fastpath_enabled()
    run = session(onnx_files(model, "whole")["whole.onnx"])
    assert torch.backends.mha.get_fastpath_enabled() == fused
    assert [entry.name for entry in run.get_outputs()] == outputs

    draw = torch.Generator().manual_seed(1)
    for batch, length in SIZES:
        views = torch.rand(batch, length, 3, 16, 16, generator=draw)
        actions = torch.randn(batch, length, 4, generator=draw)
        found = run.run(None, {"views": views.numpy(), "actions": actions.numpy()})
        answers = dict(zip(outputs, found, strict=True))
        close(answers["z"], model.encode(views))
        close(answers["prediction"], model.predict(views, actions))
        if "z_agg" in outputs:
            close(answers["z_agg"], model.aggregate(views, actions[:, :-1]))


def test_what_cannot_be_exported_says_why(simclr: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"simclr has neither .* --part encoder"):
        onnx_files(simclr, "whole")
    with pytest.raises(ConfigError, match="the whole of context_ssl for any number of views") as e:
        onnx_files(untrained("context_ssl"), "whole")
    assert "\n" not in str(e.value)

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match=r"onnxscript.*: pip install 'seqjepa\[export\]'"):
        onnx_files(simclr, "encoder")


def test_a_graph_that_computes_something_else_is_refused(
    encoder: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_exported", lambda *arguments: encoder)
    other = untrained("simclr")
    other.method.encoder.mean.add_(0.5)
    with pytest.raises(ConfigError, match=r"z differs from torch's by .* nothing was written"):
        onnx_files(other, "encoder")


def test_a_model_is_as_it_was(simclr: Model, encoder: bytes) -> None:
    assert not simclr.method.training
    before = dict(untrained("simclr").method.named_parameters())
    assert all(torch.equal(value, before[key]) for key, value in simclr.method.named_parameters())
