"""This node's stake: made by the first start, and from then on only looked at.

What is staked later, or taken out, is the owner's decision and made by commands (`owner_commands`): a
daemon that topped the stake up would undo them. It takes no new work while the market would refuse it
escrows.
"""

import logging
from collections.abc import Callable

import trio
from solders.instruction import Instruction

from neurogrid_contracts.instructions.providers import register_provider, stake
from neurogrid_marketplace.money import format_usdc
from neurogrid_telemetry.log_lines import named
from neurogrid_wallet.errors import OutboxFull, PaymentFailed, PaymentTimeout, RpcError
from neurogrid_wallet.outbox import Outbox
from neurogrid_wallet.payment import DECIDED, PaymentState
from neurogrid_wallet.usdc import create_token_account

from ..log_events import NodeEvent
from .chain import Market, MarketMissing
from .holdings import Holdings, read_holdings
from .plans import REGISTRATION_LAMPORTS
from .readable import sol

_log = logging.getLogger(__name__)

# How often the chain is looked at: while something is missing that may come at any moment, and while
# nothing is. A stake that falls below the minimum in between costs a few bids, no work.
_LOOK_LACKING_S = 2.0
_LOOK_S = 10.0
_CONFIRM_PATIENCE_S = 30.0
# Registrations from one to the next before somebody has to look why none of them lasts.
_PAYMENTS_MAX = 100


class Staking:
    """This node's provider account and its stake.

    Attributes:
        staked_micro_usdc: as last seen.
        problem: why the stake lets no new work in, and what to do; "" if it does.
        chain_answers: whether it did when it was asked last.
    """

    def __init__(
        self,
        market: Market,
        outbox: Outbox,
        *,
        has_left: Callable[[], bool] = lambda: False,
        look_lacking_s: float = _LOOK_LACKING_S,
        look_s: float = _LOOK_S,
    ) -> None:
        """
        Args:
            has_left: whether the owner has closed the account; then nobody registers it again.
            look_lacking_s: how often the chain is looked at while something is missing; look_s: while
                nothing is.
        """
        self.staked_micro_usdc = 0
        self.problem = "the chain was not looked at yet"
        self.chain_answers = False
        self._look_lacking_s = look_lacking_s
        self._look_s = look_s
        self._has_left = has_left
        self._market = market
        self._outbox = outbox

    async def ensure(self, stake_micro_usdc: int) -> None:
        """Register with this stake, unless we are registered or have left; waits for funds."""
        complaint = ""
        while True:
            try:
                problem = await self._missing(stake_micro_usdc)
            except (MarketMissing, RpcError, PaymentTimeout, PaymentFailed, OutboxFull) as error:
                problem = str(error)
            self.problem = problem
            if not problem:
                return
            if problem != complaint:
                complaint = problem
                _log.warning("not staked yet: %s", problem)
            await trio.sleep(self._look_lacking_s)

    async def follow(self, changed: Callable[[bool], None]) -> None:
        """See what becomes of the stake, for ever.

        Args:
            changed: is told whether new work can be taken, whenever that is another answer.
        """
        told: bool | None = None
        while True:
            try:
                holdings = await self._seen()
            except (MarketMissing, RpcError) as error:
                # What was seen before stays good: a chain may be away for an hour.
                _log.debug("the stake can't be looked at: %s", error)
            else:
                problem = stake_problem(holdings)
                if problem and problem != self.problem:
                    _log.warning("no new work: %s", problem, extra=named(NodeEvent.STAKE_LACKING))
                self.problem = problem
                if told is not (not problem):
                    told = not problem
                    changed(told)
            await trio.sleep(self._look_lacking_s if self.problem else self._look_s)

    async def _missing(self, stake_micro_usdc: int) -> str:
        """Do what can be done; what is missing then, "" if nothing is."""
        holdings = await self._seen()
        if holdings.provider is not None or self._has_left():
            return ""
        wanted = max(stake_micro_usdc, holdings.terms.min_stake_micro_usdc)
        missing = missing_funds(holdings, wanted)
        if missing:
            return missing
        await self._register(wanted)
        if (await self._seen()).provider is None:
            return "the stake is paid, and the chain does not show it yet"
        _log.info("staked %s USDC as %s", format_usdc(wanted), self._market.wallet)
        return ""

    async def _seen(self) -> Holdings:
        self.chain_answers = False
        holdings = await read_holdings(self._market)
        self.chain_answers = True
        self.staked_micro_usdc = holdings.staked_micro_usdc
        return holdings

    async def _register(self, wanted: int) -> None:
        """Register and stake in one transaction, so that a command finds both or neither."""
        payment_id = await self._payment_id(wanted)
        if payment_id is None:
            return
        deployment, wallet = self._market.deployment, self._market.wallet
        instructions: list[Instruction] = [
            create_token_account(wallet, wallet, deployment.usdc_mint),
            register_provider(deployment, owner=wallet, payout_owner=wallet),
            stake(
                deployment,
                funder=wallet,
                provider_owner=wallet,
                source=deployment.token_account(wallet),
                amount_micro_usdc=wanted,
            ),
        ]
        if await self._outbox.get(payment_id) is None:
            await self._outbox.submit(payment_id, instructions, wallet, worth_micro_usdc=wanted)
        await self._outbox.confirmed(payment_id, _CONFIRM_PATIENCE_S)

    async def _payment_id(self, wanted: int) -> str | None:
        """Named by what it changes, so that a restarted node arrives at the same payment.

        One that failed is followed by the next number; so is one that succeeded and whose account
        was closed since. None: we are registered by now, so look again.
        """
        for number in range(_PAYMENTS_MAX):
            payment_id = f"stake:0:{wanted}:{number}"
            payment = await self._outbox.get(payment_id)
            if payment is None or payment.state not in DECIDED:
                return payment_id
            landed = payment.state is PaymentState.FINALIZED
            # Read after the payment was known to be final, the chain shows what it did.
            if landed and (await self._seen()).provider is not None:
                return None
        assert payment is not None, "the last one is decided"
        raise PaymentFailed(payment)


def stake_problem(holdings: Holdings) -> str:
    """Why the market would open no escrow that pays us, and what to do; "" if it would."""
    if holdings.provider is None:
        return "the provider account is closed: neurogrid-node register, then stake"
    missing = holdings.terms.min_stake_micro_usdc - holdings.staked_micro_usdc
    if missing > 0:
        return (
            f"{format_usdc(holdings.staked_micro_usdc)} USDC are staked and the market asks for "
            f"{format_usdc(holdings.terms.min_stake_micro_usdc)}: neurogrid-node stake "
            f"{format_usdc(missing)}"
        )
    return "the market's admin has paused new escrows" if holdings.terms.paused else ""


def missing_funds(holdings: Holdings, needed_micro_usdc: int) -> str:
    """What the wallet lacks for a registration with this stake; "" if nothing."""
    if holdings.wallet_lamports < REGISTRATION_LAMPORTS:
        return (
            f"{holdings.wallet} has {sol(holdings.wallet_lamports)} SOL; send it "
            f"{sol(REGISTRATION_LAMPORTS)} SOL for rent and fees"
        )
    balance = holdings.wallet_micro_usdc
    if balance < needed_micro_usdc:
        return (
            f"{holdings.wallet} has {format_usdc(balance)} USDC; send it "
            f"{format_usdc(needed_micro_usdc - balance)} USDC more to stake"
        )
    return ""
