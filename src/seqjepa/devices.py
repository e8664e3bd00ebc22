"""Where tensors live, and in which precision is computed there."""

import os
from contextlib import AbstractContextManager

import torch

from seqjepa.distributed import rank, world_size
from seqjepa.errors import ConfigError


def use_bf16(precision: str, device: torch.device) -> bool:
    """Whether to autocast: `auto` means where the hardware multiplies bf16 itself."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def place(precision: str, device: torch.device) -> dict[str, str]:
    """What is computed on and in which precision, as results and checkpoints say it: `auto`
    resolved, a GPU by its model."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {"device": name, "precision": "bf16" if use_bf16(precision, device) else "fp32"}


def fork_rng(device: torch.device) -> AbstractContextManager[None]:
    """Afterwards torch's global generators, the CPU's and the device's, are as they were."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def find_device(name: str | torch.device | None = None) -> torch.device:
    """A device that can be computed on: the one asked for, or CUDA where there is one, else the
    CPU.

    Raises:
        ConfigError: if torch knows no such device or this machine has none.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"cannot compute on device {str(name)!r} ({reason}): use cpu, or cuda on a machine that has it"
        ) from error
    return device


def own_device(name: str | torch.device | None) -> torch.device:
    """Where this rank computes: see `find_device`; of a machine's GPUs each of its ranks has one.

    Raises:
        ConfigError: if there is no such device, or one GPU was named for all ranks.
    """
    wanted = torch.device(name) if name is not None and str(name).startswith("cuda") else None
    if world_size() > 1 and wanted is not None and wanted.index is not None:
        raise ConfigError(
            f"--device {name} is one GPU for {world_size()} ranks: leave the number out, each rank takes its own"
        )
    if world_size() > 1 and (wanted is not None or (name is None and torch.cuda.is_available())):
        device = find_device(f"cuda:{os.environ.get('LOCAL_RANK', rank())}")
        torch.cuda.set_device(device)
        return device
    return find_device(name)
