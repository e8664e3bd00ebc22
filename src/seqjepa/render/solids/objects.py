"""Objects by class and seed: their parts, centred, scaled and painted.

No object has a rotational symmetry: handles, labels, levers and drawers in a contrasting paint make
every pose look different, or else relative rotation would have no answer. Colours say nothing of
the class: every object draws its three paints from one palette, whatever it is. Bright colours
would let a method tell objects apart without looking at their shape (measured: it then learns no
rotation at all).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from seqjepa.errors import ConfigError, unknown
from seqjepa.render.raycast import BALL, BOX, TUBE, Floats, Ints, Objects, hsv_to_rgb
from seqjepa.render.solids import creatures, furniture, household, vehicles
from seqjepa.render.solids.parts import Part

RADIUS = 0.9
"""Distance from the origin of every object's farthest point, its bounding box being centred. It is
a little less than fills the picture of an object that stays at the origin."""

Builder = Callable[[Random], list[Part]]

# Labels count these in order, so the order must stay.
_TRAINING: list[Builder] = [
    furniture.bed,
    furniture.bench,
    furniture.bookcase,
    furniture.chair,
    furniture.desk,
    furniture.house,
    furniture.lamp,
    furniture.sofa,
    furniture.stool,
    furniture.table,
    household.bottle,
    household.camera,
    household.guitar,
    household.hammer,
    household.jug,
    household.laptop,
    household.mug,
    household.pan,
    household.teapot,
    vehicles.boat,
    vehicles.bus,
    vehicles.car,
    vehicles.helicopter,
    vehicles.lorry,
    vehicles.plane,
    vehicles.rocket,
    creatures.bird,
    creatures.dog,
    creatures.fish,
]
_UNSEEN: list[Builder] = [
    creatures.horse,
    vehicles.locomotive,
    furniture.monitor,
    vehicles.motorbike,
    creatures.snowman,
    household.watering_can,
]
BUILDERS = {build.__name__: build for build in [*_TRAINING, *_UNSEEN]}

CLASSES: tuple[str, ...] = tuple(build.__name__ for build in _TRAINING)
"""The training classes. A class id is an index into CLASSES + UNSEEN_CLASSES."""

UNSEEN_CLASSES: tuple[str, ...] = tuple(build.__name__ for build in _UNSEEN)
"""Classes never trained on, each with neighbours among the trained ones."""


@dataclass(frozen=True)
class Palette:
    """Ranges of hue (turns, may pass 1), saturation and value that paints are drawn from."""

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]


PALETTES: dict[str, Palette] = {
    # Greys, browns and sand.
    "natural": Palette(hue=(0.98, 1.17), saturation=(0.0, 0.38), value=(0.35, 0.95)),
    # Greens, blues and purples: none of them is natural.
    "unseen": Palette(hue=(0.25, 0.92), saturation=(0.5, 0.85), value=(0.35, 0.95)),
}


def make_objects(
    class_ids: Sequence[int] | Ints,
    seeds: Sequence[int] | Ints,
    palette: str = "natural",
    radius: float = RADIUS,
) -> Objects:
    """Build an object for each pair of class id and seed; it is a pure function of them.

    Its shape depends on class and seed only, its colours on the palette as well.

    Args:
        class_ids: indices into CLASSES + UNSEEN_CLASSES.
        seeds: as many.
        palette: one of PALETTES.
        radius: distance of every object's farthest point from the centre of its bounding box.

    Raises:
        ConfigError: if a class id or the palette is unknown, or the lists differ in length.
    """
    if palette not in PALETTES:
        raise ConfigError(unknown("palette", palette, PALETTES))
    if len(class_ids) != len(seeds):
        raise ConfigError(
            f"make_objects got {len(class_ids)} class ids and {len(seeds)} seeds, "
            "expected as many of one as of the other"
        )

    pairs = zip(class_ids, seeds, strict=True)
    made = [_make(int(class_id), int(seed), PALETTES[palette]) for class_id, seed in pairs]

    # Entries that an object has no part for stay as they are here: see `Objects`.
    n, k = len(made), max((len(parts) for parts, _ in made), default=1)
    objects = Objects(
        kind=np.zeros((n, k), np.int64),
        taper=np.ones((n, k)),
        centre=np.zeros((n, k, 3)),
        axes=np.tile(np.eye(3), (n, k, 1, 1)),
        colour=np.zeros((n, k, 3)),
        count=np.array([len(parts) for parts, _ in made], np.int64),
    )

    for i, (parts, paints) in enumerate(made):
        m = len(parts)
        centre, scale = _framing(parts, radius)
        objects.kind[i, :m] = [part.kind for part in parts]
        objects.taper[i, :m] = [part.taper for part in parts]
        objects.centre[i, :m] = (np.array([part.centre for part in parts]) - centre) * scale
        objects.axes[i, :m] = np.array([part.axes for part in parts]) * scale
        objects.colour[i, :m] = paints[[part.paint for part in parts]]
    return objects


def _make(class_id: int, seed: int, palette: Palette) -> tuple[list[Part], Floats]:
    """Return an object's parts and its three paints [3, 3]."""
    names = CLASSES + UNSEEN_CLASSES
    if not 0 <= class_id < len(names):
        raise ConfigError(
            f"class id {class_id}, expected 0 to {len(names) - 1}: "
            "an index into CLASSES + UNSEEN_CLASSES"
        )

    # Generators are seeded with names, not with ids, so that another list of classes changes no
    # object. Shape and paint have their own, so that another palette changes no shape.
    name = names[class_id]
    parts = BUILDERS[name](Random(f"{name}/{seed}"))
    return parts, _paints(Random(f"paint/{name}/{seed}"), palette)


