"""A request in OpenAI's form as a model's server takes it, and what it answers as it goes out. Pure.

Servers speak OpenAI's own HTTP, so most of both is passed on as it came. Ours are the model's name, the id, what it cost, and the refusal
of what the server's entry does not say that it can do (`fields`).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from neurogrid_marketplace.model_catalogue import Model
from neurogrid_marketplace.model_routing import MaxPrice, ProviderPreferences
from neurogrid_marketplace.model_server import Route
from neurogrid_marketplace.money import MICRO_PER_USDC
from neurogrid_marketplace.replica_routing import Preferences
from neurogrid_marketplace.text_bound import Asked
from neurogrid_marketplace.unit_price import ModelUnit

from ..services.errors import InvalidRequest
from .answers import Bill
from .fields import NEEDS, NO_EFFECT, Unsupported, given, require_features
from .requests import ChatRequest, CompletionRequest, EmbeddingRequest, Request
from .worst_case import most_units

ROUTES: Final[Mapping[type, Route]] = {
    ChatRequest: Route.CHAT,
    CompletionRequest: Route.COMPLETIONS,
    EmbeddingRequest: Route.EMBEDDINGS,
}
# Of one event: a token, with its alternatives where those are asked for.
_EVENT_BYTES_MAX: Final = 1024 * 1024
_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"
_PREFIXES: Final = {ChatRequest: "chatcmpl", CompletionRequest: "cmpl"}
_encode = msgspec.json.Encoder().encode


class NoAnswer(Exception):
    """What a server says is none; says why."""


def is_streamed(request: Request) -> bool:
    """Whether its client wants the answer in pieces."""
    return bool(given(getattr(request, "stream", None), False))


def wants_usage(request: Request) -> bool:
    """Whether its client wants the usage in a stream, too."""
    options = given(getattr(request, "stream_options", None), None)
    return options is not None and bool(options.include_usage)


def for_server(request: Request, model: Model) -> bytes:
    """The body that the model's server gets.

    Raises:
        Unsupported: the server's entry does not say that it can do what the request asks for.
    """
    server = model.server
    assert server is not None, "it has one"
    features = frozenset(server.features)
    require_features(request, features)
    _require_own(request, features)
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
    if is_streamed(request) and "usage_in_stream" in features:
        # What was read is known, and billed, from the first piece on; some servers say it at the end alone.
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    else:
        body.pop("stream_options", None)
    return _encode(body)


def asked_text(request: Request, body: bytes) -> Asked:
    """What the text of a request lets its answer cost.

    Args:
        body: as the server gets it.
    """
    stop = given(getattr(request, "stop", None), None) or ()
    stops = [stop] if isinstance(stop, str) else stop
    return Asked(
        len(body),
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
    ):
        amount = getattr(price, name)
        if amount is not None:
            found |= {unit: _micro_usdc(amount, name) for unit in units}
    return found


def _require_below(price: MaxPrice, request: Request, model: Model) -> None:
    """See that no answer can cost more than all of it may: nobody stops in the middle of one."""
    if price.request is None:
        return
    most = _micro_usdc(price.request, "request")
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


class Events:
    """Takes a stream of server-sent events in pieces, and gives the data of each that is complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The next piece.

        Raises:
            NoAnswer: an event is longer than any token.
        """
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) + sum(map(len, self._lines)) > _EVENT_BYTES_MAX:
            raise NoAnswer("an event of its answer is too long")
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(_DATA):
                self._lines.append(line[len(_DATA) :].strip())
            elif not line and self._lines:
                data, self._lines = b"\n".join(self._lines), []
                yield data


def is_done(data: bytes) -> bool:
    """Whether an event says that there are no more."""
    return data == _DONE


def read_object(data: bytes) -> dict[str, Any]:
    """An answer, or an event.

    Raises:
        NoAnswer: it is no object, or says what went wrong.
    """
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoAnswer("what it answers is no JSON") from error
    if not isinstance(value, dict):
        raise NoAnswer("what it answers is no JSON object")
    if value.get("error"):
        raise NoAnswer(error_words(value) or "it says that it failed")
    return value


def error_words(value: object) -> str:
    """What a server says went wrong, in its words; "" where it says nothing that can be read."""
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return error[:500] if isinstance(error, str) else ""


def chunk(request: Request, value: dict[str, Any], bill: Bill) -> dict[str, Any]:
    """A piece of a stream as it goes out, without what it cost."""
    out = {**value, **_named(request, value, bill)}
    if wants_usage(request):
        out["usage"] = None
    else:
        out.pop("usage", None)
    return out


def is_last(value: Mapping[str, Any]) -> bool:
    """Whether a piece says how a text has ended."""
    choices = value.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and choice.get("finish_reason") for choice in choices
    )


def usage_chunk(request: Request, value: Mapping[str, Any], bill: Bill) -> dict[str, Any]:
    """The piece with the usage alone, which is the last where it is wanted.

    Args:
        value: the server's last one that had any.
    """
    head = {name: value[name] for name in ("object", "created") if name in value}
    named = _named(request, value, bill)
    return {**head, **named, "choices": [], "usage": _usage(value, bill)}


def whole(request: Request, value: dict[str, Any], bill: Bill) -> dict[str, Any]:
    """A whole answer as it goes out.

    Raises:
        NoAnswer: it has nothing of what was asked for.
    """
    name = "data" if isinstance(request, EmbeddingRequest) else "choices"
    if not isinstance(value.get(name), list) or not value[name]:
        raise NoAnswer(f"its answer has no {name}")
    return {
        **value,
        **_named(request, value, bill),
        "usage": _usage(value, bill),
        "neurogrid": bill.origin,
    }


def _named(request: Request, value: Mapping[str, Any], bill: Bill) -> dict[str, Any]:
    prefix = _PREFIXES.get(type(request))
    if prefix is None:
        return {"model": bill.model.id}
    fingerprint = value.get("system_fingerprint")
    return {
        "id": f"{prefix}-{bill.id}",
        "created": bill.created_s,
        "model": bill.model.id,
        "system_fingerprint": fingerprint if isinstance(fingerprint, str) else bill.fingerprint,
    }


def _usage(value: Mapping[str, Any], bill: Bill) -> dict[str, Any]:
    usage = value.get("usage")
    return {**(usage if isinstance(usage, dict) else {}), **bill.cost}
