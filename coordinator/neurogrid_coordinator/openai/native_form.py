"""A request in the native API's form as one in OpenAI's, and what its answer says in the native one's. Pure.

So whoever asks natively is answered by the same replicas. What the native API leaves to a program's defaults is said here: a server has others.
"""

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
from msgspec import UNSET

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.model_catalogue import Model, ModelType
from neurogrid_marketplace.model_requests import ModelInput, ModelResult
from neurogrid_marketplace.model_routing import ANYWHERE, ProviderPreferences
from neurogrid_marketplace.model_server import Route

from . import server_answers
from .fields import given
from .requests import (
    ChatMessage,
    ChatRequest,
    CompletionRequest,
    ImageRequest,
    Request,
    StreamOptions,
    TranscriptionRequest,
)
from .server_answers import NoAnswer

_SEED_BITS: Final = 32
_SEED: Final = "seed"


def openai_request(
    model: Model,
    asked: ModelInput,
    parameters: Mapping[str, Json],
    sent: Mapping[str, Json],
    region: str | None = None,
    *,
    streams: bool = False,
    key: str | None = None,
) -> Request | None:
    """The same request in OpenAI's form; None where it has none.

    Args:
        parameters: all of them.
        sent: those that its client has said.
        streams: its client wants a transcript as it is heard. A text always comes so, where its server can.
        key: its idempotency key: who sends the same again has the same seed.
    """
    if model.server is None:
        return None
    where = ANYWHERE if region is None else ProviderPreferences(region=region)
    values: dict[str, Any] = dict(parameters)
    if values.get(_SEED) is None:
        # The answer says which, so it is drawn where that is known.
        values[_SEED] = _drawn(key) if _SEED in model.server.features else UNSET
    match model.type:
        case ModelType.TEXT:
            return _writing(model, asked, values, where)
        case ModelType.IMAGE:
            return ImageRequest(
                model=model.id,
                prompt=asked.prompt,
                negative_prompt=asked.negative_prompt or UNSET,
                size=f"{values['width']}x{values['height']}",
                steps=cast(Any, sent.get("steps", UNSET)),
                guidance_scale=cast(Any, sent.get("guidance_scale", UNSET)),
                seed=values[_SEED],
                response_format="url",
                provider=where,
            )
        case ModelType.AUDIO:
            return TranscriptionRequest(
                model=model.id,
                language=values["language"] or UNSET,
                response_format="verbose_json",
                stream=True if streams else UNSET,
                provider=where,
            )
    return None


def _drawn(key: str | None) -> int:
    """A seed for a request that names none."""
    if key is None:
        return secrets.randbits(_SEED_BITS)
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[: _SEED_BITS // 8])


def _writing(
    model: Model, asked: ModelInput, values: Mapping[str, Any], where: ProviderPreferences
) -> ChatRequest | CompletionRequest:
    assert model.server is not None, "it has one"
    streams = "stream" in model.server.features
    common: dict[str, Any] = {
        "model": model.id,
        "max_tokens": values["max_tokens"],
        "temperature": values["temperature"],
        "top_p": values["top_p"],
        "stop": list(values["stop_sequences"]) or UNSET,
        "seed": values[_SEED],
        "stream": True if streams else UNSET,
        "stream_options": StreamOptions(include_usage=True) if streams else UNSET,
        "provider": where,
    }
    if asked.messages:
        messages = tuple(
            ChatMessage(role=each.role, content=each.content) for each in asked.messages
        )
        return ChatRequest(messages=messages, **common)
    if Route.COMPLETIONS in model.server.routes:
        return CompletionRequest(prompt=asked.prompt, **common)
    return ChatRequest(messages=(ChatMessage(role="user", content=asked.prompt),), **common)


def text_of(value: Mapping[str, Any]) -> str:
    """What an answer, or a piece of one, has of its text; "": nothing."""
    delta = value.get("delta")
    if isinstance(delta, str):
        # A piece of a transcript.
        return delta
    for choice in _objects(value.get("choices")):
        said = choice.get("delta") or choice.get("message") or choice
        text = said.get("content", said.get("text")) if isinstance(said, dict) else None
        return text if isinstance(text, str) else ""
    return ""


def result_of(
    request: Request, text: str, last: Mapping[str, Any], execution_time_s: float
) -> ModelResult:
    """What an answer says, as a program would have left it.

    Args:
        text: all of it.
        last: the whole answer; of a streamed text the last piece that had a choice, with the usage; of a streamed transcript its
            last event.

    Raises:
        NoAnswer: that cannot be read.
    """
    if isinstance(request, TranscriptionRequest):
        return msgspec.structs.replace(
            server_answers.heard(last), execution_time_s=execution_time_s
        )
    found: dict[str, Any] = {
        "execution_time_s": execution_time_s,
        "seed": given(getattr(request, _SEED, None), None),
    }
    if isinstance(request, ImageRequest):
        said, wanted = last.get("size"), given(request.size, "")
        sides = (said if isinstance(said, str) and _is_size(said) else wanted).partition("x")
        found |= {"width": int(sides[0]), "height": int(sides[2])}
        found["steps"] = given(request.steps, 0)
    else:
        ended = next((each.get("finish_reason") for each in _objects(last.get("choices"))), None)
        found |= {"text": text, "finish_reason": "length" if ended == "length" else "stop"}
        found["usage"] = last.get("usage") or {}
    try:
        return msgspec.convert(found, ModelResult)
    except msgspec.ValidationError as error:
        raise NoAnswer(f"its answer cannot be read: {error}") from error


def image_url(value: Mapping[str, Any]) -> str | None:
    """Where the image of an answer is."""
    for each in _objects(value.get("data")):
        url = each.get("url")
        return url if isinstance(url, str) else None
    return None


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _is_size(text: str) -> bool:
    width, _, height = text.partition("x")
    return width.isdecimal() and height.isdecimal() and len(text) < 12
