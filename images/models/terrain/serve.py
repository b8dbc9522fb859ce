"""Serve the model of landscapes as OpenAI's API has it: ``python3 -m models.terrain.serve`` (docs/models.md)."""

from __future__ import annotations

import io

from models.serving.frame import Options, serve
from models.serving.image import ImageServing
from models.terrain.landscapes import Landscapes

NAME = "terrain-11m"


class Drawing:
    """The model as `image.ImageModel` has it: the prompt has no effect."""

    def __init__(self) -> None:
        self._model = Landscapes()

    def drawn(self, prompt: str, width: int, height: int, seed: int, form: str) -> bytes:
        """A landscape, as a file."""
        file = io.BytesIO()
        self._model.picture(width, height, seed).save(file, format=form)
        return file.getvalue()


def loaded(options: Options) -> ImageServing:
    """The model with its weights."""
    return ImageServing(options, Drawing())


if __name__ == "__main__":
    serve(loaded, name=NAME, concurrency=1, waiting_max=16)
