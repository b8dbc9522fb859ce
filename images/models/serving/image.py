"""An image model's route: `/v1/images/generations`."""

from __future__ import annotations

import base64
import re
import secrets
import time
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from models.serving.bodies import json_of
from models.serving.errors import wrong
from models.serving.frame import Load, Options, Serving, json_answer, unless_gone
from models.serving.turns import Gone, Turns

_SIDE = (16, 2048)
_SIZE = re.compile(r"([0-9]{2,4})x([0-9]{2,4})\Z")
_USUAL = "512x512"
_SEED_BITS = 32


class ImageModel(Protocol):
    """A model that draws."""

    def drawn(self, prompt: str, width: int, height: int, seed: int, form: str) -> bytes:
        """A picture, as a file.

        Args:
            form: "png", "jpeg" or "webp".
        """
        ...


class _Asked(Struct, forbid_unknown_fields=True):
    prompt: Annotated[str, Meta(min_length=1, max_length=32_000)]
    model: Annotated[str, Meta(max_length=200)] = ""
    n: Annotated[int, Meta(ge=1, le=10)] | None = None
    size: str | None = None
    seed: Annotated[int, Meta(ge=0, le=2**_SEED_BITS - 1)] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    quality: str | None = None
    style: str | None = None
    background: str | None = None
    moderation: str | None = None
    output_compression: int | None = None
    partial_images: int | None = None
    stream: bool | None = None
    user: str | None = None


class ImageServing(Serving):
    """An image model behind OpenAI's route."""

    def __init__(self, options: Options, model: ImageModel) -> None:
        self.name, self._model = options.name, model
        self._turns = Turns(options.concurrency, options.waiting_max, options.request_s)

    async def run(self) -> None:
        """Wait: requests do the work."""
        await self._turns.stopped()

    def load(self) -> Load:
        """How many requests it is at, and how many wait."""
        return self._turns.load()

    def routes(self) -> list[Route]:
        """Its own."""
        return [Route("/v1/images/generations", self._generations, methods=["POST"])]

    async def _generations(self, request: Request) -> Response:
        async with self._turns.place():
            asked = await json_of(request, _Asked)
            self.check_name(asked.model)
            _refuse_unserved(asked)
            width, height = _sides(asked.size)
            form = asked.output_format or "png"
            seed = secrets.randbits(_SEED_BITS) if asked.seed is None else asked.seed

            def compute(gone: Gone) -> list[bytes]:
                made = []
                for number in range(asked.n or 1):
                    gone.check()
                    each = (seed + number) % 2**_SEED_BITS
                    made.append(self._model.drawn(asked.prompt, width, height, each, form))
                return made

            async def work() -> Response:
                pictures = await self._turns.computed(compute)
                data = [{"b64_json": base64.b64encode(each).decode()} for each in pictures]
                return json_answer(
                    {
                        "created": int(time.time()),
                        "data": data,
                        "output_format": form,
                        "size": f"{width}x{height}",
                    }
                )

            return await unless_gone(request, work())


def _refuse_unserved(asked: _Asked) -> None:
    if asked.response_format == "url":
        raise wrong("response_format", "this server keeps no pictures; ask for b64_json")
    for name, given, usual in (
        ("quality", asked.quality, ("auto", "standard")),
        ("style", asked.style, ()),
        ("background", asked.background, ("auto", "opaque")),
        ("moderation", asked.moderation, ("auto", "low")),
        ("output_compression", asked.output_compression, (100,)),
        ("partial_images", asked.partial_images, (0,)),
        ("stream", asked.stream, (False,)),
    ):
        if given is not None and given not in usual:
            raise wrong(name, "this model can't do that; leave it out", "unsupported_parameter")


def _sides(size: str | None) -> tuple[int, int]:
    found = _SIZE.match(_USUAL if size in (None, "auto") else size or "")
    sides = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(_SIDE[0] <= side <= _SIDE[1] for side in sides):
        raise wrong(
            "size", f'"auto", or as "{_USUAL}": {_SIDE[0]} to {_SIDE[1]} points on each side'
        )
    return sides
