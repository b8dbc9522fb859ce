"""One stream of a mailbox: what is said is signed and numbered, what is heard is checked. No I/O, no clock."""

from neurogrid_marketplace.envelope import Envelope, Session, parse_envelope, seal
from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.messages import Message, Welcome, parse_body, to_body, type_name

from .keys import Key


class SignedStream:
    """A stream whose session the coordinator has opened with its first envelope.

    Args:
        key: the machine's.
        network: the market's tag.
        first: what arrived first on the stream.

    Raises:
        RemoteError: it is no welcome that may be believed.
    """

    def __init__(self, key: Key, network: str, first: object, now_ms: int) -> None:
        envelope = parse_envelope(first)
        self.coordinator = envelope.sender
        self.session = envelope.session
        self._key = key
        self._network = network
        self._next_sequence = 0
        self._admission = Session(
            network=network, session=envelope.session, local=key.peer_id, remote=envelope.sender
        )
        welcome = self._admitted(envelope, now_ms)
        if not isinstance(welcome, Welcome) or welcome.session != envelope.session:
            raise MalformedMessage("the first message is not the welcome to its session")

    def open(self, envelope: object, now_ms: int) -> Message:
        """What an envelope says.

        Raises:
            UnknownMessage: what a later version may say; it is counted, and passed over.
            RemoteError: it is forged, replayed, late or no message of this stream.
        """
        return self._admitted(parse_envelope(envelope), now_ms)

    def seal(self, message: Message, now_ms: int) -> Envelope:
        """A message as it travels. Each is the stream's next, so all have to be sent, in their order."""
        envelope = seal(
            self._key.sign,
            network=self._network,
            type=type_name(message),
            sender=self._key.peer_id,
            recipient=self.coordinator,
            session=self.session,
            sequence=self._next_sequence,
            sent_at_ms=now_ms,
            body=to_body(message),
        )
        self._next_sequence += 1
        return envelope

    def _admitted(self, envelope: Envelope, now_ms: int) -> Message:
        self._admission.admit(envelope, now_ms)
        return parse_body(envelope.type, envelope.body)
