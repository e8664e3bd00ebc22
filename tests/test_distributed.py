"""Two ranks that share a batch do what one process does with all of it.

The tests compare losses, gradients and BatchNorm statistics of every method; then how ranks share a
batch, and that one process is alone. Whole commands on several ranks: tests/faults/test_ranks.py.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from fixtures import signal_world
from fixtures.contract import VARIANTS, experiment
from seqjepa import devices, distributed
from seqjepa.distributed import GlobalBatchNorm, gather, synchronize_batch_norm, world_size
from seqjepa.errors import ConfigError
from seqjepa.methods.base import Method
from seqjepa.model import build_method
from seqjepa.types import SequenceBatch

RANKS = 2
# Random masks would differ between one process and two.
CHANGES = {"context_ssl": {"pairs": 2, "drop_pairs": 0.0}}


def make(variant: str) -> tuple[Method, SequenceBatch]:
    """Return a method with random weights and a batch, both in float64."""
    name, changes = VARIANTS[variant]
    world = signal_world.Config().build()
    chosen = experiment(name, **CHANGES.get(name, {}), **changes)
    method = build_method(chosen, world.spec).double()
    torch.manual_seed(0)
    for parameter in method.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=0.4)

    num_views, batch_size = chosen.train.num_views, chosen.train.batch_size
    batch = next(world.loader("train", num_views=num_views, batch_size=batch_size, seed=3))
    views, actions, poses = batch.views.double() / 255, batch.actions.double(), batch.poses.double()
    return method, SequenceBatch(views, actions, poses, batch.labels)


def learn(method: Method, run, batch: SequenceBatch) -> dict[str, Tensor]:
    """Return the loss, all gradients and all buffers of a step."""
    torch.manual_seed(1)
    loss = run(batch).loss
    loss.backward()
    gradients = {
        f"gradient {key}": parameter.grad
        for key, parameter in method.named_parameters()
        if parameter.grad is not None
    }
    buffers = {
        f"buffer {key}": buffer
        for key, buffer in method.named_buffers()
        if "num_batches" not in key
    }
    return {"loss": loss.detach()} | gradients | buffers


def work(rank: int, folder: str) -> None:
    """Be one of the ranks: write to the folder what it computes with its share of each batch."""
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meet"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=RANKS)

    for name in VARIANTS:
        method, batch = make(name)
        method = synchronize_batch_norm(method)
        learned = learn(method, DistributedDataParallel(method), batch.chunk(RANKS)[rank])
        dist.all_reduce(learned["loss"])
        learned["loss"] /= RANKS
        tensors = {key: value.contiguous() for key, value in learned.items()}
        save_file(tensors, f"{folder}/{name}_{rank}.safetensors")

    rows = torch.arange(6.0).view(3, 2) + 10 * rank
    rows.requires_grad_()
    whole = gather(rows)
    (whole * torch.arange(12.0).view(6, 2) * (rank + 1)).sum().backward()
    tensors = {"whole": whole.detach(), "gradient": rows.grad}
    save_file(tensors, f"{folder}/gather_{rank}.safetensors")

    dist.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Path:
    """Return the folder in which each rank wrote its tensors."""
    folder = tmp_path_factory.mktemp("ranks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ":".join(sys.path))
        mp.spawn(work, (str(folder),), nprocs=RANKS)
    return folder


@pytest.mark.parametrize("name", VARIANTS)
def test_two_ranks_are_one_process(name, together):
    method, batch = make(name)
    alone = learn(method, method, batch)
    for rank in range(RANKS):
        found = load_file(together / f"{name}_{rank}.safetensors")
        assert set(found) == set(alone)
        for key, expected in alone.items():
            torch.testing.assert_close(
                found[key],
                expected,
                rtol=1e-6,
                atol=1e-9,
                msg=lambda text, key=key: f"{key}: {text}",
            )


def test_gather(together):
    """Rows come in the order of ranks; a row's gradient is the sum of all ranks' gradients."""
    for rank in range(RANKS):
        found = load_file(together / f"gather_{rank}.safetensors")
        expected = torch.cat([torch.arange(6.0).view(3, 2) + 10 * other for other in range(RANKS)])
        assert torch.equal(found["whole"], expected)
        assert torch.equal(found["gradient"], 3 * torch.arange(12.0).view(6, 2)[3 * rank :][:3])


def test_alone_it_is_nothing():
    x = torch.ones(2, 3)
    assert world_size() == 1 and gather(x) is x
    plain = torch.nn.BatchNorm1d(3)
    shared = synchronize_batch_norm(torch.nn.BatchNorm1d(3))
    assert isinstance(shared, GlobalBatchNorm)
    data = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(shared(data), plain(data))
    assert torch.equal(shared.running_var, plain.running_var)


def test_only_plain_batch_norm_is_synchronised():
    class WithReLU(torch.nn.BatchNorm2d):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input).relu()

    with pytest.raises(ConfigError, match="WithReLU cannot be synchronised"):
        synchronize_batch_norm(torch.nn.Sequential(WithReLU(3)))


def test_synchronising_keeps_weights_and_names():
    method = build_method(replace(experiment("byol")), signal_world.Config().build().spec)
    parameters, names = list(method.parameters()), list(method.state_dict())
    assert synchronize_batch_norm(method) is method
    assert all(a is b for a, b in zip(method.parameters(), parameters, strict=True))
    assert list(method.state_dict()) == names

    batch_norm = torch.nn.modules.batchnorm._BatchNorm
    norms = [module for module in method.modules() if isinstance(module, batch_norm)]
    assert norms and all(isinstance(module, GlobalBatchNorm) for module in norms)


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch):
    """Return a function that makes the library believe to be one of several ranks."""

    def become(rank: int, size: int) -> None:
        for module in (distributed, devices):
            monkeypatch.setattr(module, "rank", lambda: rank)
            monkeypatch.setattr(module, "world_size", lambda: size)

    return become


@pytest.mark.parametrize(("size", "parts"), [(2, 1), (2, 3), (3, 2), (4, 1)])
def test_the_ranks_micro_batches_side_by_side_are_those_of_one_process(
    as_rank, size: int, parts: int
) -> None:
    shards = []
    for rank in range(size):
        as_rank(rank, size)
        shards.append(distributed.shard_indices(24, parts).reshape(parts, -1))
        assert np.all(np.diff(shards[-1].ravel()) > 0)
    side_by_side = np.concatenate(shards, 1)
    assert side_by_side.tolist() == np.arange(24).reshape(parts, -1).tolist()


def test_a_batch_that_cannot_be_shared_is_refused(as_rank) -> None:
    as_rank(1, 2)
    message = r"a multiple of train\.accumulate x ranks = 2 x 2, got 10"
    with pytest.raises(ConfigError, match=message):
        distributed.shard_indices(10, 2)


def test_one_gpu_for_several_ranks_is_refused(as_rank) -> None:
    as_rank(1, 2)
    with pytest.raises(ConfigError, match="--device cuda:1 is one GPU for 2 ranks"):
        devices.own_device("cuda:1")
    assert devices.own_device("cpu") == torch.device("cpu")


def test_one_process_is_alone() -> None:
    assert distributed.shard_indices(8, 2) is None
    assert distributed.all_gather_bytes(b"a") == [b"a"]
    assert distributed.all_reduce_max(15) == 15 and distributed.all_reduce_max(None) is None
    assert distributed.is_main_process() and not distributed.under_torchrun()
    with distributed.process_group(1.0):
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("variables", "under_torchrun", "main"),
    [
        ({"RANK": "1", "WORLD_SIZE": "2"}, True, False),
        ({"RANK": "0", "WORLD_SIZE": "2"}, True, True),
        ({"RANK": "0", "WORLD_SIZE": "1"}, False, True),
        ({"WORLD_SIZE": "4"}, False, True),
        ({"RANK": "3"}, False, True),
    ],
)
def test_who_speaks_before_and_after_the_group(
    monkeypatch, variables: dict[str, str], under_torchrun: bool, main: bool
) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert distributed.under_torchrun() == under_torchrun
    assert distributed.is_main_process() == main
