"""The one place that imports libp2p, quietly.

Importing it costs about 2 s and 75 MiB, because its top level loads every transport it knows.
"""

import logging
import warnings

with warnings.catch_warnings():
    # libp2p 0.8.1 imports `websockets.legacy`, which is deprecated; we use no WebSocket of it.
    warnings.simplefilter("ignore", DeprecationWarning)
    from libp2p.crypto.ed25519 import create_new_key_pair as ed25519_key_pair
    from libp2p.crypto.keys import KeyPair
    from libp2p.crypto.x25519 import create_new_key_pair as x25519_key_pair
    from libp2p.io.abc import ReadWriteCloser
    from libp2p.io.exceptions import ConnectionClosedError
    from libp2p.network.connection.raw_connection import RawConnection
    from libp2p.peer.id import ID
    from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL_ID
    from libp2p.security.noise.transport import Transport as NoiseTransport
    from libp2p.security.secure_session import SecureSession
    from libp2p.stream_muxer.exceptions import MuxedConnUnavailable, MuxedStreamError
    from libp2p.stream_muxer.yamux import yamux

# It logs every peer that goes away as a warning or an error; we log what matters ourselves.
logging.getLogger("libp2p").setLevel(logging.CRITICAL)

__all__ = [
    "ID",
    "NOISE_PROTOCOL_ID",
    "ConnectionClosedError",
    "KeyPair",
    "MuxedConnUnavailable",
    "MuxedStreamError",
    "NoiseTransport",
    "RawConnection",
    "ReadWriteCloser",
    "SecureSession",
    "ed25519_key_pair",
    "x25519_key_pair",
    "yamux",
]
