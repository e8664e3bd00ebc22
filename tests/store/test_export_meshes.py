"""A collection of meshes to the files of 3DIEBench: layout, splits, skipping, determinism,
resuming."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faults.harness import Shell
from fixtures.mesh_files import box_obj, mtl, write
from fixtures.published import zipped
from seqjepa.commands.data import render as command
from seqjepa.errors import ConfigError, DataError
from seqjepa.render.meshes.collection import find_models
from seqjepa.render.meshes.workers import Task, draw
from seqjepa.store.export import export
from seqjepa.store.export_meshes import Config

pytest.importorskip("trimesh")
SMALL = {"views": 3, "image_size": 16, "processes": 1}
BAD = "chair/broken"


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten chairs, three lamps and a plane, and a chair whose texture is not there."""
    folder = tmp_path_factory.mktemp("meshes")
    for number in range(10):
        write(folder, {f"chair/{number}.obj": box_obj((1, 1 + number / 5, 0.5))})
    for number in range(3):
        write(folder, {f"lamp/{number}.obj": box_obj((0.2, 2 + number, 0.2))})
    write(
        folder,
        {
            "plane/0.obj": box_obj(),
            f"{BAD}.obj": box_obj(material="m.mtl", uv=True),
            "chair/m.mtl": mtl("map_Kd gone.png"),
        },
    )
    return folder


