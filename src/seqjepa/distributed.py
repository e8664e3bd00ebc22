"""Process group, sharding and small collectives of one training run; on one process, no-ops.

`torchrun --nproc-per-node N -m seqjepa.cli train ...` starts N processes, the ranks. Together they
do what one process does: the same global batches, of which each rank makes and learns its share,
one loss, and one state that is the same on all. A rank that ends or stalls ends the others.

Losses that compare samples are those of the whole batch on every rank, from gathered tensors. A
gathered tensor's gradient is the sum over ranks. So after a mean over ranks (`average_gradients`)
each parameter has the gradient that one process with all samples would give it.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from seqjepa.errors import ConfigError, DistributedError
from seqjepa.files import json_bytes
from seqjepa.from_json import differences
from seqjepa.types import Indices


def world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return this process's number among them, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def under_torchrun() -> bool:
    """Return whether torchrun, or its environment variables, started this process beside others."""
    return "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def is_main_process() -> bool:
    """Return whether this is the rank that writes and prints for all."""
    if world_size() > 1:
        return rank() == 0
    # Before there is a group, torchrun's word counts.
    return not under_torchrun() or os.environ["RANK"] == "0"


@contextmanager
def process_group(timeout: float) -> Iterator[None]:
    """Join the processes that torchrun started into one group while it lasts.

    A process that torchrun did not start stays alone.

    Args:
        timeout: seconds that a rank may keep the others waiting.

    Raises:
        ConfigError: if the time-out is not positive or the environment is not that of torchrun.
        DistributedError: if another rank does not come, ends or stalls.
    """
    if timeout <= 0:
        raise ConfigError(f"--rank-timeout must be positive, got {timeout:g}")
    if not under_torchrun() or dist.is_initialized():
        yield
        return

    with_nccl = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if with_nccl else "gloo", timeout=timedelta(seconds=timeout)
        )
        yield
    except ValueError as error:
        if dist.is_initialized():
            raise
        raise ConfigError(
            f"the environment is not that of torchrun ({error}): start with torchrun, or unset "
            "RANK and WORLD_SIZE"
        ) from error
    except RuntimeError as error:
        # Gloo's errors have no class of their own.
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        reason = str(error).partition("\n")[0]
        raise DistributedError(
            f"another of the {os.environ['WORLD_SIZE']} ranks has ended or was silent for "
            f"{timeout:g} s; its own message says why. Go on with --resume ({reason})"
        ) from error

    # Not on an error: then the process ends, and the closed connection tells the other ranks.
    dist.destroy_process_group()


def shard_indices(batch_size: int, micro_batches: int) -> Indices | None:
    """Return which sequences of a batch are this rank's; None for all of them.

    They are an equal share of each of the batch's micro-batches, ascending.

    Raises:
        ConfigError: if the batch cannot be shared out evenly.
    """
    if world_size() == 1:
        return None
    if batch_size % (micro_batches * world_size()):
        raise ConfigError(
            "train.batch_size is shared by the ranks: it must be a multiple of train.accumulate x "
            f"ranks = {micro_batches} x {world_size()}, got {batch_size}"
        )
    places = np.arange(batch_size).reshape(micro_batches, world_size(), -1)
    return places[:, rank()].ravel()


def gather(x: Tensor) -> Tensor:
    """Return every rank's x [B, ...] as [ranks B, ...] in the order of ranks, with gradient."""
    if world_size() == 1:
        return x
    whole: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return whole


def all_reduce_mean(x: Tensor) -> Tensor:
    """Return the mean over ranks of a tensor of one shape on all, with gradient."""
    return x if world_size() == 1 else gather(x[None]).mean(0)


def all_reduce_max(number: int | None) -> int | None:
    """Return the highest number that any rank has, None if none has one; numbers are positive."""
    if world_size() == 1:
        return number
    found = torch.tensor(number or 0)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    return int(found) or None


def broadcast(x: Tensor) -> Tensor:
    """Return rank 0's x on all ranks, without gradient: for draws that a whole batch shares."""
    if world_size() > 1:
        x = x.clone()
        dist.broadcast(x, 0)
    return x


def barrier() -> None:
    """Wait until all ranks have come here."""
    all_reduce_max(None)


