"""A mesh as triangles, whatever file it came from, and the arithmetic of framing and normals."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix

from seqjepa.errors import DataError
from seqjepa.render.kernels import Floats, Ints

RADIUS = 0.84
"""Distance from the origin of an object's farthest point, its bounding box being centred. It is
that of the largest ball that the camera sees whole."""

# Edges sharper than 40 degrees stay sharp where a file has no normals. The rounding of a file's
# numbers does not decide about those of just 40.
CREASE = np.cos(np.radians(40)) - 1e-6
MOST_AROUND = 64  # corners at one point that are smoothed together; a fan of more is flat or a tip
MOST_FACES = 20_000_000
MOST_POINT = 1e12  # Largest coordinate; a larger one means a damaged file.
MOST_OTHER = 1e6  # Largest colour or texture coordinate; a larger one means damage too.
FLAT = 1e-4  # Least ratio of the bounding box's sides; a flatter object has no volume.


@dataclass(frozen=True)
class Mesh:
    """F triangles, each corner with all it needs; nothing is shared between triangles.

    Attributes:
        points: [F, 3, 3], corners.
        normals: [F, 3, 3], unit normals at the corners, of either sign: a surface has two sides.
        uv: [F, 3, 2], places in the texture: (0, 0) is its bottom left, (1, 1) its top right,
            beyond that it repeats.
        colour: [F, 3, 4], RGBA in [0, 1], by which the texture is multiplied.
        texture: [F], an index into `textures`.
        textures: pictures [H, W, 4], uint8.
    """

    points: Floats
    normals: Floats
    uv: Floats
    colour: Floats
    texture: Ints
    textures: tuple[npt.NDArray[np.uint8], ...]

    @property
    def opaque(self) -> bool:
        """True if nothing shines through anywhere."""
        if not (self.colour[..., 3] >= 1).all():
            return False
        return all(bool((picture[..., 3] == 255).all()) for picture in self.textures)


@dataclass(frozen=True)
class Part:
    """F triangles of one material, as a file has them.

    Attributes:
        points: [F, 3, 3], corners, in the frame of the whole object.
        normals: [F, 3, 3], of any length, NaN where the file has none; None if it has none at all.
        uv: [F, 3, 2], see `Mesh`, NaN where the file has none; None if it has none at all.
        colour: [4], [F, 1, 4] or [F, 3, 4], see `Mesh`.
        picture: [H, W, 4], the texture; None for none.
    """

    points: Floats
    normals: Floats | None
    uv: Floats | None
    colour: Floats
    picture: npt.NDArray[np.uint8] | None = None

    def with_texture(self, picture: npt.NDArray[np.uint8], uv: Floats) -> "Part":
        """Return the part with a texture [H, W, 4] and the places [F, 3, 2] in it."""
        return replace(self, picture=picture, uv=uv)


def require_few(faces: int) -> None:
    """Raise a DataError if these are too many triangles for one mesh."""
    if faces > MOST_FACES:
        raise DataError(f"{faces:,} triangles or more, and {MOST_FACES:,} are the most")


def join(parts: list[Part]) -> Mesh:
    """Return parts as one mesh, with normals where files have none.

    Raises:
        DataError: if a number of the corners is not finite or beyond reason.
    """
    corners = [bounded(part.points, MOST_POINT, "corners") for part in parts]
    low = np.min([points.min((0, 1)) for points in corners], 0)
    high = np.max([points.max((0, 1)) for points in corners], 0)
    middle, size = (low + high) / 2, (high - low).max()

    # Products of coordinates lose digits far from the origin and can leave the range of numbers.
    # So normals are those of the object in the middle and about as large as 1, scaled by a power of
    # two, which is exact.
    scale = 2.0 ** -np.ceil(np.log2(size)) if size > 0 else 1.0
    normals = [_normals(part, (part.points - middle) * scale) for part in parts]

    faces = [len(part.points) for part in parts]
    white = np.full((1, 1, 4), 255, np.uint8)
    places, colours = list[Floats](), list[Floats]()
    for part, n in zip(parts, faces, strict=True):
        uv = np.zeros((n, 3, 2)) if part.uv is None or part.picture is None else part.uv
        places.append(np.where(np.isnan(uv), 0, uv))
        colours.append(np.broadcast_to(part.colour, (n, 3, 4)))
    return Mesh(
        points=np.concatenate(corners),
        normals=np.concatenate(normals),
        uv=np.concatenate(places),
        colour=np.concatenate(colours),
        texture=np.repeat(np.arange(len(parts)), faces),
        textures=tuple(white if part.picture is None else part.picture for part in parts),
    )


def _normals(part: Part, points: Floats) -> Floats:
    """Return unit normals [F, 3, 3] of a part: the file's, or else smooth ones.

    `points` [F, 3, 3] are its corners in a frame in which their products are exact enough.
    """
    if part.normals is None:
        return smooth_normals(points)
    if np.isnan(part.normals).any():
        return unit(part.normals, smooth_normals(points))
    return unit(part.normals, np.broadcast_to(face_normals(points)[:, None], points.shape))


def framed(mesh: Mesh) -> Mesh:
    """Return the mesh with its bounding box centred and its farthest corner at RADIUS.

    Triangles without area are left out.

    Raises:
        DataError: if there is no triangle with an area, a number is not finite or beyond reason, or
            the object has no volume.
    """
    bounded(mesh.points, MOST_POINT, "corners")
    bounded(mesh.uv, MOST_OTHER, "places in the texture")
    bounded(mesh.colour, MOST_OTHER, "colours")

    # Areas are told from rounding errors in the middle of the object, wherever the file has it.
    corners = mesh.points.reshape(-1, 3)
    middle = (corners.min(0, initial=np.inf) + corners.max(0, initial=-np.inf)) / 2
    keep = np.linalg.norm(face_normals(mesh.points - middle), axis=1) > 0
    if not keep.any():
        raise DataError("no triangle has an area" if len(keep) else "no faces")

    points = mesh.points[keep]
    low, high = points.min((0, 1)), points.max((0, 1))
    if (high - low).min() <= FLAT * (high - low).max():
        size = " x ".join(f"{side:.3g}" for side in high - low)
        raise DataError(f"flat: it measures {size} and so has no volume")

    points = points - (low + high) / 2
    points = points * (RADIUS / np.linalg.norm(points, axis=-1).max())
    parts = {name: getattr(mesh, name)[keep] for name in ("normals", "uv", "colour", "texture")}
    return replace(mesh, points=points, **parts)


def bounded(values: Floats, most: float, what: str) -> Floats:
    """Return the values [..., n] themselves.

    Raises:
        DataError: if any is NaN, infinite, or larger than `most` either way.
    """
    bad = ~(np.abs(values) <= most).all(-1)
    if bad.any():
        raise DataError(f"{int(bad.sum()):,} {what} are NaN, infinite or beyond ±{most:g}")
    return values


def face_normals(points: Floats) -> Floats:
    """Return unit normals [F, 3] of triangles [F, 3, 3], by the right-hand rule.

    They are 0 where there is no area.
    """
    cross = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    length = np.linalg.norm(cross, axis=1, keepdims=True)  # twice the area

    # Rounding errors grow with the square of the coordinates: a lesser area is none.
    least = 1e-12 * max(1e-300, float(np.abs(points).max(initial=0)) ** 2)
    return cross / np.where(length > least, length, np.inf)


def smooth_normals(points: Floats) -> Floats:
    """Return normals [F, 3, 3] at the corners of triangles [F, 3, 3].

    Each is the mean of the faces around it, weighted by area, across edges up to CREASE.
    """
    n = len(points)
    flat = face_normals(points)
    cross = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    area = np.linalg.norm(cross, axis=1)

    # place [3 F] numbers the points where corners meet; with `at` [corners, places] of ones,
    # at @ at.T holds all pairs of corners that meet.
    _, place = np.unique(points.reshape(-1, 3), axis=0, return_inverse=True)
    corner, face = np.arange(3 * n), np.repeat(np.arange(n), 3)
    few = np.bincount(place)[place] <= MOST_AROUND
    ones = np.ones(int(few.sum()))
    at = coo_matrix((ones, (corner[few], place[few])), (3 * n, place.max() + 1)).tocsr()
    pairs = (at @ at.T).tocoo()

    # A corner's normal is the sum over its pairs of area times normal, scaled to unit length.
    near = (flat[face[pairs.row]] * flat[face[pairs.col]]).sum(1) >= CREASE
    row, column = pairs.row[near], pairs.col[near]
    weight = coo_matrix((area[face[column]], (row, column)), (3 * n, 3 * n)).tocsr()
    return unit(np.asarray(weight @ flat[face]), flat[face]).reshape(n, 3, 3)


def unit(vectors: Floats, otherwise: Floats) -> Floats:
    """Return vectors [..., 3] at length 1; where they have none or are not finite, the others."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    good = (length > 1e-12) & np.isfinite(length)
    return np.where(good, vectors / np.where(good, length, 1), otherwise)
