"""A world in which everything can be seen: class and rotation are written into the pixels as brightness."""

from dataclasses import dataclass

import numpy as np
import roma
import torch

from seqjepa.actions import ActionSpace, Group
from seqjepa.config import EvaluateConfig, Experiment, OptimConfig, TrainConfig
from seqjepa.methods import seq_jepa
from seqjepa.nn import EncoderConfig
from seqjepa.worlds.base import WorldConfig, WorldSpec
from seqjepa.worlds.table import TableWorld, ViewTable

CLASSES, UNSEEN = ("red", "green", "blue"), ("grey",)
ROTATION = Group(name="rotation", dims=("x", "y", "z"), kind="euler")
LIGHT = Group(name="light", dims=("light",))
NOISE = Group(name="noise", dims=("noise",))  # is to be seen nowhere
FACTORS = ActionSpace(("x", "y", "z", "light", "noise"), (ROTATION, LIGHT, NOISE))


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """So many objects in `train`, half as many in each other split, with so many views each."""

    objects: int = 64
    views: int = 6
    labelled: bool = True

    def build(self) -> TableWorld:
        """See `WorldConfig.build`."""
        spec = WorldSpec(
            name="signal",
            image_shape=(3, 16, 16),
            classes=CLASSES + UNSEEN,
            factors=FACTORS,
            actions=FACTORS.select(("rotation",)),
            splits=("train", "val", "test", "ood_class", "ood_light"),
            views_per_object=self.views,
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
        )
        return TableWorld(spec, {split: self._table(split, seed) for seed, split in enumerate(spec.splits)})

    def _table(self, split: str, seed: int) -> ViewTable:
        chance, number = np.random.default_rng(seed), self.objects if split == "train" else self.objects // 2
        labels = np.full(number, len(CLASSES)) if split == "ood_class" else np.arange(number) % len(CLASSES)
        poses = chance.random((number, self.views, 5), dtype=np.float32)
        poses[..., :3] = (poses[..., :3] - 0.5) * np.pi
        quaternion = roma.euler_to_unitquat("xyz", torch.from_numpy(poses[..., :3])).numpy()
        views = np.full((number, self.views, 16, 16, 3), 0.5)
        views[:, :, :8] += 0.4 * np.repeat(quaternion, 4, -1)[:, :, None, :, None]  # four bright or dark stripes
        views[:, :, 8:12] = poses[..., 3, None, None, None] + 0.5 * (split == "ood_light")
        views[:, :, 12:] = np.eye(4)[labels][:, None, None, None, :3]
        labels = labels if self.labelled else np.full(number, -1)
        return ViewTable((255 * views.clip(0, 1)).astype(np.uint8), poses, labels.astype(np.int64))


def recipe() -> Experiment:
    """A net that is small, trained for two steps, and probes that are short."""
    return Experiment(
        name="signal",
        method=seq_jepa.Config(action_width=8, heads=2, layers=1, predictor_width=16),
        world=Config(),
        encoder=EncoderConfig(width=2, stem="compact"),
        optim=OptimConfig(lr=1e-3),
        train=TrainConfig(steps=2, batch_size=8, num_views=3, checkpoint_every=2),
        evaluate=EvaluateConfig(
            views=4, draws=2, linear_epochs=30, mlp_epochs=10, linear_regression_epochs=100, batch_size=16, lr=1e-2, cosine=True
        ),
    )
