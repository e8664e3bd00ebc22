"""Checkpoints: whole or not there, verified, and never code."""

import errno
import json
import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from fixtures.malice import Malice
from seqjepa import files
from seqjepa.errors import CheckpointError, DiskError
from seqjepa.runs import checkpoint, manifest


def save(folder: Path, step: int, seed: int = 0) -> Path:
    generator = torch.Generator().manual_seed(100 * step + seed)
    tensors = {
        "method": {"a": torch.randn(4, 5, generator=generator), "b": torch.arange(3)},
        "probe": {"w": torch.randn(2, generator=generator)},
    }
    return checkpoint.save(folder, step, tensors, {"position": step, "seconds": 0.1})


def latest(folder: Path) -> tuple[checkpoint.Checkpoint | None, list[str]]:
    warnings: list[str] = []
    return checkpoint.latest(folder, warnings.append), warnings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two checkpoints, at steps 20 and 40."""
    save(tmp_path / "checkpoints", 20)
    save(tmp_path / "checkpoints", 40)
    return tmp_path / "checkpoints"


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    shared = torch.randn(6)
    tensors = {
        "method": {
            "half": torch.randn(3).bfloat16(),
            "scalar": torch.tensor(7),
            "view": shared[::2],
            "shared": shared[:3],
            "none": torch.empty(0),
        }
    }
    state = {"config_hash": "abc", "nested": {"x": [1, 0.1, None]}}
    path = checkpoint.save(tmp_path, 3, tensors, state)

    found, warnings = latest(tmp_path)
    assert found is not None and not warnings
    assert (found.path, found.step, found.state) == (path, 3, state)
    for name, tensor in tensors["method"].items():
        saved = found.tensors["method"][name]
        assert torch.equal(saved, tensor) and saved.dtype == tensor.dtype
    assert manifest.read(path)["config_hash"] == "abc"
    assert found.environment == manifest.environment({})


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert latest(tmp_path / "nothing") == (None, [])


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20):
        save(tmp_path, step)
    assert list(checkpoint.committed(tmp_path)) == [15, 20]
    names = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    one = ["manifest.json", "method.safetensors", "probe.safetensors", "state.json"]
    assert names == sorted(2 * one)


def test_a_damaged_one_is_never_kept_in_place_of_a_whole_one(folder: Path) -> None:
    (folder / "step_00000040" / "state.json").write_text("{}")
    save(folder, 50)
    assert list(checkpoint.committed(folder)) == [20, 50]


def test_later_damaged_ones_go(folder: Path) -> None:
    (folder / "step_00000040" / "state.json").write_text("{}")
    save(folder, 30)
    assert list(checkpoint.committed(folder)) == [20, 30]


def test_a_damaged_one_of_the_same_step_is_replaced(folder: Path) -> None:
    (folder / "step_00000040" / "state.json").write_text("{}")
    save(folder, 40)
    found, warnings = latest(folder)
    assert found is not None and found.step == 40 and not warnings


def test_saving_the_same_state_again_writes_nothing(folder: Path) -> None:
    before = (folder / "step_00000040" / "manifest.json").stat().st_mtime_ns
    save(folder, 40)
    assert (folder / "step_00000040" / "manifest.json").stat().st_mtime_ns == before


def header(path: Path) -> int:
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")


@pytest.mark.parametrize(
    "length",
    [
        lambda path: 0,
        lambda path: 1,
        header,
        lambda path: path.stat().st_size // 2,
        lambda path: path.stat().st_size - 1,
    ],
)
@pytest.mark.parametrize("name", ["method.safetensors", "state.json", "manifest.json"])
def test_a_truncated_file_is_found_named_and_passed_over(
    folder: Path, name: str, length: Callable[[Path], int]
) -> None:
    path = folder / "step_00000040" / name
    tensors = path.with_name("method.safetensors")
    os.truncate(path, min(length(tensors), path.stat().st_size - 1))
    found, warnings = latest(folder)
    assert found is not None and found.step == 20
    assert len(warnings) == 1 and str(path) in warnings[0]


def test_each_of_50_flipped_bytes_is_found(folder: Path) -> None:
    chance = random.Random(0)
    paths = sorted((folder / "step_00000040").iterdir())
    places = [(path, chance.randrange(path.stat().st_size)) for path in chance.choices(paths, k=50)]
    assert {path for path, _ in places} == set(paths)

    for path, place in places:
        whole = path.read_bytes()
        flipped = bytes([whole[place] ^ 1 << chance.randrange(8)])
        path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        found, warnings = latest(folder)
        assert found is not None and found.step == 20, f"{path.name}[{place}]"
        assert len(warnings) == 1 and str(path) in warnings[0]
        path.write_bytes(whole)
    assert latest(folder)[1] == []


@pytest.mark.parametrize("name", ["method.safetensors", "probe.safetensors", "state.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / "step_00000040" / name).unlink()
    found, warnings = latest(folder)
    assert found is not None and found.step == 20 and name in warnings[0]


def test_a_folder_without_manifest_is_litter(folder: Path) -> None:
    (folder / "step_00000040" / "manifest.json").unlink()
    found, warnings = latest(folder)
    assert found is not None and found.step == 20 and not warnings

    # A reader must not disturb a save under way; the writer removes the folder.
    assert (folder / "step_00000040").exists()
    checkpoint.tidy(folder)
    assert [path.name for path in folder.iterdir()] == ["step_00000020"]


def test_old_ones_go_even_if_the_save_was_cut_short(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_prune", lambda folder, newest: None)
        save(folder, 60)
    damaged = folder / "step_00000060" / "state.json"
    whole = damaged.read_bytes()
    damaged.write_bytes(b"")
    checkpoint.tidy(folder)
    assert list(checkpoint.committed(folder)) == [20, 40, 60]
    damaged.write_bytes(whole)
    checkpoint.tidy(folder)
    assert list(checkpoint.committed(folder)) == [40, 60]


def test_when_all_are_damaged_each_is_named(folder: Path) -> None:
    os.truncate(folder / "step_00000020" / "method.safetensors", 10)
    (folder / "step_00000040" / "state.json").unlink()
    with pytest.raises(CheckpointError) as error:
        latest(folder)
    assert "step_00000020/method.safetensors" in str(error.value)
    assert "step_00000040/state.json" in str(error.value)


def test_a_checkpoint_under_another_name_is_damaged(folder: Path) -> None:
    shutil.copytree(folder / "step_00000020", folder / "step_00000060")
    found, warnings = latest(folder)
    assert found is not None and found.step == 40 and "step_00000060" in warnings[0]


def rewrite(path: Path, **changes: object) -> None:
    """Change entries of a manifest so that it still vouches for itself."""
    body = json.loads(path.read_bytes()) | changes
    body.pop("sha256")
    path.write_bytes(files.json_bytes(body | {"sha256": files.sha256(files.json_bytes(body))}))


def test_a_newer_format_says_which_version_wrote_it(folder: Path) -> None:
    rewrite(folder / "step_00000040" / "manifest.json", format=2, environment={"seqjepa": "9.8.7"})
    with pytest.raises(CheckpointError, match=r"seqjepa 9\.8\.7 in format 2.*upgrade"):
        latest(folder)


def test_a_manifest_cannot_point_outside_its_folder(folder: Path) -> None:
    (folder.parent / "outside.safetensors").write_bytes(safetensors.torch.save({}))
    data = (folder.parent / "outside.safetensors").read_bytes()
    rewrite(
        folder / "step_00000040" / "manifest.json",
        files={"../../outside.safetensors": {"bytes": len(data), "sha256": files.sha256(data)}},
    )
    found, _ = latest(folder)
    assert found is not None and found.step == 20


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_in_place_of_tensors_is_refused_and_does_not_run(
    folder: Path, tmp_path: Path, zipped: bool
) -> None:
    marker, path = tmp_path / "marker", folder / "step_00000040" / "method.safetensors"
    if zipped:
        torch.save(Malice(marker), path)
    else:
        path.write_bytes(pickle.dumps(Malice(marker)))

    # The manifest vouches for the pickle, so that it gets as far as it can.
    data = path.read_bytes()
    entries = manifest.read(path.parent)["files"]
    entries[path.name] = {"bytes": len(data), "sha256": files.sha256(data)}
    rewrite(path.with_name("manifest.json"), files=entries)

    found, warnings = latest(folder)
    assert found is not None and found.step == 20 and "no safetensors file" in warnings[0]
    assert not marker.exists()


@pytest.mark.parametrize(
    "moment", ["after temporary file", "before rename", "after rename", "before manifest"]
)
def test_a_failing_disk_leaves_the_earlier_checkpoints_and_no_litter(
    folder: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(now: str) -> None:
        if now == moment:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(files, "at", fail)
    message = r"step_00000060: No space left on device\. It needs [\d,]+ bytes"
    with pytest.raises(DiskError, match=message):
        save(folder, 60)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (folder / "step_00000060").exists()


def test_the_old_one_goes_only_after_the_new_one_verified(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(moment: str) -> None:
        if moment == "before manifest":
            os.truncate(folder / "step_00000060" / "method.safetensors", 9)

    monkeypatch.setattr(files, "at", cut)
    with pytest.raises(CheckpointError, match=r"step_00000060.method\.safetensors is damaged"):
        save(folder, 60)
    assert {20, 40} <= set(checkpoint.committed(folder))


def test_digest_tells_tensors_and_steps_apart_and_nothing_else(tmp_path: Path) -> None:
    reference = checkpoint.digest(save(tmp_path / "a", 1))
    assert checkpoint.digest(save(tmp_path / "b", 1)) == reference
    assert checkpoint.digest(save(tmp_path / "c", 1, seed=1)) != reference

    path = save(tmp_path / "d", 1)
    contents = checkpoint.latest(tmp_path / "d", print)
    assert contents is not None
    other_state = checkpoint.save(tmp_path / "e", 1, contents.tensors, {"seconds": 9})
    assert checkpoint.digest(other_state) == reference
    other_step = checkpoint.save(tmp_path / "f", 2, contents.tensors, contents.state)
    assert checkpoint.digest(other_step) != reference

    os.truncate(path / "probe.safetensors", 3)
    with pytest.raises(CheckpointError):
        checkpoint.digest(path)


def test_config_hash_does_not_depend_on_the_order_of_keys() -> None:
    reference = checkpoint.config_hash({"a": 1, "b": 2})
    assert checkpoint.config_hash({"b": 2, "a": 1}) == reference
    assert checkpoint.config_hash({"a": 1, "b": 3}) != reference
