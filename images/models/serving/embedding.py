"""An embedding model's routes: `/v1/embeddings`, `/tokenize`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from models.serving.bodies import json_of
from models.serving.errors import too_long, wrong
from models.serving.frame import Load, Options, Serving, json_answer, unless_gone
from models.serving.turns import Gone, Turns

Array = npt.NDArray[np.float32]
# OpenAI's own.
_TEXTS_MAX = 2048
_Text = Annotated[str, Meta(max_length=256 * 1024)]
_Token = Annotated[int, Meta(ge=0)]
_Tokens = Annotated[list[_Token], Meta(max_length=64 * 1024)]


class EmbeddingModel(Protocol):
    """A model that turns texts into vectors.

    Attributes:
        context: tokens that it reads of a text.
        dimensions: of a vector.
        vocabulary: how many tokens there are.
    """

    context: int
    dimensions: int
    vocabulary: int

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, all of them."""
        ...

    def vector(self, tokens: Sequence[int]) -> Array:
        """The vector of at most ``context`` tokens."""
        ...


class _Asked(Struct, forbid_unknown_fields=True):
    input: (
        _Text | Annotated[list[_Text | _Token | _Tokens], Meta(min_length=1, max_length=64 * 1024)]
    )
    model: Annotated[str, Meta(max_length=200)] = ""
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None
    user: str | None = None


class _Tokenized(Struct):
    prompt: _Text
    model: str = ""


class EmbeddingServing(Serving):
    """An embedding model behind OpenAI's route."""

    def __init__(self, options: Options, model: EmbeddingModel) -> None:
        self.name, self.context = options.name, model.context
        self._model = model
        self._turns = Turns(options.concurrency, options.waiting_max, options.request_s)

    async def run(self) -> None:
        """Wait: requests do the work."""
        await self._turns.stopped()

    def load(self) -> Load:
        """How many requests it is at, and how many wait."""
        return self._turns.load()

    def routes(self) -> list[Route]:
        """Its own."""
        return [
            Route("/v1/embeddings", self._embeddings, methods=["POST"]),
            Route("/tokenize", self._tokenize, methods=["POST"]),
        ]

    async def _embeddings(self, request: Request) -> Response:
        async with self._turns.place():
            asked = await json_of(request, _Asked)
            self.check_name(asked.model)
            if asked.dimensions not in (None, self._model.dimensions):
                raise wrong("dimensions", f"this model's vectors have {self._model.dimensions}")
            whole = _texts(asked.input)

            def compute(gone: Gone) -> tuple[list[Array], int]:
                read = [self._tokens(each) for each in whole]
                return [_checked(gone.check, self._model, each) for each in read], sum(
                    map(len, read)
                )

            async def work() -> Response:
                vectors, tokens = await self._turns.computed(compute)
                form = _base64 if asked.encoding_format == "base64" else _floats
                data = [
                    {"object": "embedding", "index": number, "embedding": form(vector)}
                    for number, vector in enumerate(vectors)
                ]
                usage = {"prompt_tokens": tokens, "total_tokens": tokens}
                return json_answer(
                    {"object": "list", "data": data, "model": self.name, "usage": usage}
                )

            return await unless_gone(request, work())

    async def _tokenize(self, request: Request) -> Response:
        asked = await json_of(request, _Tokenized)
        self.check_name(asked.model)
        tokens = self._model.encode(asked.prompt)
        return json_answer({"count": len(tokens), "max_model_len": self.context, "tokens": tokens})

    def _tokens(self, text: str | list[int]) -> list[int]:
        tokens = self._model.encode(text) if isinstance(text, str) else text
        if any(token >= self._model.vocabulary for token in tokens):
            raise wrong("input", f"this model has the tokens 0 to {self._model.vocabulary - 1}")
        if len(tokens) > self._model.context:
            raise too_long(self._model.context, len(tokens), "input")
        return tokens


def _checked(check: Callable[[], None], model: EmbeddingModel, tokens: list[int]) -> Array:
    check()
    return model.vector(tokens)


def _texts(given: Any) -> list[str | list[int]]:
    many = given if isinstance(given, list) else [given]
    if all(isinstance(each, int) for each in many):
        many = [many]
    if len(many) > _TEXTS_MAX or any(isinstance(each, int) or not each for each in many):
        raise wrong("input", f"1 to {_TEXTS_MAX} texts, or lists of tokens, none of them empty")
    return many


def _floats(vector: Array) -> list[float]:
    floats: list[float] = vector.tolist()
    return floats


def _base64(vector: Array) -> str:
    """32-bit floats, little end first, as OpenAI has them."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
