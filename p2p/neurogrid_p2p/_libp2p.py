"""The one place that imports libp2p, quietly, and only the parts we use.

`import libp2p` loads every transport, the DHT, DNS and a web server's certificates: 2.8 s of CPU and
75 MiB, measured, in each process of a market. So its top-level packages are entered without running
their ``__init__``, and the QUIC stream, which is imported only to name a type, is an empty class:
0.8 s and 30 MiB remain. `import libp2p` elsewhere in such a process finds those bare packages.
"""

import importlib.util
import logging
import sys
from types import ModuleType


def _enter_without_init(name: str) -> None:
    """Make a package whose modules can be imported, without running its ``__init__``."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"{name} is not a package any more; libp2p is pinned to 0.8.1")
    package = ModuleType(name)
    package.__spec__ = spec
    package.__path__ = list(spec.submodule_search_locations)
    _register(package)


def _register(module: ModuleType) -> None:
    sys.modules[module.__name__] = module
    parent, _, child = module.__name__.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


# Nothing is done where somebody has imported the whole of libp2p already.
if "libp2p" not in sys.modules:
    for _name in (
        "libp2p",
        "libp2p.network",
        "libp2p.relay",
        "libp2p.relay.circuit_v2",
        "libp2p.transport",
        "libp2p.transport.quic",
    ):
        _enter_without_init(_name)
    _quic_stream = ModuleType("libp2p.transport.quic.stream")
    _quic_stream.QUICStream = type("QUICStream", (), {})  # type: ignore[attr-defined]  # a module made here
    _register(_quic_stream)

from libp2p.crypto.ed25519 import create_new_key_pair as ed25519_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as x25519_key_pair
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.io.utils import read_exactly
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.peer.id import ID
from libp2p.peer.pb import crypto_pb2, envelope_pb2
from libp2p.relay.circuit_v2.pb import circuit_pb2
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
    "circuit_pb2",
    "crypto_pb2",
    "ed25519_key_pair",
    "envelope_pb2",
    "read_exactly",
    "x25519_key_pair",
    "yamux",
]
