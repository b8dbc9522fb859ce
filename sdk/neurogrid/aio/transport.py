"""The HTTP door: one request with bounded retries, errors as exceptions, answers as typed values."""

import hashlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
)
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from neurogrid_marketplace.input_url import FETCH_MAX_S

from ..answers import PASSING_STATUS, Envelope, backoff_s, describe, raise_for_error, user_agent
from ..errors import (
    ApiError,
    AuthenticationError,
    ConnectionFailed,
    RateLimitError,
    ServerError,
)
from ..oauth import ClientCredentials
from ..profile import Profile
from ..signing import RequestSigner
from .runtime import blocking, sleep

T = TypeVar("T")

API = "/api/v1"
# What is asked in OpenAI's form is not below that.
_DIALECT = "/v1/"
# A server that asks for a longer pause is not waited for: the caller gets the error and decides.
_RETRY_AFTER_MAX_S = 30.0
# What is never signed.
_READING = frozenset({"GET", "HEAD"})
# Who follows a task for minutes need not hear of a coordinator that restarts, or moves, meanwhile.
ABSENCE_MAX_S = 60.0
# A coordinator that fetches files for a request answers when they are there.
FETCH_SILENCE_S = FETCH_MAX_S + 60.0
# Server-sent streams carry a comment at least every 15 s; three times that is a dead connection.
STREAM_SILENCE_S = 45.0

Params = Mapping[str, str | int | bool]


