"""Random numbers as pure functions of keys.

No generator has a state, so no draw depends on what was drawn before it.
"""

import numpy as np
import numpy.typing as npt

from seqjepa.types import Indices


def epoch_order(size: int, seed: int, split: str, epoch: int) -> Indices:
    """Return the order [size] in which an epoch visits the objects of a split."""
    return np.random.default_rng([seed, *split.encode(), epoch]).permutation(size)


def draw_key(seed: int, split: str, epoch: Indices | int, index: Indices) -> Indices:
    """Return random keys [B], a pure function of (seed, split, epoch, object)."""
    salt = np.random.SeedSequence([seed, *split.encode()]).generate_state(1, np.uint64)[0]
    # Unsigned sums wrap around, as a hash wants them to.
    with np.errstate(over="ignore"):
        epoch_key = scramble(np.asarray(epoch).astype(np.uint64) + salt)
        return scramble(epoch_key + index.astype(np.uint64)).astype(np.int64)


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of torch's generators for a rank's share of a step.

    Its 32 bits depend on all three numbers: of a longer seed the CPU's generator takes only the
    lowest 32 bits.
    """
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])


def scramble(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Mix counters into 64 random bits: splitmix64 (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def spread(key: npt.NDArray[np.int64 | np.uint64], count: int) -> npt.NDArray[np.uint64]:
    """Derive `count` keys [..., count] from each key.

    They are as if drawn independently, yet a pure function of the key and the place.
    """
    # Multiples of an odd number differ, and in many bits, so XOR gives each place its own key.
    counter = np.arange(count, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)
    return scramble(key.astype(np.uint64)[..., None] ^ counter)


def uniforms(key: npt.NDArray[np.int64 | np.uint64], count: int) -> npt.NDArray[np.float64]:
    """Draw `count` numbers [..., count] in [0, 1) from each key.

    Each is a pure function of the key and the place.
    """
    # The upper 53 bits fill a double's mantissa exactly, so 1 is never reached.
    return (spread(key, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def choose_views(key: Indices, num_views: int, available: int) -> Indices:
    """Draw `num_views` different views [B, num_views] out of `available` for each key.

    Every ordered selection is equally likely: the views are sorted by random numbers.
    """
    return np.argsort(spread(key, available), axis=1, kind="stable")[:, :num_views]
