"""The `shapes` world: a procedural 3DIEBench.

Parametric objects stand in its scene, with its factors and ranges (Garrido et al. 2023). Splits are
by object. Besides `train`, `val` and `test` there are three tests out of distribution:

- `ood_rotation`: known kinds of objects turned where no training view is. R = Rz Ry Rx with |y| <=
  pi/2 names every rotation once, so an x or z beyond +-pi/2 is a new rotation, no alias of a
  trained one (which is what the published OOD set holds, for R(x, y, z) = R(x + pi, pi - y, z +
  pi)).
- `ood_class`: classes never trained on.
- `ood_colour`: objects in colours never trained on.

With `world.translation` objects move within the scene too, in every split alike, as in 3DIEBench-T
(EquiCaps, Konstantinou et al. 2025). There a latent's translation comes before its rotation, so
that the object stands at R t; here it stands at t.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from seqjepa.actions import ActionSpace
from seqjepa.checks import at_least
from seqjepa.errors import ConfigError
from seqjepa.from_json import added_in
from seqjepa.render.kernels import EYE_SLOPE, FLOOR_Z
from seqjepa.render.raycast import EYE_RADIUS
from seqjepa.render.scene import (
    FACTORS,
    TRANSLATED_FACTORS,
    render_latents,
    sample_latents,
    sample_translations,
)
from seqjepa.render.solids import CLASSES, RADIUS, UNSEEN_CLASSES, make_objects
from seqjepa.store.cache import Plan, cached_tables
from seqjepa.store.table import pixel_statistics
from seqjepa.types import Indices
from seqjepa.worlds.base import WorldConfig, WorldSpec
from seqjepa.worlds.table import TableWorld

SPLITS = ("train", "val", "test", "ood_rotation", "ood_class", "ood_colour")
VERSION = 1  # part of the cache's key: raise it when a render changes
FARTHEST = 0.5  # the largest translation: objects get smaller with it


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Size of the world and what its actions are.

    Attributes:
        image_size: pixels per side.
        train_objects: objects for training.
        test_objects: objects in each of the five other splits.
        views: number of views of each object.
        actions: groups to condition on: `rotation`, `floor_hue`, `light_hue`, `light_direction`,
            and `translation` if objects move.
        render_seed: seed of objects and poses.
        translation: farthest that objects move from the origin along each axis, in the scene's
            units, from 0 to 0.5. They are smaller then, and the camera stands farther away, so that
            all of each object is in the picture and above the floor.
    """

    image_size: int = 64
    train_objects: int = 20_000
    test_objects: int = 2_000
    views: int = 16
    actions: tuple[str, ...] = ("rotation",)
    render_seed: int = 0
    translation: float = added_in(5, 0.0)

    def __post_init__(self) -> None:
        at_least(self, image_size=8, train_objects=1, test_objects=1, views=2, render_seed=0)
        if not 0 <= self.translation <= FARTHEST:
            raise ConfigError(
                f"world.translation must lie in 0..{FARTHEST}, got {self.translation}"
            )
        TRANSLATED_FACTORS.select(self.actions)
        if not self.translation and "translation" in self.actions:
            raise ConfigError(
                "world.actions has translation, but objects do not move: set world.translation, "
                "to 0.3 for example"
            )

    classes: ClassVar[tuple[str, ...]] = (*CLASSES, *UNSEEN_CLASSES)

    @override
    def build(self) -> TableWorld:
        """Build the world; it is rendered into the cache on first use."""
        tables = cached_tables("shapes", self.key(), self.plans())
        return TableWorld(self._spec(*pixel_statistics(tables["train"])), tables, self.render)

    @override
    def outline(self) -> WorldSpec:
        return self._spec((0.5,) * 3, (0.25,) * 3)

    def key(self) -> dict[str, Any]:
        """Return all that the views depend on, as JSON data."""
        fields = asdict(self)
        del fields["actions"]
        # Caches made before objects could move are those of objects that do not.
        if not self.translation:
            del fields["translation"]
        return {"version": VERSION} | fields

    def plans(self) -> dict[str, Plan]:
        """Return the plan for rendering the views of each split."""
        return {split: self._plan(split) for split in SPLITS}

    @property
    def factors(self) -> ActionSpace:
        """Return every group of factors."""
        return TRANSLATED_FACTORS if self.translation else FACTORS

    def _spec(self, mean: tuple[float, ...], std: tuple[float, ...]) -> WorldSpec:
        return WorldSpec(
            name="shapes",
            image_shape=(3, self.image_size, self.image_size),
            classes=self.classes,
            factors=self.factors,
            actions=self.factors.select(self.actions),
            splits=SPLITS,
            views_per_object=self.views,
            mean=mean,
            std=std,
        )

    def _plan(self, split: str) -> Plan:
        """Draw the objects, poses and labels of a split."""
        # The order of these draws is part of the world: another one gives other pictures.
        rng, labels, seeds = self._objects(split)
        number = len(labels)
        latents = sample_latents(rng, number * self.views)
        if split == "ood_rotation":
            latents[:, :3] = unseen_rotations(rng, latents[:, :3])
        # Drawn last: objects that move are those that stay, in the same other poses.
        if self.translation:
            moves = sample_translations(rng, len(latents), self.translation)
            latents = np.concatenate([latents, moves], 1)
        poses = latents.reshape(number, self.views, -1)

        def render(start: int, stop: int) -> npt.NDArray[np.uint8]:
            return self._render(split, labels[start:stop], seeds[start:stop], poses[start:stop])

        return Plan(poses, labels, (self.image_size, self.image_size, 3), render)

    def render(
        self, split: str, index: Indices, poses: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.uint8]:
        """Return the views [B, T, S, S, 3] of objects `index` [B] of a split at poses [B, T, P]."""
        _, labels, seeds = self._objects(split)
        return self._render(split, labels[index], seeds[index], poses)

    def _objects(self, split: str) -> tuple[np.random.Generator, Indices, Indices]:
        """Return a split's generator, after it drew the objects, their classes and their seeds."""
        number = self.train_objects if split == "train" else self.test_objects
        rng = np.random.default_rng([self.render_seed, *split.encode()])

        # Classes take turns, so that all are equally frequent.
        if split == "ood_class":
            labels = len(CLASSES) + np.arange(number) % len(UNSEEN_CLASSES)
        else:
            labels = np.arange(number) % len(CLASSES)
        return rng, labels, rng.integers(2**62, size=number)

    def _render(
        self, split: str, labels: Indices, seeds: Indices, poses: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.uint8]:
        """Return the views [B, T, S, S, 3] of objects of classes and seeds [B]."""
        palette = "unseen" if split == "ood_colour" else "natural"
        radius, eye_radius = framing(self.translation)
        objects = make_objects(labels, seeds, palette, radius)
        owner = np.repeat(np.arange(len(labels)), poses.shape[1])
        flat_poses = poses.reshape(-1, poses.shape[-1])
        images = render_latents(objects, owner, flat_poses, self.image_size, eye_radius=eye_radius)
        return images.reshape(*poses.shape[:2], *images.shape[1:])


