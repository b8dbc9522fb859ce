"""A batch's file: a request a line (JSON Lines), and what each is as a task of a native batch."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.model_catalogue import Model
from neurogrid_marketplace.model_routing import ANYWHERE, ProviderPreferences, conditions
from neurogrid_marketplace.money import format_usdc

from ..services.errors import InvalidRequest
from .by_task import ForProgram
from .fields import Unsupported, given
from .requests import ChatRequest, CompletionRequest, EmbeddingRequest, ImageRequest, Request

# OpenAI takes 200 MB; a file here is an artifact, and 50,000 lines are as many as there.
FILE_BYTES_MAX = 64 * 1024 * 1024
LINES_MAX = 50_000
LINE_BYTES_MAX = 1024 * 1024
# How long a batch has: OpenAI knows no other window either.
WINDOW = "24h"
WINDOW_MS = 24 * 3_600_000
# Behind everything that somebody waits for.
_PRIORITY = 1
_MS_PER_S = 1000
_PERCENT = 100

KINDS: Mapping[str, type] = {
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
    "/v1/embeddings": EmbeddingRequest,
    "/v1/images/generations": ImageRequest,
}


class _Line(Struct, frozen=True, forbid_unknown_fields=True):
    custom_id: Annotated[str, Meta(min_length=1, max_length=200)]
    method: Annotated[str, Meta(max_length=16)]
    url: Annotated[str, Meta(max_length=200)]
    body: dict[str, Any]


class Line(Struct, frozen=True):
    """A request of a batch, and its owner's id for it."""

    custom_id: str
    request: Request


_line = msgspec.json.Decoder(_Line).decode


def read_line(data: bytes, number: int, endpoint: str) -> Line:
    """A line of a file.

    Args:
        number: counted from 1, for errors.
        endpoint: of the batch; all of its requests go there.

    Raises:
        InvalidRequest: it says which line and field.
    """
    where = f"line {number}"
    if len(data) > LINE_BYTES_MAX:
        raise InvalidRequest(f"{where}: has more than {LINE_BYTES_MAX} bytes", where)
    try:
        line = _line(data)
        if line.method != "POST":
            raise InvalidRequest(f"{where}: method: is POST", where)
        if line.url != endpoint:
            raise InvalidRequest(
                f"{where}: url: has to be the batch's endpoint, {endpoint}, not {line.url[:80]}",
                where,
            )
        request: Any = msgspec.convert(line.body, KINDS[endpoint])
    except msgspec.ValidationError as error:
        words, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").lstrip(".") or "the request"
        raise InvalidRequest(f"{where}: {field}: {words[:1].lower()}{words[1:]}", where) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"{where}: is no JSON: {error}", where) from error
    if given(getattr(request, "stream", None), False):
        raise Unsupported(f"{where}: stream: a batch's answers come in a file", where, value=True)
    if isinstance(request, ImageRequest) and given(request.response_format, "") != "url":
        raise Unsupported(
            f"{where}: response_format: images of a batch are files: ask for url", where, value=True
        )
    if given(getattr(request, "provider", None), ANYWHERE).order:
        raise Unsupported(f"{where}: provider.order: name only or ignore in a batch", where)
    return Line(line.custom_id, request)


def task_request(
    line: Line,
    model: Model,
    program: ForProgram,
    *,
    discount_percent: int,
    cap_micro_usdc: int | None,
    ends_at_ms: int,
) -> dict[str, Json]:
    """The request as one of `POST /api/v1/tasks`: for less than the catalogue's price, behind all others, until the window ends."""
    routing: ProviderPreferences = given(line.request.provider, ANYWHERE)
    most = model.price.max_micro_usdc_per_hour * (_PERCENT - discount_percent) // _PERCENT
    made: dict[str, Any] = {
        "kind": "model",
        "model": model.id,
        **msgspec.to_builtins(program.asked),
        "parameters": program.parameters,
        "max_price_per_hour": format_usdc(max(1, most)),
        "priority": _PRIORITY,
        "priority_reason": "a batch",
        "deadline": datetime.fromtimestamp(ends_at_ms / _MS_PER_S, UTC).isoformat(),
    }
    if cap_micro_usdc is not None:
        made["max_total_cost"] = format_usdc(cap_micro_usdc)
    if routing.region is not None:
        made["regions"] = [routing.region]
    where = conditions(routing)
    if where:
        made["constraints"] = msgspec.to_builtins(where)
    return made
