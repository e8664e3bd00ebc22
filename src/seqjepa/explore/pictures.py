"""Pictures of the page: views as they are, the map of the bank, a photo under its heat map."""

import base64
import io

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from seqjepa.report import style
from seqjepa.report.strips import to_images

Pixels = npt.NDArray[np.uint8]
MAP, SCALE = 360, 2  # pixels of the map's side on the page, and how much finer it is drawn
PHOTO = 512  # pixels of a photo's side, at least
UNKNOWN = (201, 206, 212)  # colour of places without a view
COLOURS = (mpl.colormaps["viridis"](np.arange(256))[:, :3] * 255).astype(np.uint8)


def pixels(view: Tensor) -> Pixels:
    """Return a view [C, H, W], uint8 or 0..1, as [H, W, 3]."""
    return (to_images(view) * 255).round().astype(np.uint8)


def data_uri(image: Pixels) -> str:
    """Return an image [H, W, 3] as a PNG within an address."""
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"


def colours(values: Tensor) -> Pixels:
    """Return the colours [M, 3] of values [M], from their lowest to their highest; NaN is grey."""
    known = values[~values.isnan()]
    low, high = (float(end) for end in known.aminmax()) if len(known) else (0.0, 1.0)
    shares = ((values - low) / max(high - low, 1e-9)).nan_to_num(0)
    found: Pixels = COLOURS[(shares * 255).long().numpy()]
    found[values.isnan().numpy()] = UNKNOWN
    return found


def draw_map(points: Tensor, nearness: Tensor, marks: list[tuple[Tensor, str, str]]) -> Pixels:
    """Draw a map of views, and marks on it.

    Args:
        points: [N, 2] in 0..1, of the views.
        nearness: [N], that they are coloured by, the brightest on top.
        marks: place [2], shape (`dot`, `ring` or `square`) and colour of each; the last on top.
    """
    side = MAP * SCALE
    image = Image.new("RGB", (side, side), style.PAPER)
    draw = ImageDraw.Draw(image)

    def box(point: Tensor, radius: float) -> tuple[float, float, float, float]:
        margin = 0.05 * side
        x, y = (margin + (side - 2 * margin) * float(value) for value in point)
        return (x - radius, side - y - radius, x + radius, side - y + radius)

    shades = colours(nearness)
    for place in nearness.argsort().tolist():
        draw.ellipse(box(points[place], 2.2 * SCALE), fill=tuple(shades[place].tolist()))

    for point, shape, colour in marks:
        if shape == "square":
            draw.rectangle(box(point, 3.5 * SCALE), outline=colour, width=2 * SCALE)
        elif shape == "ring":
            draw.ellipse(box(point, 7 * SCALE), outline=colour, width=2 * SCALE)
        else:
            draw.ellipse(box(point, 6 * SCALE), fill=style.PAPER)
            draw.ellipse(box(point, 5 * SCALE), fill=colour)
    return np.asarray(image.resize((MAP, MAP), Image.Resampling.BOX))


def draw_photo(photo: Tensor, heat: Tensor, poses: Tensor, asked: Tensor, patch: int) -> Pixels:
    """Draw a photo under its heat map, with the fixations on it.

    Args:
        photo: [C, S, S].
        heat: [G * G], over the photo, in reading order.
        poses: [T, 2], fixations that were observed, row and column over the side.
        asked: [2], the fixation that is imagined.
        patch: pixels of a patch's side.
    """
    scale = max(1, round(PHOTO / photo.shape[-1]))
    side, grid = photo.shape[-1] * scale, round(len(heat) ** 0.5)
    image = Image.fromarray(pixels(photo)).resize((side, side), Image.Resampling.NEAREST)
    cover = Image.fromarray(colours(heat).reshape(grid, grid, 3))
    image = Image.blend(image, cover.resize((side, side), Image.Resampling.BICUBIC), 0.5)

    draw = ImageDraw.Draw(image)
    half, width = patch * scale / 2, max(2, side // 170)
    numbers = [str(number) for number in range(1, len(poses) + 1)]
    places = (torch.cat([poses, asked[None]]) * side).tolist()
    for (row, column), number in zip(places, [*numbers, "?"], strict=True):
        fill = style.Z if number == "?" else style.INK
        frame = (column - half, row - half, column + half, row + half)
        draw.rectangle(frame, outline=style.PAPER, width=3 * width)
        draw.rectangle(frame, outline=fill, width=2 * width)
        # Numbers stand in the middle: corners may lie outside the photo.
        spot = (column - 14, row - 14, column + 14, row + 14)
        draw.ellipse(spot, fill=fill, outline=style.PAPER, width=width)
        draw.text((column, row), number, fill=style.PAPER, font_size=18, anchor="mm")
    return np.asarray(image)
