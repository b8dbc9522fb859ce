"""docker-py behind trio: the only module of the node that imports it, but for `engine_socket`.

docker-py blocks, so each call runs in a worker thread of a bounded pool, and each stream (events,
logs, pulls) is opened here and read in a thread of its own (`stream.py`). Its errors
become ours at this door; what the answers mean is `container.py`'s business.
"""

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import docker
import docker.auth
import docker.errors
import docker.types
import docker.utils
import trio

from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_node.container.engine_socket import mend_connections
from neurogrid_node.container.errors import (
    EngineRefused,
    EngineUnavailable,
    connection_advice,
    engine_answer,
)
from neurogrid_node.container.log_cursor import LogCursor
from neurogrid_node.container.logs import LogPasses, split_records
from neurogrid_node.container.pull import pull_error
from neurogrid_node.container.stream import BlockingStream

if TYPE_CHECKING:
    import requests  # what docker-py is made of

T = TypeVar("T")

mend_connections()

# Of 20.10, the engine of Debian 12: private cgroup namespaces, device requests and one-shot
# statistics came before or with it.
_API_VERSION_MIN: Final = (1, 41)
_CALLS_AT_ONCE: Final = 16
# Events, and a log and a pull for each lease.
_STREAMS_AT_ONCE: Final = 256
# A start on a busy machine with GPUs to prepare can take tens of seconds.
CALL_TIMEOUT_S: Final = 120
_PIECE_BYTES: Final = 64 * 1024
# Engines switch protocols when they are asked to; some answer as if nothing had been asked.
_TAKEN_OVER: Final = (101, 200)
# Events are asked for from a little before now: repeated ones are harmless, and the engine answers
# before it listens.
_EVENT_OVERLAP_S: Final = 2


