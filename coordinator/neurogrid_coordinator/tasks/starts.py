"""What a node is told of a funded lease: the job, the escrow, and where its files are."""

from collections.abc import Callable

from sqlalchemy import Connection

from neurogrid_marketplace.gang import GangMember, GangPlace
from neurogrid_marketplace.messages import Funded, Start
from neurogrid_marketplace.task import Lease, Task

from ..files.artifacts import LeaseTokens
from ..money.vouchers import VoucherDesk
from ..store import accounts, leases, tasks


class StartDesk:
    """Builds start messages.

    Args:
        artifacts_url: where nodes fetch and put files, without a slash at the end.
        addresses_of: where a node may be dialled by others, as it says; () if it is not here.
    """

    def __init__(
        self,
        *,
        vouchers: VoucherDesk,
        tokens: LeaseTokens,
        artifacts_url: Callable[[], str],
        addresses_of: Callable[[str], tuple[str, ...]],
    ) -> None:
        self._vouchers = vouchers
        self._tokens = tokens
        self._artifacts_url = artifacts_url
        self._addresses_of = addresses_of

    def start_of(self, conn: Connection, task_id: str, lease: Lease) -> Start:
        """The start of a lease whose escrow is open."""
        row = leases.get(conn, lease.lease_id)
        assert row is not None, "leases are never deleted"
        account = accounts.get(conn, row.account_id)
        assert account is not None, "a lease refers to its account"
        found = tasks.state_of(conn, task_id)
        assert found is not None, "a lease refers to its task"
        return Start(
            lease_id=lease.lease_id,
            job=tasks.job_of(conn, task_id),
            client=account.wallet,
            escrow=row.escrow,
            voucher_signer=self._vouchers.signer(row.id).address,
            artifacts_url=self._artifacts_url(),
            artifacts_token=self._tokens.token(row.id),
            wrapped_key=lease.wrapped_key,
            gang=self._place(found.task),
            resumed=lease.resumed,
            trace=found.task.trace,
        )

    def funded_of(self, conn: Connection, lease_id: str) -> Funded | None:
        """What a node that ended its lease before its start lacks: where the escrow is.

        None while the lease's end is not stored here, or where the node had its start.
        """
        row = leases.get(conn, lease_id)
        assert row is not None, "leases are never deleted"
        if not row.finished or row.events_stored != 1:
            return None
        account = accounts.get(conn, row.account_id)
        assert account is not None, "a lease refers to its account"
        return Funded(row.id, account.wallet, row.escrow, self._vouchers.signer(row.id).address)

    def _place(self, task: Task) -> GangPlace | None:
        membership = task.membership
        if membership is None:
            return None
        members = tuple(
            GangMember(node_id, self._addresses_of(node_id)) for node_id in membership.nodes
        )
        return GangPlace(task.group, membership.attempt, membership.rank, members)