def _paints(r: Random, palette: Palette) -> Floats:
    """Draw three colours [3, 3]: any tone, one near it in value, and one far from it in value."""
    low, high = palette.value
    middle = (low + high) / 2
    main = r.uniform(low, high)
    near = min(high, max(low, main + r.choice((-1, 1)) * r.uniform(0.08, 0.2)))
    if main > middle:
        far = r.uniform(low, low + 0.3 * (middle - low))
    else:
        far = r.uniform(high - 0.3 * (high - middle), high)

    hue = np.array([r.uniform(*palette.hue) for _ in range(3)])
    saturation = np.array([r.uniform(*palette.saturation) for _ in range(3)])
    return hsv_to_rgb(hue, saturation, np.array([main, near, far]))


def _sphere(n: int) -> Floats:
    """Return n points spread over the unit sphere (a Fibonacci lattice), and the six poles."""
    # Heights at equal steps, each turned on by the golden angle.
    z = 1 - (2 * np.arange(n) + 1) / n
    angle = np.arange(n) * math.pi * (3 - math.sqrt(5))
    ring = np.sqrt(1 - z * z)
    lattice = np.stack([ring * np.cos(angle), ring * np.sin(angle), z], 1)
    return np.concatenate([lattice, np.eye(3), -np.eye(3)])


def _circle(n: int) -> Floats:
    """Return n points on the unit circle at z = 1."""
    angle = np.arange(n) * 2 * math.pi / n
    return np.stack([np.cos(angle), np.sin(angle), np.ones(n)], 1)


# Points of each unit solid that reach as far as it does: its extent is measured by them.
_SURFACE: dict[int, Floats] = {
    BOX: np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]),
    BALL: _sphere(100),
    TUBE: np.concatenate([_circle(24) * [1, 1, -1], _circle(24)]),
}


def _framing(parts: list[Part], radius: float) -> tuple[Floats, float]:
    """Return the centre of all parts' bounding box, and the scale of the object.

    The scale puts the point farthest from the centre at `radius`.
    """
    clouds = []
    for part in parts:
        points = _SURFACE[part.kind]
        if part.kind == TUBE:
            points = points * np.where(points[:, 2:] > 0, [part.taper, part.taper, 1.0], 1.0)
        clouds.append(part.centre + points @ part.axes)
    cloud = np.concatenate(clouds)
    centre = (cloud.min(0) + cloud.max(0)) / 2
    return centre, radius / float(np.sqrt(((cloud - centre) ** 2).sum(1).max()))
