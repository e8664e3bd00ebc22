"""Polygons to triangles."""

import numpy as np
import numpy.typing as npt

from seqjepa.render.kernels import Ints


def triangulate(sizes: npt.ArrayLike) -> tuple[Ints, Ints]:
    """Return triangles [T, 3] of polygons whose corners are numbered one polygon after the other.

    Polygons of more than four corners become fans, and those of fewer than three are left out.

    Args:
        sizes: [P], corners of each polygon.

    Returns:
        The triangles, and the polygon [T] that each is a part of.
    """
    counts = np.asarray(sizes, np.int64)
    starts = np.cumsum(counts) - counts
    triangles, owners = [np.empty((0, 3), np.int64)], [np.empty(0, np.int64)]
    for size in np.unique(counts[counts > 2]).tolist():
        polygons = np.flatnonzero(counts == size)
        first = starts[polygons][:, None]
        for corner in range(1, size - 1):
            # The second half of a quad begins at its third corner.
            order = [2, 3, 0] if (size, corner) == (4, 2) else [0, corner, corner + 1]
            triangles.append(first + order)
            owners.append(polygons)

    joined, owner = np.concatenate(triangles), np.concatenate(owners)
    if counts.max(initial=0) <= 4 and len(np.unique(counts)) == 1:
        return joined, owner
    in_order = np.argsort(owner, kind="stable")
    return joined[in_order], owner[in_order]


def strip(indices: Ints) -> Ints:
    """Return the triangles [T, 3] of a strip [T + 2], of which every other one is turned round."""
    triangles = np.stack([indices[:-2], indices[1:-1], indices[2:]], 1)
    triangles[1::2] = triangles[1::2, ::-1]
    return triangles
