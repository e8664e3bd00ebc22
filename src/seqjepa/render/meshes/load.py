"""Reading a mesh file with its materials and textures, from a folder or an archive."""

import logging
import posixpath
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from seqjepa.errors import DataError, needs_extra
from seqjepa.reading.archives import Files
from seqjepa.reading.pixels import BROKEN as BROKEN_PICTURE
from seqjepa.render.kernels import Floats
from seqjepa.render.meshes.gltf import read_gltf
from seqjepa.render.meshes.mesh import Mesh, Part, framed, join, require_few
from seqjepa.render.meshes.off import read_off
from seqjepa.render.meshes.ply import read_ply
from seqjepa.render.meshes.resolver import MOST_BYTES, Resolver
from seqjepa.render.meshes.stl import read_stl
from seqjepa.render.meshes.wavefront import read_obj

MOST_REASON = 200  # characters of a reader's error, which may quote the file
# From y up, as files of meshes have it, to z up.
Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

# Readers raise these at files that are broken, nested without end, or larger than memory.
BROKEN = (*BROKEN_PICTURE, AttributeError, AssertionError, RuntimeError, MemoryError)


def load_mesh(files: Files, name: str, turn: Floats | None = None) -> Mesh:
    """Read the mesh `name`, framed (see `framed`) and turned to z up.

    Args:
        files: the folder or archive of the mesh, its materials and its textures.
        name: its path inside.
        turn: [3, 3], a rotation in the file's own frame; files have y up. None turns nothing.

    Raises:
        ConfigError: if trimesh is not installed.
        DataError: if the file is no whole mesh, names a texture or a material that is not there,
            requires what is not read, or is not worth drawing.
    """
    _require_trimesh()
    where, resolver = f"{files.path}/{name}", Resolver(files, name)
    data = files.read(name, MOST_BYTES)
    read = READERS[posixpath.splitext(name)[1].lower()]

    # A reader goes on where a file is missing, or stops; either way it is what is missing that
    # is told.
    try:
        # Numbers that are not finite are refused, by name: numpy need not warn of them.
        with np.errstate(all="ignore"):
            parts = read(data, resolver)
            if not resolver.missing:
                return _whole([part for part in parts if len(part.points)], turn)
    except DataError as error:
        raise DataError(f"{where}: {error}. Repair it or leave it out") from error
    except BROKEN as error:
        if not resolver.missing:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:MOST_REASON]
            raise DataError(
                f"{where} is no whole mesh ({reason}): repair it or leave it out"
            ) from error

    missing = ", ".join(dict.fromkeys(resolver.missing))
    raise DataError(f"{where} needs what is not there: {missing}")


def _whole(parts: list[Part], turn: Floats | None) -> Mesh:
    """Return the parts as one framed mesh, turned to z up."""
    if not parts:
        raise DataError("no faces")
    require_few(sum(len(part.points) for part in parts))
    mesh = join(parts)
    upright = Z_UP if turn is None else Z_UP @ turn
    turned = replace(mesh, points=mesh.points @ upright.T, normals=mesh.normals @ upright.T)
    return framed(turned)


def _require_trimesh() -> None:
    """Raise a ConfigError if the extra `meshes` is not installed, and keep trimesh quiet."""
    with needs_extra("meshes", "reading meshes"):
        import trimesh  # noqa: F401

    # What it warns of is an error here that names the file. A log is written to the terminal only
    # where nobody has said where it goes.
    logging.getLogger("trimesh").addHandler(SILENT)


# One for all meshes: a logger keeps every handler that it is given.
SILENT = logging.NullHandler()

Reader = Callable[[bytes, Resolver], list[Part]]
# Of an object in several formats, the first here is drawn.
READERS: dict[str, Reader] = {
    ".obj": read_obj,
    ".glb": read_gltf,
    ".ply": read_ply,
    ".gltf": read_gltf,
    ".off": read_off,
    ".stl": read_stl,
}
FORMATS = tuple(READERS)
