"""Errors as document 000 has them: ``{error, message, ...}``, of which it prints the one of too many requests."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response

from ..envelope import iso, json_response
from ..errors import Problem
from ..openapi import Schemas

_RATE_LIMITED = "RATE_LIMITED"
# The document's own word; all others are the native codes in small letters.
_WORDS = {_RATE_LIMITED: "rate_limit_exceeded"}


class BoltError(Struct, frozen=True):
    """Every error of document 000 but that of too many requests."""

    error: Annotated[
        str, Meta(description="The native code in small letters.", examples=["not_found"])
    ]
    message: str
    details: Annotated[dict[str, Any], Meta(description="As natively.")]


class BoltLimit(Struct, frozen=True):
    """How many requests may come in a minute, how many still may, and when all may again."""

    limit: int
    remaining: int
    reset: Annotated[str, Meta(examples=["2024-01-01T00:00:00.000Z"])]


class BoltLimited(Struct, frozen=True, rename="camel"):
    """Too many requests. ``limits``: ``user`` and ``ip``, as far as the operator limits them and they were
    looked at."""

    error: str
    message: str
    retry_after: Annotated[int, Meta(description="Seconds.")]
    limits: dict[str, BoltLimit]


def error_form(error: Problem) -> Response:
    """An error in the document's form."""
    word = _WORDS.get(error.code, error.code.lower())
    body: BoltError | BoltLimited = BoltError(word, error.message, dict(error.details))
    if error.code == _RATE_LIMITED:
        body = _limited(word, error)
    return json_response(body, error.status, error.headers)


def _limited(word: str, error: Problem) -> BoltLimited:
    retry_after, limits = error.details.get("retry_after"), error.details.get("limits", {})
    assert isinstance(retry_after, int), "`RateLimited` says so"
    assert isinstance(limits, dict), "`RateLimited` says so"
    return BoltLimited(
        word,
        error.message,
        retry_after,
        {name: _limit(told) for name, told in limits.items() if isinstance(told, dict)},
    )


def _limit(told: dict[str, Any]) -> BoltLimit:
    return BoltLimit(told["limit"], told["remaining"], iso(1000 * told["reset"]))


def bolt_errors(schemas: Schemas, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers with these statuses, for a route's description."""
    described: dict[int | str, dict[str, Any]] = {
        status: schemas.bare(BoltError, _MEANING[status]) for status in statuses
    }
    if 429 in described:
        described[429] = schemas.bare(BoltLimited, _MEANING[429])
    return described


_MEANING = {
    400: "The body is no JSON.",
    401: "No key, or one that opens nothing.",
    402: "The account's money or its own limits do not suffice.",
    403: "The key lacks the scope, or acts as something else.",
    404: "There is no such thing of the account's.",
    409: "It does not fit the present state, or the idempotency key was used for another request.",
    413: "The body is too long.",
    422: "A value breaks a rule; `message` says which.",
    429: "Too many requests.",
    503: "The coordinator can't do it now.",
}
