"""An account's own machines in the market, and what runs on them, as their owner sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection

from neurogrid_marketplace.offer import LeaseStatus

from ..store import earnings
from ..store.accounts import Account
from ..store.database import Database
from ..store.earnings import LeasePay
from .errors import NotFound
from .nodes import KnownNode, Nodes, NodeStatus

LIST_MAX = 100


class ResourceType(StrEnum):
    """Document 003's words: a machine with GPUs is one of those."""

    GPU = "gpu"
    CPU = "cpu"


class ResourceStatus(StrEnum):
    """Whether a machine takes work.

    AVAILABLE: it does. BUSY: it has nothing left. PAUSED: its owner has said so. OFFLINE: it is not connected.
    """

    AVAILABLE = "available"
    BUSY = "busy"
    PAUSED = "paused"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Resource:
    """A machine."""

    node: KnownNode

    @property
    def type(self) -> ResourceType:
        """By whether it offers GPUs."""
        return ResourceType.GPU if self.node.view.offer.total.gpus else ResourceType.CPU

    @property
    def status(self) -> ResourceStatus:
        """Whether it takes work."""
        if self.node.status is NodeStatus.OFFLINE:
            return ResourceStatus.OFFLINE
        if not self.node.view.offer.accepting:
            return ResourceStatus.PAUSED
        busy = self.node.status is NodeStatus.BUSY
        return ResourceStatus.BUSY if busy else ResourceStatus.AVAILABLE


@dataclass(frozen=True, slots=True)
class ResourcePage:
    """Some machines; ``total`` counts all that fit."""

    resources: tuple[Resource, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Work:
    """A lease that is not settled; ``status``: by its node's latest word, None while there is none."""

    pay: LeasePay
    status: LeaseStatus | None


@dataclass(frozen=True, slots=True)
class WorkPage:
    """Some leases; ``total`` counts all."""

    works: tuple[Work, ...]
    total: int


class Resources:
    """What accounts' wallets own in this market."""

    def __init__(self, database: Database, nodes: Nodes) -> None:
        self._database = database
        self._nodes = nodes

    def list(
        self,
        account: Account,
        *,
        type: ResourceType | None,
        status: ResourceStatus | None,
        limit: int,
        offset: int,
    ) -> ResourcePage:
        """The account's machines that fit, in the order of their ids."""
        fit = [
            resource
            for resource in self._of(account)
            if type in (None, resource.type) and status in (None, resource.status)
        ]
        return ResourcePage(tuple(fit[offset : offset + min(limit, LIST_MAX)]), len(fit))

    def get(self, account: Account, node_id: str) -> Resource:
        """One of the account's machines.

        Raises:
            NotFound: none that was connected since we started, or somebody else's.
        """
        for resource in self._of(account):
            if resource.node.view.offer.node_id == node_id:
                return resource
        raise NotFound(
            f"you have no machine {node_id[:80]} in this market", {"resource_id": node_id[:80]}
        )

    async def works(self, account: Account, *, limit: int, offset: int) -> WorkPage:
        """What the account's machines have to do or to be paid for, newest first."""

        def read(conn: Connection) -> tuple[list[LeasePay], int]:
            return earnings.unsettled_of(
                conn, account.wallet, limit=min(limit, LIST_MAX), offset=offset
            )

        pays, total = await self._database.read(read)
        said = {
            status.lease_id: status
            for resource in self._of(account)
            if resource.node.status is not NodeStatus.OFFLINE
            for status in resource.node.view.leases
        }
        return WorkPage(tuple(Work(pay, said.get(pay.lease_id)) for pay in pays), total)

    def _of(self, account: Account) -> Sequence[Resource]:
        owner = account.wallet
        mine = [node for node in self._nodes.known() if node.view.offer.wallet == owner]
        return [Resource(node) for node in sorted(mine, key=lambda n: n.view.offer.node_id)]
