"""What an owner may do with stake, move by move: when it is refused, and what it leaves. Pure.

The program checks all of it again; here a refusal costs no fee and says what to do.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import (
    register_provider,
    request_unstake,
    stake,
    withdraw_stake,
)
from neurogrid_marketplace.money import format_usdc
from neurogrid_wallet.usdc import create_token_account

from .holdings import Holdings

# Rent of a provider account, its vault and a token account, and fees for a while.
REGISTRATION_LAMPORTS = 20_000_000
# Two signatures' fee, and a priority fee besides.
_FEE_LAMPORTS = 20_000


class MoveKind(StrEnum):
    """What is done; the word that is typed."""

    REGISTER = "register"
    STAKE = "stake"
    UNSTAKE = "unstake"
    WITHDRAW = "withdraw"


@dataclass(frozen=True, slots=True)
class Move:
    """One command of the owner.

    Attributes:
        amount_micro_usdc: for those that take one, else 0.
        payout_wallet: for `register`, whose token account is paid; "" is the wallet itself.
    """

    kind: MoveKind
    amount_micro_usdc: int = 0
    payout_wallet: str = ""

    def __str__(self) -> str:
        amount = f" {format_usdc(self.amount_micro_usdc)}" if self.amount_micro_usdc else ""
        return f"{self.kind}{amount}"


class Refusal(StrEnum):
    """Why a command moved nothing."""

    ALREADY_REGISTERED = "ALREADY_REGISTERED"
    NOT_REGISTERED = "NOT_REGISTERED"
    AMOUNT_INVALID = "AMOUNT_INVALID"
    NOT_ENOUGH_SOL = "NOT_ENOUGH_SOL"
    NOT_ENOUGH_USDC = "NOT_ENOUGH_USDC"
    NOT_ENOUGH_STAKE = "NOT_ENOUGH_STAKE"
    NOTHING_UNBONDING = "NOTHING_UNBONDING"
    STILL_UNBONDING = "STILL_UNBONDING"
    MARKET_PAUSED = "MARKET_PAUSED"
    PAYOUT_INVALID = "PAYOUT_INVALID"
    NOT_CONFIRMED = "NOT_CONFIRMED"
    COMMAND_RUNNING = "COMMAND_RUNNING"
    CHAIN_REFUSED = "CHAIN_REFUSED"
    NOT_DECIDED = "NOT_DECIDED"
    CHAIN_AWAY = "CHAIN_AWAY"
    UNUSABLE = "UNUSABLE"


class MoveRefused(Exception):
    """Nothing was moved (for NOT_DECIDED: nobody knows yet); the message says what to do."""

    def __init__(self, code: Refusal, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Plan:
    """A move that may be made.

    Attributes:
        instructions: all of them happen or none.
        question: what the owner is asked, with what follows.
        staked_micro_usdc, unbonding_micro_usdc, wallet_micro_usdc: what there will be after it.
    """

    instructions: tuple[Instruction, ...]
    question: str
    staked_micro_usdc: int
    unbonding_micro_usdc: int
    wallet_micro_usdc: int


def plan(move: Move, holdings: Holdings, deployment: Deployment) -> Plan:
    """How to carry a move out.

    Raises:
        MoveRefused: it can't be made now.
    """
    if move.kind is MoveKind.REGISTER:
        _require_sol(holdings, REGISTRATION_LAMPORTS, "rent and fees")
        return _register(move, holdings, deployment)
    _require_sol(holdings, _FEE_LAMPORTS, "the fee")
    if holdings.provider is None:
        raise MoveRefused(
            Refusal.NOT_REGISTERED,
            f"{holdings.wallet} is no provider in this market: neurogrid-node register",
        )
    match move.kind:
        case MoveKind.STAKE:
            return _stake(move.amount_micro_usdc, holdings, deployment)
        case MoveKind.UNSTAKE:
            return _unstake(move.amount_micro_usdc, holdings, deployment)
        case MoveKind.WITHDRAW:
            return _withdraw(holdings, deployment)
        case _:
            assert_never(move.kind)


def _register(move: Move, holdings: Holdings, deployment: Deployment) -> Plan:
    if holdings.provider is not None:
        raise MoveRefused(
            Refusal.ALREADY_REGISTERED,
            f"{holdings.wallet} is a provider already: neurogrid-node earnings shows what it has",
        )
    _refuse_paused(holdings)
    wallet = holdings.wallet
    try:
        payout = Pubkey.from_string(move.payout_wallet) if move.payout_wallet else wallet
    except ValueError as error:
        raise MoveRefused(
            Refusal.PAYOUT_INVALID, f"{move.payout_wallet!r} is no wallet's address"
        ) from error
    instructions = (
        create_token_account(wallet, wallet, deployment.usdc_mint),
        *([create_token_account(wallet, payout, deployment.usdc_mint)] if payout != wallet else []),
        register_provider(deployment, owner=wallet, payout_owner=payout),
    )
    question = f"Register {wallet} as a provider, to be paid to {payout} for good?"
    return _plan(holdings, instructions, question)


def _stake(amount: int, holdings: Holdings, deployment: Deployment) -> Plan:
    _refuse_nothing(amount)
    _refuse_paused(holdings)
    if amount > holdings.wallet_micro_usdc:
        raise MoveRefused(
            Refusal.NOT_ENOUGH_USDC,
            f"{holdings.wallet} has {format_usdc(holdings.wallet_micro_usdc)} USDC; send it "
            f"{format_usdc(amount - holdings.wallet_micro_usdc)} more, or stake less",
        )
    instruction = stake(
        deployment,
        funder=holdings.wallet,
        provider_owner=holdings.wallet,
        source=deployment.token_account(holdings.wallet),
        amount_micro_usdc=amount,
    )
    question = f"Stake {format_usdc(amount)} USDC?"
    return _plan(holdings, (instruction,), question, staked=amount, wallet=-amount)


def _unstake(amount: int, holdings: Holdings, deployment: Deployment) -> Plan:
    _refuse_nothing(amount)
    if amount > holdings.staked_micro_usdc:
        raise MoveRefused(
            Refusal.NOT_ENOUGH_STAKE,
            f"{format_usdc(holdings.staked_micro_usdc)} USDC are staked: unstake at most that",
        )
    until = moment(holdings.now_unix_s + holdings.terms.unbonding_window_s)
    restarts = (
        f" The {format_usdc(holdings.unbonding_micro_usdc)} USDC that are unbonding already wait "
        "for as long."
        if holdings.unbonding_micro_usdc
        else ""
    )
    instruction = request_unstake(deployment, owner=holdings.wallet, amount_micro_usdc=amount)
    question = (
        f"Take {format_usdc(amount)} USDC out of the stake? They can be withdrawn from {until} on, "
        f"and be slashed until then.{restarts}"
    )
    return _plan(holdings, (instruction,), question, staked=-amount, unbonding=amount)


def _withdraw(holdings: Holdings, deployment: Deployment) -> Plan:
    provider, amount = holdings.provider, holdings.unbonding_micro_usdc
    assert provider is not None, "looked at before"
    if not amount:
        raise MoveRefused(
            Refusal.NOTHING_UNBONDING, "nothing is unbonding: neurogrid-node unstake AMOUNT first"
        )
    wait_s = provider.unbonding_until_unix_s - holdings.now_unix_s
    if wait_s > 0:
        raise MoveRefused(
            Refusal.STILL_UNBONDING,
            f"{format_usdc(amount)} USDC are unbonding until "
            f"{moment(provider.unbonding_until_unix_s)}: come back in {duration(wait_s)}",
        )
    instruction = withdraw_stake(
        deployment,
        owner=holdings.wallet,
        destination=deployment.token_account(holdings.wallet),
    )
    question = f"Withdraw {format_usdc(amount)} USDC to {holdings.wallet}?"
    # Closed meanwhile, the wallet's token account is made again.
    token_account = create_token_account(holdings.wallet, holdings.wallet, deployment.usdc_mint)
    return _plan(holdings, (token_account, instruction), question, unbonding=-amount, wallet=amount)


def _plan(
    holdings: Holdings,
    instructions: tuple[Instruction, ...],
    question: str,
    *,
    staked: int = 0,
    unbonding: int = 0,
    wallet: int = 0,
) -> Plan:
    left = Plan(
        instructions,
        question,
        holdings.staked_micro_usdc + staked,
        holdings.unbonding_micro_usdc + unbonding,
        holdings.wallet_micro_usdc + wallet,
    )
    minimum = holdings.terms.min_stake_micro_usdc
    if staked and left.staked_micro_usdc < minimum:
        warning = (
            f" That is below the market's minimum of {format_usdc(minimum)} USDC: no new jobs."
        )
        return replace(left, question=question + warning)
    return left


def _require_sol(holdings: Holdings, needed_lamports: int, purpose: str) -> None:
    if holdings.wallet_lamports < needed_lamports:
        raise MoveRefused(
            Refusal.NOT_ENOUGH_SOL,
            f"{holdings.wallet} has {sol(holdings.wallet_lamports)} SOL and needs "
            f"{sol(needed_lamports)} for {purpose}: send it some",
        )


def _refuse_nothing(amount: int) -> None:
    if not amount:
        raise MoveRefused(Refusal.AMOUNT_INVALID, "name an amount above zero")


def _refuse_paused(holdings: Holdings) -> None:
    if holdings.terms.paused:
        raise MoveRefused(
            Refusal.MARKET_PAUSED,
            "the market's admin has paused new stake; what is staked can always be taken out",
        )


def sol(lamports: int) -> str:
    """``0.02``: lamports as SOL, without trailing zeros."""
    whole, fraction = divmod(lamports, 10**9)
    digits = f"{fraction:09d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits}"


def moment(unix_s: int) -> str:
    """``2026-11-28 20:15:00 UTC``: the chain knows no other zone."""
    try:
        return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"Unix second {unix_s}"


def duration(seconds: int) -> str:
    """``60 d``, ``1 d 3 h``, ``59 s``: the two largest units."""
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
