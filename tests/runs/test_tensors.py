"""Modules and optimizers become named tensors and come back, all or nothing."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from seqjepa.errors import CheckpointError
from seqjepa.runs import checkpoint
from seqjepa.runs.tensors import optimizer_tensors, restore, restore_optimizer


def network(width: int = 6) -> nn.Sequential:
    torch.manual_seed(0)
    head = (nn.Flatten(), nn.Linear(width * 4, 2))
    module = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), *head)
    return module.to(memory_format=torch.channels_last)


def learn(module: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        torch.manual_seed(step)
        optimizer.zero_grad()
        module(torch.randn(5, 3, 4, 4)).square().mean().backward()
        optimizer.step()


def adamw(module: nn.Module, *, fused: bool = True) -> torch.optim.Optimizer:
    weights = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim == 1]
    groups = [{"params": weights}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-2, fused=fused)


@pytest.mark.parametrize("fused", [False, True])
def test_learning_goes_on_in_the_same_bits(tmp_path: Path, fused: bool) -> None:
    module = network()
    optimizer = adamw(module, fused=fused)
    learn(module, optimizer, 3)
    tensors = {
        "method": module.state_dict(),
        "optimizer": optimizer_tensors(optimizer, module.named_parameters()),
    }
    checkpoint.save(tmp_path, 3, tensors, {})
    saved = checkpoint.latest(tmp_path, pytest.fail)
    assert saved is not None

    other = network()
    other_optimizer = adamw(other, fused=fused)
    restore(other, saved.tensors["method"], "there")
    restore_optimizer(
        other_optimizer, other.named_parameters(), saved.tensors["optimizer"], "there"
    )

    learn(module, optimizer, 4)
    learn(other, other_optimizer, 4)
    assert same(module.state_dict(), other.state_dict())
    expected = optimizer_tensors(optimizer, module.named_parameters())
    assert same(optimizer_tensors(other_optimizer, other.named_parameters()), expected)
    assert strides(other_optimizer) == strides(optimizer)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def strides(optimizer: torch.optim.Optimizer) -> list[tuple[int, ...]]:
    return [state["exp_avg"].stride() for state in optimizer.state.values()]


def test_an_optimizer_before_its_first_step_comes_back_fresh(tmp_path: Path) -> None:
    module = network()
    tensors = optimizer_tensors(adamw(module), module.named_parameters())
    optimizer = adamw(module)
    restore_optimizer(optimizer, module.named_parameters(), tensors, "there")
    assert not optimizer.state


def test_another_architecture_lists_the_keys_and_loads_nothing() -> None:
    module, other = network(6), network(8)
    tensors = dict(other.state_dict()) | {"extra": torch.zeros(1)}
    del tensors["3.bias"]
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(CheckpointError) as error:
        restore(module, tensors, "runs/a")
    text = str(error.value)
    assert "runs/a" in text and "1 missing: 3.bias" in text and "1 unexpected: extra" in text
    assert "7 mis-shaped: 0.weight (float32 [8, 3, 3, 3], not float32 [6, 3, 3, 3])" in text
    assert "..." in text
    assert same(before, module.state_dict())


def test_another_type_is_not_cast_in_silence() -> None:
    module = network()
    tensors = {key: value.bfloat16() for key, value in module.state_dict().items()}
    with pytest.raises(CheckpointError, match="bfloat16"):
        restore(module, tensors, "there")


def test_another_optimizer_state_lists_the_keys_and_loads_nothing() -> None:
    module, other = network(6), network(8)
    optimizer, other_optimizer = adamw(module), adamw(other)
    learn(other, other_optimizer, 1)
    tensors = optimizer_tensors(other_optimizer, other.named_parameters())
    del tensors["exp_avg.3.bias"]
    message = r"1 missing: exp_avg\.3\.bias\n.*mis-shaped: .*0\.weight"
    with pytest.raises(CheckpointError, match=message):
        restore_optimizer(optimizer, module.named_parameters(), tensors, "there")
    assert not optimizer.state
