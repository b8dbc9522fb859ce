"""Circuits through a relay: three hosts on this machine, of which two never dial each other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio

from neurogrid_marketplace.identity import check_signature, public_key_of
from neurogrid_p2p import circuit
from neurogrid_p2p._libp2p import circuit_pb2, envelope_pb2
from neurogrid_p2p.address import parse_address, through_relay
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.circuit import HOP, STOP, HopMessage, Status, receive, send
from neurogrid_p2p.connection import Connection
from neurogrid_p2p.errors import ChannelClosed, DialFailed
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.limits import Limits, RelayLimits
from neurogrid_p2p.patches import Stream
from neurogrid_p2p.relay import Relay
from neurogrid_p2p.relay_reservation import RelayReservations
from p2p.peers import PROTOCOL, Person, listening, raw_connection, until

ROOMY = RelayLimits().beside(Limits())


@dataclass(frozen=True)
class Place:
    """A relay, and a host behind it that echoes."""

    relay_host: Host
    relay: Relay
    hidden: Host
    reservations: RelayReservations

    @property
    def address(self) -> str:
        return through_relay(self.relay_host.addresses[0], self.hidden.peer_id)


@asynccontextmanager
async def relayed(
    limits: RelayLimits | None = None, now: list[float] | None = None, renew_s: float = 30.0
) -> AsyncIterator[Place]:
    """A relay and a host that has a reservation there."""
    clock = now or [1_700_000_000.0]
    async with (
        listening(ROOMY) as relay_host,
        open_host(Person().seed, limits=Limits(connections_per_peer=20)) as hidden,
        trio.open_nursery() as nursery,
    ):
        relay = Relay(relay_host, limits or RelayLimits(), lambda: clock[0])
        reservations = RelayReservations(hidden, (relay_host.addresses[0],), renew_s=renew_s)
        hidden.serve(PROTOCOL, echo)
        nursery.start_soon(reservations.run)
        await until(lambda: reservations.addresses != ())
        yield Place(relay_host, relay, hidden, reservations)
        nursery.cancel_scope.cancel()


async def echo(channel: Channel) -> None:
    while True:
        await channel.send(await channel.receive())


async def test_a_host_that_nobody_can_dial_is_reached_and_proves_who_it_is() -> None:
    async with relayed() as place, open_host(Person().seed) as client:
        assert place.reservations.addresses == (place.address,)
        channel = await client.dial(place.address, PROTOCOL)
        assert channel.remote_id == place.hidden.peer_id
        for text in ("a", "x" * 900_000):
            await channel.send({"text": text})
            assert await channel.receive() == {"text": text}
        assert place.relay.circuits == 1
        await channel.aclose()
        await until(lambda: place.relay.circuits == 0)
        assert place.hidden.connections == 0
        # The reservation is as good as before.
        again = await client.dial(place.address, PROTOCOL)
        await again.send({"again": 1})
        assert await again.receive() == {"again": 1}


async def test_the_relay_cannot_read_or_be_the_other_end() -> None:
    async with relayed() as place, open_host(Person().seed) as client:
        somebody_else = Person().peer_id
        with pytest.raises(DialFailed, match="NO_RESERVATION"):
            await client.dial(through_relay(place.relay_host.addresses[0], somebody_else), PROTOCOL)

        # A relay that connects its caller with itself, and not with whom it names.
        async def deceive(connection: Connection, stream: Stream) -> None:
            await receive(stream, HopMessage)
            await send(stream, HopMessage(type=HopMessage.STATUS, status=Status.OK))
            await place.relay_host.accept(circuit.CircuitStream(stream, connection, owned=False))

        place.relay_host.serve_streams(HOP, deceive)
        with pytest.raises(DialFailed, match="peer id does not correspond"):
            await client.dial(place.address, PROTOCOL)


async def test_many_circuits_share_one_reservation_and_a_slow_one_stops_no_other() -> None:
    async with relayed() as place, open_host(Person().seed) as client:
        channels = [await client.dial(place.address, PROTOCOL) for _ in range(8)]
        stuck, *others = channels
        # It echoes what nobody reads, until every window and queue on the way is full.
        with trio.move_on_after(1):
            while True:
                await stuck.send({"filling": "x" * 500_000})
        for channel in others:
            await channel.send({"text": "y" * 500_000})
        for channel in others:
            with trio.fail_after(30):
                assert await channel.receive() == {"text": "y" * 500_000}
        stuck.abort("enough")


async def test_a_circuit_ends_at_its_bytes_and_the_next_one_works() -> None:
    limits = RelayLimits(circuit_bytes=300_000)
    async with relayed(limits) as place, open_host(Person().seed) as client:
        channel = await client.dial(place.address, PROTOCOL)
        for _ in range(4):
            await channel.send({"text": "x" * 100_000})
        with trio.fail_after(30), pytest.raises(ChannelClosed):
            await _receive_all(channel)
        await until(lambda: place.relay.circuits == 0)
        again = await client.dial(place.address, PROTOCOL)
        await again.send({})
        assert await again.receive() == {}


async def _receive_all(channel: Channel) -> None:
    while True:
        await channel.receive()


async def test_a_circuit_ends_at_its_time() -> None:
    limits = RelayLimits(circuit_s=1)
    async with relayed(limits) as place, open_host(Person().seed) as client:
        channel = await client.dial(place.address, PROTOCOL)
        with trio.fail_after(30), pytest.raises(ChannelClosed):
            await channel.receive()


async def test_circuits_are_bounded_for_each_peer_and_in_all() -> None:
    for limits in (RelayLimits(circuits_per_peer=2), RelayLimits(circuits=2)):
        async with relayed(limits) as place, open_host(Person().seed) as client:
            first = await client.dial(place.address, PROTOCOL)
            await client.dial(place.address, PROTOCOL)
            with pytest.raises(DialFailed, match="RESOURCE_LIMIT_EXCEEDED"):
                await client.dial(place.address, PROTOCOL)
            await first.aclose()
            await until(lambda place=place: place.relay.circuits == 1)  # type: ignore[misc]  # bound now
            await client.dial(place.address, PROTOCOL)


async def test_reservations_are_bounded_in_all_and_for_each_ip_address() -> None:
    for limits in (RelayLimits(reservations=1), RelayLimits(reservations_per_host=1)):
        async with (
            relayed(limits) as place,
            raw_connection(place.relay_host.addresses[0], Person().seed) as other,
        ):
            assert (await asked(other, HopMessage(type=HopMessage.RESERVE))).status == (
                Status.RESERVATION_REFUSED
            )
            # Who has one may renew it.
            assert place.relay.reserved == (place.hidden.peer_id,)


async def asked(connection: Connection, message: circuit_pb2.HopMessage) -> circuit_pb2.HopMessage:
    """What the relay answers."""
    stream = await connection.open_stream(HOP)
    await send(stream, message)
    with trio.fail_after(30):
        return await receive(stream, HopMessage)


async def test_a_reservation_says_where_for_how_long_and_is_signed_by_the_relay() -> None:
    person = Person()
    async with (
        relayed(RelayLimits(reservation_s=600)) as place,
        raw_connection(place.relay_host.addresses[0], person.seed) as connection,
    ):
        answer = await asked(connection, HopMessage(type=HopMessage.RESERVE))
        assert answer.type == HopMessage.STATUS
        assert answer.status == Status.OK
        assert answer.reservation.expire == 1_700_000_600
        there = parse_address(place.relay_host.addresses[0])
        assert answer.reservation.addrs == [there.to_bytes()]
        assert (answer.limit.duration, answer.limit.data) == (3600, 256 * 1024**2)
        envelope = envelope_pb2.Envelope.FromString(answer.reservation.voucher)
        domain, kind = b"libp2p-relay-rsvp", b"\x03\x02"
        assert envelope.payload_type == kind
        check_signature(
            public_key_of(place.relay_host.peer_id),
            b"\x11" + domain + b"\x02" + kind + bytes([len(envelope.payload)]) + envelope.payload,
            envelope.signature,
        )
        voucher = circuit_pb2.Voucher.FromString(envelope.payload)
        assert circuit.peer_text(voucher.peer) == person.peer_id
        assert circuit.peer_text(voucher.relay) == place.relay_host.peer_id
        assert voucher.expiration == 1_700_000_600


async def test_a_reservation_ends_with_its_time_unless_it_is_renewed() -> None:
    now = [1_700_000_000.0]
    async with relayed(now=now) as place:
        now[0] += 3600
        assert place.relay.reserved == ()
    async with relayed(now=now, renew_s=0.05) as place:
        now[0] += 3599
        await until(lambda: _expiry(place) == int(now[0]) + 3600)
        now[0] += 3599
        assert place.relay.reserved == (place.hidden.peer_id,)


def _expiry(place: Place) -> int:
    return place.relay._reservations[place.hidden.peer_id].expires_s


async def test_a_reservation_ends_with_its_connection_and_is_made_again() -> None:
    async with relayed() as place, open_host(Person().seed) as client:
        (connection,) = place.reservations._open
        connection.abort()
        await until(lambda: connection not in place.reservations._open)
        await until(lambda: place.reservations.addresses == (place.address,))
        channel = await client.dial(place.address, PROTOCOL)
        await channel.send({})
        assert await channel.receive() == {}


async def test_a_relay_that_is_away_is_tried_again_and_complained_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    relay_person = Person()
    async with listening(ROOMY, relay_person) as first:
        port = first.listen_addresses
        there = first.addresses[0]
    async with (
        open_host(Person().seed, limits=Limits(connections_per_peer=20)) as hidden,
        trio.open_nursery() as nursery,
    ):
        reservations = RelayReservations(hidden, (there,))
        nursery.start_soon(reservations.run)
        await until(lambda: "trying again" in caplog.text)
        async with open_host(relay_person.seed, port, ROOMY) as relay_host:
            Relay(relay_host, RelayLimits())
            await until(lambda: reservations.addresses != ())
            assert caplog.text.count("trying again") == 1
        await until(lambda: reservations.addresses == ())
        nursery.cancel_scope.cancel()


async def test_a_circuit_may_not_be_used_to_reach_the_relay_service() -> None:
    async with relayed() as place, open_host(Person().seed) as client:
        Relay(place.hidden, RelayLimits())
        connection = await client.connect(place.address)
        answer = await asked(connection, HopMessage(type=HopMessage.RESERVE))
        assert answer.status == Status.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (HopMessage(type=HopMessage.STATUS), Status.UNEXPECTED_MESSAGE),
        (HopMessage(type=HopMessage.CONNECT), Status.MALFORMED_MESSAGE),
        (
            HopMessage(
                type=HopMessage.CONNECT, peer=circuit_pb2.PeerId(id=b"\x12\x20" + b"q" * 32)
            ),
            Status.MALFORMED_MESSAGE,
        ),
    ],
)
async def test_what_the_relay_does_not_understand_has_an_answer(
    message: circuit_pb2.HopMessage, status: int
) -> None:
    async with (
        relayed() as place,
        raw_connection(place.relay_host.addresses[0], Person().seed) as connection,
    ):
        assert (await asked(connection, message)).status == status


@pytest.mark.parametrize("said", [b"\xff\xff\xff\xff\xff", b"\xff\x7f" + b"x" * 20_000, b"\x03abc"])
async def test_a_relay_outlives_what_strangers_say(said: bytes) -> None:
    async with relayed() as place, open_host(Person().seed) as client:
        async with raw_connection(place.relay_host.addresses[0], Person().seed) as connection:
            stream = await connection.open_stream(HOP)
            await stream.write(said)
            with trio.fail_after(30):
                assert await stream.read(100) == b""
        channel = await client.dial(place.address, PROTOCOL)
        await channel.send({})
        assert await channel.receive() == {}


async def test_a_caller_that_vanishes_ends_no_circuit_but_its_own() -> None:
    async with relayed() as place, open_host(Person().seed) as client:
        steady = await client.dial(place.address, PROTOCOL)
        for _ in range(5):
            async with raw_connection(place.relay_host.addresses[0], Person().seed) as pest:
                stream = await pest.open_stream(HOP)
                peer = circuit_pb2.PeerId(id=circuit.peer_bytes(place.hidden.peer_id))
                await send(stream, HopMessage(type=HopMessage.CONNECT, peer=peer))
        await until(lambda: place.relay.circuits == 1)
        await steady.send({"still": "there"})
        assert await steady.receive() == {"still": "there"}
        assert place.reservations.addresses == (place.address,)


async def test_a_reserved_peer_that_answers_nothing_takes_no_circuit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("neurogrid_p2p.relay.ANSWER_LIMIT_S", 0.3)
    async with relayed() as place, open_host(Person().seed) as client:
        place.hidden.serve_streams(STOP, _says_nothing)
        with pytest.raises(DialFailed, match="CONNECTION_FAILED"):
            await client.dial(place.address, PROTOCOL)
        await until(lambda: place.relay.circuits == 0)


async def _says_nothing(connection: Connection, stream: Stream) -> None:
    await connection.ended.wait()


async def test_who_opens_a_circuit_where_we_have_no_reservation_is_cut_off() -> None:
    async with listening() as server:
        RelayReservations(server, ())
        async with raw_connection(server.addresses[0], Person().seed) as pest:
            await pest.open_stream(STOP)
            with trio.fail_after(30):
                await pest.ended.wait()


async def test_a_hidden_host_counts_who_comes_through_a_relay() -> None:
    async with relayed() as place, open_host(Person().seed) as client:
        place.hidden._gate.limits = Limits(connections_per_host=1)
        await client.dial(place.address, PROTOCOL)
        with pytest.raises(DialFailed):
            await client.dial(place.address, PROTOCOL)
