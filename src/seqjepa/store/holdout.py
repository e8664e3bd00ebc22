"""Hold objects out of training, for choosing settings and for testing.

Each data set brings its own order of objects, settled by a hash, so that the same objects are held
out on every machine. The rest is the same for all of them.
"""

from collections.abc import Mapping

import numpy as np

from seqjepa.errors import DataError
from seqjepa.reading.findings import plural
from seqjepa.types import Indices


def hold_out(
    order: Indices, fractions: Mapping[str, float], where: str, remedy: str
) -> dict[str, Indices]:
    """Split objects into `train` and held-out splits.

    Args:
        order: [N] objects; the first ones are held out.
        fractions: of all objects, by split. One above 0 holds out one object at least.
        where: the data, for messages.
        remedy: what to do if nothing is left to train on.

    Returns:
        The objects of `train` and of each held-out split, ascending.

    Raises:
        DataError: if nothing is left to train on.
    """
    counts = {split: held_out(len(order), fraction) for split, fraction in fractions.items()}
    splits = deal(order, counts)

    # An empty data set is refused where it is read.
    if len(order) and not len(splits["train"]):
        names = " and ".join(f"`{split}`" for split in fractions)
        raise DataError(
            f"{where} has {plural(len(order), 'object')}, too few to hold some of them out for "
            f"{names}, at least one each: {remedy}"
        )

    return splits


def held_out(size: int, fraction: float) -> int:
    """Return how many of `size` objects a fraction holds out, at least one if it is above 0."""
    return max(1, round(fraction * size)) if fraction > 0 else 0


def deal(order: Indices, counts: Mapping[str, int]) -> dict[str, Indices]:
    """Give the first objects [N] of an order to the named splits in turn, the rest to `train`.

    Returns:
        The objects of each split, ascending; `train` comes first.
    """
    ends = np.cumsum(list(counts.values()))
    *held, train = np.split(order, ends)
    return {"train": np.sort(train)} | {
        split: np.sort(objects) for split, objects in zip(counts, held, strict=True)
    }
