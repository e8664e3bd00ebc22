"""Devices: what can be computed on, what cannot, and what results say of it."""

from typing import Any

import pytest
import torch

from seqjepa.devices import cpu_name, device_of, environment, find_device, memory, place
from seqjepa.errors import ConfigError

CPU = torch.device("cpu")


def test_a_device_is_found_by_name_or_by_default() -> None:
    assert find_device("cpu") == find_device(CPU) == CPU
    assert find_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["tpu", "meta", "cuda:99", 99, torch.float16])
def test_what_cannot_be_computed_on_is_a_config_error(name: Any) -> None:
    with pytest.raises(ConfigError, match=f"cannot compute on device '{name}'"):
        find_device(name)


def test_what_is_known_of_a_machine() -> None:
    assert device_of(torch.nn.Linear(1, 1)) == CPU
    assert memory(CPU) > 1 << 28
    assert cpu_name()


def test_what_a_result_depends_on() -> None:
    found = environment(place("fp32", CPU))
    libraries, machine = ["seqjepa", "torch", "numpy"], ["threads", "cpu", "world_size"]
    assert list(found) == [*libraries, *machine, "device", "precision"]
    assert (found["device"], found["precision"], found["world_size"]) == ("cpu", "fp32", 1)
