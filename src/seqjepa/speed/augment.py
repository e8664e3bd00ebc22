"""`seqjepa speed augment`: P2, batched augmentation against Pillow, view after view."""

from dataclasses import replace

import numpy as np

from seqjepa.keys import draw_key
from seqjepa.speed.figure import Amount, Figure
from seqjepa.speed.plain import augment_one, noise
from seqjepa.speed.timing import alternate, one_thread
from seqjepa.worlds import augmented

PIXELS = 32
VIEWS = 4


def figures(rounds: int = 5, images: int = 256, plain_images: int = 32) -> list[Figure]:
    """Measure P2: views per core-second, of ours and of the plain reference.

    Ours draws parameters and makes actions, too; the reference is given its parameters.
    """
    world = augmented.Config(source="noise", path="", image_size=PIXELS).build_from(
        noise(images, PIXELS)
    )
    index = np.arange(images)
    key = draw_key(0, "train", 0, index)

    # The reference makes the first of the same views.
    batch = world.sequences("train", index[:plain_images], VIEWS, key[:plain_images])
    pictures = np.repeat(world.splits["train"].images[:plain_images], VIEWS, 0)
    parameters = batch.poses.flatten(0, 1).tolist()

    def batched() -> None:
        world.sequences("train", index, VIEWS, key)

    def one_by_one() -> None:
        for picture, values in zip(pictures, parameters, strict=True):
            augment_one(picture, values)

    with one_thread():
        seconds, plain_seconds = alternate(batched, one_by_one, rounds)

    rate, plain_rate = images * VIEWS / seconds, plain_images * VIEWS / plain_seconds
    what = f"augmentation, all operations, {PIXELS} px"
    value = Amount(rate / plain_rate, "x")
    ours = Amount(rate, "views per core-second")
    plain = Amount(plain_rate, "views per core-second", "(Pillow, one by one)")
    absolute = Figure(
        promise="P2", what=what, value=value, ours=ours, plain=plain, least=10_000, about="ours"
    )
    return [absolute, replace(absolute, what=f"{what}, ratio", least=8, about="value")]
