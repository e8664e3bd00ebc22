"""Random numbers as pure functions of keys: no generator has a state, so nothing depends on what
came before."""

import numpy as np
import numpy.typing as npt

from seqjepa.types import Indices


def epoch_order(size: int, seed: int, split: str, epoch: int) -> Indices:
    """The order [size] in which an epoch visits the objects of a split."""
    return np.random.default_rng([seed, *split.encode(), epoch]).permutation(size)


def draw_key(seed: int, split: str, epoch: Indices | int, index: Indices) -> Indices:
    """[B] random keys, a pure function of (seed, split, epoch, object)."""
    salt = np.random.SeedSequence([seed, *split.encode()]).generate_state(1, np.uint64)[0]
    with np.errstate(over="ignore"):
        return scramble(
            scramble(np.asarray(epoch).astype(np.uint64) + salt) + index.astype(np.uint64)
        ).astype(np.int64)


def scramble(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Splitmix64: a counter to 64 well-mixed bits, without state (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def spread(key: npt.NDArray[np.int64 | np.uint64], count: int) -> npt.NDArray[np.uint64]:
    """[..., count] keys out of each key: as if drawn independently, yet a pure function of the key
    and the place."""
    counter = np.arange(count, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)
    return scramble(key.astype(np.uint64)[..., None] ^ counter)


def uniforms(key: npt.NDArray[np.int64 | np.uint64], count: int) -> npt.NDArray[np.float64]:
    """[..., count] numbers in 0 .. 1 (1 excluded) with 53 bits each out of each key, a pure
    function of the key and the place."""
    return (spread(key, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choose_views(key: Indices, num_views: int, available: int) -> Indices:
    """[B, num_views] different views out of `available` for each key, uniform over ordered
    selections."""
    return np.argsort(spread(key, available), axis=1, kind="stable")[:, :num_views]
