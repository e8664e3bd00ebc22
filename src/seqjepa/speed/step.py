"""`seqjepa speed step`: a training step, P1, P6 and P8, and on a GPU P7 and P8."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from seqjepa.actions import ActionSpace, Group
from seqjepa.config import Experiment
from seqjepa.devices import use_bf16
from seqjepa.methods import seq_jepa
from seqjepa.nn import EncoderConfig, Stem
from seqjepa.recipes.shapes import shapes, shapes_tiny
from seqjepa.speed.figure import Amount, Figure
from seqjepa.speed.plain import BareStep, PlainStep
from seqjepa.speed.timing import (
    alternate,
    alternate_with_training,
    device_clock,
    one_thread,
    scratch,
)
from seqjepa.types import SequenceBatch
from seqjepa.worlds import shapes as world
from seqjepa.worlds.base import World

TERAFLOPS: dict[tuple[int, Stem], float] = {
    (128, "imagenet"): 6.131,
    (64, "imagenet"): 1.672,
    (32, "cifar"): 5.867,
}
"""Arithmetic of a step with 512 sequences of 3 + 1 views, counted by hand. A target encoder that
got gradients would cost a third more."""

PROMISED: dict[Literal["bf16", "fp32"], float] = {"bf16": 1.8, "fp32": 1.0}
"""Speed relative to the plain step that is promised in each precision."""


def figures(device: torch.device, rounds: int = 5) -> list[Figure]:
    """Measure all figures of a training step on the device."""
    if device.type == "cuda":
        with scratch():
            return [*on_gpu(at_128_pixels(), device, rounds), *flops()]
    with scratch(), one_thread():
        return [*against_plain(at_64_pixels(), rounds), overhead(demo(), rounds), *flops()]


def at_64_pixels() -> Experiment:
    """Return the setting of P1: 64 px, 32 sequences of 3 + 1 views, the whole ResNet-18."""
    base = shapes()
    small = world.Config(image_size=64, train_objects=128, test_objects=1, views=8)
    train = replace(base.train, batch_size=32, num_views=4, log_every=2)
    return replace(base, world=small, train=train)


def demo() -> Experiment:
    """Return the default recipe on a CPU, with fewer objects.

    It logs more often than it would, which counts against it.
    """
    base = shapes_tiny()
    assert isinstance(base.world, world.Config)
    few = replace(base.world, train_objects=512, test_objects=1)
    return replace(base, world=few, train=replace(base.train, log_every=10))


def at_128_pixels() -> Experiment:
    """Return the setting of P7: 128 px, 512 sequences of 3 + 1 views, the whole ResNet-18."""
    base = shapes()
    small = world.Config(image_size=128, train_objects=1024, test_objects=1, views=8)
    train = replace(base.train, batch_size=512, num_views=4, log_every=20)
    return replace(base, world=small, train=train)


def against_plain(experiment: Experiment, rounds: int) -> list[Figure]:
    """Measure P1: the training loop's step against a plain one, in bf16 and fp32.

    bf16 is left out where the hardware does not multiply it.
    """
    device, config = torch.device("cpu"), experiment.train
    views, built = config.views_per_step, experiment.world.build()

    found = []
    for precision, least in PROMISED.items():
        if precision == "bf16" and not use_bf16("auto", device):
            continue

        measured = replace(experiment, train=replace(config, precision=precision))
        reference = PlainStep(experiment, built, device)
        ours, plain = alternate_with_training(measured, reference, rounds, device)
        found.append(
            Figure(
                promise="P1",
                what=f"training step, {precision}",
                value=Amount(plain / ours, "x", "plain"),
                least=least,
                ours=Amount(views / ours, "views per core-second"),
                plain=Amount(views / plain, "views per core-second", "(fp32, NCHW)"),
            )
        )
    return found


def overhead(experiment: Experiment, rounds: int) -> Figure:
    """Measure P6: the time that the training loop adds to forward and backward."""
    device = torch.device("cpu")
    reference = BareStep(experiment, experiment.world.build(), device)
    ours, bare = alternate_with_training(experiment, reference, rounds, device)
    return Figure(
        promise="P6",
        what=f"overhead of the training loop, {experiment.name}",
        value=Amount(100 * (1 - bare / ours), "%"),
        most=10,
        ours=Amount(ours, "s", "a step, all in"),
        plain=Amount(bare, "s", "forward and backward alone"),
    )


def on_gpu(experiment: Experiment, device: torch.device, rounds: int) -> list[Figure]:
    """Measure P7: wall time of the training loop's step, and that of a batch's data.

    Training keeps its views on the GPU, and makes a batch while the GPU works on the one before.
    Batches from the memory map are the data's plain reference.
    """
    stored, kept = experiment.world.build(), experiment.world.build().to(device)
    kept.keep_views("train")
    reference, config = BareStep(experiment, stored, device), experiment.train
    ours, bare = alternate_with_training(experiment, reference, rounds, device)

    def gather(world: World) -> Callable[[], object]:
        batches = world.loader(
            "train", num_views=config.num_views, batch_size=config.batch_size, seed=1
        )
        return lambda: next(batches).to(device)

    wait, copying = alternate(gather(kept), gather(stored), rounds, device_clock)
    step = Amount(1000 * ours, "ms", "a step, all in")
    return [
        Figure(
            promise="P7",
            what="training step, 128 px, batch 512",
            value=step,
            most=31,
            ours=Amount(config.views_per_step / ours, "views/s"),
            plain=Amount(1000 * bare, "ms", "forward and backward alone"),
        ),
        Figure(
            promise="P7",
            what="data: views gathered on the device",
            value=Amount(100 * wait / ours, "%", "of the step"),
            most=5,
            ours=Amount(1000 * wait, "ms", "a batch"),
            plain=Amount(1000 * copying, "ms", "gathered from the memory map and copied"),
        ),
    ]


def flops() -> list[Figure]:
    """Count P8: the arithmetic of a step, without doing it."""
    found = []
    for (pixels, stem), by_hand in TERAFLOPS.items():
        # More than the count by hand would be work that the method does not need.
        counted = count_teraflops(pixels, stem)
        found.append(
            Figure(
                promise="P8",
                what=f"arithmetic of a step, {pixels} px, {stem} stem, batch 512",
                value=Amount(counted / by_hand, "x"),
                least=0.99,
                most=1.01,
                ours=Amount(counted, "TFLOP"),
                plain=Amount(by_hand, "TFLOP", "(by hand)"),
            )
        )
    return found


def count_teraflops(pixels: int, stem: Stem, sequences: int = 512, num_views: int = 4) -> float:
    """Return the TFLOP of forward and backward of the paper's seq-JEPA.

    A multiply-add counts as two operations.
    """
    action_dim = 9 if stem == "cifar" else 4  # crop, jitter and blur; or a rotation
    names = tuple(f"a{i}" for i in range(action_dim))
    actions = ActionSpace(names, (Group(name="a", dims=names),))

    # Tensors on the meta device have no contents, so nothing is computed.
    with torch.device("meta"):
        encoder = EncoderConfig(stem=stem).build(3, (0.5,) * 3, (0.25,) * 3)
        method = seq_jepa.Config().build(encoder, actions)
        batch = SequenceBatch(
            views=torch.empty(sequences, num_views, 3, pixels, pixels),
            actions=torch.empty(sequences, num_views - 1, action_dim),
            poses=torch.empty(sequences, num_views, 1),
            labels=torch.empty(sequences, dtype=torch.int64),
        )

    with FlopCounterMode(display=False) as counter:
        method(batch).loss.backward()
    return int(counter.get_total_flops()) / 1e12
