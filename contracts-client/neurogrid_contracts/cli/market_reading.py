"""Reading a market's accounts, and showing them."""

import enum
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import (
    AccountFormatError,
    ClientAccount,
    ConfigAccount,
    EscrowAccount,
    ProviderAccount,
)
from neurogrid_contracts.cli.cluster import Cluster, connected
from neurogrid_contracts.cli.errors import CommandError
from neurogrid_contracts.cli.exit_codes import NOT_FOUND, USAGE
from neurogrid_contracts.deployment import Deployment, Market
from neurogrid_contracts.terminal.output import duration, percent, usdc, when
from neurogrid_marketplace.receipt import escrow_job_id
from neurogrid_wallet.rpc import Rpc

A = TypeVar("A", ConfigAccount, ProviderAccount, ClientAccount, EscrowAccount)

# How a field is shown follows from the unit at the end of its name.
_SHOWN = {"_micro_usdc": usdc, "_unix_s": when, "_s": duration, "_bps": percent}


@dataclass(frozen=True, slots=True)
class FoundEscrow:
    """An escrow, and the wallets behind its two accounts."""

    address: Pubkey
    account: EscrowAccount
    client_owner: Pubkey
    provider_owner: Pubkey
    payout_owner: Pubkey

    def shown(self) -> dict[str, str]:
        """Which escrow it is, and whose."""
        return {
            "escrow": str(self.address),
            "client_owner": str(self.client_owner),
            "provider_owner": str(self.provider_owner),
        }


@dataclass(frozen=True, slots=True)
class OpenMarket:
    """A market on a chain that answers."""

    rpc: Rpc
    cluster: Cluster
    deployment: Deployment

    async def config(self) -> ConfigAccount:
        """The market's terms."""
        return await self._read(ConfigAccount, self.deployment.config, "market")

    async def provider(self, owner: Pubkey) -> ProviderAccount:
        """A wallet's provider account."""
        return await self._read(ProviderAccount, self.deployment.provider(owner), "provider")

    async def client(self, owner: Pubkey) -> ClientAccount:
        """A wallet's client account."""
        return await self._read(ClientAccount, self.deployment.client(owner), "client")

    async def escrow(self, address: Pubkey) -> FoundEscrow:
        """An escrow and whose it is."""
        account = await self._read(EscrowAccount, address, "open escrow")
        client = await self._read(ClientAccount, account.client, "client")
        provider = await self._read(ProviderAccount, account.provider, "provider")
        if account.config != self.deployment.config:
            raise CommandError(f"{address} is an escrow of another market", NOT_FOUND)
        return FoundEscrow(address, account, client.owner, provider.owner, provider.payout_owner)

    async def _read(self, account_type: type[A], address: Pubkey, what: str) -> A:
        account = await self.rpc.get_account(address)
        if account is None:
            raise CommandError(f"there is no {what} at {address}", NOT_FOUND)
        try:
            if account.owner != self.deployment.program_id:
                raise AccountFormatError(f"it belongs to {account.owner}, not to the program")
            return account_type.parse(account.data)
        except AccountFormatError as error:
            raise CommandError(f"{address}: {error}", NOT_FOUND) from error


@asynccontextmanager
async def market_at(
    file: Path, url: str | None, genesis_hash: str | None
) -> AsyncIterator[OpenMarket]:
    """Open the market that a file names, on the cluster that it names.

    Args:
        url: asked instead of the file's rpc_url.
        genesis_hash: must be the cluster's; by default what the file says.

    Raises:
        CommandError: the file is none of a market, or another cluster answers.
    """
    market, named_hash = _read_market_file(file)
    async with connected(url or market.rpc_url, genesis_hash or named_hash) as (rpc, cluster):
        yield OpenMarket(rpc, cluster, market.deployment)


def _read_market_file(file: Path) -> tuple[Market, str | None]:
    try:
        document = json.loads(file.read_text())
        return Market.from_json(document), document.get("genesis_hash")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CommandError(f"{file} does not name a market: {error}", USAGE) from error


async def show_market(market: OpenMarket, *, as_json: bool) -> dict[str, Any]:
    """The terms in force, and those that were proposed."""
    config = await market.config()
    shown = described(config, as_json=as_json)
    if not as_json and config.terms_from_unix_s == 0:
        shown = {name: text for name, text in shown.items() if not name.startswith("pending_")}
        shown["terms_from"] = "nothing is proposed"
    return {"market": str(market.deployment.config), **shown}


async def show_provider(market: OpenMarket, owner: Pubkey, *, as_json: bool) -> dict[str, Any]:
    """A provider and its stake."""
    provider = await market.provider(owner)
    address = str(market.deployment.provider(owner))
    return {"provider": address, **described(provider, as_json=as_json)}


async def show_client(market: OpenMarket, owner: Pubkey, *, as_json: bool) -> dict[str, Any]:
    """A client and its deposit."""
    client = await market.client(owner)
    available = {"available_micro_usdc": client.available_micro_usdc}
    return {
        "client": str(market.deployment.client(owner)),
        **described(client, as_json=as_json),
        **_described(available, as_json=as_json),
    }


def escrow_address(
    market: OpenMarket, address: Pubkey | None, lease: str | None, client_owner: Pubkey | None
) -> Pubkey:
    """An escrow by its address, or by the lease that it pays and the client's wallet.

    Raises:
        CommandError: neither was given, or both.
    """
    if address is not None and lease is None:
        return address
    if address is None and lease is not None and client_owner is not None:
        return market.deployment.escrow(client_owner, escrow_job_id(lease))
    raise CommandError("give an escrow's ADDRESS, or --lease and --client", USAGE)


async def show_escrow(
    market: OpenMarket,
    *,
    address: Pubkey | None,
    lease: str | None,
    client_owner: Pubkey | None,
    as_json: bool,
) -> dict[str, Any]:
    """An escrow, whose it is, and what may happen to it next."""
    found = await market.escrow(escrow_address(market, address, lease, client_owner))
    more = {
        "client_owner": found.client_owner,
        "provider_owner": found.provider_owner,
        "remaining_micro_usdc": found.account.remaining_micro_usdc,
        "refund_after_unix_s": found.account.refund_after_unix_s,
    }
    return {
        "escrow": str(found.address),
        **described(found.account, as_json=as_json),
        **_described(more, as_json=as_json),
    }


def described(account: Any, *, as_json: bool) -> dict[str, Any]:
    """An account's fields: with their units in the name for programs, in the value for people."""
    values = {field.name: getattr(account, field.name) for field in fields(account)}
    del values["bump"]
    return _described(values, as_json=as_json)


def _described(values: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    if as_json:
        return {name: _plain(value) for name, value in values.items()}
    return dict(_field(name, value) for name, value in values.items())


def _plain(value: Any) -> Any:
    if isinstance(value, enum.IntEnum):
        return value.name.lower()
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, Pubkey) else value


def _field(name: str, value: Any) -> tuple[str, str]:
    if isinstance(value, bool):
        return name, "yes" if value else "no"
    if value is None:
        return name, "nobody"
    for suffix, show in _SHOWN.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix), show(value)
    return name, str(_plain(value))
