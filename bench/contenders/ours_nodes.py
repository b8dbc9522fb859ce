"""Some of our nodes in one process: ``ours_nodes ADDRESS NETWORK COUNT DIRECTORY``.

Each has its own libp2p host, connection, seller and journal on disk, as in the daemon. Only the container
engine, the chain and the runner of a lease are missing: a lease is accepted and then nothing happens.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trio

from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.offer import LeaseStatus, Offer, PriceList
from neurogrid_marketplace.resources import Capacity
from neurogrid_node.journal import Journal, JournalThread
from neurogrid_node.lease.executor import LeaseRunner
from neurogrid_node.market.bidder import Policy
from neurogrid_node.market.network import CoordinatorLink
from neurogrid_node.market.provider import Provider
from neurogrid_node.market.reservations import Reservations
from neurogrid_p2p.host import open_host
from neurogrid_p2p.session import Party
from neurogrid_wallet.keys import KeyPair

# Room for every lease of a run, since none of them ends.
_CAPACITY = Capacity(cpu_millis=10**7, memory_bytes=2**50, disk_bytes=2**50)
_PRICES = PriceList(base_micro_usdc_per_hour=10_000)
_WALLET = "1" * 32


@dataclass(frozen=True, slots=True)
class _IdleRunner:
    """A lease that is held and does nothing."""

    lease: NodeLease

    def status(self) -> LeaseStatus:
        return LeaseStatus(self.lease.lease_id, self.lease.phase)

    def reconnected(self) -> None:
        return


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


async def _image_bytes(reference: str) -> int | None:
    return 1


def _start_runner(lease: NodeLease, *, resumed: bool = False) -> LeaseRunner:
    return cast(LeaseRunner, _IdleRunner(lease))


async def _run_node(address: str, network: str, directory: Path) -> None:
    keys = KeyPair.generate()
    peer_id = peer_id_of(keys.public_key)
    journal = Journal(directory / f"{peer_id}.db")
    reservations = Reservations(_CAPACITY)
    provider = Provider(
        Offer(
            node_id=peer_id,
            wallet=_WALLET,
            software="bench/1",
            region="eu",
            total=_CAPACITY,
            free=_CAPACITY,
            prices=_PRICES,
        ),
        policy=Policy(_PRICES, _WALLET, "eu", 3600, may_pull=True, allowed_image_prefixes=()),
        max_unpaid_ms=60_000,
        reservations=reservations,
        journal=JournalThread(journal),
        image_bytes=_image_bytes,
        start_runner=_start_runner,
        now_ms=_now_ms,
    )
    provider.accepting = True
    async with open_host(keys.seed) as host:
        link = CoordinatorLink(
            host,
            address,
            Party(peer_id, network, keys.sign, _now_ms),
            hello=provider.hello,
            heartbeat=provider.heartbeat,
            received=provider.received,
        )
        provider.links = {link.coordinator: link}
        await link.run()


async def _main(address: str, network: str, count: int, directory: Path) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(_run_node, address, network, directory)
        # Whoever started us closes the pipe.
        async with trio.lowlevel.FdStream(sys.stdin.fileno()) as stdin:
            await stdin.receive_some()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_main, sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
