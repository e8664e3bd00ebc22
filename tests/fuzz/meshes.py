"""Meshes in all formats that are read, odd, faulty and damaged, and pictures of them."""

import io
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from scipy.spatial import KDTree

from fuzz import mesh_faults, mesh_gltf, mesh_writers, trial
from fuzz.damage import Damage
from fuzz.mesh_shapes import GRID, Shape, framed, picture_number, solid
from fuzz.names import NAMES
from fuzz.trial import LONGEST, Contents, record, workplace
from seqjepa.errors import DataError
from seqjepa.reading import archives
from seqjepa.render.meshes.collection import find_models
from seqjepa.render.meshes.load import load_mesh
from seqjepa.render.meshes.mesh import Mesh
from seqjepa.store.export import export
from seqjepa.store.export_meshes import Config
from seqjepa.worlds import threediebench
from seqjepa.worlds.base import World
from seqjepa.worlds.table import TableWorld

WRITERS = {
    ".obj": mesh_writers.write_obj,
    ".ply": mesh_writers.write_ply,
    ".off": mesh_writers.write_off,
    ".stl": mesh_writers.write_stl,
    ".gltf": mesh_gltf.write_gltf,
}
STYLES = mesh_writers.STYLES | {".gltf": mesh_gltf.STYLES}
# What gives a mesh its colours, by format.
PAINTS = {
    ".obj": ("none", "parts", "corners", "textures"),
    ".ply": ("none", "corners", "faces", "textures"),
    ".off": ("none", "corners", "faces"),
    ".stl": ("none",),
    ".gltf": ("none", "parts", "corners", "textures"),
}
CLOSE = 1e-4  # of places, normals and colours; points of the grid are 6e-3 apart
MOST_MEMORY = 200 << 20  # bytes, for files of kilobytes
VIEWS, SIDE = 2, 16


@dataclass(frozen=True)
class MeshPlan:
    """A mesh in a file.

    Attributes:
        format: suffix of the file.
        solid: see `solid`.
        parts: number of materials or textures.
        paint: one of PAINTS.
        normals: whether the file has them.
        shift, scale: where it is, and how large.
        style: words of STYLES.
        seed: of the numbers.
        fault: one of `mesh_faults.FAULTS`, or empty.
    """

    format: str
    solid: str
    parts: int
    paint: str
    normals: bool
    shift: float
    scale: float
    style: tuple[str, ...]
    seed: int
    fault: str = ""

    def files(self) -> dict[str, bytes]:
        """Return the file, first, and what it names."""
        shape, style = self.shape(), set(self.style)
        fault = mesh_faults.FAULTS.get(self.fault)
        more = {}
        if isinstance(fault, mesh_faults.OfShapes):
            shape = fault.spoil(shape)
        elif isinstance(fault, mesh_faults.OfGltf):
            more["spoil"] = fault.spoil
        files = WRITERS[self.format](shape, style, np.random.default_rng(self.seed), **more)
        if isinstance(fault, mesh_faults.OfFiles):
            fault.spoil(files)
        return files

    def shape(self) -> Shape:
        """Return what the file holds."""
        chance = np.random.default_rng(self.seed)
        points, polygons = solid(self.solid, chance)
        # Single precision has seven digits.
        single = self.format == ".gltf" or {"binary", "double"} & set(self.style) == {"binary"}
        single = single or (self.format == ".ply" and "double" not in self.style)
        far = min(self.shift, 50 * self.scale) if single else self.shift
        points = points / GRID * self.scale + far * np.array([1, -0.5, 0.7])
        if "degenerate" in self.style:
            polygons = [polygons[0][:2] + polygons[0][:1], *polygons]
        part = np.sort(np.arange(len(polygons)) % self.parts)
        plain = Shape(points, polygons, part)

        def colours(count: int) -> np.ndarray:
            # One of each channel is the most, which tells of which range they are.
            found = chance.integers(60, 256, (count, 4))
            return np.concatenate([np.full((1, 4), 255), found])[:count]

        if self.normals:
            normals = chance.normal(size=points.shape)
            plain = replace(plain, normals=normals / np.linalg.norm(normals, axis=1)[:, None])
        match self.paint:
            case "parts":
                return replace(plain, of_parts=colours(self.parts))
            case "corners":
                return replace(plain, colours=colours(len(points)))
            case "faces":
                return replace(plain, of_faces=colours(len(polygons)))
            case "textures":
                pictures = [chance.integers(0, 256, (4, 4, 3), np.uint8) for _ in range(self.parts)]
                uv = chance.integers(-64, 128, (len(points), 2)) / 64
                return replace(plain, uv=uv, pictures=tuple(pictures))
        return plain

    def expected(self) -> np.ndarray:
        """Return the rows of `framed` for what a reader keeps of the shape."""
        shape = self.shape()
        # OBJ has no opacity of corners, and glTF none without a material.
        opaque = self.format == ".obj" or self.format == ".gltf"
        if shape.colours is not None and opaque:
            shape = replace(shape, colours=shape.colours * [1, 1, 1, 0] + [0, 0, 0, 255])
        if shape.pictures:
            white = np.full((self.parts, 4), 255)
            shape = replace(shape, of_parts=white)
        if self.format == ".stl":
            shape = replace(shape, normals=None)
        return framed(shape)


