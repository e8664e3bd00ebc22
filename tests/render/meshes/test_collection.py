"""The meshes of a collection, their names and their classes."""

from pathlib import Path

import numpy as np
import pytest

from fixtures.mesh_files import CATALOGUE, box_obj, write, write_zip
from seqjepa.errors import DataError
from seqjepa.render.meshes.catalogue import FACING
from seqjepa.render.meshes.collection import counted, find_models

BOX = box_obj()
SH3F = {
    "PluginFurnitureCatalog.properties": CATALOGUE,
    "things/stool/stool.obj": BOX,
    "things/lamp/lamp.obj": BOX,
    "things/lamp.png": "x",
}


def places(path: Path, labels: Path | None = None) -> dict[str, str]:
    return {model.file: model.place for model in find_models(path, labels).models}


def test_shapenet_and_plain_folders(tmp_path: Path) -> None:
    files = [
        "02691156/dc8d/models/model_normalized.obj",
        "chair/a.obj",
        "chair/b/b.glb",
        "chair/c/d.PLY",
        ".hidden/e.obj",
        "chair/notes.txt",
    ]
    write(tmp_path, dict.fromkeys(files, BOX))
    expected = ["02691156/dc8d", "chair/a", "chair/b", "chair/c-d"]
    assert places(tmp_path) == dict(zip(files, expected, strict=False))


