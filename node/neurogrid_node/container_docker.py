"""docker-py behind trio: the only module of the node that imports it.

docker-py blocks, so each call runs in a worker thread of a bounded pool, and each stream (events,
logs, pulls) is opened here and read in a thread of its own (`container_stream.py`). Its errors
become ours at this door; what the answers mean is `container.py`'s business.
"""

import json
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

from neurogrid_node.container_errors import EngineUnavailable, connection_advice, engine_answer
from neurogrid_node.container_log_cursor import LogCursor
from neurogrid_node.container_logs import LogPasses, split_records
from neurogrid_node.container_pull import pull_error
from neurogrid_node.container_stream import BlockingStream

if TYPE_CHECKING:
    import requests  # what docker-py is made of

T = TypeVar("T")

# Of 20.10, the engine of Debian 12: private cgroup namespaces, device requests and one-shot
# statistics came before or with it.
_API_VERSION_MIN: Final = (1, 41)
_CALLS_AT_ONCE: Final = 16
# Events, and a log and a pull for each lease.
_STREAMS_AT_ONCE: Final = 256
# A start on a busy machine with GPUs to prepare can take tens of seconds.
_CALL_TIMEOUT_S: Final = 120
_PIECE_BYTES: Final = 64 * 1024
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

    def __init__(self, api: docker.APIClient, info: dict[str, Any]) -> None:
        self.api = api
        self.info = info
        self.streams = trio.CapacityLimiter(_STREAMS_AT_ONCE)
        self._calls = trio.CapacityLimiter(_CALLS_AT_ONCE)

    @classmethod
    async def connect(cls, url: str | None) -> "DockerClient":
        """
        Args:
            url: such as ``unix:///run/docker.sock``; None takes DOCKER_HOST or the usual socket.

        Raises:
            EngineUnavailable: nothing answers, or it is too old; the message says what to do.
        """

        def open_client() -> tuple[docker.APIClient, dict[str, Any]]:
            api = docker.APIClient(
                base_url=url or docker.utils.kwargs_from_env().get("base_url"),
                version="auto",
                timeout=_CALL_TIMEOUT_S,
                max_pool_size=_CALLS_AT_ONCE + _STREAMS_AT_ONCE,
            )
            return api, api.info()

        with translated():
            api, info = await trio.to_thread.run_sync(open_client, abandon_on_cancel=True)
        if tuple(int(part) for part in api.api_version.split(".")) < _API_VERSION_MIN:
            api.close()
            raise EngineUnavailable(
                f"the engine speaks API {api.api_version}: install Docker 20.10 or newer"
            )
        return cls(api, info)

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
            since = f"{since_ns // 1_000_000_000}.{since_ns % 1_000_000_000:09}"
            query = {"stdout": 1, "stderr": 1, "timestamps": 1, "since": since}
            query["follow"] = int(follows)
            response = self._open("GET", f"/containers/{container_id}/logs", query)
            _raise_for_status(response)
            return _Stream(split_records(response.iter_content(_PIECE_BYTES)), response)

        def has_ended() -> bool:
            with translated():
                return not self.api.inspect_container(container_id)["State"]["Running"]

        return LogPasses(open_pass, has_ended, cursor)

    def open_pull(self, reference: str) -> BlockingStream[dict[str, Any]]:
        """The engine's messages while it pulls.

        Closing the stream stops the download (20.10: as soon as its next byte arrives).

        Raises:
            ImageError: the engine refuses to try.
        """
        repository, tag = docker.utils.parse_repository_tag(reference)
        registry, _ = docker.auth.resolve_repository_name(repository)
        credentials = docker.auth.get_config_header(self.api, registry)
        query = {"fromImage": repository, "tag": tag or "latest"}
        headers = {"X-Registry-Auth": credentials.decode()} if credentials else {}
        response = self._open("POST", "/images/create", query, headers)
        if response.status_code != 200:
            with response:
                raise pull_error(_explanation(response))
        return _Stream(_messages(response), response)

    def _open(
        self,
        method: str,
        path: str,
        query: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> "requests.Response":
        # Through the session that docker-py's client is. Its own methods wrap what they stream so
        # that it cannot be closed cleanly: pulls not at all, logs and events by leaking a socket.
        with translated():
            return self.api.request(
                method,
                f"{self.api.base_url}/v{self.api.api_version}{path}",
                params=query,
                headers=headers,
                stream=True,
                timeout=(_CALL_TIMEOUT_S, None),
            )


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
