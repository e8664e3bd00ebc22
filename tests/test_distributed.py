"""Two ranks that share a batch do what one process does with all of it: losses, gradients and
BatchNorm statistics of every method."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from fixtures import signal_world
from fixtures.contract import NAMES, experiment
from seqjepa.distributed import GlobalBatchNorm, gather, synchronize_batch_norm, world_size
from seqjepa.errors import ConfigError
from seqjepa.methods.base import Method
from seqjepa.model import build_method
from seqjepa.types import SequenceBatch

RANKS = 2
CHANGES = {"context_ssl": {"pairs": 2, "drop_pairs": 0.0}}


def make(name: str) -> tuple[Method, SequenceBatch]:
    """In float64, with all weights random; random masks would differ between one process and
    two."""
    world, chosen = signal_world.Config().build(), experiment(name, **CHANGES.get(name, {}))
    batch = next(
        world.loader(
            "train", num_views=chosen.train.num_views, batch_size=chosen.train.batch_size, seed=3
        )
    )
    method = build_method(chosen, world.spec).double()
    torch.manual_seed(0)
    for parameter in method.parameters():
        torch.nn.init.normal_(parameter, mean=0.1, std=0.4)
    double = (
        batch.views.double() / 255,
        batch.actions.double(),
        batch.poses.double(),
        batch.labels,
    )
    return method, SequenceBatch(*double)


def learn(method: Method, run, batch: SequenceBatch) -> dict[str, Tensor]:
    """The loss, all gradients and all buffers after a step."""
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
    """One of the ranks."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=RANKS
    )
    for name in NAMES:
        method, batch = make(name)
        method = synchronize_batch_norm(method)
        learned = learn(method, DistributedDataParallel(method), batch.chunk(RANKS)[rank])
        dist.all_reduce(learned["loss"])
        learned["loss"] /= RANKS
        save_file(
            {key: value.contiguous() for key, value in learned.items()},
            f"{folder}/{name}_{rank}.safetensors",
        )
    rows = torch.arange(6.0).view(3, 2) + 10 * rank
    rows.requires_grad_()
    whole = gather(rows)
    (whole * torch.arange(12.0).view(6, 2) * (rank + 1)).sum().backward()
    save_file(
        {"whole": whole.detach(), "gradient": rows.grad}, f"{folder}/gather_{rank}.safetensors"
    )
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Path:
    """What each rank found."""
    folder = tmp_path_factory.mktemp("ranks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ":".join(sys.path))
        mp.spawn(work, (str(folder),), nprocs=RANKS)
    return folder


@pytest.mark.parametrize("name", NAMES)
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
    """In the order of ranks; a row's gradient is the sum of what all ranks do with it."""
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
    assert torch.equal(shared(data), plain(data)) and torch.equal(
        shared.running_var, plain.running_var
    )


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
    assert (
        all(a is b for a, b in zip(method.parameters(), parameters, strict=True))
        and list(method.state_dict()) == names
    )
    norms = [
        module
        for module in method.modules()
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
    ]
    assert norms and all(isinstance(module, GlobalBatchNorm) for module in norms)
