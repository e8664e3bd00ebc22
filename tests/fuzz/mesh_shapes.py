"""Solids of polygons as plain numbers, and the triangles that a reader must make of them."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.spatial import ConvexHull

GRID = 127  # corners are on a grid, so that formats of whole numbers can hold them
GREY = (0.8, 0.8, 0.8, 1.0)


@dataclass(frozen=True)
class Shape:
    """V points and P polygons in parts.

    Attributes:
        points: [V, 3].
        polygons: of each, its points.
        part: [P], the part of each polygon.
        normals: [V, 3]; None for none.
        colours: [V, 4], RGBA of points, in 0..255; None for none.
        of_faces: [P, 4], RGBA of polygons; None for none.
        of_parts: [parts, 4], RGBA of materials; None for none.
        uv: [V, 2], places in textures; None for none.
        pictures: of each part, a texture [H, W, 3]; empty for none.
    """

    points: np.ndarray
    polygons: list[list[int]]
    part: np.ndarray
    normals: np.ndarray | None = None
    colours: np.ndarray | None = None
    of_faces: np.ndarray | None = None
    of_parts: np.ndarray | None = None
    uv: np.ndarray | None = None
    pictures: tuple[np.ndarray, ...] = ()

    def triangles(self) -> tuple[np.ndarray, np.ndarray]:
        """Return triangles [T, 3] that have an area, and the polygon [T] of each."""
        fans = [
            ((one[0], second, third), number)
            for number, one in enumerate(self.polygons)
            for second, third in pairwise(one[1:])
            if len({one[0], second, third}) == 3
        ]
        return np.array([corners for corners, _ in fans]), np.array([owner for _, owner in fans])

    def fans(self) -> "Shape":
        """Return the same with triangles only, those without an area included."""
        fans = [
            ([one[0], second, third], number)
            for number, one in enumerate(self.polygons)
            for second, third in pairwise(one[1:])
        ]
        return replace(
            self,
            polygons=[corners for corners, _ in fans],
            part=self.part[[owner for _, owner in fans]],
        )


def solid(kind: str, chance: np.random.Generator) -> tuple[np.ndarray, list[list[int]]]:
    """Return points of the grid and polygons of one of the kinds that are below."""
    match kind:
        case "box":
            sides = chance.integers(20, GRID, 3)
            points = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
            faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4]]
            return points * sides, [*faces, [1, 5, 7, 3]]
        case "prism":
            n = int(chance.integers(5, 10))
            angles = 2 * np.pi * np.arange(n) / n
            ring = np.rint(GRID * np.stack([np.cos(angles), np.sin(angles)], 1))
            ends = [np.insert(ring, 1, height, 1) for height in (-90, 90)]
            sides = [[k, (k + 1) % n, n + (k + 1) % n, n + k] for k in range(n)]
            return np.concatenate(ends), [list(range(n)), list(range(n, 2 * n)), *sides]
        case "hull":
            points = _distinct(chance, int(chance.integers(8, 15)))
            return points, ConvexHull(points).simplices.tolist()
        case _:  # a soup of triangles
            corners = np.array([[60, 0, 0], [0, 60, 0], [0, 0, 60]])
            turns = chance.permuted(np.tile(np.arange(3), (8, 1)), axis=1)
            points = corners[turns] + chance.integers(-60, 61, (8, 1, 3))
            return points.reshape(-1, 3), np.arange(24).reshape(-1, 3).tolist()


def _distinct(chance: np.random.Generator, count: int) -> np.ndarray:
    return np.unique(chance.integers(-GRID, GRID + 1, (count, 3)), axis=0)


def framed(shape: Shape) -> np.ndarray:
    """Return what a reader must make of a shape: rows [T, 3, n] of place, normal, uv and colour.

    They are those of the corners of all triangles, the whole in the middle, its farthest corner at
    0.84, and z up instead of y. A number of the picture comes last.
    """
    corners, owner = shape.triangles()
    points = shape.points[corners]
    low, high = points.min((0, 1)), points.max((0, 1))
    points = points - (low + high) / 2
    points *= 0.84 / np.linalg.norm(points, axis=-1).max()

    colour = np.broadcast_to(np.array(GREY), (*corners.shape, 4))
    if shape.of_parts is not None:
        colour = np.repeat(shape.of_parts[shape.part[owner]][:, None] / 255, 3, 1)
    elif shape.colours is not None:
        colour = shape.colours[corners] / 255
    elif shape.of_faces is not None:
        colour = np.repeat(shape.of_faces[owner][:, None] / 255, 3, 1)

    uv, picture = np.zeros((*corners.shape, 2)), np.full((*corners.shape, 1), picture_number(None))
    if shape.pictures:
        assert shape.uv is not None
        uv = shape.uv[corners]
        numbers = np.array([picture_number(each) for each in shape.pictures])
        picture = np.broadcast_to(numbers[shape.part[owner]][:, None, None], picture.shape)
    normals = np.zeros(points.shape) if shape.normals is None else shape.normals[corners]
    return np.concatenate([upright(points), upright(normals), uv, colour, picture], -1)


def upright(vectors: np.ndarray) -> np.ndarray:
    """Return vectors [..., 3] with z up instead of y."""
    return np.stack([vectors[..., 0], -vectors[..., 2], vectors[..., 1]], -1)


def picture_number(picture: np.ndarray | None) -> float:
    """Return a number that tells a few pictures apart; 255 for white and for none."""
    return 255.0 if picture is None else float(picture[..., :3].mean())
