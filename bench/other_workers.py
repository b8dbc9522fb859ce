"""Dask's and Ray's workers, as somebody runs them who wants a machine to wait for work: one of each.

Their schedulers run too, and are not measured. A worker is the process that is started for it and all that this
starts.
"""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_REPOSITORY = Path(__file__).parents[1]
_BIN = _REPOSITORY / "build/workers/bin"
# Until a scheduler listens, and until its worker has started all that it starts.
_UP_LIMIT_S = 60
_SETTLE_S = 15
_END_LIMIT_S = 60
# Above the ports that Ray gives to its workers (10002 to 19999) and below Linux's ephemeral ones.
_PORTS = range(20_100, 32_000)


@contextmanager
def running() -> Iterator[dict[str, int]]:
    """By name, the process of each worker."""
    subprocess.run([_REPOSITORY / "scripts/peers.sh", "workers"], check=True)
    with ExitStack() as stack:
        # A socket's path is at most 107 bytes, and Ray's are long.
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="w", dir="/tmp", ignore_cleanup_errors=True)
            )
        )
        dask = _dask(stack, folder)
        ray = _ray(stack, folder)
        time.sleep(_SETTLE_S)
        yield {"Dask's worker": dask, "Ray's worker": ray}


def _dask(stack: ExitStack, folder: Path) -> int:
    port = _free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = ("dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    _start(stack, folder, *scheduler)
    _wait_for(port)
    worker = ("dask", "worker", address, "--nworkers", "1", "--no-dashboard")
    return _start(stack, folder, *worker, "--local-directory", str(folder / "dask"))


def _ray(stack: ExitStack, folder: Path) -> int:
    port = _free_port()
    head = ("ray", "start", "--head", "--port", str(port), "--num-cpus", "1", "--block")
    _start(stack, folder, *head, "--include-dashboard", "false", "--temp-dir", str(folder))
    _wait_for(port)
    return _start(
        stack,
        folder,
        "ray",
        "start",
        "--address",
        f"127.0.0.1:{port}",
        "--num-cpus",
        "1",
        "--block",
    )


def _start(stack: ExitStack, folder: Path, *command: str) -> int:
    """Start a process that is ended with the stack; its process id."""
    log = stack.enter_context((folder / f"{command[0]}-{command[1]}-{_free_port()}.log").open("wb"))
    process = subprocess.Popen(
        [str(_BIN / command[0]), *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        start_new_session=True,
    )

    def stop() -> None:
        process.terminate()
        try:
            process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)
    return process.pid


def _free_port() -> int:
    for port in _PORTS:
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port")


def _wait_for(port: int) -> None:
    deadline_s = time.monotonic() + _UP_LIMIT_S
    while True:
        # Ray listens at the machine's own address, not at loopback alone.
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.2)
        else:
            return
