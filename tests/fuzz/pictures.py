"""Pictures in every form of PNG and JPEG that programs and cameras write."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from PIL import Image

SIDE = 16  # pixels, as many as are read, so that nothing is resampled
MAGIC = b"\x89PNG\r\n\x1a\n"
WHOLE = (0, 0, 1, 1)
# Of each pass of an interlaced PNG, its first column and row and its steps.
ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
    (0, 1, 1, 2),
)  # fmt: skip
# Number, channels and depths of the colour types.
COLOURS = {
    "gray": (0, 1, (1, 2, 4, 8, 16)),
    "rgb": (2, 3, (8, 16)),
    "palette": (3, 1, (1, 2, 4, 8)),
    "gray+alpha": (4, 2, (8, 16)),
    "rgba": (6, 4, (8, 16)),
}
# Parts of a PNG that change no pixel, before its pixels.
PARTS = {
    "text": (b"tEXt", b"Comment\0of a program"),
    "packed": (b"zTXt", b"Comment\0\0" + zlib.compress(b"more of it")),
    "gamma": (b"gAMA", struct.pack(">I", 45455)),
    "density": (b"pHYs", struct.pack(">IIB", 2835, 1000, 1)),
    "time": (b"tIME", struct.pack(">HBBBBB", 2024, 2, 30, 24, 60, 60)),
    "strange": (b"quXy", b"of a program"),
    "no profile": (b"iCCP", b"ICC\0\0" + zlib.compress(b"no profile")),
    "broken EXIF": (b"eXIf", b"II*\0\xff\xff\xff\xff"),
}
# The pictures that stand in a file for one that EXIF's orientation turns upright.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}


@dataclass(frozen=True)
class Png:
    """A PNG.

    Attributes:
        colour: one of COLOURS.
        depth: bits of a sample.
        interlaced: whether it comes in seven passes.
        clear: whether colours without alpha name some that are transparent.
        parts: names of PARTS.
        frames: of an animation; 0 for a picture that stands still.
        pieces: bytes of a part of the pixels.
        turned: EXIF's orientation.
        tail: bytes behind its end.
    """

    colour: str
    depth: int
    interlaced: bool
    clear: bool
    parts: tuple[str, ...]
    frames: int
    pieces: int
    turned: int
    tail: bytes

    def draw(self, chance: np.random.Generator) -> tuple[bytes, np.ndarray]:
        """Return a file and its pixels [S, S, 3]."""
        number, channels, _ = COLOURS[self.colour]
        samples = chance.integers(0, 2**self.depth, (SIDE, SIDE, channels))
        palette = chance.integers(0, 256, (2**self.depth, 4))
        # Fewer shades, so that the transparent one is there often.
        if self.colour == "gray":
            samples[::2] = samples[0, 0]
        key = samples[0, 0]

        before = [PARTS[name] for name in self.parts]
        if self.turned != 1:
            before.append((b"eXIf", _exif(self.turned)))
        if self.colour == "palette":
            before.append((b"PLTE", palette[:, :3].astype("u1").tobytes()))
        if self.clear:
            keyed = palette[:, 3].astype("u1") if self.colour == "palette" else key.astype(">u2")
            before.append((b"tRNS", keyed.tobytes()))

        header = struct.pack(">IIBBBBB", SIDE, SIDE, self.depth, number, 0, 0, self.interlaced)
        parts = [(b"IHDR", header), *before, *self._pixels(samples), (b"IEND", b"")]
        data = MAGIC + b"".join(part(*each) for each in parts) + self.tail
        return data, UPRIGHT[self.turned](self._seen(samples, palette, key))

    def _pixels(self, samples: np.ndarray) -> list[tuple[bytes, bytes]]:
        """Return the parts that hold pixels; further frames are black."""
        first = zlib.compress(self._rows(samples))
        cut = [first[at : at + self.pieces] for at in range(0, len(first), self.pieces)]
        parts = [(b"IDAT", piece) for piece in cut]
        if not self.frames:
            return parts
        place = struct.pack(">IIIIHHBB", SIDE, SIDE, 0, 0, 1, 10, 0, 0)
        parts = [
            (b"acTL", struct.pack(">II", self.frames, 0)),
            (b"fcTL", struct.pack(">I", 0) + place),
            *parts,
        ]
        black = zlib.compress(self._rows(np.zeros_like(samples)))
        for number in range(1, 2 * self.frames - 1, 2):
            parts.append((b"fcTL", struct.pack(">I", number) + place))
            parts.append((b"fdAT", struct.pack(">I", number + 1) + black))
        return parts

    def _rows(self, samples: np.ndarray) -> bytes:
        data = b""
        for left, top, right, down in ADAM7 if self.interlaced else (WHOLE,):
            some = samples[top::down, left::right]
            bits = some[..., None] >> np.arange(self.depth)[::-1] & 1
            rows = np.packbits(bits.reshape(len(some), -1), axis=1)
            data += b"".join(b"\0" + row.tobytes() for row in rows)
        return data

    def _seen(self, samples: np.ndarray, palette: np.ndarray, key: np.ndarray) -> np.ndarray:
        """Return the pixels over white."""
        shades = samples >> 8 if self.depth == 16 else samples * 255 // (2**self.depth - 1)
        alpha = np.full((SIDE, SIDE, 1), 255)
        if self.colour == "palette":
            shades = palette[samples[..., 0], :3]
            alpha = palette[samples, 3] if self.clear else alpha
        elif self.colour in ("gray+alpha", "rgba"):
            shades, alpha = shades[..., :-1], shades[..., -1:]
        elif self.clear:
            alpha = np.where((samples == key).all(-1, keepdims=True), 0, 255)
        over = np.rint((shades * alpha + 255 * (255 - alpha)) / 255).astype(np.uint8)
        return np.broadcast_to(over, (SIDE, SIDE, 3))


@dataclass(frozen=True)
class Jpeg:
    """A JPEG.

    Attributes:
        mode: L, RGB or CMYK, as Pillow calls them.
        progressive: whether it comes in passes.
        restart: blocks between markers that a reader can start from again; 0 for no markers.
        quality: up to 100.
        turned: EXIF's orientation.
        tail: bytes behind its end.
    """

    mode: str
    progressive: bool
    restart: int
    quality: int
    turned: int
    tail: bytes

    def draw(self, chance: np.random.Generator) -> tuple[bytes, np.ndarray]:
        """Return a file and its pixels [S, S, 3]."""
        picture = Image.fromarray(chance.integers(0, 256, (SIDE, SIDE, 3), np.uint8))
        plain = {"progressive": self.progressive, "restart_marker_blocks": self.restart}
        exif = b"" if self.turned == 1 else b"Exif\0\0" + _exif(self.turned)
        written = io.BytesIO()
        picture.convert(self.mode).save(written, "JPEG", quality=self.quality, exif=exif, **plain)
        with Image.open(written) as image:
            pixels = np.asarray(image.convert("RGB"))
        return written.getvalue() + self.tail, UPRIGHT[self.turned](pixels)


def part(kind: bytes, data: bytes) -> bytes:
    """Return a part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _exif(orientation: int) -> bytes:
    """Return EXIF with that orientation and nothing else."""
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


@st.composite
def _pngs(draw: st.DrawFn) -> Png:
    colour = draw(st.sampled_from(list(COLOURS)))
    parts = draw(st.lists(st.sampled_from(list(PARTS)), unique=True, max_size=3))
    # One orientation is enough, broken or not.
    turned = 1 if "broken EXIF" in parts else draw(st.sampled_from([1, *UPRIGHT]))
    return Png(
        colour=colour,
        depth=draw(st.sampled_from(COLOURS[colour][2])),
        interlaced=draw(st.booleans()),
        clear=draw(st.booleans()) and "alpha" not in colour and colour != "rgba",
        parts=tuple(parts),
        frames=draw(st.sampled_from([0, 0, 1, 3])),
        pieces=draw(st.sampled_from([1 << 20, 100, 7])),
        turned=turned,
        tail=draw(TAILS),
    )


TAILS = st.sampled_from([b"", b"\n", bytes(9), b"of a program"])
JPEGS = st.builds(
    Jpeg,
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    progressive=st.booleans(),
    restart=st.integers(0, 2),
    quality=st.integers(1, 100),
    turned=st.sampled_from(list(UPRIGHT)),
    tail=TAILS,
)
PICTURES = _pngs() | JPEGS
