"""py-libp2p's own DHT node, in a process of its own: ``stock_dht.py`` prints its address and waits.

Whatever is printed on its standard input is a key, in hex; it answers with the peer ids of those that provide it.
"""

import logging
import sys

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr  # type: ignore[import-untyped]  # it ships no types


async def main() -> None:
    """Serve until the end of standard input."""
    logging.disable(logging.CRITICAL)
    host = new_host(key_pair=create_new_key_pair())
    async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        dht = KadDHT(host, DHTMode.SERVER)
        async with background_trio_service(dht):
            print(host.get_addrs()[0], flush=True)
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                providers = dht.provider_store.get_providers(bytes.fromhex(line))
                print(*(str(each.peer_id) for each in providers), flush=True)


if __name__ == "__main__":
    trio.run(main)
