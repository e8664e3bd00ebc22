"""Packages of the extra `export`, imported when they are needed."""

import importlib
from typing import Any

from seqjepa.errors import needs_extra


def package(name: str, purpose: str) -> Any:
    """Import a package of the extra.

    Args:
        name: of the package.
        purpose: such as `writing ONNX`, for the message.

    Raises:
        ConfigError: if it is not installed, with the command that installs it.
    """
    with needs_extra("export", purpose):
        return importlib.import_module(name)
