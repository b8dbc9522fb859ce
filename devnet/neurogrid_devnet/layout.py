"""What lies where in a devnet's directory, and what was decided when it was made.

DIR/devnet.json       how many nodes, which ports, which market: `Settings`
DIR/network.json      how to reach it, for clients (network_file.py)
DIR/state.json        what the supervisor runs now (state_file.py)
DIR/supervisor.lock   held while a supervisor runs
DIR/chain.json        the market's addresses, once it is created
DIR/keys/             the admin's, the arbiter's, the treasury's and the client's keys, and those of who keeps models warm
DIR/ledger/  DIR/coordinator/  DIR/nodes/1/ ...    one directory a process, as in production
DIR/uploads/          files that requests may name, a folder for each account
DIR/logs/             one file a process
"""

import fcntl
import json
import os
import random
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

from .errors import AlreadyRuns, DirectoryUnusable, PortTaken, TermsInvalid
from .terms import Terms, decide_terms

DEFAULT_DIRECTORY = Path("~/.neurogrid/devnet").expanduser()
# The image with a shell and Python for container jobs (images/build_images.py).
JOB_IMAGE = "neurogrid/job:1"
HOST = "127.0.0.1"
_NODES_DEFAULT = 2
# Short, so that one sees a lost node's task move; longer than a killed node takes to be back on a busy
# machine, because that must not look like a loss.
_DEAD_AFTER_S = 15
# Long enough for a conversation, short enough that a machine is soon quiet again.
_REPLICA_IDLE_S = 60

_VERSION = 2
# Below Linux's ephemeral ports (32768 to 60999): an outgoing connection must not take a port while
# the process that owns it restarts.
_PORTS = range(20_000, 32_000)
_PORT_ATTEMPTS = 100
LEDGER, COORDINATOR, SUPERVISOR = "ledger", "coordinator", "supervisor"


def node_name(number: int) -> str:
    """What a node is called: its log file, and the word for it on the command line."""
    return f"node-{number}"


def count_nodes(number: int) -> str:
    """``1 node``, ``2 nodes``."""
    return "1 node" if number == 1 else f"{number} nodes"


@dataclass(frozen=True, slots=True)
class Settings:
    """What was decided when the devnet was made. Ports stay, so that restarts are not noticed.

    Attributes:
        ledger_port: JSON-RPC; the next one serves PubSub.
        p2p_port: where nodes connect to the coordinator.
        api_port: the REST API.
        terms: the market's.
        dead_after_s: how long the coordinator waits for a silent node before its jobs run elsewhere.
        readers: the coordinator's `http.readers`.
        replica_idle_s: for how long a model that nobody asks stays warm; 0: none is kept warm.
        database_url: of a PostgreSQL database for the coordinator; "" for a file.
    """

    nodes: int
    ledger_port: int
    p2p_port: int
    api_port: int
    terms: Terms = field(default_factory=Terms)
    dead_after_s: int = _DEAD_AFTER_S
    readers: int = 0
    replica_idle_s: int = _REPLICA_IDLE_S
    database_url: str = ""
    version: int = _VERSION

    @classmethod
    def make(cls, nodes: int, api_port: int, terms: Terms) -> Self:
        """Settings for a new devnet; port 0 takes a free one.

        Raises:
            PortTaken: ``api_port`` is in use.
        """
        if api_port:
            check_port(api_port)
        taken = {api_port}
        ledger_port = _free_port(taken, following=1)
        taken |= {ledger_port, ledger_port + 1}
        p2p_port = _free_port(taken)
        taken.add(p2p_port)
        return cls(nodes, ledger_port, p2p_port, api_port or _free_port(taken), terms)

    def ports(self) -> tuple[int, ...]:
        """Every port that must be free before the devnet starts."""
        return self.ledger_port, self.ledger_port + 1, self.p2p_port, self.api_port


