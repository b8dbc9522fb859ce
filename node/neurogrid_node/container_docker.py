"""docker-py behind trio: the only module of the node that imports it.

docker-py blocks, so each call runs in a worker thread of a bounded pool, and each stream (events,
logs, pulls) is opened here and read in a thread of its own (`container_stream.py`). Its errors
become ours at this door; what the answers mean is `container.py`'s business.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, Generic, TypeVar

import docker
import docker.auth
import docker.errors
import docker.types
import docker.utils
import trio

from neurogrid_node.container_errors import EngineUnavailable, connection_advice, engine_answer
from neurogrid_node.container_pull import pull_error
from neurogrid_node.container_stream import BlockingStream

T = TypeVar("T")

# Of 20.10, the engine of Debian 12: private cgroup namespaces, device requests and one-shot
# statistics came before or with it.
_API_VERSION_MIN: Final = (1, 41)
_CALLS_AT_ONCE: Final = 16
# Events, and a log and a pull for each lease.
_STREAMS_AT_ONCE: Final = 256
# A start on a busy machine with GPUs to prepare can take tens of seconds.
_CALL_TIMEOUT_S: Final = 120
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
        return _Closable(
            self.api.events(
                since=int(time.time()) - _EVENT_OVERLAP_S,
                filters={"type": "container", "event": list(actions), "label": label},
                decode=True,
            )
        )

    def open_logs(self, container_id: str, since_ns: int) -> BlockingStream[bytes]:
        """Records of both outputs, each with its time in front; a little from before too."""
        # A float keeps a quarter of a microsecond at this size.
        since = (since_ns - 1000) / 1e9 if since_ns else None
        return _Closable(
            self.api.logs(container_id, stream=True, follow=True, timestamps=True, since=since)
        )

    def open_pull(self, reference: str) -> BlockingStream[dict[str, Any]]:
        """The engine's messages while it pulls; closing the stream stops the download.

        Raises:
            ImageError: the engine refuses to try.
        """
        # docker-py's own pull() returns nothing that can be closed.
        repository, tag = docker.utils.parse_repository_tag(reference)
        registry, _ = docker.auth.resolve_repository_name(repository)
        credentials = docker.auth.get_config_header(self.api, registry)
        response = self.api.post(
            f"{self.api.base_url}/v{self.api.api_version}/images/create",
            params={"fromImage": repository, "tag": tag or "latest"},
            headers={"X-Registry-Auth": credentials} if credentials else {},
            stream=True,
            timeout=None,
        )
        if response.status_code != 200:
            raise pull_error(response.json().get("message", f"HTTP {response.status_code}"))
        messages = (json.loads(line) for line in response.iter_lines() if line)
        return _Closable(docker.types.CancellableStream(messages, response))


@contextmanager
def translated() -> Iterator[None]:
    """docker-py's errors, and those of requests beneath it (which are OSErrors), as ours."""
    try:
        yield
    except docker.errors.APIError as error:
        raise engine_answer(error.status_code or 0, error.explanation or str(error)) from error
    except (docker.errors.DockerException, OSError) as error:
        raise EngineUnavailable(connection_advice(str(error))) from error
    except (docker.errors.StreamParseError, json.JSONDecodeError) as error:
        raise EngineUnavailable(
            f"the engine broke off in the middle of a message: {error}"
        ) from error


class _Closable(Generic[T]):
    """A docker-py stream whose `close` may come at any time."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[T]:
        return iter(self._stream)

    def close(self) -> None:
        # docker-py looks for the socket in objects that the reader releases at its end, and
        # shuts it down a second time: both mean that the stream is closed already.
        with suppress(AttributeError, OSError):
            self._stream.close()
