"""What a machine has taken, on disk: killed at any moment, its program goes on with every task that it has accepted.

lock            held by the program that runs the machine
leases/ID.json  one task, as it stands; replaced whole
leases/ID.log   its log
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO

import msgspec

from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import MAX_LOG_BYTES

from ..errors import ConfigurationError, ConflictError
from .bidding import Taken
from .escrows import SeenEscrow


@dataclass(frozen=True, slots=True)
class Held:
    """A task that was accepted.

    Attributes:
        taken: what it holds of the machine.
        container_id, note, progress_permille: as its program has said.
        sealing_seed: of this lease's key to sealed inputs, hex; gone with the lease.
        escrow: as the chain has shown it; None where no chain was asked.
    """

    lease: NodeLease
    taken: Taken
    container_id: str = ""
    progress_permille: int = 0
    note: str = ""
    escrow: SeenEscrow | None = None
    sealing_seed: str = ""


class Journal:
    """The journal of one machine, held by one program at a time.

    Args:
        directory: of this machine alone; made if it is not there.

    Raises:
        ConflictError: another program runs this machine.
        ConfigurationError: the directory can't be used.
    """

    def __init__(self, directory: Path) -> None:
        self._leases = directory / "leases"
        try:
            self._leases.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock: IO[str] = (directory / "lock").open("a")
        except OSError as error:
            raise ConfigurationError(
                f"{directory} can't be used for what a machine has taken: {error.strerror}"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise ConflictError(
                f"another program runs this machine ({directory}): end it, or create the resource with a name of its own",
                code="CONFLICT",
                status=409,
                details={},
            ) from error

    def close(self) -> None:
        """Let another program have it."""
        self._lock.close()

    def load(self) -> dict[str, Held]:
        """Every task, by the id of its lease.

        Raises:
            ConfigurationError: a file of it is damaged; money may hang on it, so that nothing is skipped.
        """
        found = {}
        for file in sorted(self._leases.glob("*.json")):
            try:
                held = msgspec.json.decode(file.read_bytes(), type=Held)
            except (OSError, msgspec.DecodeError) as error:
                raise ConfigurationError(f"{file} can't be read: {error}") from error
            found[held.lease.lease_id] = held
        return found

    def save(self, held: Held) -> None:
        """Keep a task as it stands; it is on disk when this returns.

        Raises:
            OSError: the disk refuses.
        """
        target = self._leases / f"{held.lease.lease_id}.json"
        part = target.with_suffix(".part")
        with part.open("wb") as file:
            file.write(msgspec.json.encode(held))
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        descriptor = os.open(self._leases, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, lease_id: str) -> None:
        """A task is over."""
        for suffix in (".log", ".json"):
            with suppress(FileNotFoundError):
                (self._leases / f"{lease_id}{suffix}").unlink()

    # --- logs ---------------------------------------------------------------------------------

    def log(self, lease_id: str, text: str) -> None:
        """Write on in a task's log; beyond 16 MiB nothing more is kept.

        Raises:
            OSError: the disk refuses.
        """
        data = text.encode("utf-8", "replace")
        with (self._leases / f"{lease_id}.log").open("ab") as file:
            room = MAX_LOG_BYTES - file.tell()
            if len(data) > room:
                data = data[: max(0, room)].decode("utf-8", "ignore").encode()
            file.write(data)

    def log_bytes(self, lease_id: str) -> int:
        """How long it is."""
        try:
            return (self._leases / f"{lease_id}.log").stat().st_size
        except FileNotFoundError:
            return 0

    def read_log(self, lease_id: str, offset: int, max_bytes: int) -> str:
        """A piece of it, in whole characters."""
        with self._log_file(lease_id) as file:
            if file is None:
                return ""
            file.seek(offset)
            return file.read(max(0, max_bytes)).decode("utf-8", "ignore")

    def log_sha256(self, lease_id: str) -> str:
        """The hash of all of it."""
        with self._log_file(lease_id) as file:
            if file is None:
                return hashlib.sha256().hexdigest()
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextmanager
    def _log_file(self, lease_id: str) -> Iterator[BufferedReader | None]:
        try:
            file = (self._leases / f"{lease_id}.log").open("rb")
        except FileNotFoundError:
            yield None
            return
        with file:
            yield file
