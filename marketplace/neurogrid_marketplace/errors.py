"""The errors of the rules.

MarketError
├── InvalidValue           a value breaks its own rules (ours or a user's; the message says which and why)
├── RemoteError            a peer broke the protocol; drop the message or the peer, never crash
│   ├── MalformedMessage   not decodable, wrong field, over a limit
│   │   └── UnknownMessage a later version's message: the stream goes on without it
│   ├── BadSignature       forged, or signed for another network, type or sender
│   └── ReplayedMessage    seen before, from another session, or too old
├── IllegalTransition      our own bug: an event that the state's table does not list
├── SealBroken             a sealed input, or the key to it, does not authenticate
├── ReceiptInvalid         a receipt that does not prove what it says
├── EvidenceInvalid        evidence of a challenge that does not prove what it says
└── KeysMissing            what signs, checks signatures and seals is not installed
"""


class MarketError(Exception):
    """Base of every error raised by the rules."""


class InvalidValue(MarketError, ValueError):
    """A value breaks its own rules; the message names the field and what is allowed."""


class RemoteError(MarketError):
    """A peer broke the protocol."""


class MalformedMessage(RemoteError):
    """The peer sent something that cannot be decoded or is over a limit."""


class UnknownMessage(MalformedMessage):
    """The peer said something that this version has no name for, and that may be passed over."""


class BadSignature(RemoteError):
    """The signature does not match the message, its sender or its domain."""


class ReplayedMessage(RemoteError):
    """The message was seen before, belongs to another session, or is too old."""


class IllegalTransition(MarketError):
    """An event arrived that the present state's table does not list: our own bug."""


class SealBroken(MarketError):
    """A sealed input or its key is not what was sealed: changed, cut off, or for somebody else."""


class ReceiptInvalid(MarketError):
    """A receipt does not prove what it says; the message names the first link that fails."""


class EvidenceInvalid(MarketError):
    """Evidence of a challenge does not prove what it says; the message names what fails first."""


class KeysMissing(MarketError, ImportError):
    """`cryptography` is not installed, which signs, checks signatures, and seals. Nothing was done."""

    def __init__(self) -> None:
        super().__init__(
            "Signing, checking signatures and sealing need a package that is not installed: "
            "pip install 'neurogrid[keys]'"
        )
