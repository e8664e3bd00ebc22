"""Modules and optimizers to named tensors and back: all that fits, or nothing."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from seqjepa.errors import CheckpointError

NamedParameters = Iterable[tuple[str, nn.Parameter]]


def restore(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Load all of a module's parameters and buffers, or none.

    Args:
        module: of the same architecture.
        tensors: from `module.state_dict()`.
        source: their origin, for the message.

    Raises:
        CheckpointError: with the missing, unexpected and mis-shaped keys.
    """
    require_match(module.state_dict(), tensors, source)
    module.load_state_dict(dict(tensors), strict=True)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, names: NamedParameters
) -> dict[str, Tensor]:
    """Return an optimizer's state as tensors named `exp_avg.<parameter>` and so on.

    Learning rates and other settings are not in it: they are functions of config and step.

    Args:
        optimizer: over parameters that are all named.
        names: `module.named_parameters()`.
    """
    tensors = {}
    for name, parameter in names:
        for slot, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{slot}.{name}"] = torch.as_tensor(value)
    return tensors


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    names: NamedParameters,
    tensors: Mapping[str, Tensor],
    source: str,
) -> None:
    """Give an optimizer the state that `optimizer_tensors` took from one like it.

    Args:
        optimizer: freshly made, over the same parameters.
        names: `module.named_parameters()`.
        tensors: from `optimizer_tensors`; parameters that never had a gradient have none.
        source: their origin, for the message.

    Raises:
        CheckpointError: with the keys that do not fit; the optimizer is as it was.
    """
    # Keys such as `exp_avg.encoder.conv1.weight`: the slot `exp_avg` of a parameter.
    name_of = {parameter: name for name, parameter in names}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots = dict.fromkeys(key.partition(".")[0] for key in tensors)
    stateful = {key.partition(".")[2] for key in tensors}

    # Each slot has its parameter's shape, but for the count of steps.
    expected = {}
    for parameter in parameters:
        if (name := name_of[parameter]) in stateful:
            for slot in slots:
                expected[f"{slot}.{name}"] = torch.zeros(()) if slot == "step" else parameter
    require_match(expected, tensors, source)

    states = {}
    for index, parameter in enumerate(parameters):
        if (name := name_of[parameter]) in stateful:
            # Copied into the parameter's memory layout (channels-last or not), which fused kernels
            # expect the state to share.
            layouts = {
                slot: torch.empty_like(expected[f"{slot}.{name}"], requires_grad=False)
                for slot in slots
            }
            states[index] = {
                slot: layout.copy_(tensors[f"{slot}.{name}"]) for slot, layout in layouts.items()
            }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})


def require_match(expected: Mapping[str, Tensor], got: Mapping[str, Tensor], source: str) -> None:
    """Raise a CheckpointError unless both have the same keys, types and shapes."""
    found = {
        "missing": [key for key in expected if key not in got],
        "unexpected": [key for key in got if key not in expected],
        "mis-shaped": [
            f"{key} ({_form(got[key])}, not {_form(tensor)})"
            for key, tensor in expected.items()
            if key in got and _form(got[key]) != _form(tensor)
        ],
    }

    lines = []
    for what, keys in found.items():
        if keys:
            more = ", ..." if len(keys) > 3 else ""
            lines.append(f"{len(keys)} {what}: {', '.join(keys[:3])}{more}")
    if lines:
        raise CheckpointError(
            f"{source} is of another architecture; nothing was loaded:\n  " + "\n  ".join(lines)
        )


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
