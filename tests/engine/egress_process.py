"""The networks of a node's jobs in a process of their own, so that it can be killed.

    python -m engine.egress_process DIRECTORY NODE_ID LEASE HOST PORT

Prints the id of the container whose network the lease's job joins, and serves it until it is killed.
"""

import sys
from ipaddress import IPv4Address
from pathlib import Path

import trio

from neurogrid_marketplace.addresses import Surroundings
from neurogrid_marketplace.network import Network
from neurogrid_node.container.engine import connect_engine
from neurogrid_node.egress.jobs import JobNetworks
from neurogrid_node.settings.network import EgressConfig


async def main(*arguments: str) -> None:
    directory, node_id, lease_id, host, port = arguments
    around = Surroundings(pinned={(host, int(port)): IPv4Address("127.0.0.1")})
    async with connect_engine(node_id) as engine, trio.open_nursery() as nursery:
        jobs = JobNetworks(engine, Path(directory), EgressConfig().caps(), lambda: around, nursery)
        print(await jobs.join(lease_id, Network((f"{host}:{port}",))), flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
