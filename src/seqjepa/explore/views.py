"""Subjects and the real views of them: rendered, cut out of a photo, or the nearest that exists."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqjepa.errors import DataError
from seqjepa.explore.poses import PoseSpace
from seqjepa.keys import draw_key
from seqjepa.reading.pixels import decode
from seqjepa.worlds.base import World

VIEWS = 64  # of an object, at most, where views are drawn without limit
PHOTO_BYTES = 32_000_000  # of a photo of one's own, at most


@dataclass(frozen=True)
class Subject:
    """An object of the world, or a photo of one's own.

    Attributes:
        name: for its title.
        index: the object's place in its split; None for a photo of one's own.
        views: [V, C, H, W], that exist of it, in the order in which they are observed.
        poses: [V, P].
        photo: [C, S, S] uint8, that views are cut out of; None in other worlds.
    """

    name: str
    index: int | None
    views: Tensor
    poses: Tensor
    photo: Tensor | None


@dataclass(frozen=True)
class Look:
    """Real views.

    Attributes:
        views: [N, C, H, W].
        poses: [N, P], that they were taken at, which need not be those asked for.
    """

    views: Tensor
    poses: Tensor


class Observer:
    """An observer of a world's split: it opens subjects and looks at them from any pose."""

    def __init__(self, world: World, split: str) -> None:
        self.world, self.split = world, split
        # Only a world of patches answers where a fixation on an image falls.
        self.photo = world.whole(split, np.array([0]))
        middle = torch.full((1, 1, 2), 0.5)
        seen = None if self.photo is None else world.fixate(self.photo, middle)
        self.space = PoseSpace(world.spec.actions, fixations=seen is not None)

    def open(self, index: int) -> Subject:
        """Return an object of the split."""
        available = self.world.at_most(VIEWS, self.split)
        at = np.array([index])
        batch = self.world.sequences(self.split, at, available, draw_key(0, self.split, 0, at))
        whole = self.world.whole(self.split, at) if self.space.fixations else None
        return Subject(
            name=self.name(int(batch.labels[0]), index),
            index=index,
            views=batch.views[0].cpu(),
            poses=batch.poses[0].cpu(),
            photo=None if whole is None else whole[0].cpu(),
        )

    def name(self, label: int, index: int) -> str:
        """Return an object's class, or its number in the split if that is unknown."""
        return self.world.spec.classes[label] if label >= 0 else f"object {index + 1}"

    def open_photo(self, data: bytes, name: str) -> Subject:
        """Return a JPEG or PNG of one's own, whose middle has been looked at.

        Raises:
            DataError: if the world's views are no patches of images, or the file is empty, too
                large, damaged or of another format.
        """
        if not self.space.fixations or self.photo is None:
            raise DataError(
                "only runs on `saccades` look at photos: this run's views are no patches"
            )
        if len(data) > PHOTO_BYTES:
            raise DataError(
                f"{name} has {len(data) / 1e6:.0f} MB, more than {PHOTO_BYTES / 1e6:.0f}: shrink it"
            )
        side = self.photo.shape[-1]
        photo = torch.from_numpy(decode(data, name, side).copy()).permute(2, 0, 1)
        middle = torch.full((1, 2), 0.5)
        return Subject(name, None, self._fixate(photo, middle), middle, photo)

    def renders(self, subject: Subject) -> bool:
        """Return whether a subject can be looked at from any pose."""
        return self._render(subject, subject.poses[:1]) is not None

    def look(self, subject: Subject, poses: Tensor) -> Look:
        """Return the views of a subject from poses [N, P], or from the nearest that there are."""
        rendered = self._render(subject, poses)
        if rendered is not None:
            return Look(rendered, poses)
        nearest = [int(self.space.distances(pose, subject.poses).argmin()) for pose in poses]
        return Look(subject.views[nearest], subject.poses[nearest])

    def _render(self, subject: Subject, poses: Tensor) -> Tensor | None:
        if subject.photo is not None:
            return self._fixate(subject.photo, poses)
        assert subject.index is not None, "without a photo it is an object of the world"
        views = self.world.render(self.split, np.array([subject.index]), poses[None])
        return None if views is None else views[0].cpu()

    def _fixate(self, photo: Tensor, poses: Tensor) -> Tensor:
        seen = self.world.fixate(photo[None], poses[None])
        assert seen is not None, "asked of worlds of patches only"
        return seen[0].cpu()
