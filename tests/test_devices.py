"""Devices: what can be computed on, and what cannot."""

import pytest
import torch

from seqjepa.devices import find_device
from seqjepa.errors import ConfigError


def test_a_device_is_found_by_name_or_by_default() -> None:
    assert find_device("cpu") == find_device(torch.device("cpu")) == torch.device("cpu")
    assert find_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["tpu", "meta", "cuda:99"])
def test_what_cannot_be_computed_on_is_a_config_error(name: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot compute on device '{name}'"):
        find_device(name)
