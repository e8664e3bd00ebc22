"""Drawing one object: its pictures, or the reason why there are none."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.gltf_files import BOX, Gltf
from fixtures.mesh_files import box_obj, mtl, write
from seqjepa.render.meshes.collection import MeshFile
from seqjepa.render.meshes.workers import Task, draw
from seqjepa.render.scene import sample_latents

pytest.importorskip("trimesh")
LATENTS = sample_latents(np.random.default_rng(0), 3)
PAINTED = box_obj(material="m.mtl", uv=True)


def drawn(folder: Path, files: dict[str, str | bytes], size: int = 24):
    name = next(iter(files))
    write(folder, files)
    return draw(Task(MeshFile(name, folder, name, "a", "a"), LATENTS, size))


def picture(alpha: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGBA", (4, 4), (255, 0, 0, alpha)).save(data, "PNG")
    return data.getvalue()


def glb(mode: str, factor: float, alpha: int = 255) -> bytes:
    made = Gltf()
    uv = made.table(BOX[:, :2])
    made.primitive(texcoord_0=uv)["material"] = 0
    made.texture(picture(alpha))
    made.json["materials"][0] |= {"alphaMode": mode}
    made.json["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [1, 1, 1, factor]
    return made.glb()


CLEAR = {
    "d": {"a.obj": PAINTED, "m.mtl": mtl("d 0")},
    "d and Tr": {"a.obj": PAINTED, "m.mtl": mtl("d 0.0", "Tr 1.0")},
    "hardly there": {"a.obj": PAINTED, "m.mtl": mtl("d 0.001")},
    "texture": {"a.obj": PAINTED, "m.mtl": mtl("map_Kd t.png"), "t.png": picture(0)},
    "blended factor": {"a.glb": glb("BLEND", 0)},
    "blended texture": {"a.glb": glb("BLEND", 1, 0)},
    "cut factor": {"a.glb": glb("MASK", 0.4)},
    "cut texture": {"a.glb": glb("MASK", 1, 100)},
}
SEEN = {
    "Tr": {"a.obj": PAINTED, "m.mtl": mtl("Tr 1.0")},
    "half": {"a.obj": PAINTED, "m.mtl": mtl("d 0.5")},
    "opaque factor": {"a.glb": glb("OPAQUE", 0)},
    "opaque texture": {"a.glb": glb("OPAQUE", 1, 0)},
    "half blended": {"a.glb": glb("BLEND", 0.5)},
    "kept": {"a.glb": glb("MASK", 0.6)},
}


@pytest.mark.parametrize("name", CLEAR)
def test_what_changes_no_pixel_is_skipped(name: str, tmp_path: Path) -> None:
    said = drawn(tmp_path, CLEAR[name])
    assert isinstance(said, str) and said.startswith(f"{tmp_path}/a.")
    assert said.endswith("changes no pixel of its pictures: it is clear. Repair it or leave it out")


@pytest.mark.parametrize("name", SEEN)
def test_what_is_seen_is_drawn(name: str, tmp_path: Path) -> None:
    views = drawn(tmp_path, SEEN[name])
    assert not isinstance(views, str) and views.shape == (3, 24, 24, 3)


def test_what_falls_between_the_samples_is_skipped(tmp_path: Path) -> None:
    # A hair as long as the picture is wide, and a thousandth of a sample thick.
    said = drawn(tmp_path, {"a.obj": box_obj((1, 1.2e-4, 1.2e-4))}, 8)
    assert isinstance(said, str) and "changes no pixel of its pictures: it is too thin" in said


def test_the_default_pictures_of_opaque_objects_do_not_depend_on_alpha(tmp_path: Path) -> None:
    opaque = drawn(tmp_path / "a", {"a.obj": PAINTED, "m.mtl": mtl("Kd 1 0 0")})
    for number, line in enumerate(("d 1", "Tr 0", "Tr 1", "Tf 0 0 0", "illum 9")):
        other = drawn(tmp_path / f"{number}", {"a.obj": PAINTED, "m.mtl": mtl("Kd 1 0 0", line)})
        assert np.array_equal(opaque, other)
