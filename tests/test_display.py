"""Messages on the terminal."""

import pytest

from seqjepa.display import edited, warn
from seqjepa.errors import DataError


def test_edited_warnings_are_told_after_an_error_too(capsys) -> None:
    def told(message: str) -> str | None:
        return None if message == "known" else f"run 1: {message}"

    with pytest.raises(DataError), edited(told):
        warn("known")
        warn("odd")
        raise DataError("broken")
    assert capsys.readouterr().err == "warning: run 1: odd\n"
