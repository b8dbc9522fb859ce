"""How a task's leases were auctioned: who bid what, who won, and why."""

from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.auction import Auction, RankedBid
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.fields import PUNCTUAL_PERMILLE, decode

from ..store import evidence, leases
from ..store.accounts import Account
from ..store.database import Database
from ..store.leases import LeaseRow
from .task_details import owned


@dataclass(frozen=True, slots=True)
class HeldAuction:
    """The auction that a lease came from.

    Attributes:
        demand: what was asked for; None if it is not kept.
        ranking: every bid, best first, each with its score and what its node would be paid.
        unrevealed: nodes that had committed to a bid, in a sealed auction, and showed none that
            counts.
    """

    lease: LeaseRow
    demand: Demand | None
    ranking: tuple[RankedBid, ...]
    unrevealed: tuple[str, ...] = ()


class Auctions:
    """The auctions of tasks, held again from the signed messages that are kept as evidence."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_task(self, account: Account, task_id: str) -> list[HeldAuction]:
        """One for each lease of the task, oldest first.

        Raises:
            NotFound: no such task of this account.
        """

        def read(conn: Connection) -> list[HeldAuction]:
            owned(conn, account, task_id)
            return [_held(conn, row) for row in leases.of_task(conn, task_id)]

        return await self._database.read(read)


def _held(conn: Connection, row: LeaseRow) -> HeldAuction:
    kept = evidence.of(conn, row.lease.demand_id)
    demand = next((decode(Demand, item.body) for item in kept if item.type == "demand"), None)
    if demand is None:
        return HeldAuction(row, None, ())
    bids = [item for item in kept if item.type == "bid"]
    auction = Auction(
        demand.max_price_micro_usdc_per_hour,
        frozenset(item.sender for item in bids),
        demand.gang,
    )
    for item in bids:
        auction.bid(item.sender, decode(Bid, item.body), item.hash())
    factors = {
        item.sender: row.lease.start_factors_permille.get(item.hash(), PUNCTUAL_PERMILLE)
        for item in bids
    }
    committed = [item.sender for item in kept if item.type == "commit"]
    unrevealed = tuple(node_id for node_id in committed if not auction.has_bid(node_id))
    return HeldAuction(row, demand, auction.ranking(factors), unrevealed)
