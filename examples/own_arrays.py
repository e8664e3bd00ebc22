"""Your own data as a folder of arrays, without writing a world.

Here it holds scikit-learn's digits, turned and shifted by known amounts.

    python examples/own_arrays.py data/turned_digits
    seqjepa train arrays --world.path data/turned_digits --run-dir runs/turned_digits
    seqjepa evaluate runs/turned_digits
    seqjepa report runs/turned_digits --out runs/turned_digits/report

For your own pictures, save the same four files: any number of objects, the same number of views of
each, and what you know of each view's pose.
"""

import json
from pathlib import Path

import numpy as np
import tyro
from PIL import Image
from sklearn.datasets import load_digits

WORLD = {
    "name": "digits",
    "pose": ["angle", "right", "down"],
    "groups": [
        {"name": "rotation", "dims": ["angle"], "kind": "circular", "period": 360, "scale": 90},
        {"name": "shift", "dims": ["right", "down"], "kind": "difference", "scale": 6},
    ],
    "classes": ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
}


def main(folder: Path, /, objects: int = 1797, views: int = 12, seed: int = 0) -> None:
    """Write views.npy, poses.npy, labels.npy and world.json.

    Args:
        folder: where to write them.
        objects: number of digits.
        views: of each digit.
        seed: of the poses.
    """
    digits = load_digits()
    objects = min(objects, len(digits.images))

    # Degrees and pixels, either way.
    limits = np.array([90.0, 6.0, 6.0])
    random = np.random.default_rng(seed)
    poses = random.uniform(-limits, limits, (objects, views, 3)).astype(np.float32)

    images = []
    for digit, row in zip(digits.images[:objects], poses.tolist(), strict=True):
        images.append([draw(digit, *pose) for pose in row])

    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "views.npy", np.array(images)[..., None])  # [N, V, H, W, C] uint8, C = 1
    np.save(folder / "poses.npy", poses)  # [N, V, P]
    np.save(folder / "labels.npy", digits.target[:objects])  # [N]
    (folder / "world.json").write_text(json.dumps(WORLD, indent=2))

    command = f"seqjepa train arrays --world.path {folder} --run-dir runs/turned_digits"
    print(f"{objects} digits, {views} views each. Next: {command}")


def draw(digit: np.ndarray, angle: float, right: float, down: float) -> np.ndarray:
    """Draw a digit [8, 8] with values 0..16 in the middle of 32 x 32 pixels.

    It is turned (degrees, counter-clockwise), then shifted (pixels).
    """
    glyph = Image.fromarray((digit * 255 / 16).astype(np.uint8))
    glyph = glyph.resize((20, 20), Image.Resampling.BICUBIC)
    canvas = Image.new("L", (32, 32))
    canvas.paste(glyph, (6, 6))
    return np.asarray(canvas.rotate(angle, Image.Resampling.BICUBIC, translate=(right, down)))


if __name__ == "__main__":
    tyro.cli(main)
