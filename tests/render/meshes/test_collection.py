"""The meshes of a collection, their names and their classes."""

from pathlib import Path

import numpy as np
import pytest

from fixtures.mesh_files import CATALOGUE, box_obj, write, write_zip
from seqjepa.errors import DataError
from seqjepa.render.meshes.catalogue import FACING
from seqjepa.render.meshes.collection import find_models

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
    labels.write_text("class,file,note\nred chair,x/a.obj,1\nlamp,c.obj,\nlamp,gone.obj,\n")
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
