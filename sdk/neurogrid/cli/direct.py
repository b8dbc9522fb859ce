"""``neurogrid submit --direct``: a coordinator of one's own, started when it is needed.

It is a process of the package `neurogrid[coordinator]`, which this package does not import. It lives in a
directory of its own, goes on when the command is interrupted, and is stopped when its last task is paid.
"""

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click

from ..errors import ConfigurationError, NeuroGridError
from ..models import Task

if TYPE_CHECKING:
    from ..client import Client

DEFAULT_DIRECTORY = "~/.neurogrid/direct"
_PASSPHRASE_VARIABLE = "NEUROGRID_PASSPHRASE"
# Starting takes some four seconds on a free machine; dialling a node through a relay one more.
_READY_LIMIT_S = 120.0
_NODE_LIMIT_S = 60.0
_SETTLED_LIMIT_S = 120.0
_STOP_LIMIT_S = 20.0
_LOOK_INTERVAL_S = 0.1
_TASKS_LOOKED_AT = 50
_LOG_LINES_SHOWN = 15
# A log that is longer is begun anew by the next start.
_LOG_BYTES_MAX = 4 * 1024 * 1024

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path, resolve_path=True)


@dataclass(frozen=True, slots=True)
class DirectOptions:
    """What the options said."""

    nodes: tuple[str, ...]
    chain: Path | None
    wallet: Path | None
    passphrase_file: Path | None
    directory: Path


_OPTIONS = (
    click.option(
        "--direct", is_flag=True, help="Without any coordinator: one of your own, on this machine."
    ),
    click.option(
        "--node",
        "nodes",
        multiple=True,
        metavar="ADDRESS",
        help="With --direct: a node, as /ip4/…/tcp/…/p2p/…; also through a relay. Repeatable.",
    ),
    click.option(
        "--chain",
        type=_FILE,
        envvar="NEUROGRID_CHAIN",
        help="With --direct: the market, chain.json.",
    ),
    click.option(
        "--wallet",
        type=_FILE,
        envvar="NEUROGRID_WALLET",
        help="With --direct: key file or keystore of the wallet whose deposit pays.",
    ),
    click.option("--passphrase-file", type=_FILE, help="With --direct: opens the keystore."),
    click.option(
        "--direct-data",
        "directory",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="NEUROGRID_DIRECT",
        default=DEFAULT_DIRECTORY,
        show_default=True,
        help="With --direct: where your own coordinator keeps its files.",
    ),
)


def direct_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command with a session, which then is with one's own coordinator."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def take_options(given: dict[str, Any]) -> DirectOptions | None:
    """Take the options out of a command's; None without ``--direct``, also where it has no such option.

    Raises:
        click.UsageError: others of them are given without it.
    """
    if "direct" not in given:
        return None
    asked = given.pop("direct")
    nodes, chain = given.pop("nodes"), given.pop("chain")
    wallet, passphrase_file = given.pop("wallet"), given.pop("passphrase_file")
    directory = given.pop("directory")
    if asked:
        return DirectOptions(
            nodes, chain, wallet, passphrase_file, directory.expanduser().absolute()
        )
    if nodes or passphrase_file:
        raise click.UsageError("--node and --passphrase-file go with --direct")
    return None


