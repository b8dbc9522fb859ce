"""The keys to sealed inputs: who has to wrap one for whom, and taking it.

The coordinator passes on what it can't read: an account learns what its task's node has signed, wraps
the content key itself, and leaves the wrapped key here.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.key_wait import KEY_LIMIT_MS, needs_key
from neurogrid_marketplace.task_events import KeySent

from ..store import evidence
from ..store.accounts import Account
from ..store.database import Database
from ..store.tasks import TaskRow
from .errors import Conflict
from .task_details import owned


@dataclass(frozen=True, slots=True)
class KeyWanted:
    """A task that waits for a key.

    Attributes:
        award, accept: as coordinator and node signed them; the accept names the node's sealing key.
        until_ms: Unix time at which the task fails without it.
    """

    lease_id: str
    node_id: str
    award: Envelope
    accept: Envelope
    until_ms: int


class Sealing:
    """Wrapped keys, from clients to nodes.

    Args:
        send_key: has the orchestrator take the key.
    """

    def __init__(
        self, database: Database, send_key: Callable[[str, KeySent], Awaitable[None]]
    ) -> None:
        self._database = database
        self._send_key = send_key

    async def wanted(self, account: Account, task_id: str) -> KeyWanted:
        """What the task's key is to be wrapped to.

        Raises:
            NotFound: no such task of this account.
            Conflict: it needs no key (now).
        """

        def read(conn: Connection) -> KeyWanted:
            row = owned(conn, account, task_id)
            lease = row.state.lease
            if lease is None or not needs_key(row.state):
                raise Conflict(_why_not(row))
            signed = {item.type: item for item in evidence.of(conn, lease.lease_id)}
            return KeyWanted(
                lease_id=lease.lease_id,
                node_id=lease.node_id,
                award=signed["award"],
                accept=signed["accept"],
                until_ms=row.state.since_ms + KEY_LIMIT_MS,
            )

        return await self._database.read(read)

    async def send(self, account: Account, task_id: str, lease_id: str, wrapped_key: str) -> None:
        """Take the key for a lease; the same one again changes nothing.

        Raises:
            NotFound: no such task of this account.
            Conflict: the task needs no key for this lease (any more).
        """
        row = await self._database.read(lambda conn: owned(conn, account, task_id))
        lease = row.state.lease
        if lease is not None and (lease.lease_id, lease.wrapped_key) == (lease_id, wrapped_key):
            return
        if lease is None or lease.lease_id != lease_id or not needs_key(row.state):
            raise Conflict(_why_not(row))
        await self._send_key(task_id, KeySent(lease_id, wrapped_key))


def _why_not(row: TaskRow) -> str:
    if not row.state.sealed:
        return "this task has no sealed inputs, so it needs no key"
    return f"this task is {row.phase.value} and needs no key now, or not for this lease"
