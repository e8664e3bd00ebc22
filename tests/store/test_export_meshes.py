"""A collection of meshes to the files of 3DIEBench: layout, splits, skipping, resuming."""

import errno
import hashlib
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faults.harness import Shell
from fixtures.mesh_files import box_obj, mtl, write, write_zip
from fixtures.published import zipped
from seqjepa.commands.data import render as command
from seqjepa.errors import ConfigError, DataError
from seqjepa.render.meshes.collection import Collection, MeshFile, find_models
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


def read_latents(folder: Path) -> np.ndarray:
    """Return the latents [3, 7] of an object."""
    return np.stack([np.load(folder / f"latent_{view}.npy") for view in range(3)])


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
    assert whole.dtype.kind == "U" and f"/{BAD}/" not in whole
    assert len(whole) == len(set(whole)) == 14

    # Chairs, lamps and the plane of each split.
    counts = {split: np.bincount(labels[split], minlength=3).tolist() for split in every}
    assert counts == {"train": [7, 1, 1], "val": [1, 1, 0], "test": [2, 1, 0]}

    for split, places in every.items():
        for place, label in zip(places, labels[split], strict=True):
            folder = rendered / place.strip("/")
            assert folder.parent.name == ["chair", "lamp", "plane"][label]
            assert len(list(folder.iterdir())) == 6
            latents = read_latents(folder)
            assert latents.shape == (3, 7) and latents.dtype == np.float64
            assert (abs(latents[:, :3]) <= np.pi / 2).all() and (latents[:, 3:] >= 0).all()


def test_pictures_are_those_of_the_latents(meshes: Path, rendered: Path) -> None:
    model = next(model for model in find_models(meshes).models if model.place == "lamp/1")
    latents = read_latents(rendered / "lamp/1").astype(np.float32)
    views = draw(Task(model, latents, 16))
    assert not isinstance(views, str)
    for view in range(3):
        with Image.open(rendered / f"lamp/1/image_{view}.jpg") as image:
            assert abs(np.asarray(image).astype(int) - views[view]).mean() < 4


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize(("val", "test"), [(0.1, 0.2), (0.05, 0.9), (0.45, 0.5), (0.3, 0.3)])
def test_the_same_objects_are_held_out_as_ever(seed: int, val: float, test: float) -> None:
    """Classes of 1 to 24 objects, of which some could not be rendered."""
    names = [(f"class{size}", str(number)) for size in range(1, 25) for number in range(size)]
    models = tuple(MeshFile("", Path(), "", *name) for name in names)
    good = [number for number in range(len(models)) if number % 7]

    config = Config(views=1, seed=seed, val_fraction=val, test_fraction=test)
    found = config.job(Collection(models)).split(good)
    places = {number: models[number].place for number in good}
    assert found == first_splits(places, seed, val, test)
    assert sorted(number for numbers in found.values() for number in numbers) == good


def first_splits(
    places: dict[int, str], seed: int, val_fraction: float, test_fraction: float
) -> dict[str, list[int]]:
    """Return the splits by the formula of version 0.1.0, written out."""
    splits: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for name in sorted({place.split("/")[0] for place in places.values()}):
        members = [(place, n) for n, place in places.items() if place.split("/")[0] == name]
        members.sort(key=lambda one: hashlib.sha256(f"{seed}/{one[0]}".encode()).digest())
        order = [n for _, n in members]

        size = len(order)
        test = max(1, round(test_fraction * size)) if size >= 3 else 0
        val = max(1, round(val_fraction * size)) if size >= 3 else 0
        if test + val >= size:
            test, val = min(test, 1), min(val, 1)
        splits["test"] += order[:test]
        splits["val"] += order[test : test + val]
        splits["train"] += order[test + val :]
    return {split: sorted(members) for split, members in splits.items()}


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
    assert render(tmp_path / "in", tmp_path / "out") == {}
    assert not (tmp_path / "out" / "skipped.json").exists()
    assert len(np.load(tmp_path / "out" / "train_images.npy")) == 2


@pytest.mark.parametrize("name", ["chair\\a.obj", "./chair//a.obj"])
def test_names_in_an_archive_that_mean_another(name: str, tmp_path: Path) -> None:
    packed = write_zip(tmp_path / "meshes.zip", {name: box_obj()})
    assert render(packed, tmp_path / "out") == {}
    assert (tmp_path / "out" / "chair" / "a" / "image_0.jpg").exists()


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

    def written(out: Path) -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in out.glob("*/*/*.jpg")}

    out, new = tmp_path / "out", tmp_path / "new"
    render(collection(1), out)
    before = written(out)
    render(collection(1), out)
    assert before == written(out)

    render(collection(4), out)
    render(collection(4), new)
    assert contents(out) == contents(new)
    after = written(out)
    assert {path.parent.name[-1] for path in before if after[path] != before[path]} == {"0"}


