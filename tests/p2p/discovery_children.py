"""Discovery processes as the tests start them, and what they have reported; and the same without a process."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio
import trio.testing

from neurogrid_marketplace.advert import Advert, make_advert
from neurogrid_p2p.discovery.child import Discovery
from neurogrid_p2p.discovery.lines import Carry, Found, Lines, Ready, Report, to_line
from neurogrid_p2p.discovery.process import serve
from neurogrid_p2p.discovery.settings import Settings
from p2p.peers import NETWORK, Person, now_ms

ANYWHERE = ("/ip4/127.0.0.1/tcp/0",)
# Importing libp2p takes seconds on a busy machine, and each of several processes does.
PATIENCE_S = 120.0

_T = TypeVar("_T", bound=Report)


def settings(**changes: Any) -> Settings:
    """Of a process on this machine alone."""
    given: dict[str, Any] = {
        "seed": os.urandom(32).hex(),
        "network": NETWORK,
        "private": True,
        "mdns_interfaces": ("127.0.0.1",),
        "interval_s": 2,
        **changes,
    }
    return Settings(**given)


def advert_of(
    person: Person, *addresses: str, network: str = NETWORK, issued_at_ms: int = 0
) -> Advert:
    """A coordinator's advert, issued now unless said otherwise."""
    return make_advert(
        person.keys.sign,
        network=network,
        coordinator=person.peer_id,
        addresses=addresses or (f"/ip4/127.0.0.1/tcp/4001/p2p/{person.peer_id}",),
        now_ms=issued_at_ms or now_ms(),
    )


class Watched:
    """All that a discovery process has reported."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self._changed = trio.Event()

    async def heard(self, report: Report) -> None:
        """Note what it reports."""
        self.reports.append(report)
        self._changed.set()
        self._changed = trio.Event()

    async def until(
        self, kind: type[_T], condition: Callable[[_T], bool] = lambda _: True, after: int = 0
    ) -> _T:
        """The first report of a kind that is as it should be."""
        with trio.fail_after(PATIENCE_S):
            while True:
                changed = self._changed
                for report in self.reports[after:]:
                    if isinstance(report, kind) and condition(report):
                        return report
                await changed.wait()

    async def address(self) -> str:
        """Where it is reached."""
        return (await self.until(Ready)).addresses[0]

    async def found(self, coordinator: str, after: int = 0) -> Found:
        """The first advert of a coordinator that it has found."""
        return await self.until(Found, lambda each: each.advert.coordinator == coordinator, after)


class WatchedProcess(Watched):
    """One that is a process. Made by `process`."""

    def __init__(self, of: Settings) -> None:
        super().__init__()
        self.discovery = Discovery(of, self.heard)


class WatchedHere(Watched):
    """One that runs in the test's own process, which takes no time to start. Made by `here`."""

    def __init__(self, orders: trio.abc.SendStream) -> None:
        super().__init__()
        self._orders = orders

    async def carry(self, *adverts: Advert) -> None:
        """Have it hand out these."""
        await self._orders.send_all(to_line(Carry(adverts)))

    async def read(self, stream: trio.abc.ReceiveStream) -> None:
        """Note what it says."""
        lines = Lines(stream)
        while (report := await lines.next()) is not None:
            assert isinstance(report, Report)
            await self.heard(report)


@asynccontextmanager
async def process(of: Settings, *adverts: Advert) -> AsyncIterator[WatchedProcess]:
    """A discovery process for the length of the block."""
    async with trio.open_nursery() as nursery:
        watched = WatchedProcess(of)
        await watched.discovery.carry(Carry(adverts))
        nursery.start_soon(watched.discovery.run)
        yield watched
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def here(of: Settings, *adverts: Advert) -> AsyncIterator[WatchedHere]:
    """What a discovery process does, for the length of the block."""
    to_it, orders = trio.testing.memory_stream_one_way_pair()
    output, from_it = trio.testing.memory_stream_one_way_pair()
    async with trio.open_nursery() as nursery:
        watched = WatchedHere(to_it)
        nursery.start_soon(watched.read, from_it)
        nursery.start_soon(serve, of, Lines(orders), output)
        await watched.until(Ready)
        if adverts:
            await watched.carry(*adverts)
        yield watched
        nursery.cancel_scope.cancel()
