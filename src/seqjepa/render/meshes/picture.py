"""Meshes as pictures, in the scene and light of `raycast`.

Embree finds what the rays hit, and the shapes world's kernels shade it. The mesh stays where it is
and the rays are turned instead, so that Embree sorts its triangles once for all views.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seqjepa.errors import needs_extra
from seqjepa.render.kernels import (
    EYE,
    FLOOR,
    FLOOR_Z,
    LIGHT,
    SHADOW_END,
    Bytes,
    Floats,
    Ints,
    sights,
    spots,
    tones,
)
from seqjepa.render.meshes.mesh import Mesh, face_normals, unit
from seqjepa.render.meshes.texture import pack
from seqjepa.render.raycast import stages
from seqjepa.render.scene import euler_to_matrix

UP = (0.0, 0.0, 1.0)
SURFACES = 8  # Transparent surfaces that a ray may pass.
STEP = 1e-4  # A ray restarts this far beyond a surface.
CLEAR = 1 / 512  # Rays with less light left than this end.


def render_mesh(mesh: Mesh, latents: npt.NDArray[np.float32], image_size: int) -> Bytes:
    """Return pictures [V, S, S, 3] of a framed mesh under latent vectors [V, 7].

    Each pixel is the mean of 2 x 2 samples. The latents are those of `scene.LATENTS`.
    """
    factors = latents.astype(np.float64)
    turns, scenes = euler_to_matrix(factors[:, :3]), stages(*factors[:, 3:].T)

    target = RayTarget(mesh, image_size)
    views = np.empty((len(latents), image_size, image_size, 3), np.uint8)
    for view, turn, stage in zip(views, turns, scenes, strict=True):
        view[:] = _pixels(target.picture(turn, stage, 2 * image_size))
    return views


def is_seen(views: Bytes, latents: npt.NDArray[np.float32]) -> bool:
    """Return whether an object changes a pixel of its pictures, its shadow included.

    A step of 1 / 255 is no change. `views` are what `render_mesh` returns for the latents.
    """
    scenes = stages(*latents[:, 3:].astype(np.float64).T)
    for view, stage in zip(views, scenes, strict=True):
        ahead, t = _sights(stage, 2 * len(view))
        points, up = stage[EYE] + t[:, None] * ahead, np.tile(UP, (len(t), 1))
        colours = np.tile(stage[FLOOR], (len(t), 1))
        empty = _pixels(tones(stage, colours, up, spots(stage, points, up)))
        if (np.abs(view.astype(int) - empty) > 1).any():
            return True
    return False


def _sights(stage: Floats, size: int) -> tuple[Floats, Floats]:
    """Return rays [size * size, 3] from the eye, and where [size * size] they end: at the floor."""
    ahead = sights(stage, size)
    return ahead, (FLOOR_Z - stage[EYE, 2]) / ahead[:, 2]


def _pixels(samples: Floats) -> Bytes:
    """Return the picture [S, S, 3] of samples [4 S^2, 3]."""
    size = math.isqrt(len(samples)) // 2
    means = samples.reshape(size, 2, size, 2, 3).mean((1, 3))
    return np.asarray(means + 0.5, np.uint8)  # half a unit to round, as the conversion cuts


@dataclass(frozen=True)
class Hits:
    """The first surfaces that n rays hit.

    Attributes:
        ray: [n], indices of the rays that hit something.
        face: [n], triangles.
        weight: [n, 3], barycentric: how much each corner counts.
        t: [n], ray parameters.
    """

    ray: Ints
    face: Ints
    weight: Floats
    t: Floats


class RayTarget:
    """A mesh that rays can be sent to."""

    def __init__(self, mesh: Mesh, image_size: int) -> None:
        self.mesh, self.texels, self.opaque = mesh, pack(mesh, image_size), mesh.opaque
        self.flat = face_normals(mesh.points)
        self.embree = _embree(mesh)

    def picture(self, turn: Floats, stage: Floats, size: int) -> Floats:
        """Return samples [size * size, 3], RGB in [0, 255], of the mesh turned by `turn` [3, 3].

        `stage` [10, 3] is that of `raycast.stages`.
        """
        (ahead, t), eye = _sights(stage, size), np.broadcast_to(stage[EYE], (size * size, 3))
        floor, up = eye + t[:, None] * ahead, np.broadcast_to(UP, eye.shape)

        # Surfaces from front to back: of the light that still comes `through`, one with alpha gives
        # its own colour to that share and leaves 1 - alpha to what is behind.
        out, through = np.zeros((size * size, 3)), np.ones(size * size)
        ray, begin = np.arange(size * size), np.zeros(size * size)
        for _ in range(SURFACES):
            start = eye[ray] + begin[ray, None] * ahead[ray]
            hits = self._first(start, ahead[ray], turn, t[ray] - begin[ray])
            ray = ray[hits.ray]
            if not len(ray):
                break
            begin[ray] += hits.t

            points = eye[ray] + begin[ray, None] * ahead[ray]
            colour, alpha = self._colour(hits)
            normals = self._normals(hits, ahead[ray], turn)
            tone = self._shade(stage, turn, points, colour, normals)
            out[ray] += (through[ray] * alpha)[:, None] * tone

            through[ray] *= 1 - alpha
            begin[ray] += STEP
            ray = ray[through[ray] > CLEAR]

        # The floor gets what is left.
        seen = np.flatnonzero(through > CLEAR)
        colour = np.broadcast_to(stage[FLOOR], (len(seen), 3))
        out[seen] += through[seen, None] * self._shade(stage, turn, floor[seen], colour, up[seen])
        return out

    def _shade(
        self, stage: Floats, turn: Floats, points: Floats, colours: Floats, normals: Floats
    ) -> Floats:
        """Return the tones [n, 3] in [0, 255] of points [n, 3], in the stage's light and shadow.

        `colours` [n, 3] are in [0, 1]; `normals` are [n, 3].
        """
        normals = np.ascontiguousarray(normals)
        spot = spots(stage, points, normals)
        lit = np.flatnonzero(spot > 0)
        spot[lit] *= self._light(stage[LIGHT], points[lit], turn)
        return tones(stage, np.ascontiguousarray(colours), normals, spot)

    def _light(self, source: Floats, points: Floats, turn: Floats) -> Floats:
        """Return the share [n] of the light that reaches points [n, 3] from a source [3]."""
        n = len(points)
        ahead, begin, through = points - source, np.zeros(n), np.ones(n)
        start = np.broadcast_to(source, points.shape)
        if self.opaque:
            hits = self._first(start, ahead, turn, np.full(n, SHADOW_END))
            through[hits.ray] = 0
            return through

        # A surface lets through what its alpha leaves.
        ray = np.arange(n)
        for _ in range(SURFACES):
            begins = start[ray] + begin[ray, None] * ahead[ray]
            hits = self._first(begins, ahead[ray], turn, SHADOW_END - begin[ray])
            ray = ray[hits.ray]
            if not len(ray):
                break

            through[ray] *= 1 - self._colour(hits)[1]
            begin[ray] += hits.t + STEP
            ray = ray[through[ray] > CLEAR]
        return through

    def _first(self, start: Floats, ahead: Floats, turn: Floats, end: Floats) -> Hits:
        """Return the first surface on each ray start + t ahead [n, 3], 0 < t < end [n]."""
        # The mesh is turned by `turn`, so rays are turned by its inverse: v @ turn, for rows of
        # vectors. Embree reads single precision.
        start, ahead = (start @ turn).astype(np.float32), (ahead @ turn).astype(np.float32)
        found = self.embree.run(start, ahead, end.astype(np.float32), output=1)

        ray = np.flatnonzero(found["primID"] >= 0)
        face, t = found["primID"][ray].astype(np.int64), found["tfar"][ray].astype(np.float64)
        u, v = found["u"][ray].astype(np.float64), found["v"][ray].astype(np.float64)
        return Hits(ray, face, np.stack([1 - u - v, u, v], 1), t)

    def _colour(self, hits: Hits) -> tuple[Floats, Floats]:
        """Return colours [n, 3] in [0, 1] and alpha [n] of the surfaces that were hit."""
        uv = np.einsum("nk,nkd->nd", hits.weight, self.mesh.uv[hits.face])
        own = np.einsum("nk,nkd->nd", hits.weight, self.mesh.colour[hits.face])
        colour = own * self.texels.at(hits.face, uv)
        return colour[:, :3], colour[:, 3]

    def _normals(self, hits: Hits, ahead: Floats, turn: Floats) -> Floats:
        """Return unit normals [n, 3] in the world, on the side that the ray comes from.

        The file may call either side outside.
        """
        flat = self.flat[hits.face] @ turn.T
        flat *= np.where((flat * ahead).sum(1, keepdims=True) > 0, -1, 1)
        smooth = np.einsum("nk,nkd->nd", hits.weight, self.mesh.normals[hits.face]) @ turn.T
        smooth *= np.where((smooth * flat).sum(1, keepdims=True) < 0, -1, 1)
        return unit(smooth, flat)


def _embree(mesh: Mesh) -> Any:
    """Return the mesh as an Embree scene; raise ConfigError if embreex is not installed."""
    with needs_extra("meshes", "drawing meshes"):
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

    scene, corners = EmbreeScene(), mesh.points.reshape(-1, 3)
    indices = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    TriangleMesh(scene=scene, vertices=corners.astype(np.float32), indices=indices)
    return scene
