"""OAuth 2's client credentials: a program that has an application's secret, and tokens that last an hour, in place of a key.

docs/oauth.md says how an application is registered. Its secret goes to the coordinator's ``/oauth/token`` alone.
"""

import threading
import time
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING

import httpx
import msgspec

from .errors import AuthenticationError, ConnectionFailed, ServerError

if TYPE_CHECKING:
    from anyio import Lock

TOKEN_PATH = "/oauth/token"
# A token that ends on its way is refused: another one is asked for so long before.
_EARLY_S = 60.0
# What an answer may have; ours are some 200 bytes.
_ANSWER_BYTES_MAX = 64 * 1024


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float


class _Refusal(msgspec.Struct):
    error: str = ""
    error_description: str = ""


class ClientCredentials(httpx.Auth):
    """Gives each request the token of an application, and gets another one when that is about to end.

    Safe to use from several threads, or from several tasks of one event loop. ``repr`` shows no secret.

    Args:
        base_url: of the coordinator.
        scope: separated by blanks; empty: all that the application may have.
    """

    def __init__(self, base_url: str, client_id: str, client_secret: str, scope: str = "") -> None:
        self._url = base_url.rstrip("/") + TOKEN_PATH
        self._basic = httpx.BasicAuth(client_id, client_secret)
        self._form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        self._token = ""
        self._until_s = 0.0
        self._lock = threading.Lock()
        # In an event loop, which the other one would stop; a client has one or the other kind of requests.
        self._loops_lock: Lock | None = None

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """What httpx sends for a request: the question for a token before it, if there is none.

        Raises:
            AuthenticationError: the application or its secret is not known.
            ServerError, ConnectionFailed: there is no token now.
        """
        with self._lock:
            if time.monotonic() >= self._until_s - _EARLY_S:
                answer = yield self._question()
                answer.read()
                self._keep(answer)
            token = self._token
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            with self._lock:
                self._forget(token)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """As `sync_auth_flow`, in an event loop."""
        if self._loops_lock is None:
            # Loaded by whoever has an event loop alone.
            from anyio import Lock

            self._loops_lock = Lock()
        async with self._loops_lock:
            if time.monotonic() >= self._until_s - _EARLY_S:
                answer = yield self._question()
                await answer.aread()
                self._keep(answer)
            token = self._token
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._forget(token)

    def _forget(self, token: str) -> None:
        # It was taken back, or the coordinator's clock is another: the next request asks anew.
        if token == self._token:
            self._until_s = 0.0

    def _question(self) -> httpx.Request:
        asking = httpx.Request("POST", self._url, data=self._form)
        return next(self._basic.auth_flow(asking))

    def _keep(self, answer: httpx.Response) -> None:
        if answer.status_code != httpx.codes.OK:
            raise _refused(answer)
        try:
            found = msgspec.json.decode(answer.content[:_ANSWER_BYTES_MAX], type=_Token)
        except msgspec.DecodeError as error:
            raise ConnectionFailed(f"{self._url} answers no token: {error}") from error
        self._token = found.access_token
        self._until_s = time.monotonic() + max(found.expires_in, 2 * _EARLY_S)

    def __repr__(self) -> str:
        return f"ClientCredentials({self._url!r})"


def _refused(answer: httpx.Response) -> AuthenticationError | ServerError:
    try:
        said = msgspec.json.decode(answer.content[:_ANSWER_BYTES_MAX], type=_Refusal)
    except msgspec.DecodeError:
        said = _Refusal()
    message = f"no token: {said.error_description or said.error or f'HTTP {answer.status_code}'}"
    kind = (
        ServerError
        if answer.status_code >= 500 or answer.status_code == 429
        else AuthenticationError
    )
    return kind(message, code=said.error.upper(), status=answer.status_code, details={})
