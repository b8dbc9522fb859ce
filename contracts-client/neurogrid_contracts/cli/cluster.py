"""Which chain a command speaks to, and the proof that it is the one that was meant.

An address proves nothing: a tunnel can make mainnet answer at localhost, and a provider's devnet
and mainnet addresses differ in a few letters. A cluster's genesis hash is its identity.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import click

from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import CLUSTER, USAGE
from neurogrid_wallet.errors import RpcUnavailable
from neurogrid_wallet.rpc import Rpc

# Source: Solana's documentation, "Clusters and public RPC endpoints"; the hashes are those that
# Solana's explorer and wallets compare with.
_ADDRESSES: Final = {
    "localhost": "http://127.0.0.1:8899",
    "devnet": "https://api.devnet.solana.com",
    "mainnet-beta": "https://api.mainnet-beta.solana.com",
}
_GENESIS_HASHES: Final = {
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    "mainnet-beta": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    "testnet": "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY",
}
_NAMES: Final = {hash_: name for name, hash_ in _GENESIS_HASHES.items()}
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Cluster:
    """A chain that has answered.

    Attributes:
        name: devnet, testnet, mainnet-beta, localnet, or "cluster" with the hash's beginning.
        genesis_hash: its identity, Base58.
        is_local: on this machine and no public cluster: its money is play money.
        is_pinned: the caller named it, by its name or by its genesis hash.
    """

    name: str
    genesis_hash: str
    is_local: bool
    is_pinned: bool


@asynccontextmanager
async def connected(url: str, genesis_hash: str | None) -> AsyncIterator[tuple[Rpc, Cluster]]:
    """Open an endpoint, and make sure that it is the cluster that was meant.

    Args:
        url: a cluster's name, or an address.
        genesis_hash: what the cluster must be; None: whatever the name says.

    Raises:
        CommandError: it is another cluster, or no address.
        RpcUnavailable: nobody answers.
    """
    address = _ADDRESSES.get(url, url)
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError(f"--url takes {', '.join(_ADDRESSES)} or an address, not {url!r}", USAGE)
    async with Rpc(address) as rpc:
        found = await rpc.call("getGenesisHash", retry=True)
        if not isinstance(found, str):
            raise RpcUnavailable("getGenesisHash", "malformed answer")
        yield rpc, identify(url, parts.hostname, found, genesis_hash)


def identify(url: str, host: str, found: str, wanted: str | None) -> Cluster:
    """Which cluster it is that answered.

    Args:
        url: what the caller named: a cluster, or an address with this ``host``.
        found: the genesis hash that the endpoint gave.
        wanted: the one it must be; None: whatever ``url`` says.

    Raises:
        CommandError: it is another cluster.
    """
    known = _NAMES.get(found)
    shown = known or f"the cluster {found}"
    if url in _GENESIS_HASHES and known != url:
        raise CommandError(f"--url {url} was asked for, and {shown} answers", CLUSTER)
    if wanted is not None and found != wanted:
        wanted = _NAMES.get(wanted, wanted)
        raise CommandError(f"{wanted} was asked for, and {shown} answers", CLUSTER)
    if url == "localhost" and known:
        raise CommandError(
            f"{shown} answers at localhost: say so with --url and its address", CLUSTER
        )
    is_local = known is None and host in _LOOPBACK
    name = known or ("localnet" if is_local else f"cluster {found[:8]}")
    return Cluster(name, found, is_local, is_pinned=url in _GENESIS_HASHES or wanted is not None)


def confirm_spending(cluster: Cluster, question: str, *, yes: bool, as_json: bool) -> None:
    """Ask before real money is spent; a local chain's is not.

    Raises:
        CommandError: it was not confirmed, or there is nobody to ask.
    """
    if cluster.is_local:
        return
    if yes:
        if not cluster.is_pinned:
            raise CommandError(
                f"--yes needs --genesis {cluster.genesis_hash} for an address: that it is"
                " this cluster should not be a guess",
                USAGE,
            )
        return
    if as_json:
        raise CommandError("--json does not ask: add --yes", USAGE)
    if not click.confirm(f"{question} on {cluster.name}?", err=True):
        raise CommandError("not confirmed; nothing was sent", USAGE)
