"""The `saccades` world: the patches of an image that a sequence of fixations sees.

Fixations are drawn from the image's saliency, and each inhibits a return (predictive learning
across saccades: seq-JEPA, section 3.3). An object is an image, a view the patch at a fixation, its
pose the fixation's row and column over the image's side, an action the way from one fixation to the
next. The views of a sequence are in the order of the fixations: salient ones mostly come first.

The patch is cut at the fixation. The authors' release cuts it at the transposed one, so that
saliency acts mirrored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import override

from seqjepa.actions import ActionSpace, Group
from seqjepa.checks import at_least, below_one
from seqjepa.errors import ConfigError
from seqjepa.reading.findings import Look, Report
from seqjepa.types import Indices, SequenceBatch
from seqjepa.worlds.base import World, WorldConfig, WorldSpec
from seqjepa.worlds.images.base import open_images
from seqjepa.worlds.images.image_set import ImageSet
from seqjepa.worlds.views.fixations import Inhibition, Shape, fixations, patches, weights
from seqjepa.worlds.views.saliency import Maps, spectral_residual_maps
from seqjepa.worlds.views.saliency_maps import inspect_maps, published_maps

FACTORS = ActionSpace(("row", "column"), (Group(name="position", dims=("row", "column")),))
SPLITS = ("train", "val", "test")
BUILT_IN = ("spectral_residual", "uniform")  # saliency that needs no maps


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Options of the images and of the fixations on them.

    The defaults are the paper's on STL-10, but for the saliency, which is DeepGaze's in the paper.

    Attributes:
        source: format of the images: `stl10`, `imagenet`, `folder`, or another module of
            `seqjepa.worlds.images.formats`.
        path: the images' archive or folder.
        image_size: pixels per side of an image.
        patch_size: pixels per side of a view.
        saliency: `spectral_residual`, the built-in model; `uniform`, all positions alike; or a
            folder with maps computed elsewhere (`seqjepa.worlds.views.saliency_maps`).
        inhibition: inhibition of return: no fixation falls within a `disc` around an earlier one
            of the sequence (the paper), or within a `square` (the authors' release); `none` for no
            inhibition. The number of fixations that it leaves room for is an object's number of
            views.
        inhibition_radius: its radius in pixels; None for half a patch.
        actions: groups to condition on: `position`.
        val_fraction: share of the training images held out for choosing settings.
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
        at_least(self, image_size=8, patch_size=8, inhibition_radius=0)
        below_one(self, "val_fraction")
        if self.patch_size > self.image_size:
            raise ConfigError(
                f"world.patch_size {self.patch_size} must not be larger than world.image_size "
                f"{self.image_size}"
            )
        FACTORS.select(self.actions)

    @override
    def build(self) -> "Saccades":
        """Build the world; images and built-in saliency maps go into the cache on first use."""
        images = self.images()
        return Saccades(self, images.fill(self.outline()), images, self.maps(images))

    @override
    def outline(self) -> WorldSpec:
        """Return the spec without classes and statistics, which only the files know."""
        return WorldSpec(
            name="saccades",
            image_shape=(3, self.patch_size, self.patch_size),
            classes=(),
            factors=FACTORS,
            actions=FACTORS.select(self.actions),
            splits=SPLITS,
            views_per_object=self.inhibits.capacity(self.image_size),
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            ordered=True,
        )

    @classmethod
    @override
    def inspect(cls, path: Path, look: Look = Look()) -> Report | None:
        """Check folders of saliency maps; the formats of images check their own files."""
        return inspect_maps(path, look)

    def images(self) -> ImageSet:
        """Open the images."""
        return open_images(self.source, self.path, self.image_size, self.val_fraction)

    def maps(self, images: ImageSet) -> dict[str, Maps] | None:
        """Return the images' saliency maps by split, or None if all positions are alike."""
        if self.saliency == "uniform":
            return None
        if self.saliency == "spectral_residual":
            return spectral_residual_maps(images)
        return published_maps(Path(self.saliency).expanduser(), images)

    @property
    def inhibits(self) -> Inhibition:
        """Return shape and radius of the inhibition of return."""
        radius = self.inhibition_radius
        return Inhibition(self.inhibition, self.patch_size // 2 if radius is None else radius)


class Saccades(World):
    """A World over an image set and its saliency maps.

    Fixations are drawn and patches cut on `device`.
    """

    def __init__(
        self, config: Config, spec: WorldSpec, images: ImageSet, maps: Mapping[str, Maps] | None
    ) -> None:
        self.config, self.spec = config, spec
        self.images, self.maps = images, maps

    @override
    def size(self, split: str) -> int:
        return len(self.images.splits[split])

    @override
    def whole(self, split: str, index: Indices) -> Tensor:
        pixels = torch.from_numpy(self.images.splits[split].pick(index))
        return pixels.to(self.device).permute(0, 3, 1, 2)

    @override
    def render(self, split: str, index: Indices, poses: Tensor) -> Tensor:
        return self.fixate(self.whole(split, index), poses)

    @override
    def fixate(self, images: Tensor, poses: Tensor) -> Tensor:
        side = self.config.image_size
        places = (poses.to(images.device) * side).round().long().clamp(0, side - 1)
        return patches(images, places, self.config.patch_size)

    def saliency(self, split: str, index: Indices) -> Tensor:
        """Return the weights [B, S, S] int64 that the fixations on images [B] are drawn from."""
        if self.maps is None:
            side = self.config.image_size
            return torch.ones(len(index), side, side, dtype=torch.int64, device=self.device)
        places = self.images.splits[split].places(index)
        return weights(self.maps[split](places).to(self.device))

    @override
    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        places = fixations(self.saliency(split, index), num_views, key, self.config.inhibits)
        views = patches(self.whole(split, index), places, self.config.patch_size)
        poses = places.float() / self.config.image_size
        labels = torch.from_numpy(self.images.splits[split].labels[index]).to(self.device)
        return SequenceBatch(views, self.spec.actions.along(poses), poses, labels)
