"""The decorator: a function that runs here when it is called, and on the network when it is asked to."""

import functools
import os
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from ..client import Client
from ..errors import ConfigurationError, NeuroGridError, RemoteError
from .call import RemoteCall
from .code import write_code
from .gpu_names import gpu_need
from .values import encode

P = ParamSpec("P")
R = TypeVar("R")
_CONCURRENCY_MAX = 64


class RemoteFunction(Generic[P, R]):
    """What `remote` makes of a function. Calling it runs it here."""

    def __init__(
        self,
        function: Callable[P, R],
        client: Client | None,
        retries: int,
        request: Callable[[], dict[str, Any]],
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._name: str = getattr(function, "__name__", "function")
        self._client = client
        self._retries = retries
        self._request = request
        self._lock = threading.Lock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here."""
        return self._function(*args, **kwargs)

    def local(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here, said aloud."""
        return self._function(*args, **kwargs)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> RemoteCall[R]:
        """Have a node run it; do not wait.

        Raises:
            NoForm: an argument can't be sent.
            ConfigurationError: no client, no image, or no cloudpickle.
            ApiError: the coordinator refused.
        """
        with tempfile.TemporaryDirectory(prefix="neurogrid-") as folder:
            return self._submit(self._code(Path(folder)), args, kwargs)

    def remote(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Have a node run it, and wait for what it returns.

        Raises:
            RemoteError: it raised, or its job failed as often as it may.
        """
        with tempfile.TemporaryDirectory(prefix="neurogrid-") as folder:
            return self._run(self._code(Path(folder)), args, kwargs)

    def map(
        self,
        items: Iterable[Any],
        *,
        concurrency: int = 8,
        progress: bool = True,
        return_exceptions: bool = False,
    ) -> Iterator[R | NeuroGridError]:
        """Run it for each item, so many at a time; yield results in the items' order.

        Leaving the loop early submits no more; what runs goes on to its end and is paid.

        Args:
            items: one argument each; at most twice ``concurrency`` are taken ahead of what was yielded.
            progress: a line on standard error, where that is a terminal.
            return_exceptions: yield what a call raised in its place.
        """
        if not 1 <= concurrency <= _CONCURRENCY_MAX:
            raise ValueError(f"concurrency is 1 to {_CONCURRENCY_MAX}")
        shown = progress and sys.stderr.isatty()
        done = 0
        waiting: deque[Future[R]] = deque()
        with tempfile.TemporaryDirectory(prefix="neurogrid-") as folder:
            code = self._code(Path(folder))
            pool = ThreadPoolExecutor(concurrency, thread_name_prefix="neurogrid-map")
            try:
                left = iter(items)
                more = True
                while more or waiting:
                    while more and len(waiting) < 2 * concurrency:
                        try:
                            item = next(left)
                        except StopIteration:
                            more = False
                        else:
                            waiting.append(pool.submit(self._run, code, (item,), {}))
                    if not waiting:
                        break
                    future = waiting.popleft()
                    error = future.exception()
                    done += 1
                    if shown:
                        print(f"\r{self._name}: {done} done", end="", file=sys.stderr)
                    if error is None:
                        yield future.result()
                    elif return_exceptions and isinstance(error, NeuroGridError):
                        yield error
                    else:
                        raise error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
                if shown:
                    print(file=sys.stderr)

    def _run(self, code: Mapping[str, str], args: Any, kwargs: Any) -> R:
        for left in range(self._retries, -1, -1):
            try:
                return self._submit(code, args, kwargs).result()
            except RemoteError as error:
                # What the function itself raised it would raise again.
                if error.remote_type or not left:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _code(self, folder: Path) -> dict[str, str]:
        client = self._connected()
        files = write_code(self._function, folder)
        return {path: client.artifacts.upload(file).sha256 for path, file in files.items()}

    def _submit(self, code: Mapping[str, str], args: Any, kwargs: Any) -> RemoteCall[R]:
        client = self._connected()
        with tempfile.TemporaryDirectory(prefix="neurogrid-") as folder:
            call = Path(folder) / "call.json"
            call.write_bytes(encode((list(args), dict(kwargs))))
            sent = client.artifacts.upload(call).sha256
        task = client.tasks.create(
            name=self._name[:64],
            command=["python3", "/inputs/run.py", "/outputs"],
            inputs={**code, "call.json": sent},
            **self._request(),
        )
        return RemoteCall(client, task)

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = Client()
            return self._client


def remote(
    *,
    gpu: str = "",
    gpu_count: int = 1,
    gpu_memory_gb: float | None = None,
    cpu_cores: float = 1,
    ram_gb: float = 1,
    storage_gb: float = 1,
    image: str = "",
    max_price_per_hour: str = "1.00",
    timeout_s: int = 3600,
    env: Mapping[str, str] | None = None,
    retries: int = 0,
    client: Client | None = None,
) -> Callable[[Callable[P, R]], RemoteFunction[P, R]]:
    """Let a function run on the network: ``f.remote(x)``, ``f.submit(x)``, ``f.map(xs)``; ``f(x)`` runs it here.

    A job has no network: what the function imports has to be in the image.

    Args:
        gpu: a model, as in "rtx-4090" or "a100-80gb"; empty for none, unless ``gpu_memory_gb`` asks for any.
        image: with this Python's minor version as ``python3``; default NEUROGRID_REMOTE_IMAGE, on a devnet its own.
        max_price_per_hour: USDC.
        timeout_s: the longest one call may run.
        retries: how often a call is submitted again whose job failed; never for what the function raises.
        client: default one made of the environment when it is first needed.
    """
    model, named_gb = gpu_need(gpu)
    resources: dict[str, Any] = {
        "cpu_cores": cpu_cores,
        "ram_gb": ram_gb,
        "storage_gb": storage_gb,
    }
    needs_gpu = bool(gpu or gpu_memory_gb)
    if needs_gpu:
        resources["gpu_count"] = gpu_count
        if model:
            resources["gpu_model"] = model
        if memory_gb := gpu_memory_gb or named_gb:
            resources["gpu_memory_gb"] = memory_gb

    def request() -> dict[str, Any]:
        return {
            "type": "gpu" if needs_gpu else "cpu",
            "resource_requirements": resources,
            "docker_image": image or _default_image(),
            "max_price_per_hour": max_price_per_hour,
            "timeout_seconds": timeout_s,
            "env": dict(env or {}),
        }

    def decorated(function: Callable[P, R]) -> RemoteFunction[P, R]:
        return RemoteFunction(function, client, retries, request)

    return decorated


def _default_image() -> str:
    if named := os.environ.get("NEUROGRID_REMOTE_IMAGE"):
        return named
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if os.environ.get("NEUROGRID_NETWORK"):
        return f"neurogrid/python:{version}"
    raise ConfigurationError(
        f"Which image should it run in? Pass image= (or set NEUROGRID_REMOTE_IMAGE) with Python {version} in it, "
        f'such as "python:{version}-slim"'
    )
