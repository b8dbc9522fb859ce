"""A map of heights as a picture: coloured by height, lit from one side."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

# Water, shore, sand, grass, rock, snow: red, green and blue from the lowest to the highest.
_COLOURS = np.array(
    [(20, 60, 120), (60, 140, 160), (210, 200, 150), (90, 140, 70), (110, 95, 70), (245, 245, 245)],
    dtype=np.float32,
)
# How steep it looks.
_STEEPNESS = 25
_SHADOW = 0.35
# Shading takes some twenty numbers a point; a larger picture is enlarged from this.
_SIDE_MAX = 1024


def picture(heights: npt.NDArray[np.float32], width: int, height: int) -> Image.Image:
    """Draw the middle of a square map, in the shape that is wanted.

    Args:
        heights: of any unit; what is drawn goes by the lowest and the highest.
        width, height: of the picture, in its points.
    """
    side = len(heights)
    longer = max(width, height)
    across, down = side * width / longer, side * height / longer
    box = ((side - across) / 2, (side - down) / 2, (side + across) / 2, (side + down) / 2)
    scale = min(1, _SIDE_MAX / longer)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    fine = np.asarray(Image.fromarray(heights).resize(size, Image.Resampling.BICUBIC, box=box))
    level = (fine - fine.min()) / max(float(np.ptp(fine)), 1e-9)
    slope_y, slope_x = np.gradient(level * _STEEPNESS * max(size) / side)
    steep = np.sqrt(1 + slope_x**2 + slope_y**2)
    light = np.clip((0.7 - 0.5 * slope_x - 0.5 * slope_y) / steep, 0, 1)
    place = level * (len(_COLOURS) - 1)
    below = np.minimum(place.astype(int), len(_COLOURS) - 2)
    part = (place - below)[..., None]
    colour = _COLOURS[below] * (1 - part) + _COLOURS[below + 1] * part
    shaded = colour * (_SHADOW + (1 - _SHADOW) * light[..., None])
    return Image.fromarray(shaded.clip(0, 255).astype(np.uint8)).resize((width, height))
