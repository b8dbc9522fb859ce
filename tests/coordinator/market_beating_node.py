"""A node in a process of its own that joins and beats for ever: ``market_beating_node.py ADDRESS``."""

import sys

import trio

from coordinator.market_nodes import FakeNode
from neurogrid_p2p.host import open_host


async def main(address: str) -> None:
    """Connect, then beat ten times a second."""
    node = FakeNode()
    async with open_host(node.seed) as host, trio.open_nursery() as nursery:
        nursery.start_soon(node.run, host, address)
        while True:
            await trio.sleep(0.1)
            if node.joined:
                await node.beat()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
