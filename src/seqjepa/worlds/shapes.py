"""The `shapes` world: a procedural 3DIEBench.

Parametric objects stand in its scene, with its factors and ranges (Garrido et al. 2023). Splits are
by object. Besides `train`, `val` and `test` there are three tests out of distribution:

- `ood_rotation`: known kinds of objects turned where no training view is. R = Rz Ry Rx with |y| <=
  pi/2 names every rotation once, so an x or z beyond +-pi/2 is a new rotation, no alias of a
  trained one (which is what the published OOD set holds, for R(x, y, z) = R(x + pi, pi - y, z +
  pi)).
- `ood_class`: classes never trained on.
- `ood_colour`: objects in colours never trained on.
"""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from seqjepa.checks import at_least
from seqjepa.render.scene import FACTORS, render_latents, sample_latents
from seqjepa.render.solids import CLASSES, UNSEEN_CLASSES, make_objects
from seqjepa.store.cache import Plan, cached_tables
from seqjepa.store.table import pixel_statistics
from seqjepa.worlds.base import WorldConfig, WorldSpec
from seqjepa.worlds.table import TableWorld

SPLITS = ("train", "val", "test", "ood_rotation", "ood_class", "ood_colour")
VERSION = 1  # part of the cache's key: raise it when a render changes


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Size of the world and what its actions are.

    Attributes:
        image_size: pixels per side.
        train_objects: objects for training.
        test_objects: objects in each of the five other splits.
        views: number of views of each object.
        actions: groups to condition on: `rotation`, `floor_hue`, `light_hue`, `light_direction`.
        render_seed: seed of objects and poses.
    """

    image_size: int = 64
    train_objects: int = 20_000
    test_objects: int = 2_000
    views: int = 16
    actions: tuple[str, ...] = ("rotation",)
    render_seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, image_size=8, train_objects=1, test_objects=1, views=2, render_seed=0)
        FACTORS.select(self.actions)

    classes: ClassVar[tuple[str, ...]] = (*CLASSES, *UNSEEN_CLASSES)

    @override
    def build(self) -> TableWorld:
        """Build the world; it is rendered into the cache on first use."""
        tables = cached_tables("shapes", self.key(), self.plans())
        return TableWorld(self._spec(*pixel_statistics(tables["train"])), tables)

    @override
    def outline(self) -> WorldSpec:
        return self._spec((0.5,) * 3, (0.25,) * 3)

    def key(self) -> dict[str, Any]:
        """Return all that the views depend on, as JSON data."""
        fields = {name: value for name, value in asdict(self).items() if name != "actions"}
        return {"version": VERSION} | fields

    def plans(self) -> dict[str, Plan]:
        """Return the plan for rendering the views of each split."""
        return {split: self._plan(split) for split in SPLITS}

    def _spec(self, mean: tuple[float, ...], std: tuple[float, ...]) -> WorldSpec:
        return WorldSpec(
            name="shapes",
            image_shape=(3, self.image_size, self.image_size),
            classes=self.classes,
            factors=FACTORS,
            actions=FACTORS.select(self.actions),
            splits=SPLITS,
            views_per_object=self.views,
            mean=mean,
            std=std,
        )

    def _plan(self, split: str) -> Plan:
        """Draw the objects, poses and labels of a split."""
        number = self.train_objects if split == "train" else self.test_objects
        rng = np.random.default_rng([self.render_seed, *split.encode()])

        # Classes take turns, so that all are equally frequent.
        if split == "ood_class":
            labels = len(CLASSES) + np.arange(number) % len(UNSEEN_CLASSES)
        else:
            labels = np.arange(number) % len(CLASSES)
        palette = "unseen" if split == "ood_colour" else "natural"

        # The order of these draws is part of the world: another one gives other pictures.
        seeds = rng.integers(2**62, size=number)
        latents = sample_latents(rng, number * self.views)
        if split == "ood_rotation":
            latents[:, :3] = unseen_rotations(rng, latents[:, :3])
        poses = latents.reshape(number, self.views, -1)

        def render(start: int, stop: int) -> npt.NDArray[np.uint8]:
            objects = make_objects(labels[start:stop], seeds[start:stop], palette)
            owner = np.repeat(np.arange(stop - start), self.views)
            flat_poses = poses[start:stop].reshape(-1, poses.shape[-1])
            images = render_latents(objects, owner, flat_poses, self.image_size)
            return images.reshape(stop - start, self.views, *images.shape[1:])

        return Plan(poses, labels, (self.image_size, self.image_size, 3), render)


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