class OwnCoordinator:
    """The coordinator of one directory, as one command uses it: in a ``with`` block.

    Attributes:
        client: of its API.
    """

    def __init__(self, directory: Path, client: "Client", pid: int) -> None:
        self.client = client
        self._directory = directory
        self._pid = pid
        # Held as long as this command lives, however it ends: nobody stops what another one uses.
        self._use = (directory / "users.lock").open("w")
        fcntl.flock(self._use, fcntl.LOCK_SH)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.client.close()
        self._use.close()

    def wait_for_node(self, note: Callable[[str], None]) -> None:
        """Wait until a node is reached, or say that none is."""
        deadline_s = time.monotonic() + _NODE_LIMIT_S
        while not any(node.status != "offline" for node in self.client.nodes.list().nodes):
            if time.monotonic() > deadline_s:
                lines = "\n".join(_log_tail(self._directory))
                note(f"no node is reached so far; it is tried again meanwhile\n{lines}")
                return
            time.sleep(_LOOK_INTERVAL_S)

    @contextmanager
    def undertaking(self, job: Mapping[str, Any]) -> Iterator[str]:
        """The idempotency key of a job: the same until the block has ended well, whatever is killed."""
        digest = hashlib.sha256(json.dumps(job, sort_keys=True, default=str).encode()).hexdigest()
        path = self._directory / "undertakings" / digest
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            partial = path.with_suffix(".partial")
            partial.write_text(uuid.uuid4().hex)
            partial.replace(path)
        yield path.read_text()
        path.unlink(missing_ok=True)

    def receipt_of(self, task: Task) -> Path | None:
        """Wait until a task is paid and write its receipt; None if that takes too long."""
        path = self._directory / "receipts" / f"{task.id}.json"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        deadline_s = time.monotonic() + _SETTLED_LIMIT_S
        while not self.client.tasks.get(task.id).settled:
            if time.monotonic() > deadline_s:
                return None
            time.sleep(_LOOK_INTERVAL_S)
        path.write_bytes(self.client.tasks.receipt(task.id))
        return path

    def stop_if_done(self) -> None:
        """Stop it, unless another command uses it, or another task still runs or is still to be paid."""
        with _locked(self._directory):
            try:
                fcntl.flock(self._use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._stop_if_idle()

    def _stop_if_idle(self) -> None:
        tasks = self.client.tasks
        newest = tasks.list(limit=_TASKS_LOOKED_AT)
        # A list does not say whether the money has moved.
        if all(task.ended and tasks.get(task.id).settled for task in newest):
            _stop(self._pid)


def open_own(options: DirectOptions) -> OwnCoordinator:
    """The coordinator of a directory, started if it does not run, or not with these nodes.

    Raises:
        ConfigurationError: it cannot be started; says why.
    """
    directory = options.directory
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        info = _running(directory)
        if info is not None and not set(options.nodes) <= set(info["nodes"]):
            _stop(info["api_pid"])
            info = None
        if info is None:
            info = _start(options)
        from ..client import Client

        return OwnCoordinator(directory, Client(info["api_key"], info["api_url"]), info["api_pid"])


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One command at a time starts and stops a directory's coordinator."""
    with (directory / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(options: DirectOptions) -> dict[str, Any]:
    if options.chain is None or options.wallet is None:
        raise ConfigurationError(
            "--direct needs the market's --chain and your --wallet (NEUROGRID_CHAIN, NEUROGRID_WALLET)"
        )
    command = [
        *(sys.executable, "-m", "neurogrid_coordinator", "direct"),
        *("--data", str(options.directory), "--chain", str(options.chain)),
        *("--wallet", str(options.wallet)),
        *(part for node in options.nodes for part in ("--node", node)),
        *(("--passphrase-file", str(options.passphrase_file)) if options.passphrase_file else ()),
    ]
    path = options.directory / "log"
    is_long = path.exists() and path.stat().st_size > _LOG_BYTES_MAX
    with path.open("wb" if is_long else "ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C at our terminal ends us, and not the job.
            start_new_session=True,
            env=_environment(options),
        )
    deadline_s = time.monotonic() + _READY_LIMIT_S
    while True:
        info = _running(options.directory)
        if info is not None and info["api_pid"] == process.pid:
            return info
        if process.poll() is not None or time.monotonic() > deadline_s:
            process.kill()
            lines = "\n".join(_log_tail(options.directory))
            raise ConfigurationError(f"your own coordinator does not start:\n{lines}")
        time.sleep(_LOOK_INTERVAL_S)


def _environment(options: DirectOptions) -> dict[str, str]:
    """Ours, and the passphrase if the wallet needs one: the process has no terminal to ask at."""
    environment = dict(os.environ)
    assert options.wallet is not None, "checked"
    is_given = options.passphrase_file is not None or _PASSPHRASE_VARIABLE in environment
    if not is_given and not _is_open(options.wallet):
        environment[_PASSPHRASE_VARIABLE] = click.prompt(
            "Keystore passphrase", hide_input=True, err=True
        )
    return environment


def _is_open(wallet: Path) -> bool:
    """Whether it is a key file as Solana's tools write it: a list of numbers."""
    return wallet.read_bytes().lstrip().startswith(b"[")


def _running(directory: Path) -> dict[str, Any] | None:
    """What the directory's coordinator says of itself; None if none runs."""
    try:
        info: dict[str, Any] = json.loads((directory / "coordinator.json").read_text())
        os.kill(info["api_pid"], 0)
        # A number may be another process's by now; only ours answers with its key.
        from ..client import Client

        with Client(info["api_key"], info["api_url"], retries_max=0, timeout_s=5) as client:
            client.tasks.list(limit=1)
    except (OSError, ValueError, KeyError, NeuroGridError):
        return None
    return info


def _stop(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline_s = time.monotonic() + _STOP_LIMIT_S
        while time.monotonic() < deadline_s and not _is_reaped(pid):
            os.kill(pid, 0)
            time.sleep(_LOOK_INTERVAL_S)


def _is_reaped(pid: int) -> bool:
    """Take our own child's end; another's is seen by its number."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return False


def _log_tail(directory: Path) -> Sequence[str]:
    with suppress(OSError):
        return (directory / "log").read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
    return ()
