"""The image that draws landscapes draws them in the size that is wanted; a seed is a landscape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from images.model_image import ask
from models.terrain.relief import picture
from neurogrid_marketplace.model_requests import ModelInput


@pytest.mark.engine
def test_a_landscape_is_drawn(tmp_path: Path) -> None:
    wanted = {"width": 320, "height": 200, "seed": 7}
    result = ask(tmp_path, "terrain-11m", ModelInput(prompt="A landscape"), wanted)
    assert (result.width, result.height, result.steps, result.seed) == (320, 200, 1, 7)
    assert result.image is not None
    with Image.open(tmp_path / "outputs" / result.image) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (320, 200))
        points = np.asarray(image)
    # Neither one colour nor noise: neighbours are alike, what is far apart is not.
    assert points.std() > 10
    assert np.abs(np.diff(points.astype(int), axis=1)).mean() < points.std() / 2


@pytest.mark.parametrize("size", [(16, 4096), (4096, 16), (16, 16), (1500, 1500)])
def test_a_picture_has_any_size_and_the_highest_is_white(size: tuple[int, int]) -> None:
    x = np.linspace(-1, 1, 128, dtype=np.float32)
    hill = 1 - np.hypot(*np.meshgrid(x, x)).astype(np.float32)
    drawn = picture(hill, *size)
    assert drawn.size == size
    middle = np.asarray(drawn)[size[1] // 2, size[0] // 2]
    assert middle.min() > 150
    # A map without any height is no mistake.
    assert picture(np.zeros((128, 128), np.float32), *size).size == size
