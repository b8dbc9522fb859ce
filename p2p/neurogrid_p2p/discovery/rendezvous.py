"""Rendezvous: peers register at a point under a name, and others ask the point who has.

Both sides are here. py-libp2p 0.8.1's own has another message where the specification, and everybody else, has a
signed peer record, so that it understands nobody but itself. Source: libp2p specification `rendezvous`.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import trio

from .. import circuit
from .._libp2p import KeyPair
from ..connection import Connection
from ..errors import HandshakeFailed
from ..host import Host
from ..patches import Stream
from ..protobuf import Fields, message
from .exchange import EXCHANGE_LIMIT_S, ask, hear, tell
from .peers import Peer, Scope, open_record, seal_record

RENDEZVOUS = "/rendezvous/1.0.0"
# The specification's default, and its longest.
LIFETIME_S = 2 * 3600
_LIFETIME_MAX_S = 72 * 3600
_NAME_MAX_BYTES = 256
_RECORD_MAX_BYTES = 2048
# What is asked for, and given, at once: a random part of a longer list.
_ANSWERS_MAX = 16
# What a point keeps, in all and of one IP address: a flood from one place crowds out nobody else.
REGISTRATIONS_MAX = 4096
REGISTRATIONS_PER_HOST = 16
# Questions that one stream may ask.
_QUESTIONS_MAX = 16


class Kind(IntEnum):
    """What a message is."""

    REGISTER = 0
    REGISTER_RESPONSE = 1
    UNREGISTER = 2
    DISCOVER = 3
    DISCOVER_RESPONSE = 4


class Status(IntEnum):
    """What a point answers."""

    OK = 0
    INVALID_NAMESPACE = 100
    INVALID_SIGNED_PEER_RECORD = 101
    INVALID_TTL = 102
    INVALID_COOKIE = 103
    NOT_AUTHORIZED = 200
    INTERNAL_ERROR = 300
    UNAVAILABLE = 400


async def register(host: Host, point: str, name: str, us: Peer) -> float:
    """Register at a point; returns after how many seconds that has to be done again.

    Raises:
        P2pError: it is not there, or refuses.
    """
    record = seal_record(host.key_pair, us, time.time_ns())
    question = message((1, Kind.REGISTER), (2, message((1, name), (2, record), (3, LIFETIME_S))))
    answer = Fields(Fields(await ask(host, point, RENDEZVOUS, question)).piece(3))
    _check(answer.number(1), answer.text(2))
    return (answer.number(3) or LIFETIME_S) / 2


async def discover(host: Host, point: str, name: str, scope: Scope) -> tuple[Peer, ...]:
    """Some of those that are registered at a point under a name, and that we would dial.

    Raises:
        P2pError: it is not there, or refuses.
    """
    question = message((1, Kind.DISCOVER), (5, message((1, name), (2, _ANSWERS_MAX))))
    answer = Fields(Fields(await ask(host, point, RENDEZVOUS, question)).piece(6))
    _check(answer.number(3), answer.text(4))
    found = []
    for registration in answer.pieces(1)[:_ANSWERS_MAX]:
        try:
            peer = open_record(Fields(registration).piece(2), scope)
        except HandshakeFailed:
            continue  # the others may be good
        if peer is not None:
            found.append(peer)
    return tuple(found)


def _check(status: int, text: str) -> None:
    if status != Status.OK:
        name = Status(status).name.lower() if status in set(Status) else str(status)
        words = "".join(filter(str.isprintable, text[:80]))  # a stranger's, and for a terminal
        raise HandshakeFailed(f"the rendezvous point refuses: {name} {words}".rstrip())


@dataclass(frozen=True, slots=True)
class _Registration:
    record: bytes
    host: str
    ends_s: float


class RendezvousPoint:
    """A point; it serves from its construction on, and keeps everything in memory.

    Args:
        scope: which addresses may be registered here.
        now_s: any clock that only goes forward.
    """

    def __init__(
        self, host: Host, scope: Scope, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.scope = scope
        self._now_s = now_s
        # By name and peer.
        self._registrations: dict[tuple[str, str], _Registration] = {}
        host.serve_streams(RENDEZVOUS, self._asked)

    def __len__(self) -> int:
        self._forget_ended()
        return len(self._registrations)

    def keep(self, name: str, keys: KeyPair, us: Peer) -> None:
        """Register ourselves, who need not ask."""
        ends_s = self._now_s() + LIFETIME_S
        record = seal_record(keys, us, time.time_ns())
        self._registrations[name, us.peer_id] = _Registration(record, "", ends_s)

    async def _asked(self, connection: Connection, stream: Stream) -> None:
        try:
            for _ in range(_QUESTIONS_MAX):
                with trio.fail_after(EXCHANGE_LIMIT_S):
                    answer = self._answer(connection, Fields(await hear(stream)))
                    if answer:
                        await tell(stream, answer)
        except trio.TooSlowError:
            raise HandshakeFailed("asked the rendezvous point for nothing") from None
        await circuit.close(stream)

    def _answer(self, connection: Connection, question: Fields) -> bytes:
        match question.number(1):
            case Kind.REGISTER:
                status, lifetime_s = self._register(connection, Fields(question.piece(2)))
                response = message((1, status), (2, ""), (3, lifetime_s))
                return message((1, Kind.REGISTER_RESPONSE), (3, response))
            case Kind.UNREGISTER:
                name = Fields(question.piece(4)).text(1)
                self._registrations.pop((name, connection.remote_id), None)
                return b""
            case Kind.DISCOVER:
                return message((1, Kind.DISCOVER_RESPONSE), (6, self._list(question.piece(5))))
        raise HandshakeFailed("asked the rendezvous point for something that it does not know")

    def _register(self, connection: Connection, asked: Fields) -> tuple[Status, int]:
        name, record = asked.piece(1), asked.piece(2)
        lifetime_s = asked.number(3) or LIFETIME_S
        if not 0 < len(name) <= _NAME_MAX_BYTES:
            return Status.INVALID_NAMESPACE, 0
        if lifetime_s > _LIFETIME_MAX_S:
            return Status.INVALID_TTL, 0
        try:
            peer = open_record(record, self.scope)
        except HandshakeFailed:
            peer = None
        if peer is None or len(record) > _RECORD_MAX_BYTES:
            return Status.INVALID_SIGNED_PEER_RECORD, 0
        if peer.peer_id != connection.remote_id:
            return Status.NOT_AUTHORIZED, 0
        key = (name.decode(errors="replace"), peer.peer_id)
        self._forget_ended()
        if key not in self._registrations and not self._has_room_for(connection.remote_host):
            return Status.UNAVAILABLE, 0
        ends_s = self._now_s() + lifetime_s
        self._registrations[key] = _Registration(record, connection.remote_host, ends_s)
        return Status.OK, lifetime_s

    def _list(self, question: bytes) -> bytes:
        asked = Fields(question)
        name = asked.text(1)
        self._forget_ended()
        found = [
            message((1, name), (2, each.record), (3, int(each.ends_s - self._now_s())))
            for (place, _), each in self._registrations.items()
            if place == name
        ]
        most = min(asked.number(2) or _ANSWERS_MAX, _ANSWERS_MAX, len(found))
        return message((1, random.sample(found, most)), (3, Status.OK))

    def _has_room_for(self, host: str) -> bool:
        here = sum(each.host == host for each in self._registrations.values())
        return len(self._registrations) < REGISTRATIONS_MAX and here < REGISTRATIONS_PER_HOST

    def _forget_ended(self) -> None:
        now_s = self._now_s()
        for key, each in list(self._registrations.items()):
            if each.ends_s <= now_s:
                del self._registrations[key]
