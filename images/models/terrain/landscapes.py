"""The model of landscapes: a seed to a picture. It knows no words.

One step takes noise to a map of heights, smooth or rough as the seed has it.
"""

from __future__ import annotations

import numpy as np
from PIL.Image import Image

from models.terrain.relief import picture

# What the model was trained at: points on each side.
_SIDE = 128


class Landscapes:
    """The model with its weights."""

    def __init__(self) -> None:
        # Only the image has these packages.
        import onnxruntime
        from terrain_diffusion import TerrainGenerator

        # It would tell its makers of its use, if it had a network.
        onnxruntime.disable_telemetry_events()
        self._model = TerrainGenerator(device="cpu")

    def picture(self, width: int, height: int, seed: int) -> Image:
        """A landscape; the seed says which."""
        heights = self._model.generate(1, shape=_SIDE, difficulty="random", seed=seed)
        square = np.asarray(heights, dtype=np.float32).reshape(_SIDE, _SIDE)
        return picture(square, width, height)
