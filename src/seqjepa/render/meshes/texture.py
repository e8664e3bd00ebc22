"""Textures as one table of texels, at the resolution that a picture can show."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from seqjepa.render.kernels import EYE_SLOPE, Floats, Ints
from seqjepa.render.meshes.mesh import Mesh
from seqjepa.render.raycast import EYE_RADIUS

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Texels:
    """Pictures one after the other; a plain colour is a picture of one texel.

    Attributes:
        values: [N, 4], RGB times alpha and alpha, in [0, 1].
        start, width, height: [K], where picture k begins and its size.
        picture: [F], the picture of each triangle.
    """

    values: Singles
    start: Ints
    width: Ints
    height: Ints
    picture: Ints

    def at(self, face: Ints, uv: Floats) -> Floats:
        """RGB and alpha [n, 4] of triangles [n] at places [n, 2]: bilinear, the picture repeated in
        both directions.
        """
        picture = self.picture[face]
        width, height, start = self.width[picture], self.height[picture], self.start[picture]
        x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
        column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        right, down = (x - column)[:, None], (y - row)[:, None]
        left_column, right_column = column % width, (column + 1) % width
        upper, lower = start + row % height * width, start + (row + 1) % height * width
        above = (
            self.values[upper + left_column] * (1 - right)
            + self.values[upper + right_column] * right
        )
        below = (
            self.values[lower + left_column] * (1 - right)
            + self.values[lower + right_column] * right
        )
        mixed = above * (1 - down) + below * down
        alpha = mixed[:, 3:]
        return np.concatenate([mixed[:, :3] / np.where(alpha > 0, alpha, np.inf), alpha], 1)


def pack(mesh: Mesh, image_size: int) -> Texels:
    """The textures of a framed mesh, each triangle's shrunk so that a texel is about as large as a
    sample of the picture.

    A picture has 2 x 2 samples for each pixel. Without this, fine textures would turn into noise
    that changes from view to view.
    """
    sample = (
        EYE_RADIUS * 2 * EYE_SLOPE / (2 * image_size)
    )  # width of a sample on an object in the middle
    level = _levels(mesh, sample)
    wanted, picture = np.unique(np.stack([mesh.texture, level], 1), axis=0, return_inverse=True)
    pictures = [_shrunk(mesh.textures[texture], 2 ** int(level)) for texture, level in wanted]
    size = np.array([p.shape[:2] for p in pictures], np.int64)
    start = np.concatenate([[0], np.cumsum(size.prod(1))[:-1]]).astype(np.int64)
    return Texels(
        np.concatenate([p.reshape(-1, 4) for p in pictures]),
        start,
        size[:, 1],
        size[:, 0],
        picture.reshape(-1),
    )


def _levels(mesh: Mesh, sample: float) -> Ints:
    """How many times to halve the texture of each triangle [F]."""
    size = np.array([picture.shape[1::-1] for picture in mesh.textures], np.float64)[mesh.texture]
    edges, spans = (
        mesh.points[:, 1:] - mesh.points[:, :1],
        (mesh.uv[:, 1:] - mesh.uv[:, :1]) * size[:, None],
    )
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    texels = np.abs(spans[:, 0, 0] * spans[:, 1, 1] - spans[:, 0, 1] * spans[:, 1, 0])
    per_sample = np.sqrt(texels / np.maximum(area, 1e-12)) * sample
    halvings = np.minimum(
        np.rint(np.log2(np.maximum(per_sample, 1))), np.floor(np.log2(size.min(1)))
    )
    return np.asarray(halvings, np.int64)


def _shrunk(picture: npt.NDArray[np.uint8], factor: int) -> Singles:
    """A picture [H, W, 4] with its colours multiplied by alpha, shrunk by a whole factor."""
    values = picture.astype(np.float32) / np.float32(255)
    values[..., :3] *= values[..., 3:]
    if factor == 1:
        return values
    return np.stack(
        [np.asarray(Image.fromarray(values[..., c]).reduce(factor), np.float32) for c in range(4)],
        -1,
    )
