"""Signed messages: every message between a node and a coordinator travels in one.

The signature covers a domain ("neurogrid", the message type, the version) and the canonical form of
every other field, so that a message can't be replayed on another network, as another type, to
another peer, or in another session. Evidence that ends up in a receipt is the envelope itself.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from .canonical import Json, canonical_bytes
from .errors import BadSignature, InvalidValue, MalformedMessage, ReplayedMessage
from .identity import check_signature, public_key_of

VERSION = 1
# How old or early a message may be. Wider than ordinary clock drift, narrow enough that a captured
# message is worthless soon; sessions and sequence numbers stop replays inside it.
CLOCK_TOLERANCE_MS = 120_000
_SIGNATURE = re.compile(r"[0-9a-f]{128}", re.ASCII)
_FIELDS = {
    "version": int,
    "network": str,
    "type": str,
    "sender": str,
    "recipient": str,
    "session": str,
    "sequence": int,
    "sent_at_ms": int,
    "body": dict,
    "signature": str,
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """One signed message.

    Attributes:
        version: of the protocol.
        network: which market this belongs to (see `network_id`).
        type: name of the message, which says how to read ``body``.
        sender, recipient: peer ids.
        session: names one connection; chosen by the coordinator in its `Welcome`.
        sequence: counts the sender's messages in the session, from 0, without gaps.
        sent_at_ms: sender's clock, Unix milliseconds.
        body: the message.
        signature: Ed25519 by the sender's key, 128 lower-case hex digits.
    """

    version: int
    network: str
    type: str
    sender: str
    recipient: str
    session: str
    sequence: int
    sent_at_ms: int
    body: dict[str, Json]
    signature: str

    def to_dict(self) -> dict[str, Json]:
        """The envelope as it travels and as it stands in a receipt."""
        return {name: getattr(self, name) for name in _FIELDS}

    def hash(self) -> str:
        """SHA-256 over the signed bytes and the signature: how later messages refer to this one."""
        return hashlib.sha256(_signed_bytes(self) + bytes.fromhex(self.signature)).hexdigest()


def network_id(genesis_hash: str, program_id: str) -> str:
    """The tag of one market: a short hash of the chain's genesis and the escrow program."""
    digest = hashlib.sha256(f"neurogrid:{genesis_hash}:{program_id}".encode()).hexdigest()
    return f"ng-{digest[:16]}"


def seal(
    sign: Callable[[bytes], bytes],
    *,
    network: str,
    type: str,
    sender: str,
    recipient: str,
    session: str,
    sequence: int,
    sent_at_ms: int,
    body: dict[str, Json],
) -> Envelope:
    """Make and sign an envelope; ``sign`` returns the 64-byte Ed25519 signature of ``sender``."""
    unsigned = Envelope(
        VERSION, network, type, sender, recipient, session, sequence, sent_at_ms, body, ""
    )
    signature = sign(_signed_bytes(unsigned)).hex()
    return Envelope(
        VERSION, network, type, sender, recipient, session, sequence, sent_at_ms, body, signature
    )


def parse_envelope(value: object) -> Envelope:
    """Read an envelope from decoded msgpack or JSON; checks shapes, not the signature.

    Raises:
        MalformedMessage: a field is missing, unknown, or of the wrong type.
    """
    if not isinstance(value, dict) or set(value) != set(_FIELDS):
        raise MalformedMessage("an envelope has exactly the fields " + ", ".join(_FIELDS))
    for name, kind in _FIELDS.items():
        item = value[name]
        if not isinstance(item, kind) or (kind is int and isinstance(item, bool)):
            raise MalformedMessage(f"envelope field {name} is not a {kind.__name__}")
    if value["version"] != VERSION:
        raise MalformedMessage(f"protocol version {value['version']}, this side speaks {VERSION}")
    if not _SIGNATURE.fullmatch(value["signature"]):
        raise MalformedMessage("a signature is 128 lower-case hex digits")
    return Envelope(**value)


def check_envelope(envelope: Envelope, network: str) -> None:
    """Check network and signature: all that can be checked offline, long after the session.

    Raises:
        BadSignature: forged, changed, or made for another network.
        MalformedMessage: the sender is no Ed25519 peer id, or the body has no canonical form.
    """
    if envelope.network != network:
        raise BadSignature(f"made for network {envelope.network}, not {network}")
    try:
        public_key = public_key_of(envelope.sender)
        message = _signed_bytes(envelope)
    except InvalidValue as error:
        raise MalformedMessage(str(error)) from error
    check_signature(public_key, message, bytes.fromhex(envelope.signature))


class Session:
    """What one side expects of the other's messages on one connection; holds the next number.

    Args:
        network: of this market.
        session: the session's name.
        local: our peer id; remote: the peer id that the transport authenticated.
    """

    def __init__(self, *, network: str, session: str, local: str, remote: str) -> None:
        self._network = network
        self._session = session
        self._local = local
        self._remote = remote
        self._next_sequence = 0

    def admit(self, envelope: Envelope, now_ms: int) -> None:
        """Check one received message and count it.

        Raises:
            BadSignature, MalformedMessage: see `check_envelope`; also a sender who is not the
                peer at the other end, or a message meant for somebody else.
            ReplayedMessage: another session, an unexpected number, or outside the clock tolerance.
        """
        if envelope.sender != self._remote:
            raise BadSignature(f"sent by {self._remote} in the name of {envelope.sender}")
        if envelope.recipient != self._local:
            raise BadSignature(f"meant for {envelope.recipient}")
        if envelope.session != self._session:
            raise ReplayedMessage("belongs to another session")
        if envelope.sequence != self._next_sequence:
            raise ReplayedMessage(
                f"message {envelope.sequence} where {self._next_sequence} was due"
            )
        if abs(now_ms - envelope.sent_at_ms) > CLOCK_TOLERANCE_MS:
            raise ReplayedMessage(
                f"sent {(now_ms - envelope.sent_at_ms) / 1000:.0f} s from now; set both clocks"
            )
        check_envelope(envelope, self._network)
        self._next_sequence += 1


def _signed_bytes(envelope: Envelope) -> bytes:
    fields = envelope.to_dict()
    del fields["signature"]
    domain = f"neurogrid:{envelope.type}:v{envelope.version}\0"
    return domain.encode() + canonical_bytes(fields)
