"""The message with which a funded lease starts: the job, the escrow, and where its files are."""

from collections.abc import Callable

from sqlalchemy import Connection

from neurogrid_marketplace.gang import GangMember, GangPlace
from neurogrid_marketplace.messages import Start
from neurogrid_marketplace.task import Lease

from .artifacts import LeaseTokens
from .store import accounts, leases, tasks
from .vouchers import VoucherDesk


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
        return Start(
            lease_id=lease.lease_id,
            job=tasks.job_of(conn, task_id),
            client=account.wallet,
            escrow=row.escrow,
            voucher_signer=self._vouchers.signer(row.id).address,
            artifacts_url=self._artifacts_url(),
            artifacts_token=self._tokens.token(row.id),
            wrapped_key=lease.wrapped_key,
            gang=self._place(conn, task_id),
        )

    def _place(self, conn: Connection, task_id: str) -> GangPlace | None:
        found = tasks.state_of(conn, task_id)
        assert found is not None, "a lease refers to its task"
        membership = found.task.membership
        if membership is None:
            return None
        members = tuple(
            GangMember(node_id, self._addresses_of(node_id)) for node_id in membership.nodes
        )
        return GangPlace(found.task.group, membership.attempt, membership.rank, members)