def test_meshes_that_the_labels_name_and_that_are_missing_are_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in", {"0.obj": box_obj()})
    labels = tmp_path / "labels.csv"
    labels.write_text("file,class\n0.obj,box\ngone.obj,box\n")
    paths = f"{tmp_path / 'in'} --labels {labels} --out {tmp_path / 'out'}"
    command.main(f"meshes {paths} --views 1 --image-size 16 --processes 1".split())

    said = capsys.readouterr().out
    assert "1 that the labels name are not there:\n  gone.obj\n" in said and "skipped" not in said
    assert not (tmp_path / "out" / "skipped.json").exists()


def test_one_bad_object_or_name_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names too long and no text, an object nobody sees, a file of another kind, and a good one."""
    long = "/".join(["assets-of-the-third-prototype-with-all-parts"] * 7)
    files = {
        "a/good.obj": box_obj(),
        f"a/{long}/chair.obj": box_obj((1, 2, 1)),
        "a/clear.obj": box_obj(material="m.mtl", uv=True),
        "a/m.mtl": mtl("d 0"),
        "a/broken.glb": b"glTF",
        "a/other.fbx": "x",
    }
    write(tmp_path / "in", files)
    odd = os.fsencode(tmp_path / "in" / "a") + b"/\xff\xfe.obj"
    Path(os.fsdecode(odd)).write_text("nothing")
    out = tmp_path / "out"
    command.main(f"meshes {tmp_path / 'in'} --out {out} --views 1 --image-size 16".split())

    said = capsys.readouterr().out
    assert "2 objects: a 2\n" in said and "not read: 1 .fbx (read: .obj, " in said
    assert "3 skipped" in said and "a/clear: " in said and "changes no pixel" in said
    skipped = json.loads((out / "skipped.json").read_text())
    assert set(skipped) == {"a/clear", "a/broken", "a/_"}
    places = np.load(out / "train_images.npy")
    assert len(places) == 2 and not any("clear" in place for place in places)
    assert all((out / place.strip("/") / "image_0.jpg").is_file() for place in places)


def test_a_disk_with_shorter_names_costs_only_the_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = Path.mkdir

    def short(self: Path, *args, **options) -> None:
        if len(self.name) > 20:
            raise OSError(errno.ENAMETOOLONG, "File name too long", str(self))
        mkdir(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", short)
    write(tmp_path / "in", {"a/good.obj": box_obj(), f"a/{'b' * 30}.obj": box_obj((1, 2, 1))})
    skipped = render(tmp_path / "in", tmp_path / "out")
    assert skipped == {
        f"a/{'b' * 30}": "its name is too long for this disk: shorten that of its file"
    }
    assert np.load(tmp_path / "out/train_images.npy").tolist() == ["/a/good/"]


def test_killed_and_rendered_on(meshes: Path, tmp_path: Path) -> None:
    shell, out, whole = Shell(tmp_path), tmp_path / "out", tmp_path / "whole"
    command = ("data", "render", "meshes", meshes, "--views", "20", "--image-size", "32")
    child = shell.start(*command, "--out", out, "--processes", "2")
    child.wait_for(lambda: len(list(out.glob("*/[!.]*"))) >= 2)
    workers = _descendants(child.pid)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait().code == -9

    finished = [folder for folder in out.glob("*/[!.]*") if folder.is_dir()]
    assert all(len(list(folder.iterdir())) == 40 for folder in finished)

    # No worker is left behind.
    end = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in workers):
        assert time.monotonic() < end
        time.sleep(0.05)

    result = shell.run(*command, "--out", out, "--processes", "1")
    assert result.code == 0, result.output
    assert "14 objects: chair 10, lamp 3, plane 1" in result.output
    assert "1 skipped" in result.output and BAD in result.output
    assert shell.run(*command, "--out", whole, "--processes", "1").code == 0
    assert contents(whole) == contents(out) and not list(out.glob("*/.*"))


def _descendants(pid: int) -> list[int]:
    """Return the processes below one; none on macOS."""
    pids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [other for other in pids if _descends(other, pid)]


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
