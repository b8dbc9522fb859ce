"""The talk between the api and the market process: msgpack frames on a Unix socket.

The socket is one end of a pair that the child inherits, so it has no path that another user could open and
no name that is too long; when either process dies, the other sees the end of it at once.

Frames are maps with a ``kind``:

| api to market | |
|---|---|
| call | ``id``, ``method``, ``arguments``: answered by reply or failure |
| cancel | ``id``: nobody waits for the answer any more |
| taken | ``lane``, ``count``: so many of its messages have been dealt with |
| standings | ``standings``: node id -> what is known of it beside its offer, of nodes that joined |
| peers | ``lists``: who may connect, from now on |
| prices | ``sheet``: what awards cleared at, for whoever asks |

| market to api | |
|---|---|
| ready | ``peer_id``, ``addresses``, ``listen``: once, first |
| reply | ``id``, ``value`` |
| failure | ``id``, ``code``, ``message`` |
| message | ``lane``, ``node_id``, ``envelope``, ``last_heard_ms``: what a node said |
| joined | ``view`` |
| left | ``node_id``, ``last_heard_ms`` |
| beat | ``node_id``, ``free``, ``accepting``, ``leases``, ``last_heard_ms`` |

Sockets for streams of bytes are passed on a socket of their own, each with a `SocketWanted`.

A lane is what keeps its order and waits for nothing else: one lease of a node, or the node's other messages.
"""

import struct

import msgpack
import msgspec

from neurogrid_marketplace.fields import PeerId
from neurogrid_marketplace.wire import FrameDecoder

# The largest frame is an auction's report: 16 demands and bids, 64 KiB each at the very most. Both
# ends are ours, so this catches bugs, not strangers.
MAX_FRAME_BYTES = 16 * 1024 * 1024
# Calls that may be under way; the api starts fewer (`limits.steps`).
MAX_CALLS = 1024
_HEADER = struct.Struct(">I")

Frame = dict[str, object]


class SocketWanted(msgspec.Struct, frozen=True):
    """What comes with a socket.

    Attributes:
        node_id: of whom it is.
        mailbox: of a node that speaks through the api (`mailboxes`); "" for a stream into a job of one that is
            connected.
        is_lease: of a mailbox, whether it is a lease's stream.
        is_use: of a stream into a job, whether it is for exchanges with replicas.
    """

    node_id: PeerId
    mailbox: str = ""
    is_lease: bool = False
    is_use: bool = False


class CallFailed(Exception):
    """A call that cannot be answered; ``code`` and message go to the caller."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def encode(frame: Frame) -> bytes:
    """One frame, ready to be written."""
    payload: bytes = msgpack.packb(frame, use_bin_type=True)
    if len(payload) > MAX_FRAME_BYTES:
        raise CallFailed("too_large", f"a frame of {len(payload)} bytes")
    return _HEADER.pack(len(payload)) + payload


def decoder() -> FrameDecoder:
    """For the bytes of one end."""
    return FrameDecoder(MAX_FRAME_BYTES)