class DockerClient:
    """One connection pool to one engine. Made by `connect`.

    Attributes:
        api: docker-py's low-level client; its methods are what `look` and `change` are given.
        info: the engine's answer to `GET /info`.
        streams: bounds the threads that read streams.
    """

    def __init__(self, api: docker.APIClient, info: dict[str, Any], call_timeout_s: int) -> None:
        self.api = api
        self._call_timeout_s = call_timeout_s
        self.info = info
        self.streams = trio.CapacityLimiter(_STREAMS_AT_ONCE)
        self._calls = trio.CapacityLimiter(_CALLS_AT_ONCE)

    @classmethod
    async def connect(cls, url: str | None, call_timeout_s: int = CALL_TIMEOUT_S) -> "DockerClient":
        """
        Args:
            url: such as ``unix:///run/docker.sock``; None takes DOCKER_HOST or the usual socket.
            call_timeout_s: how long the engine may say nothing to a call.

        Raises:
            EngineUnavailable: nothing answers, or it is too old; the message says what to do.
        """

        def open_client() -> tuple[docker.APIClient, dict[str, Any]]:
            api = docker.APIClient(
                base_url=url or docker.utils.kwargs_from_env().get("base_url"),
                version="auto",
                timeout=call_timeout_s,
                max_pool_size=_CALLS_AT_ONCE + _STREAMS_AT_ONCE,
            )
            return api, api.info()

        with translated():
            api, info = await trio.to_thread.run_sync(open_client, abandon_on_cancel=True)
        if tuple(int(part) for part in api.api_version.split(".")) < _API_VERSION_MIN:
            api.close()
            raise EngineUnavailable(
                f"the engine speaks API {api.api_version}: install Docker 20.10 or newer",
                code="engine_too_old",
            )
        return cls(api, info, call_timeout_s)

    def close(self) -> None:
        self.api.close()

    async def change(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """A call that changes something: carried through even when the task is cancelled."""
        with translated():
            return await trio.to_thread.run_sync(
                partial(call, *arguments, **options), limiter=self._calls
            )

    async def look(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """A call that only reads: abandoned when the task is cancelled (its thread ends itself)."""
        with translated():
            return await trio.to_thread.run_sync(
                partial(call, *arguments, **options), limiter=self._calls, abandon_on_cancel=True
            )

    # These block; `container_stream` runs them in threads.

    def open_events(self, label: str, actions: Sequence[str]) -> BlockingStream[dict[str, Any]]:
        """Container events with a label, from two seconds ago on."""
        filters = {"type": ["container"], "event": list(actions), "label": [label]}
        since = int(time.time()) - _EVENT_OVERLAP_S
        query = {"since": since, "filters": json.dumps(filters)}
        response = self._open("GET", "/events", query)
        _raise_for_status(response)
        return _Stream(_messages(response), response)

    def open_logs(
        self, container_id: str, cursor: LogCursor
    ) -> BlockingStream[tuple[LogCursor, bytes]]:
        """Records of both outputs, each with the cursor behind it, until the container has ended."""

        def open_pass(since_ns: int, follows: bool) -> BlockingStream[tuple[int, bytes]]:
            return self.open_records(f"/containers/{container_id}/logs", since_ns, follows=follows)

        def has_ended() -> bool:
            with translated():
                return not self.api.inspect_container(container_id)["State"]["Running"]

        return LogPasses(open_pass, has_ended, cursor)

    def open_records(
        self, path: str, since_ns: int, *, follows: bool
    ) -> BlockingStream[tuple[int, bytes]]:
        """One pass over a log, from a time on; and on, as it is written, if it ``follows``."""
        since = f"{since_ns // 1_000_000_000}.{since_ns % 1_000_000_000:09}"
        query = {"stdout": 1, "stderr": 1, "timestamps": 1, "since": since}
        query["follow"] = int(follows)
        response = self._open("GET", path, query)
        _raise_for_status(response)
        return _Stream(split_records(response.iter_content(_PIECE_BYTES)), response)

    def post(
        self, path: str, body: dict[str, Any], query: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Send what docker-py has no words for; it would also send the owner's credentials along."""
        with translated():
            response = self.api.request(
                "POST",
                f"{self.api.base_url}/v{self.api.api_version}{path}",
                params=query,
                json=body,
                timeout=self._call_timeout_s,
            )
        if not response.ok:
            raise engine_answer(response.status_code, _explanation(response))
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer

    def open_pull(
        self, reference: str, auth: RegistryAuth | None = None
    ) -> BlockingStream[dict[str, Any]]:
        """The engine's messages while it pulls, as whoever ``auth`` names, or as nobody.

        docker-py's own way would send what its configuration holds: the owner's credentials, for any
        client's image. Closing the stream stops the download (20.10: as soon as its next byte arrives).

        Raises:
            ImageError: the engine refuses to try.
        """
        repository, tag = docker.utils.parse_repository_tag(reference)
        query = {"fromImage": repository, "tag": tag or "latest"}
        headers = {"X-Registry-Auth": _auth_header(auth)}
        response = self._open("POST", "/images/create", query, headers)
        if response.status_code != 200:
            with response:
                raise pull_error(_explanation(response))
        return _Stream(_messages(response), response)

    def start_exec(self, exec_id: str, *, tty: bool) -> tuple[socket.socket, bytes]:
        """Start a command and take over its connection: a socket, and what has arrived on it already.

        docker-py's own way gives the socket alone, and loses what its buffer has read of a command that
        answers at once.

        Raises:
            EngineRefused: among other things, because the container is paused.
        """
        with translated():
            response = self.api.request(
                "POST",
                f"{self.api.base_url}/v{self.api.api_version}/exec/{exec_id}/start",
                json={"Detach": False, "Tty": tty},
                headers={"Connection": "Upgrade", "Upgrade": "tcp"},
                stream=True,
                timeout=self._call_timeout_s,
            )
        with response:
            if response.status_code not in _TAKEN_OVER:
                raise engine_answer(response.status_code, _explanation(response))
            # http.client's reader, and the socket below it.
            raw: Any = response.raw
            reader = raw._fp.fp
            connection = reader.raw._sock
            if type(connection) is not socket.socket:
                raise EngineRefused("commands need an engine that is reached without TLS")
            connection.setblocking(False)
            arrived = bytes(reader.peek())
            return connection.dup(), arrived

    def _open(
        self,
        method: str,
        path: str,
        query: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> "requests.Response":
        # Through the session that docker-py's client is. Its own methods wrap what they stream so
        # that it cannot be closed cleanly: pulls not at all, logs and events by leaking a socket.
        # The connection is the stream's alone: closing a stream shuts its socket down, which nobody
        # else may have been given meanwhile.
        with translated():
            return self.api.request(
                method,
                f"{self.api.base_url}/v{self.api.api_version}{path}",
                params=query,
                headers={"Connection": "close", **(headers or {})},
                stream=True,
                timeout=(self._call_timeout_s, None),
            )


def _auth_header(auth: RegistryAuth | None) -> str:
    """Of nobody it is an empty object, and not left out: nothing else may come to stand there."""
    said = {"username": auth.username, "password": auth.password} if auth is not None else {}
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()


def _messages(response: "requests.Response") -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in response.iter_lines() if line)


def _explanation(response: "requests.Response") -> str:
    try:
        return str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}"


def _raise_for_status(response: "requests.Response") -> None:
    if response.status_code != 200:
        with response:
            raise engine_answer(response.status_code, _explanation(response))


@contextmanager
def translated() -> Iterator[None]:
    """docker-py's errors, and those of requests beneath it (which are OSErrors), as ours."""
    try:
        yield
    except docker.errors.APIError as error:
        raise engine_answer(error.status_code or 0, error.explanation or str(error)) from error
    except (docker.errors.DockerException, OSError) as error:
        raise EngineUnavailable(connection_advice(str(error))) from error
    except json.JSONDecodeError as error:
        raise EngineUnavailable(
            f"the engine broke off in the middle of a message: {error}"
        ) from error


class _Stream(Generic[T]):
    """A response that is read in one thread and may be closed from another.

    Closing ends it quietly. An engine that breaks off does not: what was read is not all there is.
    """

    def __init__(self, items: Iterator[T], response: "requests.Response") -> None:
        self._response = response
        self._items = items
        # It knows how to find the socket that has to be shut down.
        self._closer = docker.types.CancellableStream(items, response)
        self._lock = threading.Lock()
        self._is_read = False
        self._is_closed = False

    def __iter__(self) -> Iterator[T]:
        with self._lock:
            self._is_read = True
        try:
            with translated():
                yield from self._items
        except EngineUnavailable:
            if not self._is_closed:
                raise
        finally:
            self._response.close()

    def close(self) -> None:
        self._is_closed = True
        # docker-py looks for the socket in objects that the reader releases at its end, and
        # shuts it down a second time: both mean that it has ended already.
        with suppress(AttributeError, OSError):
            self._closer.close()
        with self._lock:
            if not self._is_read:
                self._response.close()