@dataclass(frozen=True)
class Meshes:
    """A collection of meshes of one class.

    Attributes:
        category: the class.
        meshes: in the order of their names.
        capitals: whether suffixes are in capitals.
        zipped: whether they are in an archive.
    """

    category: str
    meshes: tuple[MeshPlan, ...]
    capitals: bool
    zipped: bool

    def write(self, folder: Path) -> Path:
        """Draw them; return the folder of the pictures."""
        out = folder / "pictures"
        options = Config(views=VIEWS, image_size=SIDE, processes=1)
        skipped = export(options.job(find_models(self.write_meshes(folder / "meshes"))), out)
        assert skipped == {}, skipped
        return out

    def write_meshes(self, folder: Path) -> Path:
        """Write the meshes, each in a folder of its own."""
        files = {
            f"{self.category}/{number}/{self._name(name)}": data
            for number, mesh in enumerate(self.meshes)
            for name, data in mesh.files().items()
        }
        folder.mkdir(parents=True)
        if not self.zipped:
            for name, data in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
            return folder
        with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return folder / "all.zip"

    def _name(self, name: str) -> str:
        return name.upper() if self.capitals and name.startswith("a.") else name

    def world(self, path: Path) -> threediebench.Config:
        return threediebench.Config(path=str(path), image_size=SIDE, views=VIEWS)

    def expected(self) -> Contents:
        return {"all": Counter({record("pictures"): len(self.meshes)})}

    def found(self, world: World) -> Contents:
        assert isinstance(world, TableWorld)
        count = sum(len(table.labels) for table in world.tables.values())
        return {"all": Counter({record("pictures"): count})}


def check_valid(plan: Meshes) -> None:
    """Check that all meshes are read as what they are, and that their pictures train."""
    with workplace() as folder, _quiet():
        for mesh, where, name in _meshes(plan, folder / "meshes"):
            _check_same(load_mesh(archives.Files(where), name), mesh)
    trial.check_valid(plan)


def check_refused(plan: MeshPlan) -> None:
    """Check that a mesh with a fault ends in one clear message that names it."""
    with workplace() as folder, _quiet(), _little_memory():
        collection = Meshes("one", (plan,), False, False)
        for _, where, name in _meshes(collection, folder / "meshes"):
            error = _load(where, name)
            assert isinstance(error, DataError), "it is read"
            _check_message(error, where, name)


