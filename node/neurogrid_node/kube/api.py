"""The official client behind trio: the only module of the node that imports it, and only where it is used.

It blocks, so each call runs in a worker thread of a bounded pool, with a time limit; watches and logs are
opened here and read in threads of their own (`container.stream`). Answers are taken as bytes, at most so many,
and read by `objects`.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import trio
import urllib3.exceptions

from neurogrid_node.container.errors import EngineRefused, EngineUnavailable
from neurogrid_node.container.stream import BlockingStream
from neurogrid_node.kube.lines import Lines
from neurogrid_node.kube.objects import Status, read
from neurogrid_node.kube.views import api_answer

_CALLS_AT_ONCE: Final = 16
# A watch, and a log for each lease.
_STREAMS_AT_ONCE: Final = 256
CALL_TIMEOUT_S: Final = 60
_CONNECT_TIMEOUT_S: Final = 10
# A page of pods or machines, of some 20 KiB each.
_ANSWER_BYTES_MAX: Final = 32 << 20
_PIECE_BYTES: Final = 64 * 1024

_NO_CLIENT: Final = (
    "jobs on Kubernetes need its official client, which is not installed: "
    "pip install 'neurogrid[kubernetes]'"
)


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """Which cluster, and as whom it is asked.

    Attributes:
        kubeconfig: a file; "": this node runs in the cluster, and has a service account.
        context: of the file; "" for its current one.
        namespace: where the jobs are.
    """

    kubeconfig: str
    context: str
    namespace: str


class KubeClient:
    """One connection pool to one API server. Made by `connect`.

    Attributes:
        core, version: the client's own; their methods are what `look` and `change` are given.
        namespace: where the jobs are.
        streams: bounds the threads that read streams.
    """

    def __init__(self, library: Any, settings: Any, namespace: str, timeout_s: float) -> None:
        """
        Args:
            library: `kubernetes.client`.
            settings: its configuration.
        """
        self._api = library.ApiClient(settings)
        self._refusal = library.ApiException
        self.core = library.CoreV1Api(self._api)
        self.version = library.VersionApi(self._api)
        self.namespace = namespace
        self._timeout_s = timeout_s
        self._calls = trio.CapacityLimiter(_CALLS_AT_ONCE)
        self.streams = trio.CapacityLimiter(_STREAMS_AT_ONCE)

    @classmethod
    async def connect(
        cls, access: ClusterAccess, timeout_s: float = CALL_TIMEOUT_S
    ) -> "KubeClient":
        """Read how the cluster is reached; nothing is asked of it yet.

        Args:
            timeout_s: how long it may say nothing to a call.

        Raises:
            EngineUnavailable: there is no client, or no such file or context; the message says what to do.
        """
        try:
            with trio.fail_after(timeout_s):
                library, settings = await trio.to_thread.run_sync(
                    partial(_configured, access), abandon_on_cancel=True
                )
        except trio.TooSlowError:
            raise EngineUnavailable(
                f"{access.kubeconfig} names a program for its credentials that does not answer"
            ) from None
        return cls(library, settings, access.namespace, timeout_s)

    def close(self) -> None:
        self._api.rest_client.pool_manager.clear()

    async def look(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> bytes:
        """A call that only reads: abandoned when the task is cancelled (its thread ends itself)."""
        return await trio.to_thread.run_sync(
            partial(self._call, call, arguments, options),
            limiter=self._calls,
            abandon_on_cancel=True,
        )

    async def change(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> bytes:
        """A call that changes something: carried through even when the task is cancelled."""
        return await trio.to_thread.run_sync(
            partial(self._call, call, arguments, options), limiter=self._calls
        )

    def _call(
        self, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> bytes:
        with translated():
            response = self._request(call, arguments, options, self._timeout_s)
            try:
                body: bytes = response.read(_ANSWER_BYTES_MAX + 1)
            finally:
                response.release_conn()
        if len(body) > _ANSWER_BYTES_MAX:
            raise EngineUnavailable(f"the cluster answers with over {_ANSWER_BYTES_MAX} bytes")
        return body

    def open_lines(
        self,
        call: Callable[..., Any],
        *arguments: Any,
        silence_s: float,
        line_bytes_max: int,
        **options: Any,
    ) -> BlockingStream[bytes]:
        """An answer line by line, as it comes; blocks.

        Args:
            silence_s: after so long without a byte it ends, as if the server had ended it.
            line_bytes_max: a longer line is cut into pieces of so many bytes.
        """
        with translated():
            response = self._request(call, arguments, options, silence_s)
        return _Stream(Lines(line_bytes_max), response)

    def _request(
        self,
        call: Callable[..., Any],
        arguments: tuple[Any, ...],
        options: dict[str, Any],
        silence_s: float,
    ) -> Any:
        try:
            return call(
                *arguments,
                **options,
                _preload_content=False,
                _request_timeout=(_CONNECT_TIMEOUT_S, silence_s),
            )
        except self._refusal as error:
            body = str(error.body or error.reason or "")
            raise api_answer(error.status or 0, _status(body.encode())) from error


def _status(body: bytes) -> Status:
    try:
        return read(Status, body)
    except EngineUnavailable:
        # A proxy's page in between.
        return Status(message=body[:200].decode(errors="replace"))


def _configured(access: ClusterAccess) -> tuple[Any, Any]:
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise EngineUnavailable(_NO_CLIENT, code="client_missing") from error
    settings = client.Configuration()
    # A request that may have been carried out is not repeated behind our back, and nobody is sent elsewhere.
    settings.retries = False
    settings.connection_pool_maxsize = _CALLS_AT_ONCE + _STREAMS_AT_ONCE
    try:
        if access.kubeconfig:
            config.load_kube_config(
                config_file=access.kubeconfig,
                context=access.context or None,
                client_configuration=settings,
                persist_config=False,
            )
        else:
            config.load_incluster_config(client_configuration=settings)
    except Exception as error:
        where = access.kubeconfig or "the service account of this pod"
        raise EngineUnavailable(
            f"{where} does not say how the cluster is reached: {error}: look at [engine] kubeconfig and context"
        ) from error
    return client, settings


@contextmanager
def translated() -> Iterator[None]:
    """The errors of urllib3, which the client is made of, and of the client, as ours."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise EngineUnavailable(
            f"the cluster's API server does not answer: look whether kubectl get --raw /readyz does ({error})"
        ) from error
    except ValueError as error:
        # Of the client's own checks, before anything is sent.
        raise EngineRefused(f"the cluster's client refuses: {error}") from error


class _Stream:
    """A response that is read in one thread and may be closed from another, which ends it quietly."""

    def __init__(self, lines: Lines, response: Any) -> None:
        self._lines = lines
        self._response = response
        self._lock = threading.Lock()
        self._is_read = False
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        with self._lock:
            self._is_read = True
            if self._is_closed:
                return
        try:
            with translated():
                yield from self._read()
        except EngineUnavailable:
            if not self._is_closed:
                raise
        finally:
            with self._lock:
                self._is_closed = True
                self._response.close()

    def _read(self) -> Iterator[bytes]:
        try:
            # As they come: `read` and `stream` would wait until a piece is full.
            if self._response.supports_chunked_reads() and self._response.chunked:
                for piece in self._response.read_chunked():
                    yield from self._lines.feed(piece)
            else:
                while piece := self._response.read1(_PIECE_BYTES):
                    yield from self._lines.feed(piece)
        except urllib3.exceptions.ReadTimeoutError:
            return
        yield from self._lines.end()

    def close(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            if not self._is_read:
                self._response.close()
                return
            # Not `close`, which would wait for the reader. One that has just ended has no socket any more.
            with suppress(OSError, RuntimeError, ValueError):
                self._response.shutdown()
