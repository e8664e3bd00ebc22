"""Reading a mesh file with its materials and textures, from a folder or an archive.

trimesh reads the formats; what comes out is a `Mesh`.
"""

import io
import posixpath
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from seqjepa.errors import ConfigError, DataError
from seqjepa.reading.archives import Files
from seqjepa.reading.pixels import BROKEN as BROKEN_PICTURE
from seqjepa.reading.pixels import rgba
from seqjepa.render.kernels import Floats
from seqjepa.render.meshes.mesh import (
    MOST_POINT,
    Mesh,
    bounded,
    face_normals,
    framed,
    join,
    smooth_normals,
    unit,
)

FORMATS = (".obj", ".glb", ".ply")
MOST_BYTES = 1 << 30  # of a file
MOST_FACES = 20_000_000
GREY = (0.8, 0.8, 0.8, 1.0)  # of what has no colour
# From y up, as files of meshes have it, to z up.
Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

# trimesh raises these at files that are broken, nested without end, or larger than memory.
BROKEN = (*BROKEN_PICTURE, AttributeError, AssertionError, RuntimeError, MemoryError)


def load_mesh(files: Files, name: str, turn: Floats | None = None) -> Mesh:
    """Read the mesh `name`, framed (see `framed`) and turned to z up.

    Args:
        files: the folder or archive of the mesh, its materials and its textures.
        name: its path inside.
        turn: [3, 3], a rotation in the file's own frame; files have y up. None turns nothing.

    Raises:
        ConfigError: if trimesh is not installed.
        DataError: if the file is no whole mesh, names a texture or a material that is not there, or
            is not worth drawing.
    """
    resolver = Resolver(files, name)
    scene = _parse(files.read(name, MOST_BYTES), name, resolver)
    if resolver.missing:
        missing = ", ".join(dict.fromkeys(resolver.missing))
        raise DataError(f"{files.path}/{name} needs what is not there: {missing}")

    # trimesh reads much lazily, so broken files also show while parts are taken from the scene.
    parts = []
    try:
        for node in scene.graph.nodes_geometry:
            place, geometry = scene.graph[node]
            part = scene.geometry[geometry]
            if len(getattr(part, "faces", ())):  # point clouds and paths have none
                parts.append(_part(part, np.asarray(place, np.float64), resolver))
        if not parts:
            raise DataError("no faces")
        whole = join(parts)
        if len(whole.points) > MOST_FACES:
            raise DataError(f"{len(whole.points):,} triangles, more than {MOST_FACES:,}")
        return framed(_turned(whole, Z_UP if turn is None else Z_UP @ turn))
    except DataError as error:
        raise DataError(f"{files.path}/{name}: {error}. Repair it or leave it out") from error
    except BROKEN as error:
        raise _no_whole_mesh(f"{files.path}/{name}", error) from error


class Resolver:
    """The files that a mesh names, as trimesh asks for them.

    It notes which are missing or no picture, as trimesh does not report them.
    """

    def __init__(self, files: Files, name: str) -> None:
        self.files, self.folder, self.missing = files, posixpath.dirname(name), list[str]()

    def get(self, name: str) -> bytes:
        """Read a file by the name that another file gives it.

        The name is relative to the mesh's folder; failing that, its last part is looked for in that
        folder. Many files name their textures by a path on the machine that they were made on, or
        in other capitals.
        """
        path = str(name).strip().strip('"').replace("\\", "/")
        found = self._find(path)
        if found is None:
            self.missing.append(path)
            raise OSError(f"there is no {path}")

        data = self.files.read(found, MOST_BYTES)
        if not found.lower().endswith((".mtl", ".bin")):
            try:
                Image.open(io.BytesIO(data))
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
                self.missing.append(f"{path} as a picture")
        return data

    def _find(self, path: str) -> str | None:
        wanted = posixpath.normpath(posixpath.join(self.folder, path))
        inside = not wanted.startswith(("/", ".."))  # nothing outside the collection is read
        if inside and wanted in self.files.names(posixpath.dirname(wanted), deep=False):
            return wanted

        last = posixpath.basename(path).lower()
        for file in self.files.names(self.folder, deep=False):
            if posixpath.basename(file).lower() == last:
                return file
        return None

    __getitem__ = get

    def keys(self) -> list[str]:
        """Return the names that are sure to be there."""
        return []


def _parse(data: bytes, name: str, resolver: Resolver) -> Any:
    """Return the trimesh scene of a file's bytes."""
    try:
        import trimesh
    except ImportError as error:
        raise ConfigError(
            f"reading meshes needs trimesh and embreex ({error}): pip install 'seqjepa[meshes]'"
        ) from error

    kind, file = posixpath.splitext(name)[1][1:].lower(), io.BytesIO(data)
    try:
        return trimesh.load_scene(file, file_type=kind, resolver=cast(Any, resolver), process=False)
    except BROKEN as error:
        raise _no_whole_mesh(f"{resolver.files.path}/{name}", error) from error


def _no_whole_mesh(file: str, error: Exception) -> DataError:
    return DataError(
        f"{file} is no whole mesh ({type(error).__name__}: {error}): repair it or leave it out"
    )


