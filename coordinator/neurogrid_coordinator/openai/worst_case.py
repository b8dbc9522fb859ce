"""What the answer to a request can come to at most, before anybody is asked. Pure.

It is never less than an honest server counts: a token stands for at least a byte of what was sent, no text that is read is longer than
the model's context, and none that is written than it was asked to be. What cannot be known before it is computed is not guessed.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from neurogrid_marketplace.model_catalogue import Model
from neurogrid_marketplace.units import MAX_UNITS, Units

from .fields import given
from .requests import (
    ChatRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    TranscriptionRequest,
)

# What a server's template writes around what was sent: which day it is, how tools are called.
_TEMPLATE_TOKENS: Final = 1_024
_encode = msgspec.json.Encoder().encode


def most_units(request: Request, model: Model) -> Units | None:
    """The most that an honest server counts; None: how much that is, is not known before."""
    match request:
        case ImageRequest():
            return Units(images=given(request.n, 1) or 1, requests=1)
        case TranscriptionRequest():
            # How long a recording is, its server finds out.
            return None
        case EmbeddingRequest():
            read = _read(request, model, _texts(request.input))
            return None if read is None else Units(input_tokens=read, requests=1)
    texts, sent = 1, given(request.max_tokens, None)
    if isinstance(request, ChatRequest):
        sent = given(request.max_completion_tokens, None) or sent
        answers = given(request.n, 1) or 1
    else:
        texts = _texts(request.prompt)
        answers = max(given(request.n, 1) or 1, given(request.best_of, 1) or 1)
    # Some write beyond what they see at once; who is not told how much ends there at the latest.
    written = sent or model.parameters.context_length
    read = _read(request, model, texts)
    if read is None or written is None:
        return None
    return Units(
        input_tokens=read, output_tokens=min(written * texts * answers, MAX_UNITS), requests=1
    )


def _read(request: Request, model: Model, texts: int) -> int | None:
    """Tokens that are read at most, of so many texts; None: nobody knows."""
    context = model.parameters.context_length
    if isinstance(request, ChatRequest) and _has_pictures(request):
        # A line that names a picture says nothing of how many tokens it becomes.
        return context
    sent = len(_encode(request)) + _TEMPLATE_TOKENS
    return min(sent, texts * context) if context else sent


def _texts(given_: str | Sequence[Any]) -> int:
    """How many texts a field has: a list of numbers is one that is cut into tokens already."""
    if isinstance(given_, str) or not given_ or isinstance(given_[0], int):
        return 1
    return len(given_)


def _has_pictures(request: ChatRequest) -> bool:
    return any(
        part.type not in ("text", "refusal")
        for message in request.messages
        for part in (message.content if isinstance(message.content, list) else ())
    )
