"""The errors of the network.

P2pError
├── AddressInvalid     not an address that can be listened on or dialled (caller's input)
├── DialFailed         nobody answered there, or somebody else did; try again later
├── HandshakeFailed    a connection broke, or stalled, before it carried anything
└── ChannelClosed      the channel is over; `reason` says why
"""


class P2pError(Exception):
    """Base of every error of this package."""


class AddressInvalid(P2pError, ValueError):
    """The text is not an address such as ``/ip4/192.0.2.7/tcp/4001/p2p/12D3Koo...``."""


class HandshakeFailed(P2pError):
    """The other end did not prove who it is, or did not speak our protocols."""


class DialFailed(P2pError):
    """The address could not be reached, or its peer is not the one it names.

    Attributes:
        address: what was dialled.
        reason: one sentence.
    """

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot reach {address}: {reason}")
        self.address = address
        self.reason = reason


class ChannelClosed(P2pError):
    """Nothing more can be sent or received.

    Attributes:
        reason: one sentence, the first one that was given.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