class Transport:
    """Requests to one coordinator with one key.

    Args:
        profile: where, and with which key.
        timeout_s: the longest silence on one request.
        retries_max: how often a request is repeated after its first failure.
        http: httpx transport, for tests and proxies; None for httpx's own.
        sleep: waits so many seconds between attempts.

    Attributes:
        profile: as given.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        timeout_s: float = 30.0,
        retries_max: int = 4,
        http: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = sleep,
    ) -> None:
        self.profile = profile
        self._wallet_key = profile.wallet_key
        self._signer: RequestSigner | None = None
        # Known as soon as the coordinator has wanted something signed: from then on all writes are.
        self._network = ""
        self._retries_max = retries_max
        self._sleep = sleep
        self._application: ClientCredentials | None = None
        headers = {"User-Agent": user_agent()}
        if profile.application is not None:
            self._application = ClientCredentials(profile.base_url, *profile.application)
        else:
            headers["Authorization"] = f"Bearer {profile.api_key}"
        self._client = httpx.AsyncClient(
            base_url=profile.base_url,
            headers=headers,
            auth=self._application,
            timeout=timeout_s,
            transport=http,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def sign_with(self, wallet_key: Path) -> None:
        """Sign what the coordinator wants signed with this key file from now on."""
        self._wallet_key, self._signer = wallet_key, None

    def url(self, path: str) -> str:
        """The address of something below ``/api/v1``."""
        return str(self._client.base_url.join(API.removeprefix("/") + path))

    async def websocket(self, path: str) -> tuple[str, dict[str, str]]:
        """Address and headers of a WebSocket below ``/api/v1``.

        Raises:
            AuthenticationError, ConnectionFailed: an application gets no token now.
        """
        url = self._client.base_url.join(API.removeprefix("/") + path)
        scheme = "wss" if url.scheme == "https" else "ws"
        names = ("Authorization", "User-Agent")
        # An application's token comes with an ordinary request, which this makes.
        given = self._client.headers
        if self._application is not None:
            given = (await self.send("GET", "/account")).request.headers
        headers = {name: given[name] for name in names}
        return str(url.copy_with(scheme=scheme)), headers

    async def call(
        self,
        kind: type[T],
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], AsyncIterable[bytes]] | None = None,
        body: bytes | None = None,
        task_id: str | None = None,
        patience_s: float = 0,
        silence_s: float | None = None,
        repeats_sent: bool = True,
    ) -> T:
        """Send a request that may be repeated, and read ``data`` of the answer as a ``kind``.

        Args:
            path: below ``/api/v1``.
            content: makes the body anew for each attempt.
            body: the body, where it is no JSON and small enough to be kept.
            task_id: of the task that is asked for, so that "not found" can name it.
            patience_s: repeat it for at least so long while the coordinator is away.
            silence_s: how long the answer may take to begin; None for the client's timeout.
            repeats_sent: also where it may have arrived, and nobody knows what became of it.

        Raises:
            ApiError, ConnectionFailed: see `neurogrid.errors`.
        """
        response = await self.send(
            method,
            path,
            params=params,
            json=json,
            headers=headers,
            content=content,
            body=body,
            task_id=task_id,
            patience_s=patience_s,
            silence_s=silence_s,
            repeats_sent=repeats_sent,
        )
        # A type that is known when it runs; `kind` says what comes of it.
        envelope: Any = Envelope
        try:
            data: T = msgspec.json.decode(response.content, type=envelope[kind]).data
            return data
        except msgspec.DecodeError as error:
            raise ConnectionFailed(
                f"{response.request.url} does not answer like a NeuroGrid coordinator: {error}"
            ) from error

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], AsyncIterable[bytes]] | None = None,
        body: bytes | None = None,
        task_id: str | None = None,
        patience_s: float = 0,
        silence_s: float | None = None,
        repeats_sent: bool = True,
    ) -> httpx.Response:
        """As `call`, but the answer as it came."""

        async def once() -> httpx.Response:
            request = await self._request(
                method,
                path,
                params=params,
                json=json,
                headers=headers,
                content=content() if content is not None else body,
                silence_s=silence_s,
            )
            response = await self._client.send(request)
            raise_for_error(response, task_id)
            return response

        return await self.repeat(
            lambda: self._signing_where_wanted(once),
            patience_s=patience_s,
            repeats_sent=repeats_sent,
        )

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None,
        json: object,
        headers: Mapping[str, str] | None,
        content: bytes | AsyncIterable[bytes] | None,
        silence_s: float | None,
    ) -> httpx.Request:
        """One attempt's request, with the wallet's signature where the coordinator is known to want it."""
        sent = dict(headers or {})
        if json is not None:
            content = msgspec.json.encode(json)
            sent["Content-Type"] = "application/json"
        request = self._client.build_request(
            method,
            path if path.startswith(_DIALECT) else API + path,
            params=dict(params or {}),
            headers=sent,
            content=content,
            timeout=httpx.USE_CLIENT_DEFAULT if silence_s is None else httpx.Timeout(silence_s),
        )
        if self._network and method not in _READING:
            if content is None or isinstance(content, bytes):
                digest = hashlib.sha256(content or b"").hexdigest()
            else:
                # A file that is sent in pieces is named by its hash.
                digest = path.rpartition("/")[2]
            request.headers.update(await self._signed(request, digest))
        return request

    async def _signing_where_wanted(self, once: Callable[[], Awaitable[T]]) -> T:
        """Do it, and again with the wallet's signature where that is what it lacked."""
        # Of many at once, only the first tells the others.
        was_known = bool(self._network)
        try:
            return await once()
        except AuthenticationError as error:
            # Nothing was done: the wallet was to sign it, and its key is here.
            if error.code != "SIGNATURE_REQUIRED" or self._wallet_key is None or was_known:
                raise
            self._network = str(error.details.get("network", ""))
            if not self._network:
                raise
            return await once()

    async def _signed(self, request: httpx.Request, body_sha256: str) -> dict[str, str]:
        if self._signer is None:
            assert self._wallet_key is not None, "looked at before a network is noted"
            self._signer = await blocking(RequestSigner.read, self._wallet_key)
        target = request.url.raw_path.decode("ascii")
        return self._signer.headers(self._network, request.method, target, body_sha256)

    async def repeat(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        patience_s: float = 0,
        repeats_sent: bool = True,
    ) -> T:
        """Call ``attempt`` until it succeeds, fails for good, or the retries are used up.

        Args:
            patience_s: go on for so long even when they are.
            repeats_sent: see `call`.
        """
        failures = 0
        waited_s = 0.0
        while True:
            try:
                return await attempt()
            except httpx.TransportError as error:
                failure: Exception = ConnectionFailed(describe(error))
                failure.__cause__ = error
                if not repeats_sent and not isinstance(error, httpx.ConnectError):
                    raise failure from error
                wait_s = backoff_s(failures)
            except RateLimitError as error:
                failure, wait_s = error, error.retry_after
            except ServerError as error:
                if error.status not in PASSING_STATUS:
                    raise
                failure, wait_s = error, backoff_s(failures)
            failures += 1
            is_tired = failures > self._retries_max and waited_s >= patience_s
            if is_tired or wait_s > _RETRY_AFTER_MAX_S:
                raise failure
            await self._sleep(wait_s)
            waited_s += wait_s

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        method: str = "GET",
        params: Params | None = None,
        json: object = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        task_id: str | None = None,
        silence_s: float | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """One attempt at a response whose body is read as it comes.

        Args:
            body: in place of ``json``.
            silence_s: the longest pause between two pieces; None for the client's timeout.
        """

        async def opened() -> httpx.Response:
            request = await self._request(
                method,
                path,
                params=params,
                json=json,
                headers=headers,
                content=body,
                silence_s=silence_s,
            )
            response = await self._client.send(request, stream=True)
            try:
                if response.is_error:
                    await response.aread()
                    raise_for_error(response, task_id)
            except BaseException:
                await response.aclose()
                raise
            return response

        response = await self._signing_where_wanted(opened)
        try:
            yield response
        finally:
            await response.aclose()

    async def resume(self, attempt: Callable[[], AsyncGenerator[T]]) -> AsyncGenerator[T]:
        """Everything that ``attempt`` yields, started again where it left off when it breaks.

        ``attempt`` ends for good by returning. Failures are counted in a row: whatever comes
        through proves that the other side is well.
        """
        failures = 0
        waited_s = 0.0
        while True:
            try:
                async with aclosing(attempt()) as items:
                    async for item in items:
                        failures, waited_s = 0, 0.0
                        yield item
                return
            except (httpx.TransportError, ServerError, RateLimitError) as error:
                if isinstance(error, ServerError) and error.status not in PASSING_STATUS:
                    raise
                wait_s = getattr(error, "retry_after", None) or backoff_s(failures)
                failures += 1
                is_tired = failures > self._retries_max and waited_s >= ABSENCE_MAX_S
                if is_tired or wait_s > _RETRY_AFTER_MAX_S:
                    if isinstance(error, ApiError):
                        raise
                    raise ConnectionFailed(describe(error)) from error
                await self._sleep(wait_s)
                waited_s += wait_s
