"""What a task left behind: its output files, and the receipt of what was paid for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.task import TERMINAL, Phase

from ..store import artifacts, leases, tasks
from ..store.accounts import Account
from ..store.database import Database
from ..store.leases import LeaseRow
from ..store.tasks import TaskRow
from .errors import Expired, NotFound, NotSettled
from .task_details import owned


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt file, byte for byte as it was signed."""

    lease_id: str
    data: bytes


class Results:
    """Outputs and receipts of tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def outputs(self, account: Account, task_id: str) -> Sequence[OutputFile]:
        """The files that a completed task left, sorted by path; none before.

        Raises:
            NotFound: no such task of this account.
        """
        return await self._database.read(lambda conn: _outputs(conn, owned(conn, account, task_id)))

    async def output(self, account: Account, task_id: str, path: str) -> OutputFile:
        """One output file.

        Raises:
            NotFound: no such task of this account, or no such output of it.
            Expired: it is no longer kept.
        """

        def read(conn: Connection) -> OutputFile:
            for output in _outputs(conn, owned(conn, account, task_id)):
                if output.path == path:
                    if artifacts.get(conn, output.sha256, account.id) is None:
                        raise Expired("this output is no longer kept: the task ended too long ago")
                    return output
            raise NotFound(f"this task has no output {path[:512]!r}", {"path": path[:512]})

        return await self._database.read(read)

    async def receipt(self, account: Account, task_id: str, lease_id: str | None = None) -> Receipt:
        """The receipt of a lease.

        Args:
            lease_id: of an earlier attempt; None: the lease under which the task ended.

        Raises:
            NotFound: no such task of this account, or no such lease of it; or the lease ended
                without anything that was run and paid for.
            NotSettled: it is not complete yet; says what is missing.
        """

        def read(conn: Connection) -> Receipt:
            row = owned(conn, account, task_id)
            if row.state.result_of and lease_id is None:
                # Its own run was refuted: what proves its result is the run that it came from.
                row = owned(conn, account, row.state.result_of)
            lease = _lease(row, leases.of_task(conn, row.id), lease_id)
            if lease is not None:
                data = leases.receipt(conn, lease.id)
                # Of an earlier attempt, whatever becomes of the task.
                if data is not None and (row.phase in TERMINAL or lease_id is not None):
                    return Receipt(lease.id, data)
            missing = _missing(row, lease)
            if not missing:
                raise NotFound(
                    "there is no receipt: the task ended without a lease that was run and paid for"
                )
            raise NotSettled(missing)

        return await self._database.read(read)


def _lease(row: TaskRow, its_leases: list[LeaseRow], lease_id: str | None) -> LeaseRow | None:
    """The lease with this id, or the one under which the task ended."""
    if lease_id is None:
        ended = [lease for lease in its_leases if lease.id == row.lease_id]
        return (ended or its_leases)[-1] if its_leases else None
    found = next((lease for lease in its_leases if lease.id == lease_id), None)
    if found is None:
        raise NotFound(f"this task has no lease {lease_id[:64]!r}", {"lease_id": lease_id[:64]})
    return found


def _outputs(conn: Connection, row: TaskRow) -> Sequence[OutputFile]:
    """A task's files, or those of all members of its gang, each below a folder of its rank."""
    if row.state.membership is None or row.belongs_to is not None:
        return _own_outputs(row)
    return [
        replace(output, path=f"rank-{rank}/{output.path}")
        for rank, member in enumerate(tasks.group_of(conn, row.id))
        for output in _own_outputs(member)
    ]


def _own_outputs(row: TaskRow) -> Sequence[OutputFile]:
    result = row.state.result
    # Before it has completed the node's list is only a claim that nobody has checked.
    if row.phase is not Phase.COMPLETED or result is None:
        return ()
    return sorted(result.outputs, key=lambda output: output.path)


def _missing(row: TaskRow, lease: LeaseRow | None) -> tuple[str, ...]:
    """What a receipt still lacks; empty if there will never be one."""
    if row.phase not in TERMINAL and (lease is None or lease.id == row.lease_id):
        return (f"the task is {row.phase.value}",)
    if lease is None:
        return ()
    if lease.settlement.phase is not SettlementPhase.CLOSED:
        return (f"the payment is under way: its escrow is {lease.settlement.phase.value}",)
    if lease.escrow and lease.finished:
        return ("the coordinator is writing it",)
    return ()
