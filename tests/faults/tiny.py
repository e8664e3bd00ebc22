"""A recipe and a world so small that a whole training run takes a second.

The images are coloured waves whose phase is the pose. Tests use the file as anyone would use their
own: `seqjepa train tests/faults/tiny.py`.
"""

from dataclasses import dataclass

import numpy as np

from seqjepa.actions import ActionSpace, Group
from seqjepa.config import EvaluateConfig, Experiment, OptimConfig, TrainConfig
from seqjepa.methods import seq_jepa
from seqjepa.nn import EncoderConfig
from seqjepa.store.table import ViewTable
from seqjepa.worlds.base import WorldConfig, WorldSpec
from seqjepa.worlds.table import TableWorld

CLASSES = ("wide", "narrow", "tall")
SPACE = ActionSpace(
    ("phase", "brightness"),
    (
        Group(name="phase", dims=("phase",), kind="circular"),
        Group(name="brightness", dims=("brightness",)),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """The number of objects in each split, and of views of each object."""

    objects: int = 24
    views: int = 6

    def build(self) -> TableWorld:
        """See `WorldConfig.build`."""
        spec = WorldSpec(
            name="tiny",
            image_shape=(3, 16, 16),
            classes=CLASSES,
            factors=SPACE,
            actions=SPACE,
            splits=("train", "val", "test"),
            views_per_object=self.views,
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
        )
        tables = {split: self._table(seed) for seed, split in enumerate(spec.splits)}
        return TableWorld(spec, tables)

    def _table(self, seed: int) -> ViewTable:
        chance = np.random.default_rng(seed)
        labels = np.arange(self.objects) % len(CLASSES)
        poses = chance.random((self.objects, self.views, 2))
        phase, brightness = poses[..., :1], poses[..., 1, None, None, None]

        # Along x, a wave whose length is the class: [N, V, W], then [N, V, H, W, C].
        across = np.arange(16) / 16
        waves = np.sin(2 * np.pi * (across * (1 + labels)[:, None, None] + phase))
        colours = chance.random((self.objects, 1, 16, 1, 3))
        pixels = 255 * (0.5 + 0.4 * waves[:, :, None, :, None] * colours) * (0.6 + 0.4 * brightness)
        return ViewTable(pixels.astype(np.uint8), poses.astype(np.float32), labels.astype(np.int64))


def recipe() -> Experiment:
    """Return twelve steps, with a checkpoint every four and every step logged."""
    return Experiment(
        name="tiny",
        method=seq_jepa.Config(action_width=8, heads=2, layers=1, predictor_width=16),
        world=Config(),
        encoder=EncoderConfig(width=4, stem="compact"),
        optim=OptimConfig(lr=1e-3),
        train=TrainConfig(steps=12, batch_size=8, num_views=3, log_every=1, checkpoint_every=4),
        evaluate=EvaluateConfig(views=3, max_steps=10),
    )
