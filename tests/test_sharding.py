"""How ranks share a batch, and that one process is alone. What several processes do together:
tests/faults/test_ranks.py."""

import numpy as np
import pytest
import torch

from seqjepa import devices, distributed
from seqjepa.errors import ConfigError


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch):
    def become(rank: int, size: int) -> None:
        for module in (distributed, devices):
            monkeypatch.setattr(module, "rank", lambda: rank)
            monkeypatch.setattr(module, "world_size", lambda: size)

    return become


@pytest.mark.parametrize(("size", "parts"), [(2, 1), (2, 3), (3, 2), (4, 1)])
def test_the_ranks_micro_batches_side_by_side_are_those_of_one_process(
    as_rank, size: int, parts: int
) -> None:
    shares = []
    for rank in range(size):
        as_rank(rank, size)
        shares.append(distributed.shard_indices(24, parts).reshape(parts, -1))
        assert np.all(np.diff(shares[-1].ravel()) > 0)
    together = np.concatenate(shares, 1)
    assert together.tolist() == np.arange(24).reshape(parts, -1).tolist()


def test_a_batch_that_cannot_be_shared_is_refused(as_rank) -> None:
    as_rank(1, 2)
    with pytest.raises(
        ConfigError, match=r"a multiple of train\.accumulate x ranks = 2 x 2, got 10"
    ):
        distributed.shard_indices(10, 2)


def test_one_gpu_for_several_ranks_is_refused(as_rank) -> None:
    as_rank(1, 2)
    with pytest.raises(ConfigError, match="--device cuda:1 is one GPU for 2 ranks"):
        devices.own_device("cuda:1")
    assert devices.own_device("cpu") == torch.device("cpu")


def test_one_process_is_alone() -> None:
    assert distributed.shard_indices(8, 2) is None
    assert (
        distributed.all_gather_bytes(b"a") == [b"a"]
        and distributed.all_reduce_max(15) == 15
        and distributed.all_reduce_max(None) is None
    )
    assert distributed.is_main_process() and not distributed.under_torchrun()
    with distributed.process_group(1.0):
        assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("variables", "launched", "first"),
    [
        ({"RANK": "1", "WORLD_SIZE": "2"}, True, False),
        ({"RANK": "0", "WORLD_SIZE": "2"}, True, True),
        ({"RANK": "0", "WORLD_SIZE": "1"}, False, True),
        ({"WORLD_SIZE": "4"}, False, True),
        ({"RANK": "3"}, False, True),
    ],
)
def test_who_speaks_before_and_after_the_group(
    monkeypatch, variables: dict[str, str], launched: bool, first: bool
) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert distributed.under_torchrun() == launched and distributed.is_main_process() == first
