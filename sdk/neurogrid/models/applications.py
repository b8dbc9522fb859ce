"""Applications that act for accounts by OAuth 2, and what they are allowed."""

from datetime import datetime

from msgspec import Struct

from .listed import Listed


class Application(Struct, frozen=True, kw_only=True):
    """An application that the account has registered, without its secret.

    Attributes:
        scopes, roles: what its tokens may do, and act as, at most.
        confidential: it runs where nobody else can read its secret.
        expires_at: when it ends, with the key that registered it; None: never.
    """

    client_id: str
    name: str
    scopes: list[str]
    created_at: datetime
    redirect_uris: list[str] = []
    roles: list[str] = []
    confidential: bool = True
    expires_at: datetime | None = None


class NewApplication(Application, frozen=True, kw_only=True):
    """An application with its secret, which is shown this once; None where it can keep none."""

    client_secret: str | None = None


class ApplicationPage(Listed[Application], Struct, frozen=True, kw_only=True):
    """Some of the account's applications; ``total`` counts all."""

    clients: list[Application]
    total: int
    limit: int = 0
    offset: int = 0


class Grant(Struct, frozen=True, kw_only=True):
    """What the account allows an application, its own or somebody else's; ``name``: what that calls itself."""

    id: str
    client_id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    roles: list[str] = []


class GrantPage(Listed[Grant], Struct, frozen=True, kw_only=True):
    """Some of what the account allows now; ``total`` counts all."""

    grants: list[Grant]
    total: int
    limit: int = 0
    offset: int = 0


class EndedGrant(Struct, frozen=True, kw_only=True):
    """What is not allowed any more."""

    id: str