def check_damaged(plan: Meshes, damage: Damage) -> None:
    """Check that the first mesh, damaged, is read or ends in one clear message that names it."""
    with workplace() as folder, _quiet(), _little_memory():
        path = replace(plan, meshes=plan.meshes[:1]).write_meshes(folder / "meshes")
        damage.apply(folder / "meshes")
        try:
            models = find_models(path).models
        except DataError as error:
            assert str(path) in str(error) and len(str(error)) <= LONGEST + len(str(path))
            return
        for model in models:
            error = _load(path, model.name)
            if isinstance(error, DataError):
                _check_message(error, path, model.name)


def _meshes(plan: Meshes, folder: Path) -> Iterator[tuple[MeshPlan, Path, str]]:
    """Write meshes; yield each with the folder or archive that holds it, and its path there."""
    where = plan.write_meshes(folder)
    # No order of names is that of the numbers but this one.
    for model in find_models(where).models:
        yield plan.meshes[int(model.name.split("/")[-2])], where, model.name


def _load(where: Path, name: str) -> Mesh | DataError:
    try:
        return load_mesh(archives.Files(where), name)
    except DataError as error:
        return error


def _check_message(error: DataError, where: Path, name: str) -> None:
    message = str(error)
    assert len(message) <= LONGEST + len(str(where)), message
    assert str(where) in message and name in message, f"names no file: {message}"
    assert any(word in message for word in ("epair", "not there", "get it again")), message


def _check_same(mesh: Mesh, plan: MeshPlan) -> None:
    """Check that triangles are the same ones, in any order and each from any of its corners."""
    shape, expected = plan.shape(), plan.expected()
    textured = [picture_number(mesh.textures[number]) for number in mesh.texture.tolist()]
    numbers = np.broadcast_to(np.array(textured)[:, None, None], (len(mesh.points), 3, 1))
    normals = mesh.normals
    if shape.normals is None or plan.format == ".stl":
        normals = np.zeros_like(normals)
    found = np.concatenate([mesh.points, normals, mesh.uv, mesh.colour, numbers], -1)
    assert len(found) == len(expected), f"{len(found)} triangles, not {len(expected)}"

    turns = np.concatenate([np.roll(found, turn, 1).reshape(len(found), -1) for turn in range(3)])
    away, nearest = KDTree(turns).query(expected.reshape(len(expected), -1), p=np.inf)
    assert away.max() < CLOSE, f"triangles are not the same: {away.max()}"
    assert len(set((nearest % len(found)).tolist())) == len(found), "some are there twice"


@contextmanager
def _quiet() -> Iterator[None]:
    """Check that nothing is printed."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        yield
    assert said.getvalue() == ""


@contextmanager
def _little_memory() -> Iterator[None]:
    """Check that no more memory is asked for than small files need."""
    tracemalloc.start()
    try:
        yield
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < MOST_MEMORY, f"{most:,} bytes"


@st.composite
def _plans(draw: st.DrawFn, fault: str = "") -> MeshPlan:
    formats = mesh_faults.formats(fault) if fault else tuple(WRITERS)
    format = draw(st.sampled_from(formats))
    words = st.sampled_from(STYLES[format].split())
    return MeshPlan(
        format=format,
        solid=draw(st.sampled_from(["box", "prism", "hull", "soup"])),
        parts=draw(st.integers(1, 3)),
        paint=mesh_faults.paint(fault) or draw(st.sampled_from(PAINTS[format])),
        normals=draw(st.booleans()),
        shift=draw(st.sampled_from([0, 1, 1e3, 1e6])),
        scale=draw(st.sampled_from([1, 1e-6, 1e-3, 39.37, 1e6])),
        style=tuple(draw(st.lists(words, max_size=6, unique=True))),
        seed=draw(st.integers(0, 2**16)),
        fault=fault,
    )


MESHES = _plans()
PLANS = st.builds(
    Meshes,
    category=NAMES,
    meshes=st.lists(MESHES, min_size=6, max_size=8).map(tuple),
    capitals=st.booleans(),
    zipped=st.booleans(),
)
FAULTY = st.sampled_from(list(mesh_faults.FAULTS)).flatmap(_plans)
