"""A request in OpenAI's form as a model's server takes it. Pure.

Servers speak OpenAI's own HTTP, so most of it is passed on as it came. Ours are the model's name, and the refusal of what the server's
entry does not say that it can do (`fields`). What a server answers is in `server_answers`.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec import UNSET

from neurogrid_marketplace.first_byte import Work, WorkKind
from neurogrid_marketplace.model_catalogue import Model
from neurogrid_marketplace.model_routing import MaxPrice, ProviderPreferences
from neurogrid_marketplace.model_server import Route
from neurogrid_marketplace.money import MICRO_PER_USDC
from neurogrid_marketplace.replica_routing import Preferences
from neurogrid_marketplace.text_bound import Asked
from neurogrid_marketplace.unit_price import ModelUnit

from ..services.errors import InvalidRequest
from .fields import NEEDS, NO_EFFECT, Unsupported, given, require_features
from .form_body import FormBody
from .recordings import Recording
from .requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    TranscriptionRequest,
)
from .worst_case import most_units

ROUTES: Final[Mapping[type, Route]] = {
    ChatRequest: Route.CHAT,
    CompletionRequest: Route.COMPLETIONS,
    EmbeddingRequest: Route.EMBEDDINGS,
    ImageRequest: Route.IMAGES,
    TranscriptionRequest: Route.TRANSCRIPTIONS,
}
_STREAM_USAGE: Final = ("stream_include_usage", "stream_continuous_usage_stats")
_encode = msgspec.json.Encoder().encode


def is_streamed(request: Request, model: Model) -> bool:
    """Whether its client wants the answer in pieces, and the server gives it in pieces.

    Of a transcript that comes whole, its client gets the events all the same.
    """
    if not given(getattr(request, "stream", None), False):
        return False
    server = model.server
    return not isinstance(request, TranscriptionRequest) or (
        server is not None and "stream" in server.features
    )


def unstreamed(request: Request) -> Request:
    """The same request for an answer that comes whole."""
    if isinstance(request, ChatRequest | CompletionRequest):
        return msgspec.structs.replace(request, stream=UNSET, stream_options=UNSET)
    if isinstance(request, TranscriptionRequest):
        return msgspec.structs.replace(request, stream=UNSET)
    return request


def require_able(request: Request, model: Model) -> None:
    """See that the model's server can do what a request asks for.

    Raises:
        Unsupported: its entry does not say so; the first such field is named.
    """
    assert model.server is not None, "it has one"
    features = frozenset(model.server.features)
    require_features(request, features)
    _require_own(request, features)


def form_for_server(request: TranscriptionRequest, model: Model, recording: Recording) -> FormBody:
    """The form that a server of speech gets.

    It is asked for all that it knows, whatever its client wants to have: so the seconds that are paid for are in its answer, and
    subtitles are written here.

    Raises:
        Unsupported: see `require_able`.
    """
    require_able(request, model)
    assert model.server is not None, "it has one"
    fields = [("model", model.name_at_server)]
    shape = "verbose_json"
    if is_streamed(request, model):
        # Its last event has the seconds in either form.
        if given(request.response_format, "json") != shape:
            shape = "json"
        fields.append(("stream", "true"))
        if "usage_in_stream" in model.server.features:
            # vLLM's names: a form has no `stream_options`. So who leaves in the middle pays for what was heard by then.
            fields += [(name, "true") for name in _STREAM_USAGE]
    fields.append(("response_format", shape))
    if shape == "verbose_json":
        wanted = given(request.timestamp_granularities, []) or ["segment"]
        fields += [("timestamp_granularities[]", each) for each in dict.fromkeys(wanted)]
    for name in ("language", "prompt", "temperature"):
        value = given(getattr(request, name), None)
        if value not in (None, ""):
            fields.append((name, str(value)))
    return FormBody(fields, recording)


def for_server(request: Request, model: Model) -> bytes:
    """The body that the model's server gets, of all but recordings.

    Raises:
        Unsupported: see `require_able`.
    """
    server = model.server
    assert server is not None, "it has one"
    require_able(request, model)
    features = frozenset(server.features)
    body: dict[str, Any] = msgspec.to_builtins(request)
    for name in ("provider", *(NO_EFFECT - {"parallel_tool_calls"})):
        body.pop(name, None)
    needs = NEEDS[type(request)]
    body = {
        name: value
        for name, value in body.items()
        if value is not None
        and (name not in needs or needs[name].feature in features or _json(name))
    }
    body["model"] = model.name_at_server
    if isinstance(request, ImageRequest):
        # Where a client gets it from is ours to say.
        body["response_format"] = "b64_json"
    if is_streamed(request, model) and "usage_in_stream" in features:
        # What was read is known, and billed, from the first piece on; some servers say it at the end alone.
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    else:
        body.pop("stream_options", None)
    return _encode(body)


def work_of(request: Request, model: Model, body_bytes: int) -> Work:
    """What the model's server does before it says anything.

    Args:
        body_bytes: of what the server gets.
    """
    if is_streamed(request, model):
        return Work(WorkKind.BEGIN, body_bytes)
    match request:
        case EmbeddingRequest() | TranscriptionRequest():
            return Work(WorkKind.WHOLE, body_bytes)
        case ImageRequest():
            width, _, height = given(request.size, "").partition("x")
            points = int(width) * int(height) if width.isdecimal() and height.isdecimal() else 0
            steps = given(request.steps, 1) or 1
            return Work(WorkKind.WHOLE, points * steps * (given(request.n, 1) or 1))
    most = most_units(request, model)
    return Work(WorkKind.WRITE, 0 if most is None else most.output_tokens)


def asked_text(request: Request, body_bytes: int) -> Asked:
    """What the text of a request lets its answer cost.

    Args:
        body_bytes: of what the server gets.
    """
    stop = given(getattr(request, "stop", None), None) or ()
    stops = [stop] if isinstance(stop, str) else stop
    return Asked(
        body_bytes,
        is_text=not isinstance(request, ChatRequest) or _is_text(request),
        stop_bytes=max((len(each.encode("utf-8", "replace")) for each in stops), default=0),
    )


def _is_text(request: ChatRequest) -> bool:
    parts = [
        part
        for message in request.messages
        if isinstance(message.content, list)
        for part in message.content
    ]
    return all(part.type in ("text", "refusal") for part in parts)


def _json(name: str) -> bool:
    """Whether it was let through by another word than its own."""
    return name == "response_format"


def _require_own(request: Request, features: frozenset[str]) -> None:
    if isinstance(request, TranscriptionRequest):
        return
    for name in ("seed", "stream"):
        if given(getattr(request, name, None), None) and name not in features:
            raise Unsupported(f"{name}: {request.model} does not support this; leave it out", name)
    if not isinstance(request, ChatRequest):
        return
    for index, message in enumerate(request.messages):
        where = f"messages[{index}]"
        if message.role in ("tool", "function") and "tools" not in features:
            raise Unsupported(
                f"{where}.role: this model takes no {message.role} messages",
                f"{where}.role",
                value=True,
            )
        parts = message.content if isinstance(message.content, list) else []
        for part in parts:
            taken = {"text", "refusal"} | ({"image_url"} if "vision" in features else set())
            if part.type not in taken:
                raise Unsupported(
                    f"{where}.content: this model takes {', '.join(sorted(taken))}, not {part.type[:64]!r}",
                    f"{where}.content",
                    value=True,
                )


def preferences(routing: ProviderPreferences, request: Request, model: Model) -> Preferences:
    """By whom it may be answered.

    Raises:
        InvalidRequest: a cap is no amount, or cannot be held to.
    """
    only = routing.only
    if routing.order and not routing.allow_fallbacks:
        only = tuple(each for each in routing.order if not only or each in only) or ("nobody",)
    caps: dict[ModelUnit, int] = {}
    if routing.max_price is not None:
        caps = _caps(routing.max_price)
        _require_below(routing.max_price, request, model)
    return Preferences(
        order=routing.order,
        only=only,
        ignore=routing.ignore,
        sort=routing.sort or "",
        max_prices=caps,
        regions=() if routing.region is None else (routing.region,),
    )


def _caps(price: MaxPrice) -> dict[ModelUnit, int]:
    found: dict[ModelUnit, int] = {}
    for name, units in (
        ("prompt", (ModelUnit.INPUT_TOKEN, ModelUnit.CACHED_INPUT_TOKEN)),
        ("completion", (ModelUnit.OUTPUT_TOKEN,)),
        ("image", (ModelUnit.IMAGE,)),
    ):
        amount = getattr(price, name)
        if amount is not None:
            # Prices are those of a million units; of pictures a client names that of one.
            times = 10**6 if name == "image" else 1
            found |= {unit: times * _micro_usdc(amount, name) for unit in units}
    return found


def _require_below(price: MaxPrice, request: Request, model: Model) -> None:
    """See that no answer can cost more than all of it may: nobody stops in the middle of one."""
    if price.request is None:
        return
    most = _micro_usdc(price.request, "request")
    if isinstance(request, TranscriptionRequest):
        raise Unsupported(
            "provider.max_price.request: how long a recording is, its server finds out; leave it out",
            "provider.max_price.request",
        )
    units = most_units(request, model)
    if units is None:
        raise InvalidRequest(
            "provider.max_price.request: send max_tokens, too: how long an answer gets is not known",
            "provider.max_price.request",
        )
    worst = model.unit_price.exact().cost_micro_usdc(units)
    if worst > most:
        raise InvalidRequest(
            f"provider.max_price.request: this may cost up to {worst} micro-USDC, and {most} are allowed; ask for less",
            "provider.max_price.request",
        )


def _micro_usdc(amount: Decimal, name: str) -> int:
    micro = amount * MICRO_PER_USDC if amount.is_finite() else Decimal(-1)
    if not 0 <= micro <= 10**15 or micro != int(micro):
        raise InvalidRequest(
            f"provider.max_price.{name}: is an amount of USDC with at most six decimals",
            f"provider.max_price.{name}",
        )
    return int(micro)
