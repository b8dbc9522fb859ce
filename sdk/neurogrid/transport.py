"""The HTTP door: one request with bounded retries, errors as exceptions, answers as typed values."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import httpx
import msgspec

from .errors import ApiError, ConnectionFailed, RateLimitError, ServerError, api_error
from .profile import Profile

T = TypeVar("T")

API = "/api/v1"
# 0.25, 0.5, 1, 2, 4 ... seconds, each times 0.5 to 1, so that clients that fail together do not
# come back together.
_BACKOFF_FIRST_S = 0.25
_BACKOFF_MAX_S = 8.0
# A server that asks for a longer pause is not waited for: the caller gets the error and decides.
_RETRY_AFTER_MAX_S = 30.0
# The server's fault, and passing: a restart, a gateway without its upstream, an overload.
_PASSING_STATUS = frozenset({502, 503, 504})
# What an answer to HEAD, which has no body, means.
_HEAD_CODES = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND"}
# Who follows a task for minutes need not hear of a coordinator that restarts, or moves, meanwhile.
ABSENCE_MAX_S = 60.0
# Server-sent streams carry a comment at least every 15 s; three times that is a dead connection.
STREAM_SILENCE_S = 45.0
# An error body is a few hundred bytes; this much is read of one that is not ours.
_ERROR_BODY_MAX = 1024 * 1024

Params = Mapping[str, str | int | bool]


class _Envelope(msgspec.Struct, Generic[T]):
    data: T


class _ErrorBody(msgspec.Struct):
    code: str = ""
    message: str = ""
    details: dict[str, Any] = {}


class _ErrorEnvelope(msgspec.Struct):
    error: _ErrorBody


class Transport:
    """Requests to one coordinator with one key.

    Args:
        profile: where, and with which key.
        timeout_s: the longest silence on one request.
        retries_max: how often a request is repeated after its first failure.
        http: httpx transport, for tests and proxies; None for httpx's own.
        sleep: waits so many seconds between attempts.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        timeout_s: float = 30.0,
        retries_max: int = 4,
        http: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._retries_max = retries_max
        self._sleep = sleep
        self._client = httpx.Client(
            base_url=profile.base_url,
            headers={"Authorization": f"Bearer {profile.api_key}", "User-Agent": _user_agent()},
            timeout=timeout_s,
            transport=http,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(
        self,
        kind: type[T],
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Iterable[bytes]] | None = None,
        task_id: str | None = None,
        patience_s: float = 0,
    ) -> T:
        """Send a request that may be repeated, and read ``data`` of the answer as a ``kind``.

        Args:
            path: below ``/api/v1``.
            content: makes the body anew for each attempt.
            task_id: of the task that is asked for, so that "not found" can name it.
            patience_s: repeat it for at least so long while the coordinator is away.

        Raises:
            ApiError, ConnectionFailed: see `neurogrid.errors`.
        """
        response = self.send(
            method,
            path,
            params=params,
            json=json,
            headers=headers,
            content=content,
            task_id=task_id,
            patience_s=patience_s,
        )
        try:
            return msgspec.json.decode(response.content, type=_Envelope[kind]).data  # type: ignore[valid-type] # a runtime type argument
        except msgspec.DecodeError as error:
            raise ConnectionFailed(
                f"{response.request.url} does not answer like a NeuroGrid coordinator: {error}"
            ) from error

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Iterable[bytes]] | None = None,
        task_id: str | None = None,
        patience_s: float = 0,
    ) -> httpx.Response:
        """As `call`, but the answer as it came."""
        sent = dict(headers or {})
        body: bytes | None = None
        if json is not None:
            body = msgspec.json.encode(json)
            sent["Content-Type"] = "application/json"

        def attempt() -> httpx.Response:
            response = self._client.request(
                method,
                API + path,
                params=dict(params or {}),
                headers=sent,
                content=content() if content is not None else body,
            )
            _raise_for_error(response, task_id)
            return response

        return self.repeat(attempt, patience_s=patience_s)

    def repeat(self, attempt: Callable[[], T], *, patience_s: float = 0) -> T:
        """Call ``attempt`` until it succeeds, fails for good, or the retries are used up.

        Args:
            patience_s: go on for so long even when they are.
        """
        failures = 0
        waited_s = 0.0
        while True:
            try:
                return attempt()
            except httpx.TransportError as error:
                failure: Exception = ConnectionFailed(_describe(error))
                failure.__cause__ = error
                wait_s = _backoff_s(failures)
            except RateLimitError as error:
                failure, wait_s = error, error.retry_after
            except ServerError as error:
                if error.status not in _PASSING_STATUS:
                    raise
                failure, wait_s = error, _backoff_s(failures)
            failures += 1
            is_tired = failures > self._retries_max and waited_s >= patience_s
            if is_tired or wait_s > _RETRY_AFTER_MAX_S:
                raise failure
            self._sleep(wait_s)
            waited_s += wait_s

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        task_id: str | None = None,
        silence_s: float | None = None,
    ) -> Iterator[httpx.Response]:
        """One attempt at a response whose body is read as it comes.

        Args:
            silence_s: the longest pause between two pieces; None for the client's timeout.
        """
        timeout = httpx.USE_CLIENT_DEFAULT if silence_s is None else httpx.Timeout(silence_s)
        with self._client.stream(
            "GET",
            API + path,
            params=dict(params or {}),
            headers=dict(headers or {}),
            timeout=timeout,
        ) as response:
            if response.is_error:
                response.read()
                _raise_for_error(response, task_id)
            yield response

    def resume(self, attempt: Callable[[], Iterator[T]]) -> Iterator[T]:
        """Everything that ``attempt`` yields, started again where it left off when it breaks.

        ``attempt`` ends for good by returning. Failures are counted in a row: whatever comes
        through proves that the other side is well.
        """
        failures = 0
        waited_s = 0.0
        while True:
            try:
                for item in attempt():
                    failures, waited_s = 0, 0.0
                    yield item
                return
            except (httpx.TransportError, ServerError, RateLimitError) as error:
                if isinstance(error, ServerError) and error.status not in _PASSING_STATUS:
                    raise
                wait_s = getattr(error, "retry_after", None) or _backoff_s(failures)
                failures += 1
                is_tired = failures > self._retries_max and waited_s >= ABSENCE_MAX_S
                if is_tired or wait_s > _RETRY_AFTER_MAX_S:
                    if isinstance(error, ApiError):
                        raise
                    raise ConnectionFailed(_describe(error)) from error
                self._sleep(wait_s)
                waited_s += wait_s


