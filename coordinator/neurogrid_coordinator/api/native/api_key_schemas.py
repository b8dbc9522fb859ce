"""API keys: what requests say and answers show."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ...services.key_rules import GRACE_MAX_S, GRACE_MIN_S, GRACE_S, LIFE_MAX_S, LIFE_MIN_S
from .schemas import Time

Scope = Literal["read", "write", "keys"]
Role = Literal["client", "provider", "operator"]

KEY_RULES = {"name": "1 to 100 characters without control characters"}

_ExpiresAt = Annotated[
    Annotated[datetime, Meta(tz=True)] | None,
    Meta(
        description="When it ends, with a time zone; no later than the key that asks.",
        examples=["2030-01-15T10:30:00Z"],
    ),
]
_ExpiresIn = Annotated[
    Annotated[int, Meta(ge=LIFE_MIN_S, le=LIFE_MAX_S)] | None,
    Meta(description="The same counted from now, in place of `expires_at`.", examples=[7_776_000]),
]


class ApiKeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A key that is wanted. Without an end it lives as long as the key that asks."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[^\x00-\x1f\x7f]{1,100}\Z",
            description="What it is for; for people.",
            examples=["nightly training"],
        ),
    ]
    scopes: Annotated[
        list[Scope],
        Meta(
            min_length=1,
            max_length=8,
            description="`read`: GET. `write`: everything else but keys. `keys`: make, rotate and "
            "revoke keys. None that the key that asks lacks.",
        ),
    ]
    expires_at: _ExpiresAt = None
    expires_in_seconds: _ExpiresIn = None
    roles: Annotated[
        Annotated[list[Role], Meta(min_length=1, max_length=8)] | None,
        Meta(
            description="What it acts as; none that the key that asks is not. By default as that key, but "
            "never as operator.",
            examples=[["client"]],
        ),
    ] = None


class ApiKeyRotation(Struct, frozen=True, forbid_unknown_fields=True):
    """How a key is replaced. Without an end the new one ends when the old one would have, or the key
    that asks if that is sooner."""

    grace_seconds: Annotated[
        int,
        Meta(
            ge=GRACE_MIN_S,
            le=GRACE_MAX_S,
            description="How long the old key goes on. Revoke it to end it at once.",
        ),
    ] = GRACE_S
    expires_at: _ExpiresAt = None
    expires_in_seconds: _ExpiresIn = None


class ApiKeyView(Struct, frozen=True):
    """An API key without its secret."""

    id: str
    name: str
    hint: Annotated[str, Meta(description="Its first characters.", examples=["ng_x7Ab2c"])]
    kind: Annotated[
        Literal["key", "sign_in", "application"],
        Meta(
            description="`sign_in`: somebody signed in with the account's wallet. `application`: a token "
            "of an application's, by OAuth."
        ),
    ]
    scopes: list[str]
    roles: Annotated[
        list[str], Meta(description="What it acts as, as far as its account still does.")
    ]
    state: Literal["active", "expired", "revoked"]
    current: Annotated[bool, Meta(description="Whether it is the key that asks.")]
    created_at: Time
    expires_at: Time | None
    revoked_at: Time | None
    last_used_at: Annotated[Time | None, Meta(description="To the minute.")]


class NewApiKeyView(ApiKeyView, frozen=True):
    """An API key that was made."""

    secret: Annotated[
        str | None,
        Meta(
            description="What to send as `Authorization: Bearer`. Shown this once. Where a request is "
            "repeated with its idempotency key: another one, if nobody has used the key yet; else null."
        ),
    ]


class RotatedApiKeyView(NewApiKeyView, frozen=True):
    """An API key that takes the place of another."""

    replaces: Annotated[ApiKeyView, Meta(description="The old key, with its new end.")]


class ApiKeyListView(Struct, frozen=True):
    """Some of the account's keys; ``total`` counts all that were asked for."""

    api_keys: list[ApiKeyView]
    total: int
    limit: int
    offset: int
