"""Providers: wallets with machines in the market, and which of them have what somebody looks for."""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.resources import Requirements

from ..store import earnings
from ..store.database import Database
from ..store.earnings import Paid
from .errors import NotFound
from .nodes import KnownNode, Nodes, NodeStatus

LIST_MAX = 100
# Of a provider's machines, as many are shown one by one.
NODES_MAX = 100
_MONTH_MS = 30 * 24 * 3_600_000
# In the order in which a provider's is chosen of its nodes'.
_BEST_FIRST = (NodeStatus.ONLINE, NodeStatus.BUSY, NodeStatus.OFFLINE)


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; each node of a provider has all of it or does not count.

    Attributes:
        need: what it offers in all, whoever has it now.
        price_max_micro_usdc: that it asks for ``need``, per hour.
        score_min_permille: of its standing; who has none is left out unless it is 0.
        status: None for every node that is connected.
        available: whether it takes work now and ``need`` is free.
    """

    need: Requirements
    price_max_micro_usdc: int | None = None
    score_min_permille: int = 0
    status: NodeStatus | None = None
    available: bool | None = None

    def fits(self, node: KnownNode) -> bool:
        """Whether a node has all of it."""
        # One look at each of ten thousand nodes: what decides most cheaply comes first.
        offer, need = node.view.offer, self.need
        if node.status is not self.status and (
            self.status is not None or node.status is NodeStatus.OFFLINE
        ):
            return False
        if need.regions and offer.region not in need.regions:
            return False
        if self.score_min_permille and (
            node.standing is None or node.standing.score_permille < self.score_min_permille
        ):
            return False
        limit = self.price_max_micro_usdc
        if limit is not None and offer.prices.quote(need) > limit:
            return False
        if not offer.total.has(need):
            return False
        return self.available is None or self.available is is_available(node, need)


@dataclass(frozen=True, slots=True)
class Provider:
    """A wallet and those of its nodes that are looked at: at least one, in the order of their ids.

    Attributes:
        need: what the price is asked for.
    """

    wallet: str
    nodes: tuple[KnownNode, ...]
    need: Requirements

    @property
    def status(self) -> NodeStatus:
        """That of its readiest node."""
        return min((node.status for node in self.nodes), key=_BEST_FIRST.index)

    @property
    def price_micro_usdc_per_hour(self) -> int:
        """What its cheapest node asks for the need."""
        return min(node.view.offer.prices.quote(self.need) for node in self.nodes)

    @property
    def score_permille(self) -> int | None:
        """That of its worst node; None where none is known."""
        known = [node.standing.score_permille for node in self.nodes if node.standing]
        return min(known, default=None)

    @property
    def stake_micro_usdc(self) -> int | None:
        """What the wallet has at risk; None where it is not known."""
        known = [node.standing.stake_micro_usdc for node in self.nodes if node.standing]
        return max(known, default=None)

    @property
    def available(self) -> int:
        """How many of its nodes could take the need now."""
        return sum(is_available(node, self.need) for node in self.nodes)


@dataclass(frozen=True, slots=True)
class ProviderPage:
    """Some providers; ``total`` counts all that fit."""

    providers: tuple[Provider, ...]
    total: int


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """What a provider was paid through this coordinator: ever, and in the last 30 days."""

    paid: Paid
    paid_30_days: Paid


class Providers:
    """What anybody may know of providers."""

    def __init__(self, database: Database, nodes: Nodes) -> None:
        self._database = database
        self._nodes = nodes

    def search(self, search: Search, *, limit: int, offset: int) -> ProviderPage:
        """Providers with a node that fits, the cheapest first."""
        fit: defaultdict[str, list[KnownNode]] = defaultdict(list)
        for node in self._nodes.known():
            if search.fits(node):
                fit[node.view.offer.wallet].append(node)
        found = sorted(
            (min(node.view.offer.prices.quote(search.need) for node in nodes), wallet)
            for wallet, nodes in fit.items()
        )
        shown = found[offset : offset + min(limit, LIST_MAX)]
        providers = (_provider(wallet, fit[wallet], search.need) for _, wallet in shown)
        return ProviderPage(tuple(providers), len(found))

    async def get(self, wallet: str, need: Requirements) -> tuple[Provider, ProviderRecord]:
        """A provider with all nodes that are known, and its record.

        Raises:
            NotFound: none of its nodes is connected, or was since we started.
        """
        nodes = [node for node in self._nodes.known() if node.view.offer.wallet == wallet]
        if not nodes:
            raise NotFound(f"no provider {wallet[:80]} is known", {"provider_id": wallet[:80]})
        since_ms = time.time_ns() // 1_000_000 - _MONTH_MS

        def read(conn: Connection) -> ProviderRecord:
            return ProviderRecord(
                earnings.paid(conn, wallet), earnings.paid(conn, wallet, start_ms=since_ms)
            )

        return _provider(wallet, nodes, need), await self._database.read(read)


def _provider(wallet: str, nodes: Iterable[KnownNode], need: Requirements) -> Provider:
    return Provider(wallet, tuple(sorted(nodes, key=lambda n: n.view.offer.node_id)), need)


def is_available(node: KnownNode, need: Requirements) -> bool:
    """Whether a node takes work now, and has this free."""
    offer = node.view.offer
    connected = node.status is not NodeStatus.OFFLINE
    return connected and offer.accepting and offer.free.has(need)
