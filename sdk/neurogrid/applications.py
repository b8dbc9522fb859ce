# Made from aio/applications.py by scripts/unasync.py: change that one, and run it.
"""Applications by OAuth 2: those that the account has registered, and what it allows any."""

import uuid
from collections.abc import Sequence

from .models import KeyScope
from .models.applications import (
    Application,
    ApplicationPage,
    EndedGrant,
    GrantPage,
    NewApplication,
)
from .transport import Transport

_CLIENTS = "/oauth/clients"
_GRANTS = "/oauth/grants"


class Applications:
    """Applications. All of it needs a key with the scope ``keys``; docs/oauth.md says what applications do."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def register(
        self,
        name: str,
        *,
        scopes: Sequence[KeyScope] = ("read",),
        redirect_uris: Sequence[str] = (),
        confidential: bool = True,
    ) -> NewApplication:
        """A new application, that may do no more than the client's own key and ends with it.

        Args:
            name: what owners of accounts are shown.
            redirect_uris: where answers may be sent, to the byte; none for one that only acts for this account.
            confidential: it runs where nobody else can read its secret; a page or an app does not.

        Raises:
            InvalidRequestError: a redirect URI is none that is safe.
            PermissionDeniedError: the client's own key lacks a scope.
            ConflictError: the account has as many as it may have, or an answer with a secret was lost on its way:
                the application is there (`list`), and another secret is had by `rotate_secret`.
        """
        body = {
            "name": name,
            "scopes": [*scopes],
            "redirect_uris": [*redirect_uris],
            "confidential": confidential,
        }
        return self._transport.call(NewApplication, "POST", _CLIENTS, json=body, headers=_once())

    def list(self, *, limit: int = 50, offset: int = 0) -> ApplicationPage:
        """The account's applications, newest first."""
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        return self._transport.call(ApplicationPage, "GET", _CLIENTS, params=params)

    def get(self, client_id: str) -> Application:
        """One application.

        Raises:
            NotFoundError: there is no such application of this account.
        """
        return self._transport.call(Application, "GET", f"{_CLIENTS}/{client_id}")

    def rotate_secret(self, client_id: str) -> NewApplication:
        """Another secret; the one before goes on for a day, the one before that ends.

        Raises:
            NotFoundError: see `get`.
            ConflictError: it is public and has none, or the answer with the secret was lost on its way.
        """
        path = f"{_CLIENTS}/{client_id}/rotate-secret"
        return self._transport.call(NewApplication, "POST", path, headers=_once())

    def delete(self, client_id: str) -> Application:
        """End an application, with all that anybody has allowed it.

        Raises:
            NotFoundError: see `get`.
        """
        return self._transport.call(Application, "DELETE", f"{_CLIENTS}/{client_id}")

    def list_grants(self, *, limit: int = 50, offset: int = 0) -> GrantPage:
        """What the account allows applications now, newest first."""
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        return self._transport.call(GrantPage, "GET", _GRANTS, params=params)

    def end_grant(self, grant_id: str) -> None:
        """Take back what the account allows an application; repeating is harmless.

        Raises:
            NotFoundError: the account never allowed that.
        """
        self._transport.call(EndedGrant, "DELETE", f"{_GRANTS}/{grant_id}")


def _once() -> dict[str, str]:
    # A repeated attempt makes no second one.
    return {"Idempotency-Key": uuid.uuid4().hex}
