"""Files of weights from strangers: what is good comes out, and everything else has one message."""

import pickle
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch

from fixtures.malice import Malice
from seqjepa.errors import CheckpointError
from seqjepa.reading.weights import read_weights

TENSORS = {"conv.weight": torch.arange(12.0).view(3, 4), "conv.bias": torch.ones(3)}


def saved(path: Path, data: object, **options: bool) -> Path:
    torch.save(data, path, **options)
    return path


def test_every_form_gives_the_same(tmp_path):
    legacy = {"_use_new_zipfile_serialization": False}
    parallel = {f"module.{name}": tensor for name, tensor in TENSORS.items()}
    forms = {
        "plain": saved(tmp_path / "plain.pth", TENSORS),
        "legacy": saved(tmp_path / "legacy.pth", TENSORS, **legacy),
        "parallel": saved(tmp_path / "parallel.pth", parallel),
        "nested": saved(tmp_path / "nested.pth", {"state_dict": TENSORS, "epoch": 3}),
        "safetensors": tmp_path / "model.safetensors",
    }
    safetensors.torch.save_file(TENSORS, forms["safetensors"])
    for form, path in forms.items():
        weights = read_weights(path)
        assert weights.tensors.keys() == TENSORS.keys(), form
        assert all(torch.equal(weights.tensors[name], TENSORS[name]) for name in TENSORS), form
        assert weights.ignored == (["epoch"] if form == "nested" else []), form


def test_code_in_a_file_is_refused_and_does_not_run(tmp_path):
    marker = tmp_path / "marker"
    path = saved(tmp_path / "bad.pth", TENSORS | {"more": Malice(marker)})
    for legacy in (False, True):
        if legacy:
            saved(path, {"more": Malice(marker)}, _use_new_zipfile_serialization=False)
        with pytest.raises(CheckpointError, match=r"is refused, it asks for \S+: .*no option"):
            read_weights(path)
    path.write_bytes(pickle.dumps(Malice(marker), protocol=2))
    with pytest.raises(CheckpointError, match=r"bad\.pth"):
        read_weights(path)
    assert not marker.exists()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_cut_file_is_found_wherever_it_was_cut(tmp_path, legacy):
    path = saved(tmp_path / "w.pth", TENSORS, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    for end in (*range(0, len(whole) - 1, 37), len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match=r"w\.pth"):
            read_weights(path)


def test_a_flipped_byte_in_a_tensor_is_found(tmp_path):
    path = saved(tmp_path / "w.pth", TENSORS)
    data = bytearray(path.read_bytes())
    data[bytes(data).index(torch.ones(3).numpy().tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="is damaged"):
        read_weights(path)


def test_an_archive_that_unpacks_to_more_is_refused(tmp_path):
    path = saved(tmp_path / "w.pth", {"zeros": torch.zeros(100_000)})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(CheckpointError, match="packed zip archive"):
        read_weights(path)


def test_other_files(tmp_path):
    page, empty, other = tmp_path / "page.pth", tmp_path / "empty.pth", tmp_path / "other.pth"
    page.write_text("<html>not found</html>")
    empty.touch()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "hello")
    for path, message in {
        page: "no file of weights.*a text, as a web page",
        empty: "it is empty",
        other: "no file of torch.save",
        tmp_path: "cannot be read",
        tmp_path / "none.pth": "cannot be read: No such file",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            read_weights(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2], "holds a list, expected a state dict"),
        ({"epoch": 3}, "holds no weights"),
        ({"model": TENSORS, "ema": TENSORS}, "several sets of weights, model, ema"),
        (TENSORS | {"module.other": torch.ones(1)}, "with and without 'module.'"),
        ({"w": torch.ones(1).expand(10**9)}, "w is no plain tensor"),
        ({"w": torch.eye(3).to_sparse()}, "w is no plain tensor"),
    ],
)
def test_contents_that_are_no_weights(tmp_path, data, message):
    with pytest.raises(CheckpointError, match=message):
        read_weights(saved(tmp_path / "w.pth", data))
