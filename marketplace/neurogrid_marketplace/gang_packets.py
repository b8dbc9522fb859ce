"""What the nodes of a gang send each other: a greeting, then the IPv4 packets of its members; and what is dropped.

A frame is two bytes of length (unsigned, big-endian) and a packet; one of length zero only shows that its
sender is alive. The same frames pass between a node and the link of its member (`images/gang-link`).
"""

import ipaddress
import struct
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from .canonical import canonical_bytes
from .errors import MalformedMessage
from .fields import Count, Id, decode, plain
from .gang import GangPlace, Rank, address_of

GANG_PROTOCOL_ID = "/neurogrid/gang/1"
# Of a member's interface. Each packet costs a daemon the same whatever its size, so a larger one is
# worth more; but what is lost is lost whole. Through links alone 100 MiB/s pass, with 1,400 it was 48.
MTU_BYTES = 9000
# The largest frame is a packet; a greeting has about 100 bytes.
MAX_GREETING_BYTES = 512
HEADER_BYTES = 2
ALIVE = b"\0\0"

# Source: RFC 791. Version and length of the header, service, total length, id, flags and offset of the
# fragment, time to live, protocol, checksum, source, destination.
_IPV4 = struct.Struct(">BxHxxHxxxx4s4s")
_PACKET_BYTES_MAX = 65_535


class Drop(StrEnum):
    """Why a packet was dropped."""

    NOT_IPV4 = "not_ipv4"
    BAD_LENGTH = "bad_length"
    BAD_FRAGMENT = "bad_fragment"
    WRONG_SOURCE = "wrong_source"
    WRONG_DESTINATION = "wrong_destination"
    QUEUE_FULL = "queue_full"


@dataclass(frozen=True, slots=True)
class Greeting:
    """First on a stream, from both ends: whose packets follow."""

    gang_id: Id
    attempt: Count
    rank: Rank


def greeting_of(place: GangPlace) -> bytes:
    """What a member's node says first, as a frame."""
    text = canonical_bytes(plain(Greeting(place.gang_id, place.attempt, place.rank)))
    return len(text).to_bytes(HEADER_BYTES) + text


def read_greeting(text: bytes) -> Greeting:
    """What the other side says first, without the frame's header.

    Raises:
        MalformedMessage: it is no greeting.
    """
    try:
        return decode(Greeting, msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(f"no greeting: {error}") from error


def admits(place: GangPlace, greeting: Greeting, node_id: str) -> bool:
    """Whether ``node_id`` is the other member of this gang and attempt that it says it is."""
    return (
        (greeting.gang_id, greeting.attempt) == (place.gang_id, place.attempt)
        and greeting.rank != place.rank
        and greeting.rank < place.size
        and place.members[greeting.rank].node_id == node_id
    )


def dials(place: GangPlace, rank: int) -> bool:
    """Whether we dial the member of ``rank``, who otherwise dials us; both sides find the same.

    Who has an address is dialled by who has none. Between equals the higher rank dials where the sum of
    both is even, else the lower: so each of n members is dialled by at most n / 2 others, and a relay
    bounds its circuits to one peer.
    """
    ours = bool(place.members[place.rank].addresses)
    theirs = bool(place.members[rank].addresses)
    if ours is not theirs:
        return theirs
    return (place.rank > rank) is ((place.rank + rank) % 2 == 0)


class FrameCutter:
    """Turns a stream of bytes into frames. One for each stream; after an error the stream is useless."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the packets they complete, each in its frame.

        Raises:
            MalformedMessage: a frame over `MTU_BYTES`.
        """
        data = self._rest + data
        frames = []
        begin, end = 0, len(data)
        while end - begin >= HEADER_BYTES:
            length = data[begin] << 8 | data[begin + 1]
            if length > MTU_BYTES:
                raise MalformedMessage(f"a packet of {length} bytes; the limit is {MTU_BYTES}")
            next_begin = begin + HEADER_BYTES + length
            if next_begin > end:
                break
            if length:
                frames.append(data[begin:next_begin])
            begin = next_begin
        self._rest = data[begin:]
        return frames


class Filter:
    """What one member may send and get. Packets are judged in their frames.

    Args:
        place: its place in the gang.
    """

    def __init__(self, place: GangPlace) -> None:
        self._own = _packed(place.rank)
        self._ranks = {_packed(rank): rank for rank in range(place.size) if rank != place.rank}
        self._addresses = {rank: address for address, rank in self._ranks.items()}

    def outgoing(self, frame: bytes) -> int | Drop:
        """The rank that a packet of our member goes to."""
        ends = _ends(frame)
        if isinstance(ends, Drop):
            return ends
        source, destination = ends
        if source != self._own:
            return Drop.WRONG_SOURCE
        return self._ranks.get(destination, Drop.WRONG_DESTINATION)

    def incoming(self, frame: bytes, rank: int) -> Drop | None:
        """Why our member does not get a packet from the node of ``rank``; None if it does."""
        ends = _ends(frame)
        if isinstance(ends, Drop):
            return ends
        source, destination = ends
        if source != self._addresses[rank]:
            return Drop.WRONG_SOURCE
        return None if destination == self._own else Drop.WRONG_DESTINATION


def _packed(rank: int) -> bytes:
    return ipaddress.IPv4Address(address_of(rank)).packed


def _ends(frame: bytes) -> tuple[bytes, bytes] | Drop:
    """Source and destination of a packet that is what it says it is."""
    size = len(frame) - HEADER_BYTES
    if size < _IPV4.size or frame[HEADER_BYTES] >> 4 != 4:
        return Drop.NOT_IPV4
    first, total, fragment, source, destination = _IPV4.unpack_from(frame, HEADER_BYTES)
    header = (first & 0xF) * 4
    if total != size or not _IPV4.size <= header <= total:
        return Drop.BAD_LENGTH
    # Put together, fragments must not be more than a packet can be. Offsets count eight bytes.
    if (fragment & 0x1FFF) * 8 + total > _PACKET_BYTES_MAX:
        return Drop.BAD_FRAGMENT
    return source, destination
