"""Digests of data: equal for equal data, different for changed ones, cheap for large ones."""

import numpy as np
import pytest

from seqjepa.store.fingerprint import PIECE, PIECES, WHOLE, digests


def digest(part) -> str:
    return digests({"it": part})["it"]


DATA = np.arange(24, dtype=np.int64).reshape(4, 6)
CHANGES = {
    "one value": np.where(DATA == 7, 8, DATA),
    "order": DATA[::-1],
    "shape": DATA.reshape(6, 4),
    "type": DATA.astype(np.int32),
    "longer": np.concatenate([DATA, DATA[:1]]),
    "shorter": DATA[:3],
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_a_small_array_is_noticed(change: str) -> None:
    assert digest(DATA) == digest(DATA.copy()) == digest(np.asfortranarray(DATA))
    assert digest(DATA) != digest(CHANGES[change])


def test_texts_stand_for_data() -> None:
    assert digest("abc") == digest(b"abc") != digest("abd")
    assert digests({"a": "x", "b": "y"}).keys() == {"a", "b"}


@pytest.mark.parametrize("order", ["C", "F"])
def test_of_a_large_array_little_is_read_its_ends_included(order, tmp_path) -> None:
    """A sparse file."""
    shape = (512, 4, 64, 64, 4)
    views = np.lib.format.open_memmap(
        tmp_path / "views.npy", mode="w+", dtype=np.uint8, shape=shape, fortran_order=order == "F"
    )
    found = [digest(views)]
    for place in ((0,) * 5, tuple(n - 1 for n in shape)):
        views[place] = 1
        found.append(digest(views))
    assert len(set(found)) == 3 and views.nbytes > WHOLE and PIECES * PIECE <= 8 * 2**20
    half = views[:256] if order == "C" else views[..., :2]
    assert digest(half) != found[-1]
