"""A model as an ONNX graph with any number of sequences and views, compared with torch."""

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from seqjepa.config import kind
from seqjepa.errors import ConfigError
from seqjepa.exchange.packages import package
from seqjepa.methods.base import Method
from seqjepa.model import Model

Part = Literal["encoder", "whole"]
OPSET = 18
# Largest difference from torch, absolute and relative, in float32.
TOLERANCE = 1e-4


class EncoderGraph(nn.Module):
    """The encoder: views [B, C, H, W], float in 0..1, to z [B, D]."""

    outputs = ("z",)

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.encoder = method.encoder

    @override
    def forward(self, views: Tensor) -> tuple[Tensor, ...]:
        return (self.encoder(views),)


class WholeGraph(nn.Module):
    """Encoder, aggregator and predictor, as far as the method has them.

    It maps views [B, T, C, H, W], float in 0..1, and the actions after them [B, T, A] to z
    [B, T, D], z_agg [B, S] and the prediction [B, E] of the view that the last action leads to.
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method
        known = {"z": True, "z_agg": method.aggregates, "prediction": method.predicts}
        self.outputs = tuple(name for name, has in known.items() if has)

    @override
    def forward(self, views: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        z = self.method.encoder(views)
        outputs = [z]
        if self.method.aggregates:
            outputs.append(self.method.aggregate(z, actions[:, :-1]))
        if self.method.predicts:
            outputs.append(self.method.predict(self.method.source(z), actions))
        return tuple(outputs)


def onnx_files(model: Model, part: Part) -> dict[str, bytes]:
    """Return the graph of a model's part as the contents of a file, by its name.

    Normalisation is in the graph: its inputs are those of `Model.encode` in float32, 0..1.

    Args:
        model: on the CPU.
        part: the encoder, or the whole: encoder, aggregator and predictor.

    Raises:
        ConfigError: if the method has no such part, its graph cannot be made, or onnxruntime
            computes other numbers than torch.
    """
    onnxruntime = package("onnxruntime", "checking ONNX")
    for name in ("onnx", "onnxscript"):
        package(name, "writing ONNX")

    method, name = model.method, kind(type(model.experiment.method))
    if part == "whole" and not (method.aggregates or method.predicts):
        raise ConfigError(
            f"{name} has neither an aggregator nor a predictor: export its encoder, --part encoder"
        )
    graph = EncoderGraph(method) if part == "encoder" else WholeGraph(method)

    with _quiet(), torch.no_grad():
        data = _exported(graph, _inputs(model, part, 2, 4), f"{part} of {name}")
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        for batch, length in ((1, 1), (3, 2), (2, 5)):
            _compare(graph, session, _inputs(model, part, batch, length))
    return {f"{part}.onnx": data}


def _inputs(model: Model, part: Part, batch: int, length: int) -> dict[str, Tensor]:
    """Return random inputs of a graph, by name."""
    draw = torch.Generator().manual_seed(batch)
    if part == "encoder":
        return {"views": torch.rand(batch, *model.spec.image_shape, generator=draw)}
    actions = torch.rand(batch, length, model.spec.actions.action_dim, generator=draw)
    return {
        "views": torch.rand(batch, length, *model.spec.image_shape, generator=draw),
        "actions": actions,
    }


def _exported(graph: EncoderGraph | WholeGraph, inputs: Mapping[str, Tensor], what: str) -> bytes:
    """Return a graph in ONNX, for any number of sequences and of views."""
    # torch takes sizes of 0 and 1 for constants, and 2 where T - 1 is a size, too. ONNX has no
    # such rule: the graph is compared with torch at those sizes below.
    dims = {0: torch.export.Dim("batch")}
    if "actions" in inputs:
        dims[1] = torch.export.Dim("views", min=3)

    try:
        program = torch.export.export(
            graph, tuple(inputs.values()), dynamic_shapes=(dims,) * len(inputs), strict=False
        )
        exported: Any = torch.onnx.export(
            program,
            input_names=list(inputs),
            output_names=list(graph.outputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"torch cannot make an ONNX graph of the {what} for any number of views ({reason}): "
            "use another --part or --format"
        ) from error

    file = io.BytesIO()
    exported.save(file)
    return file.getvalue()


def _compare(graph: EncoderGraph | WholeGraph, session: Any, inputs: Mapping[str, Tensor]) -> None:
    """Raise a ConfigError if onnxruntime computes other numbers than torch."""
    # The graph has no inputs that nothing depends on.
    names = {entry.name for entry in session.get_inputs()}
    arrays = {name: value.numpy() for name, value in inputs.items() if name in names}
    outputs = zip(graph.outputs, session.run(None, arrays), graph(*inputs.values()), strict=True)
    for name, found, expected in outputs:
        if not torch.allclose(torch.from_numpy(found), expected, rtol=TOLERANCE, atol=TOLERANCE):
            difference = float((torch.from_numpy(found) - expected).abs().max())
            raise ConfigError(
                f"the ONNX graph's {name} differs from torch's by {difference:.1e}: nothing was "
                "written; try the versions of torch, onnx and onnxscript in constraints.txt"
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Trace what can be exported, and keep the exporter's remarks from the terminal."""
    # Transformers of torch have a fused path in eval mode, for which ONNX has no operator.
    fused = torch.backends.mha.get_fastpath_enabled()
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    torch.backends.mha.set_fastpath_enabled(False)
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        logger.setLevel(level)
