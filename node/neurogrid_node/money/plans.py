"""When each of the owner's moves can be made, and what it leaves. Pure.

The program checks all of it again; here a refusal costs no fee and says what to do.
"""

from dataclasses import replace
from typing import assert_never

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import ProviderAccount
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import (
    close_provider,
    rebond,
    register_provider,
    request_unstake,
    stake,
    withdraw_stake,
)
from neurogrid_marketplace.money import format_usdc
from neurogrid_wallet.usdc import create_token_account

from .holdings import Holdings
from .moves import Move, MoveKind, MoveRefused, Plan, Refusal
from .readable import counted, duration, moment, sol

# Rent of a provider account, its vault and a token account, and fees for a while.
REGISTRATION_LAMPORTS = 20_000_000
# Two signatures' fee, and a priority fee besides.
_FEE_LAMPORTS = 20_000


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
            return _unstake(move.amount_micro_usdc, holdings.provider, holdings, deployment)
        case MoveKind.REBOND:
            return _rebond(move.amount_micro_usdc, holdings, deployment)
        case MoveKind.WITHDRAW:
            return _withdraw(holdings.provider, holdings, deployment)
        case MoveKind.CLOSE:
            return _close(holdings.provider, holdings, deployment)
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


def _unstake(
    amount: int, provider: ProviderAccount, holdings: Holdings, deployment: Deployment
) -> Plan:
    _refuse_nothing(amount)
    if amount > provider.free_stake_micro_usdc:
        raise MoveRefused(
            Refusal.NOT_ENOUGH_STAKE,
            f"{format_usdc(provider.staked_micro_usdc)} USDC are staked and "
            f"{format_usdc(provider.bonded_micro_usdc)} bonded in disputes: unstake at most "
            f"{format_usdc(provider.free_stake_micro_usdc)}",
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


def _rebond(amount: int, holdings: Holdings, deployment: Deployment) -> Plan:
    _refuse_nothing(amount)
    if amount > holdings.unbonding_micro_usdc:
        raise MoveRefused(
            Refusal.NOTHING_UNBONDING,
            f"{format_usdc(holdings.unbonding_micro_usdc)} USDC are unbonding: rebond at most that",
        )
    instruction = rebond(deployment, owner=holdings.wallet, amount_micro_usdc=amount)
    question = f"Let {format_usdc(amount)} USDC that are unbonding be stake again?"
    return _plan(holdings, (instruction,), question, staked=amount, unbonding=-amount)


def _withdraw(provider: ProviderAccount, holdings: Holdings, deployment: Deployment) -> Plan:
    amount = provider.unbonding_micro_usdc
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


def _close(provider: ProviderAccount, holdings: Holdings, deployment: Deployment) -> Plan:
    if provider.open_escrows:
        raise MoveRefused(
            Refusal.ESCROWS_OPEN,
            f"{counted(provider.open_escrows, 'escrow')} of yours open: let the jobs end "
            "(neurogrid-node earnings shows them)",
        )
    if provider.staked_micro_usdc or provider.unbonding_micro_usdc:
        raise MoveRefused(
            Refusal.STAKE_LEFT,
            f"{format_usdc(provider.staked_micro_usdc)} USDC are staked and "
            f"{format_usdc(provider.unbonding_micro_usdc)} unbonding: neurogrid-node unstake and "
            "withdraw them first",
        )
    destination = deployment.token_account(holdings.wallet)
    instructions = (
        create_token_account(holdings.wallet, holdings.wallet, deployment.usdc_mint),
        close_provider(deployment, owner=holdings.wallet, destination=destination),
    )
    question = "Close the provider account? Its rent comes back, and the node takes no more work."
    return _plan(holdings, instructions, question)


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
