"""Devices: which one computes, in which precision, and what of a machine the results depend on."""

import os
import platform
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from seqjepa.distributed import rank, world_size
from seqjepa.errors import ConfigError


def find_device(name: str | torch.device | None = None) -> torch.device:
    """Return the device asked for, or by default CUDA where there is one, else the CPU.

    Raises:
        ConfigError: if torch knows no such device or this machine has none.
    """
    try:
        if name is None:
            name = "cuda" if torch.cuda.is_available() else "cpu"
        device = torch.device(name)
        # Only a computation shows that the device is there.
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"cannot compute on device {str(name)!r} ({reason}): "
            "use cpu, or cuda on a machine that has it"
        ) from error
    return device


def own_device(name: str | torch.device | None) -> torch.device:
    """Return the device of this rank, see `find_device`; each rank of a machine has its own GPU.

    Raises:
        ConfigError: if there is no such device, or one GPU was named for all ranks.
    """
    on_cuda = torch.cuda.is_available() if name is None else str(name).startswith("cuda")
    if world_size() == 1 or not on_cuda:
        return find_device(name)

    if name is not None and torch.device(name).index is not None:
        raise ConfigError(
            f"--device {name} is one GPU for {world_size()} ranks: "
            "leave the number out, each rank takes its own"
        )
    device = find_device(f"cuda:{os.environ.get('LOCAL_RANK', rank())}")
    torch.cuda.set_device(device)
    return device


def device_of(module: nn.Module) -> torch.device:
    """Return the device that a module's parameters are on."""
    return next(module.parameters()).device


def memory(device: torch.device) -> int:
    """Return a device's whole memory in bytes, used or not."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    # Windows does not say: then nothing is refused for want of memory.
    if os.name == "nt":
        return sys.maxsize
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def fork_rng(device: torch.device) -> AbstractContextManager[None]:
    """Return a context that restores torch's global generators, the CPU's and the device's."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def use_bf16(precision: str, device: torch.device) -> bool:
    """Return whether to autocast; `auto` means where the hardware multiplies bf16 itself."""
    if precision != "auto":
        return precision == "bf16"
    # Emulated bf16 is slower than fp32.
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def place(precision: str, device: torch.device) -> dict[str, str]:
    """Return device and precision as results and checkpoints record them.

    `auto` is resolved, and a GPU appears by its model.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {"device": name, "precision": "bf16" if use_bf16(precision, device) else "fp32"}


def environment(place: Mapping[str, str]) -> dict[str, Any]:
    """Return what the bits of a result depend on besides config and seed.

    A resumed run is bit-exact only where this is the same.

    Args:
        place: the device and the precision, see `place`.
    """
    versions = {"seqjepa": version("seqjepa"), "torch": torch.__version__, "numpy": np.__version__}
    machine = {
        "threads": torch.get_num_threads(),
        # The instruction set: kernels for AVX2 and AVX-512 add in different orders.
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "world_size": world_size(),
    }
    return versions | machine | dict(place)


def cpu_name() -> str:
    """Return the processor's name, as far as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
