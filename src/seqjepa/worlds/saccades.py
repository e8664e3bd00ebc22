"""The `saccades` world: what is seen of an image in a sequence of fixations, drawn from its
saliency, each of which inhibits a return (predictive learning across saccades: seq-JEPA, section
3.3).

An object is an image, a view the patch at a fixation, its pose the fixation's row and column over
the image's side, an action the way from one fixation to the next. The views of a sequence stand in
the order in which they are looked at: what is salient mostly comes first.

The patch is cut at the fixation. In the authors' release it is cut at the transposed one, so that
saliency acts mirrored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seqjepa.actions import ActionSpace, Group
from seqjepa.checks import at_least
from seqjepa.errors import ConfigError
from seqjepa.reading.findings import Report
from seqjepa.types import Indices, SequenceBatch
from seqjepa.worlds.base import World, WorldConfig, WorldSpec
from seqjepa.worlds.images.base import open_images
from seqjepa.worlds.images.image_set import ImageSet
from seqjepa.worlds.views.fixations import Inhibition, Shape, fixations, patches, weights
from seqjepa.worlds.views.saliency import Maps, spectral_residual_maps
from seqjepa.worlds.views.saliency_maps import inspect_maps, published_maps

FACTORS = ActionSpace(("row", "column"), (Group(name="position", dims=("row", "column")),))
SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Which images, and how they are looked at. The defaults are the paper's on STL-10, but for the
    saliency, DeepGaze's there.

    Attributes:
        source: format of the images: `stl10`, `imagenet`, `folder`, or another module of
            `seqjepa.worlds.images`.
        path: of the images.
        image_size: pixels per side of an image.
        patch_size: pixels per side of a view.
        saliency: `spectral_residual`, the built-in model; `uniform`, all positions alike; or a
            folder with maps computed elsewhere (`seqjepa.worlds.views.saliency_maps`).
        inhibition: of return: no fixation falls within a `disc` around an earlier one of the
            sequence (the paper), a `square` (the authors' release), or anywhere: `none`. How many
            fixations it leaves room for is the number of views of an object.
        inhibition_radius: in pixels; None for half a patch.
        actions: groups to condition on: `position`.
        val_fraction: of the training images that are held out for choosing settings.
    """

    source: str = "stl10"
    path: str
    image_size: int = 96
    patch_size: int = 32
    saliency: str = "spectral_residual"
    inhibition: Shape = "disc"
    inhibition_radius: int | None = None
    actions: tuple[str, ...] = ("position",)
    val_fraction: float = 0.1

    def __post_init__(self) -> None:
        at_least(self, image_size=8, patch_size=8)
        if self.patch_size > self.image_size:
            raise ConfigError(
                f"world.patch_size {self.patch_size} must not be larger than world.image_size {self.image_size}"
            )
        if self.inhibition_radius is not None and self.inhibition_radius < 0:
            raise ConfigError(
                f"world.inhibition_radius must not be negative, got {self.inhibition_radius}"
            )
        if not 0 <= self.val_fraction < 1:
            raise ConfigError(
                f"world.val_fraction must be at least 0 and below 1, got {self.val_fraction}"
            )
        FACTORS.select(self.actions)

    def build(self) -> "Saccades":
        """The world; images are decoded, and built-in saliency maps computed, on first use into the
        cache."""
        images = self.images()
        return Saccades(self, images.fill(self.outline()), images, self.maps(images))

    def outline(self) -> WorldSpec:
        """See `WorldConfig.outline`; the classes, too, are known only from the files."""
        return WorldSpec(
            name="saccades",
            image_shape=(3, self.patch_size, self.patch_size),
            classes=(),
            factors=FACTORS,
            actions=FACTORS.select(self.actions),
            splits=SPLITS,
            views_per_object=self.inhibits.most(self.image_size),
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            ordered=True,
        )

    @classmethod
    def inspect(cls, path: Path) -> Report | None:
        """See `WorldConfig.inspect`: of folders of saliency maps; images are their sources'
        business."""
        return inspect_maps(path)

    def images(self) -> ImageSet:
        """The images."""
        return open_images(self.source, self.path, self.image_size, self.val_fraction)

    def maps(self, images: ImageSet) -> dict[str, Maps] | None:
        """Their saliency maps, by split; None where all positions are alike."""
        if self.saliency == "uniform":
            return None
        if self.saliency == "spectral_residual":
            return spectral_residual_maps(images)
        return published_maps(Path(self.saliency).expanduser(), images)

    @property
    def inhibits(self) -> Inhibition:
        """Shape and radius of the inhibition of return."""
        return Inhibition(
            self.inhibition,
            self.patch_size // 2 if self.inhibition_radius is None else self.inhibition_radius,
        )


class Saccades(World):
    """A World over an image set and its saliency maps; fixations are drawn and patches cut on
    `device`."""

    def __init__(
        self, config: Config, spec: WorldSpec, images: ImageSet, maps: Mapping[str, Maps] | None
    ) -> None:
        self.config, self.spec = config, spec
        self.images, self.maps = images, maps

    def size(self, split: str) -> int:
        """How many images a split has."""
        return len(self.images.splits[split])

    def whole(self, split: str, index: Indices) -> Tensor:
        """See `World.whole`: the images, [B, 3, S, S] uint8."""
        return (
            torch.from_numpy(self.images.splits[split].pick(index))
            .to(self.device)
            .permute(0, 3, 1, 2)
        )

    def saliency(self, split: str, index: Indices) -> Tensor:
        """[B, S, S] int64: what the fixations on the images `index` [B] are drawn from (see
        `glimpse.fixations`)."""
        if self.maps is None:
            return torch.ones(
                len(index), *(self.config.image_size,) * 2, dtype=torch.int64, device=self.device
            )
        return weights(self.maps[split](self.images.splits[split].places(index)).to(self.device))

    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        """See `World.sequences`. The views come out channels-last in memory."""
        places = fixations(self.saliency(split, index), num_views, key, self.config.inhibits)
        views = patches(self.whole(split, index), places, self.config.patch_size)
        poses = places.float() / self.config.image_size
        labels = torch.from_numpy(self.images.splits[split].labels[index]).to(self.device)
        return SequenceBatch(views, self.spec.actions.along(poses), poses, labels)
