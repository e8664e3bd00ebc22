"""Packages of the extra `export`, imported when they are needed."""

import importlib
from typing import Any

from seqjepa.errors import ConfigError


def package(name: str, purpose: str) -> Any:
    """Import a package of the extra.

    Args:
        name: of the package.
        purpose: such as `writing ONNX`, for the message.

    Raises:
        ConfigError: if it is not installed, with the command that installs it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"{purpose} needs {name}: pip install 'seqjepa[export]' ({error})"
        ) from error
