"""Several ranks, one global batch: what losses, norms and figures need of the other ranks. On one
process it does nothing.

Losses that compare samples are those of the whole batch on every rank, from gathered tensors; a
gathered tensor's gradient is the sum over ranks. So after a mean over ranks (`average_gradients`)
each parameter has the gradient that one process with all samples would give it."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor, nn

from seqjepa.errors import ConfigError, DistributedError
from seqjepa.files import json_bytes
from seqjepa.from_json import differences


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of these processes this is, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def gather(x: Tensor) -> Tensor:
    """Every rank's x [B, ...], of one shape on all, as [ranks B, ...] in the order of ranks."""
    if world_size() == 1:
        return x
    whole: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return whole


def all_reduce_mean(x: Tensor) -> Tensor:
    """The mean over ranks of a tensor of one shape on all, with gradient."""
    return x if world_size() == 1 else gather(x[None]).mean(0)


def broadcast(x: Tensor) -> Tensor:
    """Rank 0's x on all ranks, without gradient: for draws that a whole batch shares."""
    if world_size() > 1:
        x = x.clone()
        dist.broadcast(x, 0)
    return x


@contextmanager
def process_group(time_out: float) -> Iterator[None]:
    """While it lasts, the processes that torchrun started are ranks of one group; a process that it
    did not start is alone.

    Args:
        time_out: seconds that a rank may keep the others waiting.

    Raises:
        ConfigError: if the time-out is not positive or the environment not that of torchrun.
        DistributedError: if another rank does not come, ends or keeps silent.
    """
    if time_out <= 0:
        raise ConfigError(f"--rank-timeout must be positive, got {time_out:g}")
    if not under_torchrun() or dist.is_initialized():
        yield
        return
    backend = (
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    )
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
        raise DistributedError(
            f"{lost}; what it said tells why. Go on with --resume ({reason})"
        ) from error
    dist.destroy_process_group()  # not on an error: then the process ends, which tells the others


def _is_of_the_group(error: RuntimeError) -> bool:
    """Gloo's errors have no class of their own."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


def under_torchrun() -> bool:
    """Whether torchrun, or who sets the same variables, started this process beside others."""
    return "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def is_main_process() -> bool:
    """Whether this is the rank that writes and speaks for all; without a group, torchrun's word
    counts."""
    return rank() == 0 if world_size() > 1 else not under_torchrun() or os.environ["RANK"] == "0"


def shard_indices(batch_size: int, parts: int) -> npt.NDArray[np.int64] | None:
    """Which sequences of a batch are this rank's: an equal share of each of its `parts`
    micro-batches; None for all of them.

    Raises:
        ConfigError: if the batch cannot be shared out.
    """
    if world_size() == 1:
        return None
    if batch_size % (parts * world_size()):
        wanted = f"train.accumulate x ranks = {parts} x {world_size()}"
        raise ConfigError(
            f"train.batch_size is shared by the ranks: it must be a multiple of {wanted}, got {batch_size}"
        )
    return np.arange(batch_size).reshape(parts, world_size(), -1)[:, rank()].ravel()


def synchronize(module: nn.Module) -> None:
    """All ranks get the first one's parameters and buffers, and each BatchNorm, targets' included,
    the statistics of all ranks' samples."""
    if world_size() > 1:
        synchronise_batch_norm(module)
        for tensor in module.state_dict().values():
            dist.broadcast(tensor, 0)


def average_gradients(module: nn.Module) -> None:
    """All ranks get the mean of their gradients, in one exchange in the order of parameters, whose
    sums are the same bits in every run.

    Not DistributedDataParallel's: that exchanges gradients in buckets, in another order from the
    second step on, so that with three ranks or more a resumed run would differ. What its overlap
    with the backward pass would hide is little for models of this size."""
    if world_size() > 1:
        gradients = [
            parameter.grad for parameter in module.parameters() if parameter.grad is not None
        ]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(together)
        parts = (together / world_size()).split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(
            gradients,
            [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)],
        )


def all_reduce_max(number: int | None) -> int | None:
    """The highest number that any rank has, None if none has one; numbers are positive."""
    if world_size() > 1:
        found = torch.tensor(number or 0)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found) or None
    return number


def barrier() -> None:
    """Until all ranks have come here."""
    all_reduce_max(None)


def all_gather_bytes(data: bytes) -> list[bytes]:
    """What each rank has to say, on all ranks."""
    if world_size() == 1:
        return [data]
    sizes = [torch.empty((), dtype=torch.int64) for _ in range(world_size())]
    dist.all_gather(sizes, torch.tensor(len(data)))
    longest = max(map(int, sizes))
    texts = [torch.empty(longest, dtype=torch.uint8) for _ in sizes]
    dist.all_gather(texts, torch.frombuffer(bytearray(data.ljust(longest)), dtype=torch.uint8))
    return [text.numpy().tobytes()[: int(size)] for text, size in zip(texts, sizes, strict=True)]


def require_same(what: str, mine: Mapping[str, Any]) -> None:
    """Raise a ConfigError on all ranks if two of them differ in this JSON data."""
    first, *others = map(json.loads, all_gather_bytes(json_bytes(mine)))
    for number, other in enumerate(others, 1):
        if changed := differences(first, other):
            remedy = "start all with the same command on the same files"
            raise ConfigError(
                f"rank {number} (here) has another {what} than rank 0 (there); {remedy}:\n  "
                + "\n  ".join(changed)
            )


def synchronise_batch_norm(module: nn.Module) -> nn.Module:
    """Make all BatchNorm layers of a module normalise by the statistics of the global batch, in
    place but for a module that is itself one.

    Parameters and buffers stay the very same. Unlike `nn.SyncBatchNorm` it runs on the CPU too.

    Raises:
        ConfigError: at a subclass of BatchNorm, whose own doing would be lost.
    """
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(
        module, GlobalBatchNorm
    ):
        if type(module) not in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            raise ConfigError(
                f"{type(module).__name__} cannot be synchronised, only plain BatchNorm can: choose another encoder"
            )
        shell = GlobalBatchNorm(
            module.num_features,
            module.eps,
            module.momentum,
            module.affine,
            module.track_running_stats,
        )
        shell.__dict__.update(module.__dict__)
        return shell
    for name, child in module.named_children():
        setattr(module, name, synchronise_batch_norm(child))
    return module


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm of inputs [N, C, ...] whose training statistics are those of all ranks' samples,
    each rank having as many."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected [N, C, ...], got {list(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """The same shape and type."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        x, axes = (
            input.to(torch.promote_types(input.dtype, torch.float32)),
            [axis for axis in range(input.ndim) if axis != 1],
        )
        count = x.numel() // x.shape[1] * world_size()
        shape = [1, -1] + [1] * (x.ndim - 2)
        own = torch.stack(torch.var_mean(x, axes, correction=0))
        variances, means = gather(own[None]).unbind(
            1
        )  # one exchange for both: variance within the ranks, and between them
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        self._track(mean.detach(), variance.detach() * count / (count - 1))
        y = (x - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if (
            self.running_mean is None
            or self.running_var is None
            or self.num_batches_tracked is None
        ):
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Gather(torch.autograd.Function):
    """torch.distributed's own differentiable collectives change names between the versions that we
    support."""

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
