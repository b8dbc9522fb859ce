"""Registering as a provider and staking, once the wallet has the funds."""

import logging

import trio
from solders.instruction import Instruction

from neurogrid_contracts.accounts import ProviderAccount
from neurogrid_contracts.instructions.providers import register_provider, stake
from neurogrid_marketplace.money import format_usdc
from neurogrid_wallet.errors import OutboxFull, PaymentFailed, PaymentTimeout, RpcError
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payment import DECIDED, PaymentState
from neurogrid_wallet.usdc import create_token_account, usdc_balance

from .chain import Market, MarketMissing

_log = logging.getLogger(__name__)

_FUNDS_INTERVAL_S = 2.0
_CONFIRM_PATIENCE_S = 30.0
# Payments from one stake to another before somebody has to look why none of them lasts.
_PAYMENTS_MAX = 100
# Rent of a provider account, its vault and a token account, and fees for a while.
_LAMPORTS_NEEDED = 20_000_000


class Staking:
    """This node's provider account and its stake.

    Attributes:
        staked_micro_usdc: as last seen.
    """

    def __init__(
        self, market: Market, outbox: Outbox, *, look_every_s: float = _FUNDS_INTERVAL_S
    ) -> None:
        """
        Args:
            look_every_s: how often the wallet is looked at while it lacks something.
        """
        self.staked_micro_usdc = 0
        self._look_every_s = look_every_s
        self._market = market
        self._outbox = outbox

    async def ensure(self, stake_micro_usdc: int) -> None:
        """Register and stake, waiting for funds as long as it takes; says what is missing."""
        complaint = ""
        while True:
            try:
                problem = await self._missing(stake_micro_usdc)
            except (MarketMissing, RpcError, PaymentTimeout, PaymentFailed, OutboxFull) as error:
                problem = str(error)
            if not problem:
                return
            if problem != complaint:
                complaint = problem
                _log.warning("not staked yet: %s", problem)
            await trio.sleep(self._look_every_s)

    async def _missing(self, stake_micro_usdc: int) -> str:
        """Do what can be done; what is missing then, "" if nothing is."""
        wanted = max(stake_micro_usdc, (await self._market.terms()).min_stake_micro_usdc)
        provider = await self._seen()
        if provider is not None and self.staked_micro_usdc >= wanted:
            return ""
        missing = await self._missing_funds(wanted - self.staked_micro_usdc)
        if missing:
            return missing
        await self._register_and_stake(provider, wanted)
        await self._seen()
        if self.staked_micro_usdc < wanted:
            return "the stake is paid, and the chain does not show it yet"
        _log.info("staked %s USDC as %s", format_usdc(wanted), self._market.wallet)
        return ""

    async def _seen(self) -> ProviderAccount | None:
        provider = await self._market.provider()
        self.staked_micro_usdc = provider.staked_micro_usdc if provider else 0
        return provider

    async def _missing_funds(self, needed_micro_usdc: int) -> str:
        market = self._market
        lamports = await market.rpc.sol_balance(market.wallet)
        if lamports < _LAMPORTS_NEEDED:
            return (
                f"{market.wallet} has {lamports / 1e9:g} SOL; send it {_LAMPORTS_NEEDED / 1e9:g} "
                "SOL for rent and fees"
            )
        balance = await usdc_balance(market.rpc, market.deployment.usdc_mint, market.wallet)
        if balance < needed_micro_usdc:
            return (
                f"{market.wallet} has {format_usdc(balance)} USDC; send it "
                f"{format_usdc(needed_micro_usdc - balance)} USDC more to stake"
            )
        return ""

    async def _register_and_stake(self, provider: ProviderAccount | None, wanted: int) -> None:
        deployment, wallet = self._market.deployment, self._market.wallet
        staked = provider.staked_micro_usdc if provider else 0
        payment_id = await self._payment_id(staked, wanted)
        if payment_id is None:
            return
        instructions: list[Instruction] = []
        if provider is None:
            instructions += [
                create_token_account(wallet, wallet, deployment.usdc_mint),
                register_provider(deployment, owner=wallet, payout_owner=wallet),
            ]
        instructions.append(
            stake(
                deployment,
                funder=wallet,
                provider_owner=wallet,
                source=deployment.token_account(wallet),
                amount_micro_usdc=wanted - staked,
            )
        )
        if await self._outbox.get(payment_id) is None:
            await self._outbox.submit(payment_id, instructions, wallet)
        await self._outbox.confirmed(payment_id, _CONFIRM_PATIENCE_S)

    async def _payment_id(self, staked: int, wanted: int) -> str | None:
        """Named by what it changes, so that a restarted node arrives at the same payment.

        One that failed is followed by the next number; so is one that succeeded and whose stake
        was taken out since. None: the stake is not what it was a moment ago, so look again.
        """
        for number in range(_PAYMENTS_MAX):
            payment_id = f"stake:{staked}:{wanted}:{number}"
            payment = await self._outbox.get(payment_id)
            if payment is None or payment.state not in DECIDED:
                return payment_id
            if payment.state is PaymentState.FINALIZED:
                # Read after the payment was known to be final, the chain shows what it did.
                await self._seen()
                if self.staked_micro_usdc != staked:
                    return None
        assert payment is not None, "the last one is decided"
        raise PaymentFailed(payment)
