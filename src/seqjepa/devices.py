"""Where tensors live."""

import torch

from seqjepa.errors import ConfigError


def find_device(name: str | torch.device | None = None) -> torch.device:
    """A device that can be computed on: the one asked for, or CUDA where there is one, else the CPU.

    Raises:
        ConfigError: if torch knows no such device or this machine has none.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"cannot compute on device {str(name)!r} ({reason}): use cpu, or cuda on a machine that has it") from error
    return device
