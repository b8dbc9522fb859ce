"""What is around a coordinator in tests of its api: a market, a chain and a web that do as they are told."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from neurogrid_coordinator.market.errors import MarketAway
from neurogrid_coordinator.market.reports import NodeView
from neurogrid_coordinator.money.client_funds import ClientFunds
from neurogrid_coordinator.outbound import Outbound
from neurogrid_marketplace.addresses import IpAddress, Surroundings
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.explain import Explanation, explain
from neurogrid_marketplace.spreading import Barred
from neurogrid_wallet.errors import RpcUnavailable


@dataclass
class FakeMarket:
    """Explains by the real rules over the nodes it is given."""

    views: list[NodeView]
    away: bool = False
    bug: Exception | None = None

    async def explain(self, demand: Demand, places: Barred) -> Explanation:
        if self.bug is not None:
            raise self.bug
        if self.away:
            raise MarketAway("the market process is being started")
        return explain([view.offer for view in self.views], demand, places=places)


@dataclass
class FakeChain:
    """Wallets with what tests give them.

    Attributes:
        held_up: nothing is told before it is set; waiting: how many wait for that.
    """

    funds_of: dict[str, ClientFunds] = field(default_factory=dict)
    away: bool = False
    held_up: asyncio.Event | None = None
    waiting: int = 0

    async def funds(self, owner: str) -> ClientFunds:
        if self.away:
            raise RpcUnavailable("getMultipleAccounts", "connection refused")
        if self.held_up is not None:
            self.waiting += 1
            await self.held_up.wait()
        return self.funds_of.get(owner, ClientFunds(0, 0, 0, 0))


@dataclass(frozen=True)
class _WithSomeOutside(Surroundings):
    """This machine, where some of its own addresses pass for the internet's."""

    outside: tuple[IpAddress, ...] = ()

    def admits(self, address: IpAddress) -> bool:
        return address in self.outside or super().admits(address)


@dataclass
class Web:
    """The web as the coordinator sees it.

    Attributes:
        names: what the resolver says, one answer after the other; the last one stays.
        private: what the operator says of hosts.
        outside: addresses that pass for the internet's.
    """

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    private: dict[tuple[str, int], IpAddress] = field(default_factory=dict)
    outside: tuple[IpAddress, ...] = ()

    def outbound(self) -> Outbound:
        """Dials what is there."""
        return Outbound(
            lambda: _WithSomeOutside(pinned=self.private, outside=self.outside), self._look_up
        )

    async def _look_up(self, host: str) -> Sequence[str]:
        answers = self.names.get(host, [[]])
        return answers.pop(0) if len(answers) > 1 else answers[0]
