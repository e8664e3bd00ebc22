"""Textures as one table of texels, at the resolution that a picture can show."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from seqjepa.errors import DataError
from seqjepa.render.kernels import EYE_SLOPE, Floats, Ints
from seqjepa.render.meshes.mesh import Mesh
from seqjepa.render.raycast import EYE_RADIUS

Singles = npt.NDArray[np.float32]
Mode = Literal["wrap", "edge", "symmetric"]

MOST_WRAPPED = 16_000_000  # pixels of a texture that is laid out because it does not repeat


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
        """Return RGB and alpha [n, 4] of triangles [n] at places [n, 2].

        They are bilinear; the picture repeats in both directions.
        """
        picture, values = self.picture[face], self.values
        width, height, start = self.width[picture], self.height[picture], self.start[picture]

        # The centre of texel (row, column) is at (column + 0.5, row + 0.5); rows count downwards,
        # v upwards. The fractions say how far the place is towards the next column and row.
        x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
        column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        right, down = (x - column)[:, None], (y - row)[:, None]

        first, second = column % width, (column + 1) % width
        upper, lower = start + row % height * width, start + (row + 1) % height * width
        above = values[upper + first] * (1 - right) + values[upper + second] * right
        below = values[lower + first] * (1 - right) + values[lower + second] * right
        mixed = above * (1 - down) + below * down

        # Colours were multiplied by alpha, so that clear texels do not tint their neighbours.
        alpha = mixed[:, 3:]
        return np.concatenate([mixed[:, :3] / np.where(alpha > 0, alpha, np.inf), alpha], 1)


def pack(mesh: Mesh, image_size: int) -> Texels:
    """Return the textures of a framed mesh, shrunk to the resolution of its pictures.

    Each triangle's texel is then about as large as a sample of the picture. Otherwise fine textures
    would turn into noise that changes from view to view.
    """
    # Width of a sample on an object in the middle; each pixel has 2 x 2 samples.
    sample = EYE_RADIUS * 2 * EYE_SLOPE / (2 * image_size)
    level = _levels(mesh, sample)

    # Each texture once for each level that is asked for.
    wanted, picture = np.unique(np.stack([mesh.texture, level], 1), axis=0, return_inverse=True)
    pictures = [_shrunk(mesh.textures[texture], 2 ** int(level)) for texture, level in wanted]
    values = np.concatenate([p.reshape(-1, 4) for p in pictures])
    size = np.array([p.shape[:2] for p in pictures], np.int64)
    start = np.concatenate([[0], np.cumsum(size.prod(1))[:-1]]).astype(np.int64)
    return Texels(values, start, size[:, 1], size[:, 0], picture.reshape(-1))


def wrapped(
    picture: npt.NDArray[np.uint8], uv: Floats, modes: tuple[Mode, Mode]
) -> tuple[npt.NDArray[np.uint8], Floats]:
    """Return a texture that repeats and places in it, for one that goes on in another way.

    Args:
        picture: [H, W, 4].
        uv: [..., 2], places in it.
        modes: along u and v: `wrap` repeats, `edge` goes on like the edge, and `symmetric` repeats
            in a mirror.

    Raises:
        DataError: if the places go so far beyond the picture that the texture would be too large.
    """
    # As many pictures as the places reach over are laid side by side.
    lows, highs = np.floor(np.nanmin(uv.reshape(-1, 2), 0)), np.nanmax(uv.reshape(-1, 2), 0)
    spans, before = [1, 1], [0, 0]
    for axis, mode in enumerate(modes):
        if mode != "wrap" and (lows[axis] < 0 or highs[axis] > 1):
            before[axis] = max(0, -int(lows[axis]))
            spans[axis] = before[axis] + max(1, int(np.ceil(highs[axis])))
    if spans == [1, 1]:
        return picture, uv

    height, width = picture.shape[:2]
    if height * width * spans[0] * spans[1] > MOST_WRAPPED:
        reach = " x ".join(map(str, spans))
        raise DataError(f"a texture that does not repeat is laid out {reach} times its size")
    # Rows count downwards, v upwards.
    above, below = (spans[1] - before[1] - 1) * height, before[1] * height
    left, right = before[0] * width, (spans[0] - before[0] - 1) * width
    rows = [(above, below), (0, 0), (0, 0)]
    columns = [(0, 0), (left, right), (0, 0)]
    for mode, margins in zip(modes, (columns, rows), strict=True):
        picture = np.pad(picture, margins, mode=mode)
    return picture, (uv + before) / spans


def _levels(mesh: Mesh, sample: float) -> Ints:
    """Return how many times to halve the texture of each triangle [F].

    Args:
        mesh: framed.
        sample: width of a sample of the picture, in the mesh's unit of length.
    """
    # A triangle with edges e1, e2 [3] has the area |e1 x e2| / 2. Its edges s1, s2 [2] in the
    # texture, counted in texels, enclose |det(s1, s2)| / 2 texels. The square root of their ratio
    # is the number of texels per unit of length, whichever way the texture is turned on it.
    size = np.array([picture.shape[1::-1] for picture in mesh.textures], np.float64)[mesh.texture]
    edges = mesh.points[:, 1:] - mesh.points[:, :1]
    spans = (mesh.uv[:, 1:] - mesh.uv[:, :1]) * size[:, None]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    texels = np.abs(spans[:, 0, 0] * spans[:, 1, 1] - spans[:, 0, 1] * spans[:, 1, 0])
    per_sample = np.sqrt(texels / np.maximum(area, 1e-12)) * sample

    # Halving n times leaves per_sample / 2^n texels for a sample: about one for n = log2. None is
    # halved below one texel, or enlarged.
    halvings = np.rint(np.log2(np.maximum(per_sample, 1)))
    most = np.floor(np.log2(size.min(1)))
    return np.asarray(np.minimum(halvings, most), np.int64)


def _shrunk(picture: npt.NDArray[np.uint8], factor: int) -> Singles:
    """Return a picture [H, W, 4], colours times alpha, shrunk by a whole factor."""
    values = picture.astype(np.float32) / np.float32(255)
    values[..., :3] *= values[..., 3:]
    if factor == 1:
        return values
    channels = [Image.fromarray(values[..., c]).reduce(factor) for c in range(4)]
    return np.stack([np.asarray(channel, np.float32) for channel in channels], -1)
