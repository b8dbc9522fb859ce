"""A provider that sells, with runners that only hear, as its tests use it."""

from dataclasses import dataclass, field
from typing import cast

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import (
    Award,
    Deny,
    Message,
)
from neurogrid_marketplace.offer import LeaseStatus
from neurogrid_marketplace.usage import GpuUse
from neurogrid_node.journal import Journal, JournalThread
from neurogrid_node.lease.executor import LeaseRunner
from neurogrid_node.market.provider import Provider
from neurogrid_node.market.reservations import Reservations
from node.fakes import FakeLink, InlineJournal
from node.market import (
    COORDINATOR,
    NODE,
    NOW_MS,
    OFFER,
    POLICY,
    TOTAL,
    award,
    demand,
)

OTHER = NODE  # a second coordinator's peer id
KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = KEY.public_key().public_bytes_raw().hex()


@dataclass
class HeardRunner:
    """A lease's runner that only notes what it is told."""

    lease: NodeLease
    heard: list[Message] = field(default_factory=list)
    reclaimed: bool = False
    looked_again: int = 0

    def received(self, message: Message) -> None:
        self.heard.append(message)

    def reclaim(self) -> None:
        if self.lease.is_reclaimable:
            self.reclaimed = True

    def look_again(self) -> None:
        self.looked_again += 1

    def status(self) -> LeaseStatus:
        return LeaseStatus(self.lease.lease_id, self.lease.phase)


class Seller:
    """A provider with two coordinators, a clock that is set, and a real journal."""

    def __init__(self, journal: Journal) -> None:
        self.now_ms = NOW_MS
        self.image_bytes: int | None = 7
        self.journal = InlineJournal(journal)
        self.book = Reservations(TOTAL)
        self.link = FakeLink(COORDINATOR)
        self.other = FakeLink(OTHER)
        self.runners: list[HeardRunner] = []
        self.sealing_key = KEY
        self.gpus: tuple[GpuUse, ...] = ()
        self.policy = POLICY
        self.provider = self.make(self.journal)
        self.provider.accepting = True

    def make(self, journal: JournalThread) -> Provider:
        async def image_bytes(reference: str) -> int | None:
            return self.image_bytes

        def start_runner(lease: NodeLease, *, resumed: bool = False) -> LeaseRunner:
            # Saved before anything is done about it.
            assert lease.lease_id in [known.lease_id for known, _ in self.journal.inline.load()]
            self.runners.append(HeardRunner(lease))
            return cast(LeaseRunner, self.runners[-1])

        provider = Provider(
            OFFER,
            policy=self.policy,
            max_unpaid_ms=60_000,
            reservations=self.book,
            journal=journal,
            image_bytes=image_bytes,
            start_runner=start_runner,
            now_ms=lambda: self.now_ms,
            starts=self.journal.inline.starts(),
            new_sealing_key=lambda: self.sealing_key,
            gpus=lambda: self.gpus,
        )
        provider.links = {COORDINATOR: self.link, OTHER: self.other}
        return provider

    async def say(self, message: Message, link: FakeLink | None = None) -> list[Message]:
        """What is answered to a message."""
        link = link or self.link
        link.taken()
        await self.provider.received(link, message)
        return link.taken()

    async def bid_hash(self, asked: Demand | None = None, link: FakeLink | None = None) -> str:
        """Ask, and be bid; the hash of the bid's envelope."""
        link = link or self.link
        (reply,) = await self.say(asked or demand(), link)
        assert isinstance(reply, Bid), reply
        return link.envelopes[-1].hash()

    async def take(self) -> Award:
        """Win an auction."""
        won = award(await self.bid_hash())
        assert await self.say(won) == [agreement(won, PUBLIC_KEY)]
        return won


def code_of(replies: list[Message]) -> DeclineCode:
    (reply,) = replies
    assert isinstance(reply, Deny | Decline), reply
    return reply.code
