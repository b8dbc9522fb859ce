import struct
from collections.abc import Mapping
from ipaddress import IPv4Address
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.gang import GANG_MAX, GangMember, GangPlace, address_of
from neurogrid_marketplace.gang_packets import (
    ALIVE,
    HEADER_BYTES,
    MTU_BYTES,
    Drop,
    Filter,
    FrameCutter,
    Greeting,
    admits,
    dials,
    greeting_of,
    read_greeting,
)
from neurogrid_p2p.limits import RelayLimits

GANG = "task_" + "1" * 32
NODES = tuple("12D3KooW" + letter * 44 for letter in "ABC")
ADDRESS = ("/ip4/192.0.2.7/tcp/4001",)


def place(
    rank: int, attempt: int = 1, addresses: Mapping[int, tuple[str, ...]] = MappingProxyType({})
) -> GangPlace:
    """A place in a gang of three, of whom some have addresses."""
    members = tuple(GangMember(node, addresses.get(rank, ())) for rank, node in enumerate(NODES))
    return GangPlace(GANG, attempt, rank, members)


def packet(
    source: str = address_of(1),
    destination: str = address_of(0),
    payload: bytes = b"hello",
    *,
    first: int = 0x45,
    total: int | None = None,
    fragment: int = 0,
) -> bytes:
    """A packet in its frame, by default an honest one from rank 1 to rank 0."""
    size = 20 + len(payload)
    header = struct.pack(
        ">BBHHHBBH4s4s",
        first,
        0,
        size if total is None else total,
        7,
        fragment,
        64,
        6,
        0,
        IPv4Address(source).packed,
        IPv4Address(destination).packed,
    )
    return size.to_bytes(HEADER_BYTES) + header + payload


@given(
    st.lists(st.binary(max_size=40) | st.just(bytes(MTU_BYTES)), max_size=6),
    st.lists(st.integers(1, 2 * MTU_BYTES), min_size=1, max_size=20),
)
def test_frames_survive_any_cutting_and_empty_ones_are_nobodys(
    packets: list[bytes], cuts: list[int]
) -> None:
    sent = [len(body).to_bytes(HEADER_BYTES) + body for body in packets]
    stream = b"".join(sent)
    cutter, received = FrameCutter(), []
    for size in (*cuts, len(stream)):
        received += cutter.feed(stream[:size])
        stream = stream[size:]
    assert received == [frame for frame in sent if frame != ALIVE]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_any_bytes_are_frames_or_refused_and_never_held_beyond_one(pieces: list[bytes]) -> None:
    cutter = FrameCutter()
    try:
        for piece in pieces:
            for frame in cutter.feed(piece):
                assert HEADER_BYTES < len(frame) <= HEADER_BYTES + MTU_BYTES
            assert len(cutter._rest) < HEADER_BYTES + MTU_BYTES
    except MalformedMessage:
        return


def test_a_frame_over_the_limit_is_refused_by_its_header_alone() -> None:
    with pytest.raises(MalformedMessage, match="limit"):
        FrameCutter().feed((MTU_BYTES + 1).to_bytes(HEADER_BYTES))


def test_a_member_sends_as_itself_to_another_member_and_to_nobody_else() -> None:
    rules = Filter(place(1))
    assert rules.outgoing(packet(destination=address_of(0))) == 0
    assert rules.outgoing(packet(destination=address_of(2))) == 2
    assert rules.outgoing(packet(source=address_of(2))) is Drop.WRONG_SOURCE
    for nobody in (address_of(1), address_of(3), "10.77.0.0", "10.77.0.255", "8.8.8.8"):
        assert rules.outgoing(packet(destination=nobody)) is Drop.WRONG_DESTINATION


def test_a_node_speaks_for_its_own_member_alone_and_to_ours_alone() -> None:
    rules = Filter(place(0))
    assert rules.incoming(packet(), 1) is None
    assert rules.incoming(packet(), 2) is Drop.WRONG_SOURCE, "a packet of rank 1 from rank 2's node"
    for somebody in (address_of(0), "127.0.0.1", "192.0.2.1"):
        assert rules.incoming(packet(source=somebody), 1) is Drop.WRONG_SOURCE
    for elsewhere in (address_of(2), "224.0.0.1", "255.255.255.255", "127.0.0.1"):
        assert rules.incoming(packet(destination=elsewhere), 1) is Drop.WRONG_DESTINATION


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (packet(first=0x65), Drop.NOT_IPV4),
        (b"\0\1\x45", Drop.NOT_IPV4),
        (packet(total=24), Drop.BAD_LENGTH),
        (packet(total=26), Drop.BAD_LENGTH),
        (packet(first=0x44), Drop.BAD_LENGTH),
        (packet(first=0x47), Drop.BAD_LENGTH),
        (packet(fragment=0x1FFF), Drop.BAD_FRAGMENT),
    ],
)
def test_what_is_no_packet_is_dropped_on_both_ways(frame: bytes, why: Drop) -> None:
    assert Filter(place(1)).outgoing(frame) is why
    assert Filter(place(0)).incoming(frame, 1) is why


