"""``/v1/chat/completions``, ``/v1/completions``, ``/v1/embeddings`` and ``/v1/images/generations``: JSON in, JSON or a stream out."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from ...openai.fields import given
from ...openai.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
)
from ...services.inference import Inference
from ...services.model_questions import Asked, Link
from ..auth import Caller, Gate
from ..body import read_json
from ..direct import Direct
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..leaving import while_there
from ..openapi import Schemas
from ..sse import EVENT_SCHEMA
from ..streaming import Waits
from .errors import refusals
from .models import NAME
from .schemas import OpenAiChatCompletion, OpenAiCompletion, OpenAiEmbeddings, OpenAiImages
from .streaming import openai_stream

RULES = {
    "model": "the id of a model, see GET /v1/models",
    "size": '"auto", or width and height as in "512x512"',
    "provider.only[]": "a node's peer id or an owner's wallet",
    "provider.ignore[]": "a node's peer id or an owner's wallet",
    "provider.order[]": "a node's peer id or an owner's wallet",
    "provider.region": 'a region such as "eu-west"',
}
REFUSED = (400, 401, 403, 404, 409, 413, 429, 500, 503)
_CHAT = {
    "model": "bard-1m",
    "messages": [{"role": "user", "content": "To be, or not to be?"}],
    "max_completion_tokens": 60,
    "temperature": 0,
    "provider": {"max_price": {"request": "0.01"}},
}
_COMPLETION = {"model": "bard-1m", "prompt": "To be, or not", "max_tokens": 60, "seed": 1}
_EMBEDDING = {"model": "all-minilm-l6-v2", "input": ["A cat.", "A kitten."]}
_IMAGE = {"model": "terrain-11m", "prompt": "A landscape", "size": "256x256", "seed": 7}


def add_openai_text_routes(
    app: FastAPI,
    direct: Direct,
    inference: Inference,
    gate: Gate,
    schemas: Schemas,
    link: Callable[[Request, str], Link],
    waits: Callable[[str], Waits],
) -> None:
    """Add the routes.

    Args:
        link: how files of answers are linked, for who sent a request and the id of their account.
        waits: how the replicas of a model of this name are.
    """

    async def answered(
        request: Request,
        caller: Caller,
        kind: type[ChatRequest | CompletionRequest | EmbeddingRequest | ImageRequest],
    ) -> Response:
        key = idempotency_key(request)
        wanted = await read_json(request, kind, RULES)
        asked = Asked(wanted, link=link(request, caller.account.id), idempotency_key=key)
        if isinstance(wanted, ChatRequest | CompletionRequest) and given(wanted.stream, False):
            pieces = inference.pieces(caller.account, asked)
            return await openai_stream(
                request, pieces, lambda: gate.ended(caller), waits(wanted.model)
            )
        answer = await while_there(
            request, inference.answer(caller.account, asked), gate.ended(caller)
        )
        return Response(answer.content, media_type=answer.media_type, headers=dict(answer.headers))

    def described(kind: type, answer: type, example: object, streams: str = "") -> dict[str, Any]:
        of_answer = schemas.bare(answer, "It has answered.")
        if streams:
            of_answer["content"]["text/event-stream"] = {"schema": EVENT_SCHEMA}
            of_answer["description"] += f" With `stream`: {streams}."
        return {
            "tags": [NAME],
            "responses": {200: of_answer, **refusals(schemas, *REFUSED)},
            "parameters": [IDEMPOTENCY_KEY],
            "openapi_extra": schemas.body(kind, example),
        }

    async def chat(request: Request) -> Response:
        """What a model cannot do is refused by the field's name (docs/openai.md). Who leaves has nothing computed any
        more."""
        return await answered(request, await gate(request), ChatRequest)

    direct.add(
        app,
        "POST",
        "/v1/chat/completions",
        chat,
        summary="Answer in a conversation",
        **described(
            ChatRequest,
            OpenAiChatCompletion,
            _CHAT,
            "events of `chat.completion.chunk`, then `[DONE]`",
        ),
    )

    async def complete(request: Request) -> Response:
        """As a chat, without roles."""
        return await answered(request, await gate(request), CompletionRequest)

    direct.add(
        app,
        "POST",
        "/v1/completions",
        complete,
        summary="Go on after a prompt",
        **described(
            CompletionRequest,
            OpenAiCompletion,
            _COMPLETION,
            "events of `text_completion`, then `[DONE]`",
        ),
    )

    async def embed(request: Request) -> Response:
        """One for each text."""
        return await answered(request, await gate(request), EmbeddingRequest)

    direct.add(
        app,
        "POST",
        "/v1/embeddings",
        embed,
        summary="Make vectors of texts",
        **described(EmbeddingRequest, OpenAiEmbeddings, _EMBEDDING),
    )

    async def draw(request: Request) -> Response:
        """With `response_format` url: where it can be read for an hour, by whoever has the URL; else its bytes."""
        return await answered(request, await gate(request), ImageRequest)

    direct.add(
        app,
        "POST",
        "/v1/images/generations",
        draw,
        summary="Make an image",
        **described(ImageRequest, OpenAiImages, _IMAGE),
    )
