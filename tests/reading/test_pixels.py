"""Image files of every sort, whole and broken."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from fixtures.published import jpeg, png
from seqjepa.errors import DataError
from seqjepa.reading.pixels import decode

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SQUARES = np.kron(
    np.array(
        [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]], [[0, 0, 0], [128, 64, 32]]],
        np.uint8,
    ),
    np.ones((8, 8, 1), np.uint8),
)


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_png_comes_back_as_it_was_and_a_jpeg_nearly() -> None:
    assert np.array_equal(decode(png(SQUARES), "file"), SQUARES)
    found = decode(jpeg(SQUARES, quality=95, subsampling=0), "file")
    assert abs(found.astype(int) - SQUARES).max() < 16


# By EXIF's orientation, the image in the file; the comments say where its first row and column lie
# in the upright image.
LYING = {
    1: lambda upright: upright,  # top, left
    2: lambda upright: upright[:, ::-1],  # top, right
    3: lambda upright: upright[::-1, ::-1],  # bottom, right
    4: lambda upright: upright[::-1],  # bottom, left
    5: lambda upright: upright.transpose(1, 0, 2),  # left, top
    6: np.rot90,  # right, top
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
    8: lambda upright: np.rot90(upright, -1),  # left, bottom
}


@pytest.mark.parametrize("orientation", LYING)
def test_exif_turns_it_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = png(np.ascontiguousarray(LYING[orientation](SQUARES)), exif=exif.tobytes())
    assert np.array_equal(decode(data, "file"), SQUARES)


def with_exif(data: bytes, exif: bytes) -> bytes:
    return data[:2] + b"\xff\xe1" + struct.pack(">H", 8 + len(exif)) + b"Exif\0\0" + exif + data[2:]


def exif_of(*entries: bytes) -> bytes:
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4)


SIXTH = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)  # orientation
WIDTH = struct.pack(">HHI", 0x0100, 2, 4) + b"abc\0"  # no number


@pytest.mark.parametrize(
    ("exif", "turn"),
    [(b"nonsense", 0), (exif_of(SIXTH)[:-9], 0), (exif_of(WIDTH), 0), (exif_of(SIXTH, WIDTH), -1)],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_is_no_harm_and_cut_pixels_are(exif: bytes, turn: int) -> None:
    """It is turned as far as its EXIF can be read."""
    data = jpeg(SQUARES, quality=95, subsampling=0)
    odd = with_exif(data, exif)
    assert np.array_equal(decode(odd, "file"), np.rot90(decode(data, "file"), turn))
    with pytest.raises(DataError, match="file is no whole"):
        decode(odd[:-40], "file")


def test_broken_exif_is_no_warning_without_a_name() -> None:
    """A process of its own is needed, for pytest sets filters of its own."""
    program = "import sys; from seqjepa.reading.pixels import decode; "
    program += "print(decode(sys.stdin.buffer.read(), 'file').shape)"
    data = with_exif(jpeg(SQUARES), exif_of(SIXTH)[:-9])
    done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True)
    assert (done.stdout.decode().strip(), done.stderr) == (str(SQUARES.shape), b"")


def test_gray_is_three_equal_channels_and_one_bit_is_black_and_white() -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for data in (png(gray), saved(Image.fromarray(gray).convert("P"))):
        assert np.array_equal(decode(data, "file"), np.repeat(gray[..., None], 3, -1))
    assert set(np.unique(decode(saved(Image.fromarray(gray).convert("1")), "file"))) == {0, 255}


def test_16_bits_keep_their_upper_8() -> None:
    deep = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    assert np.array_equal(decode(saved(Image.fromarray(deep)), "file")[..., 0], deep >> 8)

    # Pillow writes no PNG of 16 bits in colour.
    rows = b"\0" + bytes([200, 1, 100, 2, 50, 3, 0, 4, 255, 5, 7, 6])
    colour = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    colour += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert decode(SIGNATURE + colour, "file").tolist() == [[[200, 100, 50], [0, 255, 7]]]


def test_transparency_is_laid_over_white() -> None:
    def decoded(data: bytes) -> list[list[int]]:
        [row] = decode(data, "file").tolist()
        return row

    white = [255, 255, 255]
    pixels = np.array([[[200, 100, 0, 0], [200, 100, 0, 255], [200, 100, 0, 128]]], np.uint8)
    assert decoded(png(pixels)) == [white, [200, 100, 0], [227, 177, 127]]
    gray = np.array([[[60, 0], [60, 255]]], np.uint8)
    assert decoded(png(gray)) == [white, [60, 60, 60]]

    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putdata([0, 1])
    assert decoded(saved(palette, transparency=0)) == [white, [40, 50, 60]]
    assert decoded(saved(palette, transparency=b"\x00\xff")) == [white, [40, 50, 60]]

    key = Image.new("RGB", (1, 1), (1, 2, 3))
    assert decoded(saved(key, transparency=(1, 2, 3))) == [white]


@pytest.mark.parametrize(
    ("colour", "depth", "row", "clear", "seen"),
    [
        (0, 2, b"\x1b", b"\0\1", [0, 255, 170, 255]),
        (0, 4, b"\x45", b"\0\4", [255, 85]),
        # Only one of two shades whose upper bits are the same is transparent.
        (0, 16, b"\x64\1\x64\2", b"\x64\1", [255, 100]),
        (2, 16, b"\x64\1" * 3 + b"\x65\1" * 3, b"\x64\1" * 3, [255, 101]),
    ],
)
def test_a_transparent_colour_has_as_many_bits_as_its_file(
    colour: int, depth: int, row: bytes, clear: bytes, seen: list[int]
) -> None:
    header = struct.pack(">IIBBBBB", len(seen), 1, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"tRNS", clear), (b"IDAT", zlib.compress(b"\0" + row)))
    data = SIGNATURE + b"".join(chunk(*part) for part in parts) + chunk(b"IEND", b"")
    assert decode(data, "file").tolist() == [[[shade] * 3 for shade in seen]]


def test_cmyk_becomes_rgb() -> None:
    data = saved(Image.fromarray(SQUARES).convert("CMYK"), "JPEG", quality=95, subsampling=0)
    assert abs(decode(data, "file").astype(int) - SQUARES).max() < 24


def test_sizes() -> None:
    wide = np.random.default_rng(0).integers(256, size=(20, 30, 3), dtype=np.uint8)
    image = Image.fromarray(wide)
    assert np.array_equal(decode(png(wide), "file", (20, 30)), wide)
    assert np.array_equal(decode(png(wide[:, :20]), "file", 20), wide[:, :20])

    stretched = image.resize((16, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(png(wide), "file", (8, 16)), np.asarray(stretched))
    middle = image.resize((10, 10), Image.Resampling.BICUBIC, box=(5, 0, 25, 20))
    assert np.array_equal(decode(png(wide), "file", 10), np.asarray(middle))
    assert decode(png(wide), "file", 40).shape == (40, 40, 3), "small ones are enlarged"


def test_a_jpeg_is_shrunk_while_decoded_only_where_nothing_is_left_to_resample() -> None:
    row, column, chance = *np.mgrid[:16, :16], np.random.default_rng(0).normal(0, 8, (16, 16))
    data = jpeg(np.stack([16 * row, 16 * column, 128 + chance], -1).clip(0, 255).astype(np.uint8))
    whole = decode(data, "whole")
    assert whole.shape == (16, 16, 3)

    def filtered(size: int | tuple[int, int]) -> np.ndarray:
        height, width = (size, size) if isinstance(size, int) else size
        image = Image.fromarray(whole).resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(image)

    for size in (4, 2, (8, 8)):
        found, wanted = decode(data, "small", size), filtered(size)
        assert found.shape == wanted.shape
        assert 0 < np.abs(found.astype(int) - wanted).mean() < 8
    for size in (6, (4, 8), (12, 12)):
        assert np.array_equal(decode(data, "other", size), filtered(size))

    # Bilinear shrinking is what it is called, at every size.
    for size in (4, 6, (8, 8)):
        height, width = (size, size) if isinstance(size, int) else size
        smaller = Image.fromarray(whole).resize((width, height), Image.Resampling.BILINEAR)
        found = decode(data, "bilinear", size, resampling="bilinear")
        assert np.array_equal(found, np.asarray(smaller))


def bomb(width: int, height: int, kind: str = "png") -> bytes:
    """Return a few bytes that claim to be a large image."""
    if kind == "png":
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return SIGNATURE + header + chunk(b"IDAT", zlib.compress(bytes(1000)))
    small = jpeg(np.zeros((8, 8, 3), np.uint8))
    place = small.index(b"\xff\xc0") + 5
    return small[:place] + struct.pack(">HH", height, width) + small[place + 4 :]


WHOLE = {"png": png(SQUARES), "jpeg": jpeg(SQUARES)}
BROKEN = {
    "empty": (b"", "is empty: get the file again"),
    "zeros": (bytes(1000), "is no whole JPEG or PNG image"),
    "text": (b"<html>404</html>", "is no whole JPEG or PNG image"),
    "another format": (saved(Image.fromarray(SQUARES), "GIF"), "is no whole JPEG or PNG image"),
    "a picture with code": (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "is no whole JPEG or PNG image",
    ),
    "half a PNG": (WHOLE["png"][: len(WHOLE["png"]) // 2], "is no whole JPEG or PNG image"),
    "half a JPEG": (WHOLE["jpeg"][: len(WHOLE["jpeg"]) // 2], "is no whole JPEG or PNG image"),
    "a header": (WHOLE["jpeg"][:20], "is no whole JPEG or PNG image"),
    "a PNG of 20,000 x 20,000": (bomb(20_000, 20_000), "claims more than 64,000,000 pixels"),
    "a JPEG of 20,000 x 20,000": (
        bomb(20_000, 20_000, "jpeg"),
        "claims more than 64,000,000 pixels",
    ),
    "a PNG of 9,000 x 9,000": (
        bomb(9_000, 9_000),
        "claims 9000 x 9000 pixels, more than 64,000,000: shrink it or leave it out",
    ),
    "a PNG of no width": (bomb(0, 9), "is no whole JPEG or PNG image"),
    "a JPEG of no width": (
        bomb(0, 9, "jpeg"),
        "is no whole JPEG or PNG image (damaged at its beginning): get the file again or leave it",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_named(case: str) -> None:
    data, said = BROKEN[case]
    with pytest.raises(DataError) as caught:
        decode(data, "folder/file.jpg", 16)
    assert str(caught.value).startswith(f"folder/file.jpg {said}") and "\n" not in str(caught.value)


def test_a_text_that_unpacks_to_a_gigabyte_is_refused() -> None:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    start = len(SIGNATURE) + 25
    message = r"is no whole JPEG or PNG image .*[Dd]ecompressed data too large"
    for kind in (b"zTXt", b"iCCP"):
        text = chunk(kind, b"a\0\0" + packed)
        with pytest.raises(DataError, match=message):
            decode(WHOLE["png"][:start] + text + WHOLE["png"][start:], "file")


def test_a_short_text_is_no_harm() -> None:
    info = PngInfo()
    info.add_text("comment", "nice", zip=True)
    assert np.array_equal(decode(saved(Image.fromarray(SQUARES), pnginfo=info), "file"), SQUARES)


def chunks(data: bytes) -> list[bytes]:
    """Return the kind and contents of each part of a PNG."""
    found, place = [], 8
    while place < len(data):
        size = struct.unpack(">I", data[place : place + 4])[0]
        found.append(data[place + 4 : place + 8 + size])
        place += 12 + size
    return found


EXTRAS = (
    b"tRNS",
    b"PLTE",
    b"IHDR",
    b"gAMA",
    b"pHYs",
    b"iCCP",
    b"zTXt",
    b"iTXt",
    b"eXIf",
    b"acTL",
    b"fcTL",
    b"cHRM",
    b"IDAT",
)
PALETTE = chunks(saved(Image.fromarray(SQUARES).convert("P"), transparency=b"\1\2"))


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from(EXTRAS), st.binary(max_size=30)),
        min_size=1,
        max_size=3,
    )
)
def test_a_png_with_any_parts_decodes_or_is_refused(extras: list[tuple[int, bytes, bytes]]) -> None:
    parts = list(PALETTE)
    for place, kind, data in extras:
        parts.insert(place % (len(parts) + 1), kind + data)
    odd = SIGNATURE + b"".join(chunk(part[:4], part[4:]) for part in parts)
    try:
        decode(odd, "file", 8)
    except DataError as error:
        assert str(error).startswith("file ")


@given(
    st.lists(
        st.tuples(st.integers(0, len(WHOLE["jpeg"]) - 1), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    )
)
def test_a_damaged_jpeg_decodes_or_is_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE["jpeg"])
    for place, value in changes:
        data[place] = value
    try:
        decode(bytes(data), "file", 8)
    except DataError as error:
        assert str(error).startswith("file ")
