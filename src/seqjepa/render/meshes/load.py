"""A mesh file with its materials and textures, from a folder or an archive, to a `Mesh`. trimesh
reads the formats.
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
Z_UP = np.array(
    [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
)  # from y up, as files of meshes have it, to z up

# What trimesh raises at files that are broken, nested without end, or claim to be larger than memory.
BROKEN = (*BROKEN_PICTURE, AttributeError, AssertionError, RuntimeError, MemoryError)


def load_mesh(files: Files, name: str, turn: Floats | None = None) -> Mesh:
    """The mesh `name`, framed (see `framed`) and turned to z up.

    Args:
        files: where it and its materials and textures are.
        name: its path inside.
        turn: [3, 3], a rotation in the file's own frame; files have y up. None turns nothing.

    Raises:
        ConfigError: if trimesh is not installed.
        DataError: if the file is no whole mesh, names a texture or a material that is not there, or
            is not worth drawing.
    """
    kin = Kin(files, name)
    scene = _parse(files.read(name, MOST_BYTES), name, kin)
    if kin.faults:
        raise DataError(
            f"{files.path}/{name} needs what is not there: {', '.join(dict.fromkeys(kin.faults))}"
        )
    parts = []
    try:
        for node in scene.graph.nodes_geometry:
            place, geometry = scene.graph[node]
            if len(getattr(scene.geometry[geometry], "faces", ())):
                parts.append(_part(scene.geometry[geometry], np.asarray(place, np.float64), kin))
        if not parts:
            raise DataError("no faces")
        whole = join(parts)
        if len(whole.points) > MOST_FACES:
            raise DataError(f"{len(whole.points):,} triangles, more than {MOST_FACES:,}")
        return framed(_turned(whole, Z_UP if turn is None else Z_UP @ turn))
    except DataError as error:
        raise DataError(f"{files.path}/{name}: {error}. Repair it or leave it out") from error
    except BROKEN as error:
        raise DataError(
            f"{files.path}/{name} is no whole mesh ({type(error).__name__}: {error}): repair it or leave it out"
        ) from error


class Kin:
    """The files that a mesh names, as a trimesh resolver; it notes what is not there or no picture,
    of which trimesh says nothing.
    """

    def __init__(self, files: Files, name: str) -> None:
        self.files, self.folder, self.faults = files, posixpath.dirname(name), list[str]()

    def get(self, name: str) -> bytes:
        """A file by the name that another file gives it: relative to the mesh's folder, or else the
        last part of it in that folder.

        Many files name their textures by a path on the machine that they were made on, or in other
        capitals.
        """
        path = str(name).strip().strip('"').replace("\\", "/")
        found = self._find(path)
        if found is None:
            self.faults.append(path)
            raise OSError(f"there is no {path}")
        data = self.files.read(found, MOST_BYTES)
        if not found.lower().endswith((".mtl", ".bin")):
            try:
                Image.open(io.BytesIO(data))
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
                self.faults.append(f"{path} as a picture")
        return data

    def _find(self, path: str) -> str | None:
        wanted = posixpath.normpath(posixpath.join(self.folder, path))
        if not wanted.startswith(("/", "..")) and wanted in self.files.names(
            posixpath.dirname(wanted), deep=False
        ):
            return wanted
        last = posixpath.basename(path).lower()
        return next(
            (
                file
                for file in self.files.names(self.folder, deep=False)
                if posixpath.basename(file).lower() == last
            ),
            None,
        )

    __getitem__ = get

    def keys(self) -> list[str]:
        """Names that are sure to be there."""
        return []


def _parse(data: bytes, name: str, kin: Kin) -> Any:
    try:
        import trimesh
    except ImportError as error:
        raise ConfigError(
            f"reading meshes needs trimesh and embreex ({error}): pip install 'seqjepa[meshes]'"
        ) from error
    kind = posixpath.splitext(name)[1][1:].lower()
    try:
        return trimesh.load_scene(
            io.BytesIO(data), file_type=kind, resolver=cast(Any, kin), process=False
        )
    except BROKEN as error:
        raise DataError(
            f"{kin.files.path}/{name} is no whole mesh ({type(error).__name__}: {error}): repair it or leave it out"
        ) from error


def _part(mesh: Any, place: Floats, kin: Kin) -> Mesh:
    """A trimesh of one material, moved to its place [4, 4] in the scene."""
    faces = np.asarray(mesh.faces)
    points = bounded(
        np.asarray(mesh.vertices, np.float64)[faces] @ place[:3, :3].T + place[:3, 3],
        MOST_POINT,
        "corners",
    )
    flat = np.broadcast_to(face_normals(points)[:, None], points.shape)
    if (
        "vertex_normals" in mesh._cache
    ):  # from the file; otherwise trimesh would make some, rounding every edge
        normals = unit(
            np.asarray(mesh.vertex_normals, np.float64)[faces] @ np.linalg.inv(place[:3, :3]), flat
        )
    else:
        normals = smooth_normals(points)
    uv, colour, picture = _surface(mesh, f"{kin.files.path}/{kin.folder}")
    colour = (
        np.broadcast_to(colour, (len(mesh.vertices), 4))[faces]
        if colour.shape[:-1] != (len(faces), 1)
        else colour
    )
    corners = np.zeros((*faces.shape, 2)) if uv is None else np.where(np.isnan(uv), 0, uv)[faces]
    return Mesh(
        points,
        normals,
        corners,
        np.broadcast_to(colour, (*faces.shape, 4)),
        np.zeros(len(faces), np.int64),
        (picture,),
    )


def _surface(mesh: Any, where: str) -> tuple[Floats | None, Floats, npt.NDArray[np.uint8]]:
    """Places in the texture [V, 2] if there are any, colours, RGBA [4], [V, 4] or [F, 1, 4], and
    the texture [H, W, 4].
    """
    white = np.full((1, 1, 4), 255, np.uint8)
    visual = mesh.visual
    if visual.kind == "vertex":
        return None, np.asarray(visual.vertex_colors, np.float64) / 255, white
    if visual.kind == "face":
        return None, np.asarray(visual.face_colors, np.float64)[:, None] / 255, white
    if visual.kind is None:
        return None, np.array(GREY), white
    material, uv = visual.material, visual.uv
    image, colour, cut = (
        _physical(material) if hasattr(material, "baseColorFactor") else _simple(material)
    )
    if (corners := visual.vertex_attributes.get("color")) is not None and len(corners) == len(
        mesh.vertices
    ):
        colour = colour * _fractions(corners)
    if image is None or uv is None or len(uv) != len(mesh.vertices):
        return None, colour, white
    picture = rgba(image, f"a texture in {where}")
    if cut is not None:
        picture = picture.copy()
        picture[..., 3] = np.where(picture[..., 3] >= 255 * cut, 255, 0)
    return np.asarray(uv, np.float64), colour, picture


def _simple(material: Any) -> tuple[Image.Image | None, Floats, None]:
    """Texture and colour of an OBJ's material. A texture stands in place of the colour: many files
    leave that black.
    """
    if (
        material.image is not None and material.image.format is None
    ):  # trimesh's own, where a file has uv but no material
        return None, np.array(GREY), None
    opacity = 1.0
    if "d" in material.kwargs:
        opacity = float(material.kwargs["d"][-1])
    elif "tr" in material.kwargs:
        opacity = 1 - float(material.kwargs["tr"][-1])
    rgb = (
        np.ones(3)
        if material.image is not None
        else np.asarray(material.diffuse[:3], np.float64) / 255
    )
    return material.image, np.append(rgb, np.clip(opacity, 0, 1)), None


def _physical(material: Any) -> tuple[Image.Image | None, Floats, float | None]:
    """Texture, colour, and the alpha below which nothing is seen, 0 where all is, of a glTF's
    material, whose factors are linear.
    """
    factor = (
        np.ones(4) if material.baseColorFactor is None else _fractions(material.baseColorFactor)
    )
    rgb = np.where(
        factor[:3] <= 0.0031308, 12.92 * factor[:3], 1.055 * factor[:3] ** (1 / 2.4) - 0.055
    )  # sRGB's curve
    mode = material.alphaMode or "OPAQUE"
    cut = (
        None
        if mode == "BLEND"
        else 0.0
        if mode == "OPAQUE"
        else 0.5
        if material.alphaCutoff is None
        else material.alphaCutoff
    )
    return material.baseColorTexture, np.append(rgb, factor[3] if mode == "BLEND" else 1.0), cut


def _fractions(colours: Any) -> Floats:
    """Colours [..., 3 or 4], whole numbers to 255 or fractions, as RGBA in [0, 1]."""
    values = np.asarray(colours)
    scaled = (
        values / np.iinfo(values.dtype).max
        if values.dtype.kind == "u"
        else values.astype(np.float64)
    )
    return (
        scaled
        if scaled.shape[-1] == 4
        else np.concatenate([scaled, np.ones((*scaled.shape[:-1], 1))], -1)
    )


def _turned(mesh: Mesh, turn: Floats) -> Mesh:
    return replace(mesh, points=mesh.points @ turn.T, normals=mesh.normals @ turn.T)
