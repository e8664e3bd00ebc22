"""Your own data with code: a world in one file.

Here a window wanders over scikit-learn's digits and sees a part at a time.

    seqjepa train examples/own_world.py --run-dir runs/own
    seqjepa evaluate runs/own --code examples/own_world.py
    seqjepa report runs/own --code examples/own_world.py --out runs/own/report

A world says what can be known of it (`spec`), how many objects a split has (`size`) and draws
sequences of views (`sequences`); order, epochs and seeds are the library's. Views are made on the
fly, so nothing is rendered beforehand and nothing is stored.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits

from seqjepa import (
    ActionSpace,
    EncoderConfig,
    EvaluateConfig,
    Experiment,
    Group,
    OptimConfig,
    SequenceBatch,
    TrainConfig,
)
from seqjepa.errors import ConfigError
from seqjepa.keys import choose_views
from seqjepa.methods import seq_jepa
from seqjepa.types import Indices
from seqjepa.worlds.base import World, WorldConfig, WorldSpec

FACTORS = ActionSpace(("row", "column"), (Group(name="gaze", dims=("row", "column"), scale=8.0),))


@dataclass(frozen=True, kw_only=True)
class Config(WorldConfig):
    """Settings, for a recipe and the command line; this file's name is the world's `kind`.

    Attributes:
        window: side of what is seen, in pixels of the 32 x 32 pictures.
    """

    window: int = 16

    def __post_init__(self) -> None:
        if not 8 <= self.window <= 31:
            raise ConfigError(f"world.window must be 8 to 31 pixels, got {self.window}")

    def build(self) -> "Windows":
        """Build the world."""
        return Windows(self)


class Windows(World):
    """Digits of 32 x 32 pixels, seen through a window; the action is the window's shift."""

    def __init__(self, config: Config) -> None:
        digits = load_digits()
        small = torch.from_numpy(digits.images)[:, None] / 16
        pictures = torch.nn.functional.interpolate(small, size=(32, 32), mode="bicubic")
        self.pictures = (pictures[:, 0].clamp(0, 1) * 255).byte().numpy()
        self.labels = digits.target.astype(np.int64)

        # Splits are by object: no digit is in two of them.
        order = np.random.RandomState(0).permutation(len(self.labels))
        train, val, test = np.split(order, [1400, 1600])
        self.objects = {"train": train, "val": val, "test": test}

        # Number of places for the window, in either direction.
        self.places = 33 - config.window

        self.spec = WorldSpec(
            name="windows",
            image_shape=(1, config.window, config.window),
            classes=tuple("0123456789"),
            factors=FACTORS,
            actions=FACTORS,
            splits=tuple(self.objects),
            views_per_object=self.places**2,
            mean=(0.3,),
            std=(0.35,),
        )

    def size(self, split: str) -> int:
        """Return the number of digits of a split."""
        return len(self.objects[split])

    def sequences(self, split: str, index: Indices, num_views: int, key: Indices) -> SequenceBatch:
        """Show the digits through `num_views` windows at different places.

        The same key gives the same places.
        """
        objects = self.objects[split][index]
        row, column = np.divmod(choose_views(key, num_views, self.places**2), self.places)

        # A view on memory, not a copy: [N, rows, columns, H, W].
        shape = self.spec.image_shape[1:]
        windows = np.lib.stride_tricks.sliding_window_view(self.pictures, shape, (1, 2))
        views = torch.from_numpy(windows[objects[:, None], row, column])[:, :, None]

        poses = torch.from_numpy(np.stack([row, column], -1).astype(np.float32))
        labels = torch.from_numpy(self.labels[objects])
        return SequenceBatch(views, FACTORS.along(poses), poses, labels)


def recipe() -> Experiment:
    """Return the experiment that `seqjepa train examples/own_world.py` runs."""
    return Experiment(
        name="own_world",
        method=seq_jepa.Config(predict="every", action_width=32, dropout=0.0, ema_momentum=0.9),
        world=Config(),
        encoder=EncoderConfig(width=16, stem="compact"),
        optim=OptimConfig(lr=1e-3, lr_end=3e-4),
        train=TrainConfig(
            steps=1000, batch_size=64, num_views=5, log_every=25, checkpoint_every=200
        ),
        evaluate=EvaluateConfig(),
    )