class Layout:
    """The paths of one devnet. Makes nothing by itself."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.settings_file = self.root / "devnet.json"
        self.network = self.root / "network.json"
        self.state = self.root / "state.json"
        self.lock = self.root / "supervisor.lock"
        self.chain = self.root / "chain.json"
        self.payments = self.root / "payments.db"
        self.keys = self.root / "keys"
        self.client_key = self.keys / "client.json"
        self.models_key = self.keys / "models.json"
        self.admin_key = self.keys / "admin.json"
        self.arbiter_key = self.keys / "arbiter.json"
        self.treasury_key = self.keys / "treasury.json"
        self.ledger = self.root / "ledger"
        self.ledger_info = self.ledger / "ledger.json"
        self.coordinator = self.root / "coordinator"
        self.coordinator_info = self.coordinator / "coordinator.json"
        self.api_key = self.keys / "api_key"
        # Of who pays for warm models.
        self.models_api_key = self.keys / "models_api_key"
        # Of the account whose wallet owns the first node, and of one that acts as the coordinator's operator.
        self.provider_api_key = self.keys / "provider_api_key"
        self.operator_api_key = self.keys / "operator_api_key"
        self.logs = self.root / "logs"
        # Files that requests may name (`input_file`), a folder for each account.
        self.uploads = self.root / "uploads"

    def node(self, number: int) -> Path:
        """A node's data directory; numbers start at 1."""
        return self.root / "nodes" / str(number)

    def lost_mark(self, number: int) -> Path:
        """While this file exists, the node is not started: its machine is gone."""
        return self.root / "nodes" / f"{number}.lost"

    def log(self, name: str) -> Path:
        """The log file of a process."""
        return self.logs / f"{name}.log"

    def make_folders(self) -> None:
        """Make the directory, or find that it is one of ours.

        Raises:
            DirectoryUnusable: something else lies in it, or it cannot be written.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.settings_file.exists():
                strangers = sorted(entry.name for entry in self.root.iterdir())
                # What an earlier, interrupted start left is ours.
                if set(strangers) - {self.lock.name, self.keys.name, self.logs.name, "nodes"}:
                    raise DirectoryUnusable(
                        f"{self.root} holds other files ({', '.join(strangers[:3])}): "
                        "name an empty directory with --data"
                    )
            for folder in (self.keys, self.logs, self.root / "nodes"):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise DirectoryUnusable(f"{self.root} cannot be used: {error.strerror}") from error

    def read_settings(self) -> Settings | None:
        """The settings of a devnet that was made before.

        Raises:
            DirectoryUnusable: the file is damaged or of another version.
        """
        try:
            document = json.loads(self.settings_file.read_text())
            terms = Terms(**document.pop("terms", {}))
            settings = Settings(**document, terms=terms)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError, TermsInvalid) as error:
            raise DirectoryUnusable(
                f"{self.settings_file} cannot be read ({error}): remove {self.root} to start anew"
            ) from error
        if settings.version != _VERSION:
            raise DirectoryUnusable(
                f"{self.root} was made by another version: remove it to start anew"
            )
        return settings

    def write_settings(self, settings: Settings) -> None:
        """Replace the settings."""
        replace_json(self.settings_file, asdict(settings))

    def decide_settings(
        self,
        *,
        nodes: int | None,
        api_port: int | None,
        dead_after_s: int | None = None,
        readers: int | None = None,
        replica_idle_s: int | None = None,
        terms: dict[str, int] | None = None,
    ) -> Settings:
        """Write the settings to start with; what is not given stays as it was.

        Args:
            terms: those of the market's that were asked for (`decide_terms`).

        Raises:
            DevnetError: the directory or the port cannot be used, or the terms cannot be had.
        """
        known = self.read_settings()
        decided = decide_terms(known.terms if known else None, terms or {})
        if known is None:
            settings = Settings.make(nodes or _NODES_DEFAULT, api_port or 0, decided)
        else:
            settings = replace(
                known, nodes=nodes or known.nodes, api_port=api_port or known.api_port
            )
        settings = replace(
            settings,
            dead_after_s=dead_after_s or settings.dead_after_s,
            replica_idle_s=settings.replica_idle_s if replica_idle_s is None else replica_idle_s,
        )
        if readers is not None:
            settings = replace(settings, readers=readers)
        self.write_settings(settings)
        return settings

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the one supervisor of this directory.

        Raises:
            AlreadyRuns: another process is.
        """
        with self.lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyRuns(
                    f"a devnet runs in {self.root}: `neurogrid devnet status --data {self.root}` "
                    f"shows it, `neurogrid devnet down --data {self.root}` stops it"
                ) from error
            yield

    def is_locked(self) -> bool:
        """Whether a supervisor runs on this directory."""
        with suppress(FileNotFoundError), self.lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def parse_node(text: str, settings: Settings) -> int | None:
    """The number of a node that is called ``node-2`` or ``2``; None if it is called neither."""
    match = re.fullmatch(r"(?:node-)?([0-9]{1,3})", text)
    number = int(match[1]) if match else 0
    return number if 1 <= number <= settings.nodes else None


def replace_json(path: Path, document: object, *, mode: int = 0o600) -> None:
    """Write a JSON file; readers see the old or the new one, never half."""
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with open(descriptor, "w") as file:
        file.write(json.dumps(document, indent=2) + "\n")
    partial.replace(path)


def check_port(port: int) -> None:
    """Find out whether a port can be listened on.

    Raises:
        PortTaken: it cannot.
    """
    try:
        _listen(port)
    except OSError as error:
        raise PortTaken(
            f"port {port} is in use: choose another one with --port, or --port 0 for any"
        ) from error


def _listen(port: int) -> None:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        probe.listen(1)


def _free_port(taken: set[int], *, following: int = 0) -> int:
    """A free port whose next ``following`` ones are free too."""
    for _ in range(_PORT_ATTEMPTS):
        first = random.choice(_PORTS)
        wanted = range(first, first + following + 1)
        if taken.intersection(wanted):
            continue
        try:
            for port in wanted:
                _listen(port)
        except OSError:
            continue
        return first
    raise PortTaken(f"no free port found between {_PORTS.start} and {_PORTS.stop}")
