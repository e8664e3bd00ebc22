"""The ranks of one training run: how they meet, share a batch, agree and part. On one process all of it does nothing.

`torchrun --nproc-per-node N -m seqjepa.cli train ...` starts N processes with one rank each, which do together what one process does: the
same batches, each rank making and learning its share; one loss, one state, the same on all. A rank that ends or stalls ends the others.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

from seqjepa.devices import find_device
from seqjepa.distributed import rank, synchronise_batch_norm, world_size
from seqjepa.errors import ConfigError, DistributedError


@contextmanager
def met(time_out: float) -> Iterator[None]:
    """While it lasts, the processes that torchrun started are ranks of one group; a process that it did not start is alone.

    Args:
        time_out: seconds that a rank may keep the others waiting.

    Raises:
        ConfigError: if the time-out is not positive or the environment not that of torchrun.
        DistributedError: if another rank does not come, ends or keeps silent.
    """
    if time_out <= 0:
        raise ConfigError(f"--rank-timeout must be positive, got {time_out:g}")
    if not launched() or dist.is_initialized():
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=time_out))
        yield
    except ValueError as error:
        if dist.is_initialized():
            raise
        raise ConfigError(
            f"the environment is not that of torchrun ({error}): start with torchrun, or unset RANK and WORLD_SIZE"
        ) from error
    except RuntimeError as error:
        if not _is_of_the_group(error):
            raise
        reason = str(error).partition("\n")[0]
        lost = f"another of the {os.environ['WORLD_SIZE']} ranks has ended or was silent for {time_out:g} s"
        raise DistributedError(f"{lost}; what it said tells why. Go on with --resume ({reason})") from error
    dist.destroy_process_group()  # not on an error: then the process ends, which tells the others


def _is_of_the_group(error: RuntimeError) -> bool:
    """Gloo's errors have no class of their own."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def launched() -> bool:
    """Whether torchrun, or who sets the same variables, started this process beside others."""
    return "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def first() -> bool:
    """Whether this is the rank that writes and speaks for all; without a group, torchrun's word counts."""
    return rank() == 0 if world_size() > 1 else not launched() or os.environ["RANK"] == "0"


def own_device(name: str | torch.device | None) -> torch.device:
    """Where this rank computes: see `find_device`; of a machine's GPUs each of its ranks has one.

    Raises:
        ConfigError: if there is no such device, or one GPU was named for all ranks.
    """
    wanted = torch.device(name) if name is not None and str(name).startswith("cuda") else None
    if world_size() > 1 and wanted is not None and wanted.index is not None:
        raise ConfigError(f"--device {name} is one GPU for {world_size()} ranks: leave the number out, each rank takes its own")
    if world_size() > 1 and (wanted is not None or (name is None and torch.cuda.is_available())):
        device = find_device(f"cuda:{os.environ.get('LOCAL_RANK', rank())}")
        torch.cuda.set_device(device)
        return device
    return find_device(name)


def places(batch_size: int, parts: int) -> npt.NDArray[np.int64] | None:
    """Which sequences of a batch are this rank's: an equal share of each of its `parts` micro-batches; None for all of them.

    Raises:
        ConfigError: if the batch cannot be shared out.
    """
    if world_size() == 1:
        return None
    if batch_size % (parts * world_size()):
        wanted = f"train.accumulate x ranks = {parts} x {world_size()}"
        raise ConfigError(f"train.batch_size is shared by the ranks: it must be a multiple of {wanted}, got {batch_size}")
    return np.arange(batch_size).reshape(parts, world_size(), -1)[:, rank()].ravel()


def unite(module: nn.Module) -> None:
    """All ranks get the first one's parameters and buffers, and each BatchNorm, targets' included, the statistics of all ranks' samples."""
    if world_size() > 1:
        synchronise_batch_norm(module)
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, 0)


def average_gradients(module: nn.Module) -> None:
    """All ranks get the mean of their gradients, in one exchange in the order of parameters, whose sums are the same bits in every run.

    Not DistributedDataParallel's: that exchanges gradients in buckets, in another order from the second step on, so that with three ranks
    or more a resumed run would differ. What its overlap with the backward pass would hide is little for models of this size.
    """
    if world_size() > 1:
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(together)
        parts = (together / world_size()).split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)])


def highest(number: int | None) -> int | None:
    """The highest number that any rank has, None if none has one; numbers are positive."""
    if world_size() > 1:
        found = torch.tensor(number or 0)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found) or None
    return number


def wait() -> None:
    """Until all ranks have come here."""
    highest(None)


def share(data: bytes) -> list[bytes]:
    """What each rank has to say, on all ranks."""
    if world_size() == 1:
        return [data]
    sizes = [torch.empty((), dtype=torch.int64) for _ in range(world_size())]
    dist.all_gather(sizes, torch.tensor(len(data)))
    longest = max(map(int, sizes))
    texts = [torch.empty(longest, dtype=torch.uint8) for _ in sizes]
    dist.all_gather(texts, torch.frombuffer(bytearray(data.ljust(longest)), dtype=torch.uint8))
    return [text.numpy().tobytes()[: int(size)] for text, size in zip(texts, sizes, strict=True)]
