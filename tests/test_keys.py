"""Random numbers that depend on all of their keys."""

import torch

from seqjepa.keys import step_seed


def drawn(seed: int, step: int = 5, rank: int = 0) -> torch.Tensor:
    """Return which of 64 units dropout keeps at a step, as in training on the CPU."""
    torch.manual_seed(step_seed(seed, step, rank))
    return torch.nn.functional.dropout(torch.ones(64), 0.5)


def test_dropout_on_the_cpu_depends_on_seed_step_and_rank() -> None:
    with torch.random.fork_rng(devices=[]):
        assert torch.equal(drawn(0), drawn(0))
        # Seeds that differ in their upper bits alone were one seed to the CPU's generator.
        others = [drawn(1), drawn(2), drawn(1 << 16), drawn(0, step=6), drawn(0, rank=1)]
        assert all(not torch.equal(drawn(0), other) for other in others)


def test_environments_of_contextssl_depend_on_the_seed() -> None:
    def environments(seed: int) -> list[int]:
        found = []
        for step in range(20):
            torch.manual_seed(step_seed(seed, step, 0))
            found.append(int(torch.randint(3, ())))
        return found

    with torch.random.fork_rng(devices=[]):
        assert environments(0) != environments(1) and set(environments(0)) == {0, 1, 2}


def test_step_seeds_are_32_bits_and_well_spread() -> None:
    seeds = {
        step_seed(seed, step, rank) for seed in range(10) for step in range(50) for rank in (0, 1)
    }
    assert len(seeds) == 1000 and max(seeds) < 2**32 and max(seeds) > 2**31
