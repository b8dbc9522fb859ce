"""A rendezvous point: who may register what, how much of it, and for how long."""

import time

import pytest

from neurogrid_p2p.address import parse_address
from neurogrid_p2p.discovery import rendezvous
from neurogrid_p2p.discovery.exchange import ask, hear, tell
from neurogrid_p2p.discovery.peers import Peer, Scope, seal_record
from neurogrid_p2p.discovery.rendezvous import (
    REGISTRATIONS_PER_HOST,
    RENDEZVOUS,
    Kind,
    RendezvousPoint,
    Status,
    discover,
    register,
)
from neurogrid_p2p.errors import HandshakeFailed, P2pError
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.limits import Limits
from neurogrid_p2p.patches import Stream
from neurogrid_p2p.protobuf import Fields, message
from p2p.peers import Person, listening

ALL = Scope(private=True)
NAME = "somewhere"
# Each question is a connection; here they come faster than the last one ends.
ROOMY = Limits(connections_per_peer=100)


def at(host: Host, address: str = "/ip4/127.0.0.1/tcp/1") -> Peer:
    return Peer(host.peer_id, (parse_address(f"{address}/p2p/{host.peer_id}"),))


async def test_who_registers_is_found_until_its_time_is_over() -> None:
    now = [0.0]
    async with listening(ROOMY) as point, open_host(Person().seed) as host:
        RendezvousPoint(point, ALL, lambda: now[0])
        (place,) = point.addresses
        assert await discover(host, place, NAME, ALL) == ()
        assert await register(host, place, NAME, at(host)) == rendezvous.LIFETIME_S / 2
        assert await discover(host, place, NAME, ALL) == (at(host),)
        assert await discover(host, place, "elsewhere", ALL) == ()
        now[0] = rendezvous.LIFETIME_S - 1
        assert await discover(host, place, NAME, ALL) == (at(host),)
        now[0] = rendezvous.LIFETIME_S
        assert await discover(host, place, NAME, ALL) == ()


async def test_nobody_is_found_at_an_address_that_we_would_not_dial() -> None:
    async with listening(ROOMY) as point, open_host(Person().seed) as host:
        RendezvousPoint(point, ALL)
        await register(host, point.addresses[0], NAME, at(host, "/ip4/10.0.0.1/tcp/1"))
        assert await discover(host, point.addresses[0], NAME, Scope()) == ()


async def test_a_point_that_takes_the_internet_alone_says_so() -> None:
    async with listening(ROOMY) as point, open_host(Person().seed) as host:
        RendezvousPoint(point, Scope())
        with pytest.raises(HandshakeFailed, match="invalid_signed_peer_record"):
            await register(host, point.addresses[0], NAME, at(host))


async def asked(host: Host, point: Host, *fields: tuple[int, bytes | int | str]) -> int:
    """The status that answers a registration of these fields."""
    question = message((1, Kind.REGISTER), (2, message(*fields)))
    answer = Fields(await ask(host, point.addresses[0], RENDEZVOUS, question))
    return Fields(answer.piece(3)).number(1)


async def test_a_registration_is_its_peers_own_and_within_bounds() -> None:
    async with (
        listening(ROOMY) as point,
        open_host(Person().seed) as host,
        open_host(Person().seed) as other,
    ):
        place = RendezvousPoint(point, ALL)
        ours = seal_record(host.key_pair, at(host), 1)
        theirs = seal_record(other.key_pair, at(other), 1)
        for status, fields in (
            (Status.NOT_AUTHORIZED, ((1, NAME), (2, theirs))),
            (
                Status.INVALID_SIGNED_PEER_RECORD,
                ((1, NAME), (2, ours[:-1] + bytes([ours[-1] ^ 1]))),
            ),
            (Status.INVALID_SIGNED_PEER_RECORD, ((1, NAME), (2, b""))),
            (Status.INVALID_NAMESPACE, ((1, ""), (2, ours))),
            (Status.INVALID_NAMESPACE, ((1, "x" * 257), (2, ours))),
            (Status.INVALID_TTL, ((1, NAME), (2, ours), (3, 72 * 3600 + 1))),
        ):
            assert await asked(host, point, *fields) == status
        assert len(place) == 0
        assert await asked(host, point, (1, NAME), (2, ours), (3, 60)) == Status.OK
        assert len(place) == 1
        unregister = message((1, Kind.UNREGISTER), (4, message((1, NAME))))
        with pytest.raises(P2pError):  # there is no answer to it
            await ask(host, point.addresses[0], RENDEZVOUS, unregister + b"\x0a")
        assert len(place) == 1


async def test_one_address_takes_only_its_share_of_a_point_and_renews_what_it_has() -> None:
    async with listening(ROOMY) as point, open_host(Person().seed) as host:
        place = RendezvousPoint(point, ALL)
        (address,) = point.addresses
        for number in range(REGISTRATIONS_PER_HOST):
            await register(host, address, f"{NAME}{number}", at(host))
        with pytest.raises(HandshakeFailed, match="unavailable"):
            await register(host, address, NAME, at(host))
        await register(host, address, f"{NAME}0", at(host))
        assert len(place) == REGISTRATIONS_PER_HOST


async def test_a_long_list_is_answered_with_a_part_of_it() -> None:
    now = time.monotonic()
    async with listening(ROOMY) as point, open_host(Person().seed) as host:
        place = RendezvousPoint(point, ALL, lambda: now)
        for _ in range(40):
            person = Person()
            async with open_host(person.seed) as guest:
                record = seal_record(guest.key_pair, at(guest), 1)
            place._registrations[NAME, person.peer_id] = rendezvous._Registration(
                record, person.peer_id, now + 60
            )
        found = await discover(host, point.addresses[0], NAME, ALL)
        assert len({peer.peer_id for peer in found}) == 16


async def test_a_point_that_answers_with_nonsense_is_an_error_of_its_own() -> None:
    async with listening(ROOMY) as point, open_host(Person().seed) as host:

        async def nonsense(connection: object, stream: Stream) -> None:
            await hear(stream)
            await tell(stream, message((1, 4), (6, message((3, 300), (4, "no " * 99)))))

        point.serve_streams(RENDEZVOUS, nonsense)
        with pytest.raises(HandshakeFailed, match="refuses: internal_error no no") as refusal:
            await discover(host, point.addresses[0], NAME, ALL)
        assert len(str(refusal.value)) < 200
