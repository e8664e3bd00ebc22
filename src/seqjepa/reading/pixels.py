"""Image files to pixels: bounded, whole and RGB, or an error that names the file. And back."""

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from seqjepa.errors import ConfigError, DataError

# Filters to shrink with, each as wide as it shrinks.
Resampling = Literal["bicubic", "bilinear"]
FORMATS = ("JPEG", "PNG")
TEXTURES = ("JPEG", "PNG", "BMP", "TGA", "WEBP", "GIF")
MOST_PIXELS = 64_000_000  # a file that claims more is refused before anything is decoded
MOST_BYTES = 256_000_000  # of a file
# Errors of Pillow at a damaged file.
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
)
# Images that a thread decodes at a time: handing over single ones costs up to a tenth of decoding.
BLOCK = 16
DRAFTS = (2, 4, 8)  # how many times smaller a JPEG can be decoded
# First bytes of the files that are read, and of others that are often called .jpg or .png, for
# messages.
OURS = (b"\xff\xd8\xff", b"\x89PNG")
SIGNATURES = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"%PDF": "a PDF",
    b"PK\3\4": "a zip archive",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
    b"<": "a text, as a web page or an SVG",
    b"\0\0\0\0": "zeros",
}

# Pillow warns of what is broken beside the pixels that are read. That is no harm (see `decode`),
# and its warnings name no file.
HARMLESS = "(possibly )?corrupt EXIF|Tag (data|offset)|.* malformed MPO|Invalid APNG"
warnings.filterwarnings("ignore", HARMLESS, module="PIL")


def decode(
    data: bytes,
    name: str,
    size: int | tuple[int, int] | None = None,
    option: str = "",
    resampling: Resampling = "bicubic",
) -> npt.NDArray[np.uint8]:
    """Return the pixels of a JPEG or PNG, [H, W, 3].

    The image is turned upright as EXIF says, or left as it stands where EXIF is broken before it
    says so. Transparency is laid over white. Gray, palette, CMYK and 16-bit images become RGB with
    8 bits.

    Args:
        data: the file's bytes.
        name: the file's name, for messages.
        size: None for the image as it is; S for its middle square as [S, S, 3], the shorter side
            shrunk or enlarged to S; (H, W) for the whole image stretched to that.
        option: the name of the option that holds `size`, if the image must not be enlarged to it.
        resampling: the filter. With `bicubic` a JPEG of just 2, 4 or 8 times the size is shrunk
            while it is decoded: that takes a third of the time, and differs less from filtering
            than filters do. `bilinear` is what torchvision's `Resize` does to Pillow's images.

    Raises:
        ConfigError: if the image must not be enlarged, but would have to be.
        DataError: if the file is empty, too large, truncated, damaged or no JPEG or PNG.
    """
    with _opened(data, name) as image:
        if isinstance(size, int) and option:
            _require_size(image, name, size, option)
        if size is not None:
            height, width = (size, size) if isinstance(size, int) else size
            multiple = any(image.size == (scale * width, scale * height) for scale in DRAFTS)
            if multiple and resampling == "bicubic":
                image.draft(None, (width, height))

        # Pixels first: broken pixels are an error, while broken EXIF is not.
        image.load()
        with suppress(*BROKEN):
            ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(_fit(_rgb(image), size, resampling))


def shorter_side(data: bytes, name: str) -> int:
    """Return the pixels of an image's shorter side; only its header is read.

    Raises:
        DataError: if the file is empty, too large, damaged at its beginning or no JPEG or PNG.
    """
    with _opened(data, name) as image:
        return min(image.size)


def _require_size(image: Image.Image, name: str, size: int, option: str) -> None:
    width, height = image.size
    if min(width, height) < size:
        raise ConfigError(
            f"{option} is {size}, but {name} has {width} x {height} pixels and would have to be "
            f"enlarged: set it to at most {min(width, height)}"
        )


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """Open an image, of which only the header is read; its errors become DataErrors."""
    if not data:
        raise DataError(f"{name} is empty: get the file again")

    # Pillow knows dozens of formats; strangers' files reach the readers of these only.
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(
                    f"{name} claims {image.width} x {image.height} pixels, more than "
                    f"{MOST_PIXELS:,}: shrink it or leave it out"
                )
            _match_clear_colour(image)
            yield image

    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name} claims more than {MOST_PIXELS:,} pixels ({error}): shrink it or leave it out"
        ) from error
    except BROKEN as error:
        reason = str(error)
        if isinstance(error, UnidentifiedImageError):
            reason = "damaged at its beginning" if data.startswith(OURS) else name_kind(data)
        raise DataError(
            f"{name} is no whole {' or '.join(FORMATS)} image ({reason}): get the file again or "
            "leave it out"
        ) from error


