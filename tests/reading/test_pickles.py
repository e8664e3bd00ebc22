"""The reader of CIFAR's pickles: plain data come back, all else is refused without effect."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.published import cifar_fields, cifar_samples, pickled_by_python2
from seqjepa.errors import DataError
from seqjepa.reading import pickles
from seqjepa.reading.pickles import read_pickle

PIXELS = np.arange(60, dtype=np.uint8).reshape(4, 15)
DATA = {
    "data": PIXELS,
    "labels": [0, 255, 256, 65535, 65536, -3],
    "names": ["a.png", "a.png", "ä" * 300],
    "none": (None, True, False),
    "e": [],
}


def same(found: object, wanted: object) -> bool:
    if not isinstance(wanted, np.ndarray):
        return found == wanted
    if not isinstance(found, np.ndarray) or found.dtype != wanted.dtype:
        return False
    return np.array_equal(found, wanted)


@pytest.mark.parametrize(
    "data",
    [DATA, {key.encode(): value for key, value in DATA.items()}],
    ids=["text keys", "byte keys"],
)
def test_what_python_3_pickled_comes_back(data: dict[object, object]) -> None:
    found = read_pickle(pickle.dumps(data, 2), "file")
    assert found.keys() == data.keys() and all(same(found[key], data[key]) for key in data)


def test_what_python_2_pickled_comes_back_as_bytes() -> None:
    fields = cifar_fields(*cifar_samples())
    written = pickled_by_python2(fields)
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in written
    assert pickle.BINUNICODE not in written[:40]

    found, wanted = read_pickle(written, "file"), pickle.loads(written, encoding="bytes")
    assert found.keys() == wanted.keys() == {key.encode() for key in fields}
    assert all(same(found[key], wanted[key]) for key in wanted)


def test_large_items_need_their_long_forms() -> None:
    data = {
        "data": np.zeros((2, 100_000), np.uint8),
        "many": list(range(3000)),
        "text": ["x" * 70_000],
    }
    for written, key in ((pickle.dumps(data, 2), str), (pickled_by_python2(data), str.encode)):
        found = read_pickle(written, "file")
        assert same(found[key("data")], data["data"])
        assert found[key("many")] == data["many"]
        assert len(found[key("text")][0]) == 70_000


class Malice:
    """An object that touches a file when it is unpickled."""

    def __init__(self, marker: Path, function: object = Path.touch) -> None:
        self.marker, self.function = marker, function

    def __reduce__(self) -> tuple[object, ...]:
        return (self.function, (self.marker,))


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_and_does_nothing(tmp_path: Path, protocol: int) -> None:
    written = pickle.dumps({"data": Malice(tmp_path / "marker")}, protocol)
    message = r"evil/train is no pickle of plain data and uint8 arrays .*: get the data set"
    with pytest.raises(DataError, match=message):
        read_pickle(written, "evil/train")
    assert not (tmp_path / "marker").exists()
    pickle.loads(written)
    assert (tmp_path / "marker").exists(), "the file would have done it"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"\x80\x02cos\nsystem\nU\x04true\x85R.", "it wants 'os.system'"),
        (b"\x80\x02c__builtin__\neval\nU\x011\x85R.", "it wants '__builtin__.eval'"),
        (b"\x80\x02cnumpy\nload\n.", "it wants 'numpy.load'"),
        (
            b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00rot_13\x86R.",
            "a call of something else",
        ),
        (b"\x80\x02c_codecs\nencode\nc_codecs\nencode\n\x85R.", "a call of something else"),
        (b"\x80\x02cnumpy\nndarray\nK\x01\x85R.", "a call of something else"),
        (b"\x80\x02cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R.", "a call of something else"),
        (b"\x80\x02U\x01aK\x01\x85R.", "a call of something else"),
        (b"\x80\x02ios\nsystem\n.", "instruction b'i' at byte 2"),
        (b"\x80\x02\x82\x01.", "instruction b'\\x82' at byte 2"),
        (b"\x80\x04.", "protocol 4, not 2"),
        (b"\x80\x02U\xffa.", "it ends at byte"),
        (b"\x80\x02T\xff\xff\xff\xffa.", "it ends at byte"),
        (b"\x80\x02X\xff\xff\xff\xffa.", "it ends at byte"),
        (b"\x80\x02}K\x01K\x02s.", "a key that is no string"),
        (b"\x80\x02K\x01K\x02a.", "no list"),
        (b"\x80\x02K\x01U\x01aK\x02s.", "no dict"),
        (b"\x80\x02\x85.", "nothing left on its stack"),
        (b"\x80\x02h\x07.", "7"),
        (b"\x80\x02t.", "empty"),
        (b"\x80\x02", "it ends at byte 2"),
        (b"", "it ends at byte 0"),
        (pickle.dumps({"a": np.arange(3.0)}, 2), "a call of something else"),
        (pickle.dumps(np.asfortranarray(PIXELS), 2), "an array of something else"),
        (pickle.dumps(np.array([None]), 2), "a call of something else"),
        (pickle.dumps({"a": {1}}, 2), "it wants '__builtin__.set'"),
        (pickle.dumps(PIXELS, 2).replace(b"K\x04K\x0f\x86", b"K\x04K\x10\x86"), "cannot reshape"),
        (
            pickle.dumps(PIXELS, 2).replace(b"K\x04K\x0f\x86", b"J\xff\xff\xff\xffK\x0f\x86"),
            "an axis of -1",
        ),
    ],
)
def test_what_is_no_plain_data_is_refused(written: bytes, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_pickle(written, "file")
    assert said in str(caught.value) and str(caught.value).startswith("file is no pickle")


def test_a_small_file_cannot_ask_for_much(monkeypatch: pytest.MonkeyPatch) -> None:
    # A text of 64 KiB and the name of a code go to the memo, then are used again and again.
    text = b"X" + struct.pack("<I", 1 << 16) + b"a" * (1 << 16) + b"q\x00"
    text += b"X\x06\x00\x00\x00latin1q\x01"
    again = b"c_codecs\nencode\nh\x00h\x01\x86R"
    with pytest.raises(DataError, match="more bytes than it has itself"):
        read_pickle(b"\x80\x02" + text + 1000 * again + b".", "file")

    monkeypatch.setattr(pickles, "MOST_STEPS", 1000)
    with pytest.raises(DataError, match="more than 1,000 instructions"):
        read_pickle(b"\x80\x02" + 2000 * b"]" + b".", "file")


def test_a_dict_in_itself_is_no_endless_loop() -> None:
    assert set(read_pickle(b"\x80\x02}q\x00U\x01ah\x00s.", "file")) == {b"a"}


WRITTEN = pickle.dumps({"data": PIXELS, "labels": [1, 2, 300]}, 2)


@given(
    st.lists(
        st.tuples(st.integers(0, len(WRITTEN) - 1), st.integers(0, 255)), min_size=1, max_size=6
    ),
    st.integers(0, len(WRITTEN)),
)
def test_a_damaged_pickle_is_an_error_that_says_so_or_plain_data(
    changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(WRITTEN)
    for place, value in changes:
        data[place] = value
    for written in (bytes(data), bytes(data[:cut])):
        try:
            read_pickle(written, "file")
        except DataError as error:
            assert "\n" not in str(error)