def test_linked_folders_are_looked_into_but_not_for_ever(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", {"a.obj": BOX})
    folder = write(tmp_path / "meshes", {"lamp/b.obj": BOX})
    (folder / "chair").symlink_to(tmp_path / "elsewhere")
    (folder / "chair" / "loop").symlink_to(folder)
    assert places(folder) == {"lamp/b.obj": "lamp/b", "chair/a.obj": "chair/a"}


def test_labels_choose_and_name(tmp_path: Path) -> None:
    write(tmp_path, {"x/a.obj": BOX, "x/b.obj": BOX, "c.obj": BOX})
    labels = tmp_path / "labels.csv"
    labels.write_text("class, file, note\nred chair, x/a.obj, 1\nlamp,c.obj,\nlamp,gone.obj,\n")
    found = find_models(tmp_path, labels)
    assert {model.file: model.place for model in found.models} == {
        "x/a.obj": "red_chair/x-a",
        "c.obj": "lamp/c",
    }
    assert found.absent == ("gone.obj",) and found.unlabelled == 1


def test_a_catalogue_gives_classes_and_rotations(tmp_path: Path) -> None:
    for path in (write_zip(tmp_path / "a.sh3f", SH3F), tmp_path):
        stool, lamp = sorted(find_models(path).models, key=lambda model: model.object, reverse=True)
        assert (stool.place, lamp.place) == ("Living_room/things-stool", "Lights/things-lamp")
        assert np.allclose(stool.turn, FACING)
        assert np.allclose(lamp.turn, FACING @ [[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    assert stool.file == "a.sh3f/things/stool/stool.obj" and stool.name == "things/stool/stool.obj"


@pytest.mark.parametrize(
    ("files", "labels", "message"),
    [
        ({}, None, "has no mesh"),
        ({"a.obj": BOX}, None, "a.obj has no class"),
        ({"x/a.obj": BOX, "x/a.ply": BOX}, None, "x/a.obj and x/a.ply would both be x/a"),
        ({"x/a.obj": BOX}, "file,class\nother.obj,chair\n", "has no mesh .* names"),
        ({"x/a.obj": BOX}, "name,class\nx/a.obj,chair\n", "line 2: expected a file and a class"),
        ({"x/a.obj": BOX}, "file,class\nx/a.obj,\n", "line 2: expected a file and a class"),
        ({"x/a.obj": BOX}, "file,class\nx/a.obj,a\nx/a.obj,b\n", "line 3: x/a.obj is named twice"),
        ({"x/a.zip": "no zip"}, None, "a.zip is a damaged zip"),
    ],
)
def test_what_cannot_be_is_said(
    files: dict[str, str], labels: str | None, message: str, tmp_path: Path
) -> None:
    write(tmp_path / "in", files)
    (tmp_path / "in").mkdir(exist_ok=True)
    if labels is not None:
        (tmp_path / "labels.csv").write_text(labels)

    with pytest.raises(DataError, match=message):
        find_models(tmp_path / "in", None if labels is None else tmp_path / "labels.csv")


def test_nothing_and_evil_archives(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no"):
        find_models(tmp_path / "gone")
    write_zip(tmp_path / "evil.zip", {"../../a.obj": BOX})
    with pytest.raises(DataError, match="points outside the archive"):
        find_models(tmp_path)


def test_files_of_other_kinds_are_counted_by_their_suffix(tmp_path: Path) -> None:
    names = [
        "a.fbx",
        "b.FBX",
        "c.dae",
        "d.3ds",
        "e.blend",
        "f.usdz",
        "g.obj.gz",
        "h.rar",
        "new.kind",
    ]
    beside = ["m.mtl", "t.PNG", "u.jpg", "data.bin", "readme.txt", "LICENSE", ".hidden.fbx"]
    write(tmp_path, {f"chair/{name}": "x" for name in [*names, *beside]} | {"chair/z.obj": BOX})
    write_zip(tmp_path / "more.zip", {"lamp/a.obj": BOX, "lamp/b.fbx": "x", "lamp/c.zip": "x"})

    found = find_models(tmp_path)
    assert [model.place for model in found.models] == ["chair/z", "lamp/a"]
    expected = {".3ds": 1, ".blend": 1, ".dae": 1, ".fbx": 3, ".gz": 1, ".kind": 1, ".rar": 1}
    assert found.unread == expected | {".usdz": 1, ".zip": 1}
    assert counted(found.unread)[:3] == ["3 .fbx", "1 .3ds", "1 .blend"]


def test_a_collection_of_other_kinds_only_says_what_it_holds(tmp_path: Path) -> None:
    write(tmp_path, {"chair/a.fbx": "x", "chair/b.fbx": "x", "chair/c.dae": "x"})
    with pytest.raises(DataError, match=r"has no mesh \(\.obj, .*\); not read: 2 \.fbx, 1 \.dae$"):
        find_models(tmp_path)


def test_labels_of_files_of_other_kinds_are_not_called_absent(tmp_path: Path) -> None:
    write(tmp_path, {"a.obj": BOX, "b.fbx": "x"})
    labels = tmp_path / "labels.csv"
    labels.write_text("file,class\na.obj,x\nb.fbx,x\nc.fbx,x\n")
    found = find_models(tmp_path, labels)
    assert found.absent == ("c.fbx",) and found.unread == {".fbx": 1}


def test_of_an_object_in_several_formats_one_is_drawn(tmp_path: Path) -> None:
    files = ["x/a.stl", "x/a.obj", "x/b.off", "x/b.stl", "x/c.gltf", "x/c.glb", "x/d.STL"]
    write(tmp_path, dict.fromkeys(files, BOX))
    found = find_models(tmp_path)
    drawn = ["x/a.obj", "x/b.off", "x/c.glb", "x/d.STL"]
    assert [model.file for model in found.models] == drawn
    assert found.doubles == ("x/a.stl", "x/b.stl", "x/c.gltf")


@pytest.mark.parametrize("letter", ["n", "é", "椅", "🪑"])
def test_long_names_are_shortened_and_stay_apart(letter: str, tmp_path: Path) -> None:
    deep = "/".join([letter * 50] * 6)
    write(tmp_path, {f"chair/{deep}/{name}.obj": BOX for name in ("one", "two", "c" * 200)})
    names = [model.object for model in find_models(tmp_path).models]
    assert len(set(names)) == 3 and all(len(name.encode()) <= 250 for name in names)
    again = [model.object for model in find_models(tmp_path).models]
    assert names == again

    # A class may have a long name, too.
    labels = tmp_path / "labels.csv"
    labels.write_text(f"file,class\nchair/{deep}/one.obj,{'q' * 300}\n")
    (model,) = find_models(tmp_path, labels).models
    assert len(model.category.encode()) <= 250


def test_names_that_just_fit_are_kept(tmp_path: Path) -> None:
    write(tmp_path, {f"chair/{'a' * 125}/{'b' * 124}.obj": BOX})
    (model,) = find_models(tmp_path).models
    assert model.object == f"{'a' * 125}-{'b' * 124}"
