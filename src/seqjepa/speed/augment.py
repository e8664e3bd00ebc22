"""`seqjepa speed augment`: P2, batched augmentation against Pillow, view after view."""

import numpy as np

from seqjepa.keys import draw_key
from seqjepa.speed.figure import Amount, Figure
from seqjepa.speed.plain import augment_one, noise
from seqjepa.speed.timing import alternate, one_thread
from seqjepa.worlds import augmented

PIXELS = 32
VIEWS = 4


def figures(rounds: int = 5, images: int = 256, plain_images: int = 32) -> list[Figure]:
    """P2: views per core-second, parameters drawn and actions made, and of the plain reference,
    which is given its parameters.
    """
    world = augmented.Config(source="noise", path="", image_size=PIXELS).build_from(
        noise(images, PIXELS)
    )
    index = np.arange(images)
    key = draw_key(0, "train", 0, index)
    batch = world.sequences("train", index[:plain_images], VIEWS, key[:plain_images])
    pictures = np.repeat(world.splits["train"].images[:plain_images], VIEWS, 0)
    parameters = batch.poses.flatten(0, 1).tolist()
    with one_thread():
        ours, plain = alternate(
            lambda: world.sequences("train", index, VIEWS, key),
            lambda: [
                augment_one(picture, values)
                for picture, values in zip(pictures, parameters, strict=True)
            ],
            rounds,
        )
    rate, plain_rate = images * VIEWS / ours, plain_images * VIEWS / plain
    value = Amount(rate / plain_rate, "x")
    per_second = (
        Amount(rate, "views per core-second"),
        Amount(plain_rate, "views per core-second", "(Pillow, one by one)"),
    )
    what = f"augmentation, all operations, {PIXELS} px"
    return [
        Figure(
            promise="P2",
            what=what,
            value=value,
            ours=per_second[0],
            plain=per_second[1],
            least=10_000,
            about="ours",
        ),
        Figure(
            promise="P2",
            what=f"{what}, ratio",
            value=value,
            ours=per_second[0],
            plain=per_second[1],
            least=8,
        ),
    ]
