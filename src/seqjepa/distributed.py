"""Several ranks, one global batch: what losses, norms and figures need of the other ranks. On one process it does nothing.

Losses that compare samples are those of the whole batch on every rank, from gathered tensors; a gathered tensor's gradient is the sum over
ranks. So after a mean over ranks (`seqjepa.ranks`, or DistributedDataParallel's) each parameter has the gradient that one process with all
samples would give it.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from seqjepa.errors import ConfigError


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


def mean(x: Tensor) -> Tensor:
    """The mean over ranks of a tensor of one shape on all, with gradient."""
    return x if world_size() == 1 else gather(x[None]).mean(0)


def of_first(x: Tensor) -> Tensor:
    """Rank 0's x on all ranks, without gradient: for draws that a whole batch shares."""
    if world_size() > 1:
        x = x.clone()
        dist.broadcast(x, 0)
    return x


def synchronise_batch_norm(module: nn.Module) -> nn.Module:
    """Make all BatchNorm layers of a module normalise by the statistics of the global batch, in place but for a module that is itself one.

    Parameters and buffers stay the very same. Unlike `nn.SyncBatchNorm` it runs on the CPU too.

    Raises:
        ConfigError: at a subclass of BatchNorm, whose own doing would be lost.
    """
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, GlobalBatchNorm):
        if type(module) not in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            raise ConfigError(f"{type(module).__name__} cannot be synchronised, only plain BatchNorm can: choose another encoder")
        shell = GlobalBatchNorm(module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
        shell.__dict__.update(module.__dict__)
        return shell
    for name, child in module.named_children():
        setattr(module, name, synchronise_batch_norm(child))
    return module


class GlobalBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm of inputs [N, C, ...] whose training statistics are those of all ranks' samples, each rank having as many."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected [N, C, ...], got {list(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """The same shape and type."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        x, axes = input.to(torch.promote_types(input.dtype, torch.float32)), [axis for axis in range(input.ndim) if axis != 1]
        count = x.numel() // x.shape[1] * world_size()
        shape = [1, -1] + [1] * (x.ndim - 2)
        own = torch.stack(torch.var_mean(x, axes, correction=0))
        variances, means = gather(own[None]).unbind(1)  # one exchange for both: variance within the ranks, and between them
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        self._track(mean.detach(), variance.detach() * count / (count - 1))
        y = (x - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Gather(torch.autograd.Function):
    """torch.distributed's own differentiable collectives change names between the versions that we support."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[rank() * ctx.rows :][: ctx.rows]