@given(
    st.binary(min_size=1, max_size=100) | st.binary(min_size=19, max_size=70).map(b"\x45".__add__)
)
def test_no_packet_is_let_through_but_between_its_own_two_ends(body: bytes) -> None:
    frame = len(body).to_bytes(HEADER_BYTES) + body
    to = Filter(place(1)).outgoing(frame)
    if not isinstance(to, Drop):
        assert body[12:16] == IPv4Address(address_of(1)).packed
        assert body[16:20] == IPv4Address(address_of(to)).packed
    if Filter(place(0)).incoming(frame, 2) is None:
        assert body[12:20] == bytes([10, 77, 0, 3, 10, 77, 0, 1])


def test_a_greeting_names_gang_attempt_and_rank() -> None:
    frame = greeting_of(place(2, attempt=3))
    assert int.from_bytes(frame[:HEADER_BYTES]) == len(frame) - HEADER_BYTES
    assert read_greeting(frame[HEADER_BYTES:]) == Greeting(GANG, 3, 2)


@given(st.binary(max_size=200))
def test_what_is_no_greeting_is_malformed_and_nothing_worse(text: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_greeting(text)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 512,
        b'{"attempt":1,"gang_id":"task_1","rank":0}',
        b'{"attempt":-1,"gang_id":"%s","rank":0}' % GANG.encode(),
        b'{"attempt":1,"gang_id":"%s","rank":32}' % GANG.encode(),
        b'{"attempt":1,"gang_id":"%s","rank":true}' % GANG.encode(),
    ],
)
def test_a_greeting_within_its_bounds_alone_is_one(text: bytes) -> None:
    with pytest.raises(MalformedMessage):
        read_greeting(text)


def test_only_the_member_itself_is_admitted_to_its_gang_and_attempt() -> None:
    ours = place(0)
    assert admits(ours, Greeting(GANG, 1, 1), NODES[1])
    assert not admits(ours, Greeting(GANG, 1, 1), NODES[2]), "another member's rank"
    assert not admits(ours, Greeting(GANG, 1, 0), NODES[0]), "our own rank"
    assert not admits(ours, Greeting(GANG, 1, 3), NODES[1]), "nobody's rank"
    assert not admits(ours, Greeting(GANG, 2, 1), NODES[1]), "another attempt"
    assert not admits(ours, Greeting("task_" + "2" * 32, 1, 1), NODES[1]), "another gang"
    assert not admits(ours, Greeting(GANG, 1, 1), "12D3KooWStranger")


addresses = st.sampled_from(((), ADDRESS))


@given(st.integers(0, 2), st.integers(0, 2), addresses, addresses, addresses)
def test_of_two_members_one_dials_and_both_know_which(
    one: int, other: int, r0: tuple[str, ...], r1: tuple[str, ...], r2: tuple[str, ...]
) -> None:
    if one == other:
        return
    known = {0: r0, 1: r1, 2: r2}
    assert dials(place(one, addresses=known), other) is not dials(
        place(other, addresses=known), one
    )


def test_who_has_an_address_is_dialled() -> None:
    assert dials(place(0, addresses={1: ADDRESS}), 1)
    assert not dials(place(1, addresses={1: ADDRESS}), 0)
    assert dials(place(1, addresses={0: ADDRESS}), 0)


@pytest.mark.parametrize("known", [(), ADDRESS])
def test_between_equals_nobody_is_dialled_by_more_than_half_of_the_largest_gang(
    known: tuple[str, ...],
) -> None:
    members = tuple(GangMember(f"12D3KooW{rank:044}", known) for rank in range(GANG_MAX))
    for rank in range(GANG_MAX):
        ours = GangPlace(GANG, 1, rank, members)
        dialled_by = sum(not dials(ours, other) for other in range(GANG_MAX) if other != rank)
        assert dialled_by <= RelayLimits().circuits_per_peer
