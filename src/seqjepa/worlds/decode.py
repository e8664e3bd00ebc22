"""Image files to pixels: bounded, whole and RGB, or an error that names the file."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from seqjepa.errors import DataError

FORMATS = ("JPEG", "PNG")
TEXTURES = ("JPEG", "PNG", "BMP", "TGA", "WEBP", "GIF")
BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # Pillow's, at files that are broken
MOST_PIXELS = 64_000_000  # a file that claims more is refused before anything is decoded
MOST_BYTES = 256_000_000  # of a file


def decode(data: bytes, name: str, size: int | tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """The pixels of a JPEG or PNG, [H, W, 3].

    Turned upright as EXIF says; transparency is laid over white; gray, palette, CMYK and 16-bit images become RGB with 8 bits.

    Args:
        data: the file's bytes.
        name: of the file, for messages.
        size: None for the image as it is; S for its middle square as [S, S, 3], the shorter side shrunk or enlarged to S; (H, W) for the
            whole image stretched to that. Resampled bicubically, with a filter as wide as it shrinks.

    Raises:
        DataError: if the file is empty, too large, truncated, damaged or no JPEG or PNG.
    """
    if not data:
        raise DataError(f"{name} is empty: get the file again")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(
                    f"{name} claims {image.width} x {image.height} pixels, more than {MOST_PIXELS:,}: shrink it or leave it out"
                )
            upright = ImageOps.exif_transpose(image)
            return np.asarray(_fit(_rgb(upright), size))
    except BROKEN as error:
        raise DataError(f"{name} is no whole {' or '.join(FORMATS)} image ({error}): get the file again or leave it out") from error


def rgba(image: Image.Image, name: str) -> npt.NDArray[np.uint8]:
    """The pixels [H, W, 4] of a picture that Pillow has opened but not read yet, as libraries hand over textures; alpha 255 is opaque.

    Raises:
        DataError: if it is too large, damaged or in no format of pictures.
    """
    if image.format not in TEXTURES or image.width * image.height > MOST_PIXELS:
        raise DataError(
            f"{name} is {image.format}, {image.width} x {image.height}: expected {', '.join(TEXTURES)}, at most {MOST_PIXELS:,} pixels"
        )
    try:
        if image.mode.startswith("I"):
            return np.asarray(_rgb(image).convert("RGBA"))
        return np.asarray(image.convert("RGBA"))
    except BROKEN as error:
        raise DataError(f"{name} is a damaged picture ({error}): get the file again") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip to 8
        image = Image.fromarray((np.asarray(image, np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("RGB")


def _fit(image: Image.Image, size: int | tuple[int, int] | None) -> Image.Image:
    if size is None:
        return image
    if isinstance(size, tuple):
        height, width = size
        return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.BICUBIC)
    return image if image.size == (size, size) else ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