def _part(mesh: Any, place: Floats, resolver: Resolver) -> Mesh:
    """Return a trimesh of one material as a mesh, moved to its place [4, 4] in the scene."""
    faces, turn, shift = np.asarray(mesh.faces), place[:3, :3], place[:3, 3]
    corners = np.asarray(mesh.vertices, np.float64)[faces]
    points = bounded(corners @ turn.T + shift, MOST_POINT, "corners")

    # Only normals from the file are in the cache: trimesh's own would round every edge.
    flat = np.broadcast_to(face_normals(points)[:, None], points.shape)
    if "vertex_normals" in mesh._cache:
        from_file = np.asarray(mesh.vertex_normals, np.float64)[faces]
        normals = unit(from_file @ np.linalg.inv(turn), flat)
    else:
        normals = smooth_normals(points)

    # Colours [F, 1, 4] are those of faces already, others are those of vertices.
    uv, colour, picture = _surface(mesh, f"{resolver.files.path}/{resolver.folder}")
    if colour.shape[:-1] != (len(faces), 1):
        colour = np.broadcast_to(colour, (len(mesh.vertices), 4))[faces]
    colour = np.broadcast_to(colour, (*faces.shape, 4))
    uv = np.zeros((*faces.shape, 2)) if uv is None else np.where(np.isnan(uv), 0, uv)[faces]
    return Mesh(points, normals, uv, colour, np.zeros(len(faces), np.int64), (picture,))


def _surface(mesh: Any, where: str) -> tuple[Floats | None, Floats, npt.NDArray[np.uint8]]:
    """Return places in the texture, colours and the texture of a trimesh.

    They are [V, 2] or None; RGBA [4], [V, 4] or [F, 1, 4]; and [H, W, 4].
    """
    white = np.full((1, 1, 4), 255, np.uint8)
    visual = mesh.visual
    if visual.kind == "vertex":
        return None, np.asarray(visual.vertex_colors, np.float64) / 255, white
    if visual.kind == "face":
        return None, np.asarray(visual.face_colors, np.float64)[:, None] / 255, white
    if visual.kind is None:
        return None, np.array(GREY), white

    # A material, by whose colour those of vertices are multiplied. Broken files have fewer colours
    # or places than vertices: they are left out.
    material, uv = visual.material, visual.uv
    read = _physical if hasattr(material, "baseColorFactor") else _simple
    image, colour, cut = read(material)
    corners = visual.vertex_attributes.get("color")
    if corners is not None and len(corners) == len(mesh.vertices):
        colour = colour * _fractions(corners)
    if image is None or uv is None or len(uv) != len(mesh.vertices):
        return None, colour, white

    picture = rgba(image, f"a texture in {where}")
    if cut is not None:
        picture = picture.copy()
        picture[..., 3] = np.where(picture[..., 3] >= 255 * cut, 255, 0)
    return np.asarray(uv, np.float64), colour, picture


def _simple(material: Any) -> tuple[Image.Image | None, Floats, None]:
    """Return texture and colour of an OBJ's material.

    A texture replaces the colour, which many files leave black.
    """
    # An image without a format is trimesh's own, for a file that has uv but no material.
    if material.image is not None and material.image.format is None:
        return None, np.array(GREY), None

    opacity = 1.0
    if "d" in material.kwargs:
        opacity = float(material.kwargs["d"][-1])
    elif "tr" in material.kwargs:
        opacity = 1 - float(material.kwargs["tr"][-1])

    rgb = np.ones(3)
    if material.image is None:
        rgb = np.asarray(material.diffuse[:3], np.float64) / 255
    return material.image, np.append(rgb, np.clip(opacity, 0, 1)), None


def _physical(material: Any) -> tuple[Image.Image | None, Floats, float | None]:
    """Return texture, colour and alpha cut-off of a glTF's material.

    Below the cut-off nothing is seen: 0 where all is, None where alpha is a shade.
    """
    factor = np.ones(4)
    if material.baseColorFactor is not None:
        factor = _fractions(material.baseColorFactor)
    # Factors are linear, pictures are not: sRGB's curve.
    linear = factor[:3]
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)

    mode, cut = material.alphaMode or "OPAQUE", None
    if mode == "OPAQUE":
        cut = 0.0
    elif mode != "BLEND":
        cut = 0.5 if material.alphaCutoff is None else material.alphaCutoff
    return material.baseColorTexture, np.append(rgb, factor[3] if mode == "BLEND" else 1.0), cut


def _fractions(colours: Any) -> Floats:
    """Return colours [..., 3 or 4], unsigned whole numbers or fractions, as RGBA in [0, 1]."""
    values = np.asarray(colours)
    whole = values.dtype.kind == "u"
    scaled = values / np.iinfo(values.dtype).max if whole else values.astype(np.float64)
    if scaled.shape[-1] == 4:
        return scaled
    return np.concatenate([scaled, np.ones((*scaled.shape[:-1], 1))], -1)


def _turned(mesh: Mesh, turn: Floats) -> Mesh:
    return replace(mesh, points=mesh.points @ turn.T, normals=mesh.normals @ turn.T)
