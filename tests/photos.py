"""Real photographs for tests, and parameters that change nothing."""

import numpy as np
import torch
from PIL import Image, ImageOps
from skimage import data
from torch import Tensor

from seqjepa.worlds.policy import COLUMNS


def photos(size: int) -> Tensor:
    """[3, 3, S, S] uint8: the middles of three colour photographs."""
    pictures = [Image.fromarray(photo) for photo in (data.astronaut(), data.chelsea(), data.coffee())]
    pixels = np.stack([np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)) for picture in pictures])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def parameters(size: int, **changes: float) -> Tensor:
    """[16]: those of the whole image as it is, but for the changes."""
    neutral = dict.fromkeys(COLUMNS, 0.0) | {"height": size, "width": size, "brightness": 1, "contrast": 1, "saturation": 1}
    neutral |= {"contrast_place": 1, "saturation_place": 2, "hue_place": 3}
    assert not changes.keys() - neutral.keys()
    return torch.tensor([float(value) for value in (neutral | changes).values()])
