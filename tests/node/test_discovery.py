"""Found coordinators among the node's links: joined, moved, kept over a restart, let go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from neurogrid_marketplace.advert import ADVERT_LIFETIME_MS, Advert
from neurogrid_marketplace.messages import (
    PROTOCOL_ID,
    Heartbeat,
    Hello,
    Message,
    Pulse,
)
from neurogrid_node.market import discovery
from neurogrid_node.market.discover import Rounds
from neurogrid_node.market.discovery import FoundCoordinators
from neurogrid_node.market.found import Found, Rules, load
from neurogrid_node.market.network import CoordinatorLink
from neurogrid_node.settings.network import DiscoveryConfig
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.discovery.lines import Found as FoundReport
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.session import SignedChannel
from neurogrid_telemetry.log_settings import LogSettings
from node.market import OFFER, TOTAL
from p2p.discovery_children import advert_of
from p2p.peers import NETWORK, Person, listening, now_ms, until

COORDINATOR = Person()
# Nothing is asked here: the tests say what is found.
QUIET = DiscoveryConfig(join=(COORDINATOR.peer_id,), private=True)


@asynccontextmanager
async def coordinator(person: Person = COORDINATOR) -> AsyncIterator[Host]:
    """One that takes any node."""

    async def serve(channel: Channel) -> None:
        session = await SignedChannel.welcome(channel, person.party(), "test/1")
        while True:
            if isinstance((await session.receive())[1], Hello):
                await session.send(Pulse(0))

    async with listening(person=person) as host:
        host.serve(PROTOCOL_ID, serve)
        yield host


async def _nothing(link: CoordinatorLink, message: Message) -> None:
    return


class Node:
    """A node's links, and those that it has found. Made by `node`."""

    def __init__(
        self, host: Host, person: Person, directory: Path, config: DiscoveryConfig
    ) -> None:
        self.links: dict[str, CoordinatorLink] = {}
        self.leases: set[str] = set()
        self.finder = FoundCoordinators(
            directory,
            Rules(config, NETWORK, frozenset(), host.refusal),
            lambda address: CoordinatorLink(
                host,
                address,
                person.party(),
                hello=lambda _: Hello(OFFER),
                heartbeat=lambda _: Heartbeat(TOTAL, accepting=True),
                received=_nothing,
            ),
            self.links,
            self.leases.__contains__,
            now_ms,
            LogSettings(),
        )

    async def hears(self, advert: Advert) -> None:
        """A source tells of it."""
        await self.finder.heard(FoundReport("dht", "", advert))

    def is_connected(self, person: Person) -> bool:
        """Whether it has joined a coordinator."""
        link = self.links.get(person.peer_id)
        return link is not None and link.is_connected()


@asynccontextmanager
async def node(directory: Path, config: DiscoveryConfig = QUIET) -> AsyncIterator[Node]:
    person = Person()
    async with open_host(person.seed) as host, trio.open_nursery() as nursery:
        made = Node(host, person, directory, config)
        made.finder.restore(made.leases.__contains__)
        nursery.start_soon(made.finder.run)
        await trio.testing.wait_all_tasks_blocked()
        yield made
        nursery.cancel_scope.cancel()


async def test_who_is_found_is_joined_and_who_may_not_be_is_not(tmp_path: Path) -> None:
    stranger = Person()
    async with coordinator() as friend, coordinator(stranger) as other, node(tmp_path) as seller:
        await seller.hears(advert_of(stranger, *other.addresses))
        await seller.hears(advert_of(COORDINATOR, *friend.addresses))
        await until(lambda: seller.is_connected(COORDINATOR))
        assert set(seller.links) == {COORDINATOR.peer_id}
        assert seller.finder.sources == {COORDINATOR.peer_id: "dht"}


async def test_one_that_moved_is_joined_where_it_is_now(tmp_path: Path) -> None:
    issued = now_ms()
    async with node(tmp_path) as seller:
        async with coordinator() as first:
            await seller.hears(advert_of(COORDINATOR, *first.addresses, issued_at_ms=issued))
            await until(lambda: seller.is_connected(COORDINATOR))
        async with coordinator() as second:
            await seller.hears(advert_of(COORDINATOR, *second.addresses, issued_at_ms=issued + 1))
            await until(lambda: seller.is_connected(COORDINATOR))


async def test_each_of_its_addresses_is_tried(tmp_path: Path) -> None:
    nowhere = f"/ip4/127.0.0.1/tcp/1/p2p/{COORDINATOR.peer_id}"
    async with coordinator() as friend, node(tmp_path) as seller:
        await seller.hears(advert_of(COORDINATOR, nowhere, *friend.addresses))
        await until(lambda: seller.is_connected(COORDINATOR))


async def test_after_a_restart_it_is_joined_before_anybody_tells_of_it(tmp_path: Path) -> None:
    async with coordinator() as friend:
        async with node(tmp_path) as seller:
            await seller.hears(advert_of(COORDINATOR, *friend.addresses))
            await until(lambda: seller.is_connected(COORDINATOR))
        async with node(tmp_path) as again:
            await until(lambda: again.is_connected(COORDINATOR))


async def test_one_that_is_gone_for_good_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_LOOK_S", 0.01)
    async with coordinator() as friend:
        addresses = friend.addresses
    async with node(tmp_path) as seller:
        # It was good a moment ago, when the process checked it.
        long_ago = now_ms() - ADVERT_LIFETIME_MS
        await seller.hears(advert_of(COORDINATOR, *addresses, issued_at_ms=long_ago))
        await until(lambda: not seller.links)
        rules = Rules(QUIET, NETWORK, frozenset(), lambda _: None)
        await until(lambda: load(tmp_path, rules) == (Found(), ""))


async def test_a_file_that_cannot_be_written_keeps_nobody_from_joining(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = tmp_path / "gone"
    async with coordinator() as friend, node(gone) as seller:
        await seller.hears(advert_of(COORDINATOR, *friend.addresses))
        await until(lambda: seller.is_connected(COORDINATOR))
        assert "is not kept" in caplog.text


def test_each_source_is_waited_for_and_one_that_names_nobody_the_longest() -> None:
    fruitful, barren = Rounds(), Rounds()
    for rounds in (1, 2, 3, 4):
        fruitful.add(1, "")
        barren.add(0, "nobody is there")
        assert fruitful.is_enough(places=1) == (rounds >= 2)
        assert barren.is_enough(places=1) == (rounds >= 4)
        # Two places that are asked have twice as many rounds.
        assert fruitful.is_enough(places=2) == (rounds >= 4)
    assert (barren.peers, barren.problem) == (0, "nobody is there")
    # A source that is not asked is not waited for.
    assert Rounds().is_enough(places=0)