def _backoff_s(failures: int) -> float:
    longest_s: float = min(_BACKOFF_FIRST_S * 2**failures, _BACKOFF_MAX_S)
    return longest_s * random.uniform(0.5, 1.0)


def _describe(error: Exception) -> str:
    request = getattr(error, "_request", None)
    where = (
        f"{request.url.scheme}://{request.url.netloc.decode()}" if request else "the coordinator"
    )
    return f"{where} can't be reached: {str(error) or type(error).__name__}"


def _raise_for_error(response: httpx.Response, task_id: str | None) -> None:
    if not response.is_error:
        return
    try:
        error = msgspec.json.decode(response.content[:_ERROR_BODY_MAX], type=_ErrorEnvelope).error
    except msgspec.DecodeError:
        # Without a body (HEAD), or not one of ours: a proxy, or another service at this address.
        code = (
            _HEAD_CODES.get(response.status_code, "") if response.request.method == "HEAD" else ""
        )
        error = _ErrorBody(code, f"HTTP {response.status_code} {response.reason_phrase}".strip())
    raise api_error(
        status=response.status_code,
        code=error.code,
        message=error.message or response.reason_phrase,
        details=error.details,
        retry_after=_seconds(response.headers.get("Retry-After")),
        task_id=task_id,
    )


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:  # an HTTP date: our coordinator never sends one
        return None


def _user_agent() -> str:
    from importlib.metadata import version

    return f"neurogrid-python/{version('neurogrid')}"
