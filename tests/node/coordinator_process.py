"""A coordinator in a process of its own: ``coordinator_process.py SEED LISTEN`` prints what happens to it.

First where it listens, then a line for each lease that opens its stream, and for each meter.
"""

import sys
import time

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.messages import (
    LEASE_PROTOCOL_ID,
    PROTOCOL_ID,
    Attach,
    Hello,
    Meter,
    Pulse,
)
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.host import open_host
from neurogrid_p2p.session import Party, SignedChannel
from p2p.peers import NETWORK


async def main(seed: bytes, listen: str) -> None:
    """Serve until killed."""
    keys = Ed25519PrivateKey.from_private_bytes(seed)
    peer_id = peer_id_of(keys.public_key().public_bytes_raw())
    party = Party(peer_id, NETWORK, keys.sign, lambda: time.time_ns() // 1_000_000)

    async def serve(channel: Channel) -> None:
        session = await SignedChannel.welcome(channel, party, "test/1")
        while True:
            match (await session.receive())[1]:
                case Hello():
                    await session.send(Pulse(0))
                case Attach(lease_id):
                    print("attached", lease_id, flush=True)
                case Meter(lease_id, metered_ms):
                    print("metered", lease_id, metered_ms, flush=True)

    async with open_host(seed, [listen]) as host:
        host.serve(PROTOCOL_ID, serve)
        host.serve(LEASE_PROTOCOL_ID, serve, owns_connection=False)
        print(host.listen_addresses[0], flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, bytes.fromhex(sys.argv[1]), sys.argv[2])
