"""An object looks the same wherever its file has it, and in whatever unit."""

from pathlib import Path

import numpy as np
import pytest

from fixtures.gltf_files import Gltf
from fixtures.mesh_files import write
from seqjepa.errors import DataError
from seqjepa.reading.archives import Files
from seqjepa.render.meshes.load import load_mesh
from seqjepa.render.meshes.mesh import Mesh
from seqjepa.render.meshes.picture import render_mesh
from seqjepa.render.scene import sample_latents

trimesh = pytest.importorskip("trimesh")
UTM = (583000.0, 120.0, 4507000.0)
# A pillar of nine sides, whose edges are those of just 40 degrees, with a small ball at its foot.
PILLAR = trimesh.creation.cylinder(0.5, 2, sections=9)
BALL = trimesh.creation.icosphere(3, 0.02).apply_translation([0.7, 0, -0.98])
POINTS = np.concatenate([PILLAR.vertices, BALL.vertices]).round(5)
FACES = np.concatenate([PILLAR.faces, BALL.faces + len(PILLAR.vertices)])


def obj(points: np.ndarray) -> str:
    lines = ["v " + " ".join(f"{number!r}" for number in point) for point in points.tolist()]
    return "\n".join(lines + [f"f {a} {b} {c}" for a, b, c in (FACES + 1).tolist()]) + "\n"


def load(folder: Path, data: str | bytes, name: str = "a.obj") -> Mesh:
    return load_mesh(Files(write(folder, {name: data})), name)


def same(one: Mesh, two: Mesh) -> None:
    assert len(one.points) == len(two.points) == len(FACES)
    assert np.allclose(one.points, two.points, atol=1e-7)
    assert np.allclose(one.normals, two.normals, atol=1e-5)


@pytest.mark.parametrize("shift", [UTM, (-1e6, 1e6, 0), (1e4, 1e4, 1e4)])
@pytest.mark.parametrize("scale", [1, 0.01, 1000])
def test_a_shifted_object_is_the_same(
    shift: tuple[float, ...], scale: float, tmp_path: Path
) -> None:
    here = load(tmp_path / "here", obj(POINTS))
    there = load(tmp_path / "there", obj(POINTS * scale + np.array(shift)))
    if scale >= 1:
        same(here, there)
    else:
        # The file itself has 1e-10 of a million, and the object measures a hundredth.
        assert len(there.points) == len(here.points)
        assert np.allclose(here.points, there.points, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 39.37, 1e9])
def test_a_unit_changes_nothing(scale: float, tmp_path: Path) -> None:
    same(load(tmp_path / "a", obj(POINTS)), load(tmp_path / "b", obj(POINTS * scale)))


def test_pictures_of_a_shifted_object_are_the_same(tmp_path: Path) -> None:
    latents = sample_latents(np.random.default_rng(0), 4)
    here = render_mesh(load(tmp_path / "a", obj(POINTS)), latents, 48).astype(int)
    there = render_mesh(load(tmp_path / "b", obj(POINTS + np.array(UTM))), latents, 48)
    assert abs(here - there).max() <= 2


def test_nodes_of_a_scene_far_away(tmp_path: Path) -> None:
    made = Gltf()
    made.primitive(POINTS, FACES)
    here = load(tmp_path / "here", made.glb(), "a.glb")
    made.json["nodes"] = [{"children": [1], "translation": UTM}, {"mesh": 0, "scale": [2, 2, 2]}]
    same(here, load(tmp_path / "there", made.glb(), "a.glb"))


def test_points_of_double_precision_in_ply(tmp_path: Path) -> None:
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(POINTS)}\n"
    header += "".join(f"property double {axis}\n" for axis in "xyz")
    header += f"element face {len(FACES)}\nproperty list uchar int vertex_indices\nend_header\n"
    faces = np.empty(len(FACES), np.dtype([("n", "u1"), ("v", "<i4", 3)]))
    faces["n"], faces["v"] = 3, FACES
    there = header.encode() + (POINTS + np.array(UTM)).astype("<f8").tobytes() + faces.tobytes()
    same(load(tmp_path / "a", obj(POINTS)), load(tmp_path / "b", there, "a.ply"))


@pytest.mark.parametrize("shift", [(0, 0, 0), UTM])
def test_what_is_flat_is_so_everywhere(shift: tuple[float, ...], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.obj: flat"):
        load(tmp_path, obj(POINTS * [1, 0, 1] + np.array(shift)))
