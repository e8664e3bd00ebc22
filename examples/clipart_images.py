"""Debian's openclipart package as a folder of images, one sub-folder a class.

The worlds `augmented` and `saccades` read it. Pictures that stand in several of the package's
folders are links to one of them: they are left out, as one picture must not be in train and in
test. So are some of more than 64 million pixels, which seqjepa does not decode.

    python examples/clipart_images.py openclipart-png/usr/share/openclipart/png data/cliparts
    seqjepa train saccades --world.path data/cliparts --run-dir runs/cliparts
"""

import shutil
import sys
from pathlib import Path

from PIL import Image

from seqjepa.reading.pixels import MOST_PIXELS


def main(source: Path, folder: Path) -> None:
    pictures = sorted(source.rglob("*.png"))
    single = [path for path in pictures if not path.is_symlink()]
    kept = [path for path in single if _pixels(path) <= MOST_PIXELS]

    for path in kept:
        copy = folder / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)

    links, too_large = len(pictures) - len(single), len(single) - len(kept)
    print(
        f"{len(kept):,} of {len(pictures):,} pictures; {links:,} are links, {too_large} too large"
    )


def _pixels(path: Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height


if __name__ == "__main__":
    # Only headers are read, so no picture is too large for that.
    Image.MAX_IMAGE_PIXELS = None
    main(Path(sys.argv[1]), Path(sys.argv[2]))
