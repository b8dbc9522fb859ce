"""The devnet's nodes: each offers its share of the machine, at its own price."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from neurogrid_node.config_text import Value
from neurogrid_node.key_files import forgo_backup, node_peer_id
from neurogrid_node.setup import initialise
from neurogrid_wallet.errors import WalletError

from .layout import Layout

# USDC per core and hour. Nodes differ, so that auctions have a winner for a reason.
_CORE_PRICES = ("0.060", "0.084", "0.072", "0.096", "0.066", "0.090", "0.078")
_GIB = 1024**3
# The kernel shares cores fairly, so nodes may promise the same ones: that slows jobs down and breaks
# nothing. Memory and disk are promised once.
_CORES_MIN = 2
# Short, so that a preemptible job can be seen to lose its place.
_RECLAIM_WINDOW_S = 5
# What the devnet's own processes and the rest of the machine keep.
_MEMORY_KEPT = 0.25
_DISK_KEPT = 0.5


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """A node of the devnet."""

    number: int
    peer_id: str
    wallet: str
    data: Path


def make_node(layout: Layout, number: int, of: int, coordinator: str) -> NodeIdentity:
    """Initialise a node, as its owner would; one that was initialised before stays as it is.

    Args:
        of: how many nodes share the machine.
        coordinator: libp2p address.
    """
    data = layout.node(number)
    made = initialise(
        data,
        coordinators=(coordinator,),
        chain_file=layout.chain,
        region="local",
        encrypted=False,
        passphrase_file=None,
        back_up=forgo_backup,
        settings=_share(layout, number, of),
    )
    return NodeIdentity(number, made.peer_id, made.wallet, data)


def peer_id_at(data: Path) -> str | None:
    """The peer id of a node that was initialised; None otherwise."""
    try:
        return node_peer_id(data)
    except WalletError:
        return None


def _share(layout: Layout, number: int, of: int) -> dict[str, Value]:
    cores = os.cpu_count() or 1
    memory_gib = psutil.virtual_memory().available * (1 - _MEMORY_KEPT) / of / _GIB
    disk_gib = psutil.disk_usage(str(layout.root)).free * (1 - _DISK_KEPT) / of / _GIB
    return {
        "prices.cpu_core": _CORE_PRICES[(number - 1) % len(_CORE_PRICES)],
        "offer.cpu_cores": min(cores, max(_CORES_MIN, cores // of)),
        "offer.memory_gib": max(1, int(memory_gib)),
        "offer.disk_gib": max(1, int(disk_gib)),
        # One that somebody runs on this machine, too.
        "images.registries": ("*", "127.0.0.1:*"),
        "spot.take": True,
        # Replicas of models, for no more than they are asked.
        "models.serve": True,
        "models.retainer": "0.01",
        "spot.reclaim_window_s": _RECLAIM_WINDOW_S,
    }