def render(meshes: Path, out: Path, **options) -> dict[str, str]:
    return export(Config(**(SMALL | options)).job(find_models(meshes)), out)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def rendered(meshes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    assert list(render(meshes, out)) == [BAD]
    return out


def test_layout(meshes: Path, rendered: Path) -> None:
    every = {split: np.load(rendered / f"{split}_images.npy") for split in ("train", "val", "test")}
    labels = {split: np.load(rendered / f"{split}_labels.npy") for split in every}
    whole = np.concatenate(list(every.values()))
    assert (
        whole.dtype.kind == "U" and len(whole) == len(set(whole)) == 14 and f"/{BAD}/" not in whole
    )
    assert [list(np.bincount(labels[split], minlength=3)) for split in every] == [
        [7, 1, 1],
        [1, 1, 0],
        [2, 1, 0],
    ]
    for split, where in every.items():
        for place, label in zip(where, labels[split], strict=True):
            folder = rendered / place.strip("/")
            assert (
                folder.parent.name == ["chair", "lamp", "plane"][label]
                and len(list(folder.iterdir())) == 6
            )
            latents = np.stack([np.load(folder / f"latent_{view}.npy") for view in range(3)])
            assert latents.shape == (3, 7) and latents.dtype == np.float64
            assert (abs(latents[:, :3]) <= np.pi / 2).all() and (latents[:, 3:] >= 0).all()
    model = next(model for model in find_models(meshes).models if model.place == "lamp/1")
    views = draw(
        Task(
            model,
            np.stack([np.load(rendered / f"lamp/1/latent_{view}.npy") for view in range(3)]).astype(
                np.float32
            ),
            16,
        )
    )
    assert not isinstance(views, str)
    for view in range(3):
        with Image.open(rendered / f"lamp/1/image_{view}.jpg") as image:
            assert abs(np.asarray(image).astype(int) - views[view]).mean() < 4


def test_what_was_skipped_is_noted_and_can_be_repaired(
    meshes: Path, rendered: Path, tmp_path: Path
) -> None:
    assert "gone.png" in json.loads((rendered / "skipped.json").read_text())[BAD]
    assert json.loads((rendered / "render.json").read_text())["classes"] == [
        "chair",
        "lamp",
        "plane",
    ]
    write(tmp_path / "in", {"a/0.obj": box_obj(), "a/1.obj": "nothing"})
    assert list(render(tmp_path / "in", tmp_path / "out")) == ["a/1"]
    write(tmp_path / "in", {"a/1.obj": box_obj()})
    assert (
        render(tmp_path / "in", tmp_path / "out") == {}
        and not (tmp_path / "out" / "skipped.json").exists()
    )
    assert len(np.load(tmp_path / "out" / "train_images.npy")) == 2


def test_strict_and_nothing_good(meshes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png"):
        render(meshes, tmp_path / "strict", strict=True)
    write(tmp_path / "in", {"a/0.obj": "nothing"})
    with pytest.raises(DataError, match="none of 1 objects"):
        render(tmp_path / "in", tmp_path / "out")


def test_processes_change_nothing_and_seeds_do(
    meshes: Path, rendered: Path, tmp_path: Path
) -> None:
    render(meshes, tmp_path / "two", processes=2)
    assert contents(tmp_path / "two") == contents(rendered)
    render(meshes, tmp_path / "other", seed=1)
    changed = (tmp_path / "other" / "lamp/1/latent_0.npy").read_bytes()
    assert changed != (rendered / "lamp/1/latent_0.npy").read_bytes()


def test_an_objects_pictures_do_not_depend_on_the_others(
    meshes: Path, rendered: Path, tmp_path: Path
) -> None:
    write(tmp_path / "in", {"lamp/1.obj": (meshes / "lamp/1.obj").read_bytes()})
    render(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out/lamp/1/image_2.jpg").read_bytes() == (
        rendered / "lamp/1/image_2.jpg"
    ).read_bytes()


@pytest.mark.parametrize("archived", [False, True])
def test_a_mesh_that_became_another_is_drawn_again_and_no_other(
    tmp_path: Path, archived: bool
) -> None:
    def collection(height: float) -> Path:
        write(tmp_path / "in", {"a/0.obj": box_obj((1, height, 1)), "a/1.obj": box_obj((2, 1, 1))})
        return zipped(tmp_path / "in", tmp_path / f"{height}.zip") if archived else tmp_path / "in"

    render(collection(1), tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/*/*.jpg")}
    render(collection(1), tmp_path / "out")
    assert before == {
        path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/*/*.jpg")
    }
    render(collection(4), tmp_path / "out")
    render(collection(4), tmp_path / "new")
    assert contents(tmp_path / "out") == contents(tmp_path / "new")
    assert {path.parent.name[-1] for path in before if path.stat().st_mtime_ns != before[path]} == {
        "0"
    }


def test_meshes_that_the_labels_name_and_that_are_not_there_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in", {"0.obj": box_obj()})
    (tmp_path / "labels.csv").write_text("file,class\n0.obj,box\ngone.obj,box\n")
    options = (
        "--labels",
        tmp_path / "labels.csv",
        "--out",
        tmp_path / "out",
        "--views",
        "1",
        "--image-size",
        "16",
        "--processes",
        "1",
    )
    command.main([str(part) for part in ("meshes", tmp_path / "in", *options)])
    said = capsys.readouterr().out
    assert "1 that the labels name are not there:\n  gone.obj\n" in said and "skipped" not in said
    assert not (tmp_path / "out" / "skipped.json").exists()


def test_killed_and_rendered_on(meshes: Path, tmp_path: Path) -> None:
    shell, out = Shell(tmp_path), tmp_path / "out"
    command = [
        "data",
        "render",
        "meshes",
        meshes,
        "--out",
        out,
        "--views",
        "20",
        "--image-size",
        "32",
        "--processes",
    ]
    child = shell.start(*command, "2")
    child.wait_for(lambda: len(list(out.glob("*/[!.]*"))) >= 2)
    mine = [
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if _descends(int(path.name), child.pid)
    ]  # none on macOS
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait().code == -9
    assert all(
        len(list(folder.iterdir())) == 40 for folder in out.glob("*/[!.]*") if folder.is_dir()
    )
    end = time.monotonic() + 60
    while any(
        Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in mine
    ):  # no worker is left behind
        assert time.monotonic() < end
        time.sleep(0.05)
    result = shell.run(*command, "1")
    assert result.code == 0, result.output
    assert (
        "14 objects: chair 10, lamp 3, plane 1" in result.output
        and "1 skipped" in result.output
        and BAD in result.output
    )
    whole = tmp_path / "whole"
    assert shell.run(*[whole if part == out else part for part in command], "1").code == 0
    assert contents(whole) == contents(out) and not list(out.glob("*/.*"))


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        fields = _state(pid).split()
        pid = int(fields[1]) if len(fields) > 1 else 0
    return pid == ancestor


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 0}, "views must be at least 1"),
        ({"val_fraction": 0.0}, "val_fraction"),
        ({"val_fraction": 0.6, "test_fraction": 0.4}, "less than 1"),
    ],
)
def test_options_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Config(**options)