def framing(translation: float) -> tuple[float, float]:
    """Return the radius of objects and the distance of the camera from the origin.

    Within them, no object that moves by `translation` along each axis sinks into the floor or
    leaves the picture. Without a translation, they are those of 3DIEBench's scene.
    """
    if not translation:
        return RADIUS, EYE_RADIUS
    radius = min(RADIUS, -FLOOR_Z - translation)

    # The camera looks down at 45 degrees along y, with x to its side. A ball at (x, y, z) is right
    # of the picture's left side if s (distance - (y + z) / sqrt 2) + x >= radius sqrt(1 + s^2),
    # where s is the side's slope. The worst corner of the cube of translations is x = -t, y = z =
    # t; top and bottom take less.
    s = EYE_SLOPE
    distance = (radius * math.hypot(1, s) + translation) / s + math.sqrt(2) * translation
    return radius, distance


def unseen_rotations(
    rng: np.random.Generator, angles: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Move Euler angles [n, 3] within +-pi/2 outside the trained cube.

    x, z or both turn by half a circle, each choice equally likely; y stays.
    """
    choices = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 1]], dtype=np.float32)
    move = choices[rng.integers(3, size=len(angles))]
    # Half a turn towards 0, so that angles stay within +-pi.
    return np.where(move == 1, angles - np.sign(angles) * np.float32(np.pi), angles)
