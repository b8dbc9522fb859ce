"""What the owner has in this market, read from the chain in one instant: wallet, stake, escrows.

What only this node knows (vouchers it holds and has not redeemed) comes from its journal, or from its
status file while the daemon, which owns the journal, is running.
"""

import base64
import struct
from dataclasses import dataclass
from pathlib import Path

from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import (
    ESCROW_LAYOUT,
    TAG_ESCROW,
    ConfigAccount,
    EscrowAccount,
    ProviderAccount,
)
from neurogrid_contracts.clock import CLOCK_SYSVAR, unix_time_s
from neurogrid_wallet.errors import RpcRejected, RpcUnavailable
from neurogrid_wallet.usdc import token_amount

from ..journal import Journal, JournalError
from ..status import read_status
from .chain import Market, MarketMissing

# Where an escrow's data names its provider account: behind its head, its market and its client.
_ESCROW_PROVIDER_OFFSET = struct.calcsize("<2x B B HH 32s 32s")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the owner has; amounts in micro-USDC.

    Attributes:
        provider: our provider account; None if we are not registered.
        terms: the market's.
        wallet_micro_usdc, wallet_lamports: in the wallet itself.
        now_unix_s: by the chain's clock.
    """

    wallet: Pubkey
    provider: ProviderAccount | None
    terms: ConfigAccount
    wallet_micro_usdc: int
    wallet_lamports: int
    now_unix_s: int

    @property
    def staked_micro_usdc(self) -> int:
        """What counts towards the market's minimum."""
        return self.provider.staked_micro_usdc if self.provider else 0

    @property
    def unbonding_micro_usdc(self) -> int:
        """What was asked back and is not withdrawn; it can still be slashed."""
        return self.provider.unbonding_micro_usdc if self.provider else 0


@dataclass(frozen=True, slots=True)
class HeldVoucher:
    """The best voucher of a lease, not redeemed yet: what the lease has earned so far, with fees."""

    lease_id: str
    micro_usdc: int


async def read_holdings(market: Market) -> Holdings:
    """Everything in one call, so that the figures belong together.

    Raises:
        MarketMissing: there is no market, or this is another chain.
        RpcError: the chain is away.
    """
    # Checks that the endpoint is of our chain.
    await market.terms()
    deployment, wallet = market.deployment, market.wallet
    config, provider, tokens, purse, clock = await market.rpc.get_accounts(
        [
            deployment.config,
            deployment.provider(wallet),
            deployment.token_account(wallet),
            wallet,
            CLOCK_SYSVAR,
        ]
    )
    if config is None or clock is None:
        raise MarketMissing(f"no market at {deployment.config}: check [chain] in node.toml")
    try:
        return Holdings(
            wallet=wallet,
            provider=ProviderAccount.parse(provider.data) if provider else None,
            terms=ConfigAccount.parse(config.data),
            wallet_micro_usdc=token_amount(tokens.data) if tokens else 0,
            wallet_lamports=purse.lamports if purse else 0,
            now_unix_s=unix_time_s(clock.data),
        )
    except ValueError as error:
        # An account of a newer program's, for one: nothing that a running node should die of.
        raise MarketMissing(f"the market's accounts cannot be read: {error}") from error


async def read_escrows(market: Market) -> dict[Pubkey, EscrowAccount] | None:
    """The open escrows that pay us, by address; None where the endpoint lists no accounts.

    Raises:
        RpcError: the chain is away.
    """
    wanted = {
        "encoding": "base64",
        "commitment": "confirmed",
        "filters": [
            {"dataSize": ESCROW_LAYOUT.size},
            {"memcmp": {"offset": 0, "bytes": _base64(bytes([TAG_ESCROW])), "encoding": "base64"}},
            {
                "memcmp": {
                    "offset": _ESCROW_PROVIDER_OFFSET,
                    "bytes": _base64(bytes(market.deployment.provider(market.wallet))),
                    "encoding": "base64",
                }
            },
        ],
    }
    program = str(market.deployment.program_id)
    try:
        found = await market.rpc.call("getProgramAccounts", [program, wanted], retry=True)
    except RpcRejected:
        # Public endpoints often refuse this one method.
        return None
    try:
        return {
            Pubkey.from_string(entry["pubkey"]): EscrowAccount.parse(
                base64.b64decode(entry["account"]["data"][0])
            )
            for entry in found
        }
    except (LookupError, TypeError, ValueError) as error:
        raise RpcUnavailable("getProgramAccounts", f"malformed answer: {error!r}") from error


def read_vouchers(directory: Path) -> list[HeldVoucher] | None:
    """The vouchers this node holds; None if nobody can tell now (a daemon is just starting).

    Blocks for as long as a file takes.
    """
    running = read_status(directory)
    if running is not None:
        lines = running["leases"]
        assert isinstance(lines, list), "our own file"
        held = [HeldVoucher(line["lease_id"], line["voucher_micro_usdc"]) for line in lines]
    elif not (directory / "journal.db").exists():
        held = []
    else:
        try:
            journal = Journal(directory / "journal.db")
        except JournalError:
            return None
        try:
            leases = [lease for lease, _ in journal.load()]
        finally:
            journal.close()
        held = [HeldVoucher(lease.lease_id, lease.unredeemed_micro_usdc) for lease in leases]
    return [voucher for voucher in held if voucher.micro_usdc]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