def all_gather_bytes(data: bytes) -> list[bytes]:
    """Return the bytes of every rank, in the order of ranks."""
    if world_size() == 1:
        return [data]
    sizes = [torch.empty((), dtype=torch.int64) for _ in range(world_size())]
    dist.all_gather(sizes, torch.tensor(len(data)))

    # Collectives take tensors of one shape, so all are padded to the longest.
    longest = max(map(int, sizes))
    texts = [torch.empty(longest, dtype=torch.uint8) for _ in sizes]
    dist.all_gather(texts, torch.frombuffer(bytearray(data.ljust(longest)), dtype=torch.uint8))
    return [text.numpy().tobytes()[: int(size)] for text, size in zip(texts, sizes, strict=True)]


def require_same(what: str, data: Mapping[str, Any]) -> None:
    """Raise a ConfigError on all ranks if two of them differ in this JSON data."""
    first, *others = map(json.loads, all_gather_bytes(json_bytes(data)))
    for number, other in enumerate(others, 1):
        if changed := differences(first, other):
            raise ConfigError(
                f"rank {number} (here) has another {what} than rank 0 (there); start all with the "
                "same command on the same files:\n  " + "\n  ".join(changed)
            )


def synchronize(module: nn.Module) -> None:
    """Give all ranks rank 0's parameters and buffers, and BatchNorm the statistics of all ranks."""
    if world_size() > 1:
        synchronize_batch_norm(module)
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, 0)


def average_gradients(module: nn.Module) -> None:
    """Give all ranks the mean of their gradients, in one exchange after the backward pass.

    DistributedDataParallel exchanges gradients in buckets, in another order from the second step
    on, so that with three ranks or more a resumed run would not end in the same bits. What its
    overlap with the backward pass would hide is little for models of this size.
    """
    if world_size() == 1:
        return
    # In the order of parameters, so that the sums are the same bits in every run.
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)

    means = (flat / world_size()).split([gradient.numel() for gradient in gradients])
    shaped = [mean.view_as(gradient) for mean, gradient in zip(means, gradients, strict=True)]
    torch._foreach_copy_(gradients, shaped)


def synchronize_batch_norm(module: nn.Module) -> nn.Module:
    """Let all BatchNorm layers of a module normalise by the statistics of the global batch.

    It changes the module in place, and returns it; a module that is itself a BatchNorm is replaced.
    Parameters and buffers stay the same objects. Unlike `nn.SyncBatchNorm` it runs on the CPU too.

    Raises:
        ConfigError: at a subclass of BatchNorm, whose own doing would be lost.
    """
    batch_norm = nn.modules.batchnorm._BatchNorm
    if isinstance(module, batch_norm) and not isinstance(module, GlobalBatchNorm):
        if type(module) not in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            raise ConfigError(
                f"{type(module).__name__} cannot be synchronised, only plain BatchNorm can: choose "
                "another encoder"
            )
        layer = GlobalBatchNorm(
            module.num_features,
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
        )
        layer.__dict__.update(module.__dict__)
        return layer

    for name, child in module.named_children():
        setattr(module, name, synchronize_batch_norm(child))
    return module


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm of inputs [N, C, ...] with training statistics of all ranks' samples.

    Each rank must have the same number of samples.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected [N, C, ...], got {list(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input, of the same shape and type."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        axes = [axis for axis in range(input.ndim) if axis != 1]
        count = x.numel() // x.shape[1] * world_size()
        shape = [1, -1] + [1] * (x.ndim - 2)

        # One exchange for mean and variance: with ranks of equal size the variance of all samples
        # is the mean of the ranks' variances plus the variance of the ranks' means.
        own = torch.stack(torch.var_mean(x, axes, correction=0))
        variances, means = gather(own[None]).unbind(1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)

        # As in torch, running statistics take the unbiased variance, the batch the biased one.
        self._track(mean.detach(), variance.detach() * count / (count - 1))
        y = (x - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        batches = self.num_batches_tracked
        if self.running_mean is None or self.running_var is None or batches is None:
            return
        batches += 1
        share = 1 / float(batches) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Gather(torch.autograd.Function):
    """All-gather with gradient.

    torch.distributed's own differentiable collectives change names between the versions that we
    support.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        parts = [
            torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world_size())
        ]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[rank() * ctx.rows :][: ctx.rows]