def name_kind(data: bytes) -> str:
    """Return what a file that is no image of ours is by its first bytes, for messages."""
    kind = next((kind for start, kind in SIGNATURES.items() if data.startswith(start)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "a WebP"
    if data[4:8] == b"ftyp":
        kind = "an AVIF" if data[8:12] in (b"avif", b"avis") else "a HEIC or a video"
    return f"it is {kind}" if kind else "of another format, or damaged at its beginning"


def _match_clear_colour(image: ImageFile.ImageFile) -> None:
    """Bring the colour that is transparent in a PNG to the depth of the pixels as they are read.

    Pillow reads 2 and 4 bits, and 16 of each of three channels, as 8 bits, but leaves that colour
    as the file has it.
    """
    clear = image.info.get("transparency")
    # Of a PNG that is not read yet, the last part is the layout of its samples.
    layout = image.tile[0][3] if image.format == "PNG" and image.tile else None
    if isinstance(clear, int) and layout in ("L;2", "L;4"):
        image.info["transparency"] = clear * (85 if layout == "L;2" else 17) % 256
    if isinstance(clear, tuple) and layout == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in clear)


def rgba(image: Image.Image, name: str) -> npt.NDArray[np.uint8]:
    """Return the pixels [H, W, 4] of a picture that Pillow has opened but not read yet.

    Libraries hand over textures in that state; alpha 255 is opaque.

    Raises:
        DataError: if it is too large, damaged or in no format of pictures.
    """
    if image.format not in TEXTURES or image.width * image.height > MOST_PIXELS:
        raise DataError(
            f"{name} is {image.format}, {image.width} x {image.height}: expected "
            f"{', '.join(TEXTURES)}, at most {MOST_PIXELS:,} pixels"
        )
    try:
        # 16 bits, of which `_rgb` keeps the upper 8 and plain conversion does not.
        if image.mode.startswith("I"):
            return np.asarray(_rgb(image).convert("RGBA"))
        return np.asarray(image.convert("RGBA"))
    except BROKEN as error:
        raise DataError(f"{name} is a damaged picture ({error}): get the file again") from error


def decode_all(
    number: int,
    read: Callable[[int], tuple[bytes, str]],
    size: int,
    option: str = "",
    resampling: Resampling = "bicubic",
) -> npt.NDArray[np.uint8]:
    """Return many images [number, S, S, 3], decoded side by side.

    Threads do that, for Pillow does not hold the GIL.

    Args:
        number: of images.
        read: the bytes of image 0 .. number - 1, and its name for messages.
        size: S.
        option, resampling: see `decode`.

    Raises:
        ConfigError, DataError: as `decode` does.
    """
    images = np.empty((number, size, size, 3), np.uint8)

    def fill(start: int) -> None:
        for place in range(start, min(start + BLOCK, number)):
            images[place] = decode(*read(place), size, option, resampling)

    for _ in _threads().map(fill, range(0, number, BLOCK)):
        pass  # the loop is there to raise what a thread raised
    return images


def encode(pixels: npt.NDArray[np.uint8], quality: int) -> bytes:
    """Return a JPEG of [H, W, 3] whose colour is not subsampled.

    Write the bytes yourself: Pillow does not notice a disk that takes only half of a file.
    """
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", quality=quality, subsampling=0)
    return jpeg.getvalue()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="decode")


def _rgb(image: Image.Image) -> Image.Image:
    # Pillow would clip 16 bits to 8. A transparent shade is compared before they are cut.
    if image.mode.startswith("I"):
        deep, clear = np.asarray(image, np.uint32), image.info.get("transparency")
        image = Image.fromarray((deep >> 8).clip(0, 255).astype(np.uint8))
        if isinstance(clear, int):
            image.putalpha(Image.fromarray(np.where(deep == clear, 0, 255).astype(np.uint8)))

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("RGB")


def _fit(
    image: Image.Image, size: int | tuple[int, int] | None, resampling: Resampling
) -> Image.Image:
    """Return the image in a size as `decode` takes it; one that has it already is untouched."""
    if size is None:
        return image
    height, width = (size, size) if isinstance(size, int) else size
    if image.size == (width, height):
        return image
    chosen = Image.Resampling[resampling.upper()]
    if isinstance(size, int):
        return ImageOps.fit(image, (size, size), chosen)
    return image.resize((width, height), chosen)
