"""Own data in a folder of arrays (see `seqjepa.worlds.arrays`), without writing code."""

from seqjepa.config import EvaluateConfig, Experiment, OptimConfig, TrainConfig
from seqjepa.methods import seq_jepa
from seqjepa.nn import EncoderConfig
from seqjepa.worlds import arrays as world


def arrays() -> Experiment:
    """A small model for small images, every next view predicted; a start for your own settings.

    Command: seqjepa train arrays --world.path FOLDER --run-dir runs/own
    """
    return Experiment(
        name="arrays",
        method=seq_jepa.Config(predict="every", action_width=64, ema_momentum=0.99),
        world=world.Config(path="data"),
        encoder=EncoderConfig(width=32, stem="compact"),
        optim=OptimConfig(lr=1e-3, lr_end=1e-4),
        train=TrainConfig(steps=1000, batch_size=64, log_every=25, checkpoint_every=250),
        evaluate=EvaluateConfig(),
    )
