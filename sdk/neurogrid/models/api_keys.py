"""API keys."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from .listed import Listed

KeyScope = Literal["read", "write", "keys"]
KeyRole = Literal["client", "provider", "operator"]
KeyState = Literal["active", "expired", "revoked"]


class ApiKey(Struct, frozen=True, kw_only=True):
    """An API key without its secret.

    Attributes:
        hint: its first characters.
        scopes: what it may do, see `KeyScope`; a newer coordinator may know more.
        roles: what it acts as, see `KeyRole`, as far as its account still does.
        current: whether it is the key that asked.
        last_used_at: to the minute; None for never.
    """

    id: str
    name: str
    hint: str
    scopes: list[str]
    state: KeyState
    created_at: datetime
    current: bool = False
    roles: list[str] = []
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class NewApiKey(ApiKey, frozen=True, kw_only=True):
    """An API key that was made.

    Attributes:
        secret: what to send; shown this once. None where a request of before was repeated and its key
            has been used.
    """

    secret: str | None = None


class RotatedApiKey(NewApiKey, frozen=True, kw_only=True):
    """An API key that takes the place of another; ``replaces``: that one, with its new end."""

    replaces: ApiKey


class ApiKeyPage(Listed[ApiKey], Struct, frozen=True, kw_only=True):
    """Some of the account's keys; ``total`` counts all that were asked for."""

    api_keys: list[ApiKey]
    total: int
    limit: int = 0
    offset: int = 0
