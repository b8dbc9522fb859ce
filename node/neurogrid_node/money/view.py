"""How the owner's money is shown: a line a figure for people, JSON with decimal strings for programs."""

import json
from dataclasses import dataclass

import click
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import EscrowAccount
from neurogrid_marketplace.money import format_usdc

from .holdings import HeldVoucher, Holdings
from .moves import Move, MoveKind, MoveRefused, Plan
from .readable import counted, duration, moment, sol

# More are counted, and in the JSON.
_ESCROWS_LISTED = 20

_DONE = {
    MoveKind.REGISTER: "registered",
    MoveKind.STAKE: "staked",
    MoveKind.UNSTAKE: "unbonding",
    MoveKind.REBOND: "staked again",
    MoveKind.WITHDRAW: "withdrawn",
    MoveKind.CLOSE: "closed",
}


@dataclass(frozen=True, slots=True)
class Money:
    """What the owner has.

    Attributes:
        escrows: those that pay us, by address; None where the endpoint does not list them.
        vouchers: held and not redeemed; None while nobody can tell.
    """

    holdings: Holdings
    escrows: dict[Pubkey, EscrowAccount] | None
    vouchers: list[HeldVoucher] | None


def print_money(money: Money, *, as_json: bool) -> None:
    """What the owner has now."""
    if as_json:
        click.echo(json.dumps(_document(money), indent=2))
        return
    for name, value in _lines(money):
        click.echo(f"{name:<10}{value}")


def print_moved(
    move: Move, signature: str, money: Money, *, as_json: bool, interrupted: bool
) -> None:
    """What a move did, and what the owner has after it.

    Args:
        interrupted: an earlier run of the command began it, and this one only saw its end.
    """
    if as_json:
        done = {"command": str(move), "transaction": signature, "interrupted": interrupted}
        click.echo(json.dumps({**done, "money": _document(money)}, indent=2))
        return
    if interrupted:
        click.echo(
            "This command was interrupted before; it is done now, and nothing was done twice."
        )
    amount = f" {format_usdc(move.amount_micro_usdc)} USDC" if move.amount_micro_usdc else ""
    click.echo(f"{_DONE[move.kind]}{amount}: {signature}")
    print_money(money, as_json=False)


def print_plan(holdings: Holdings, plan: Plan) -> None:
    """What a move will leave, before the owner is asked."""
    rows = (
        ("in wallet", holdings.wallet_micro_usdc, plan.wallet_micro_usdc),
        ("staked", holdings.staked_micro_usdc, plan.staked_micro_usdc),
        ("unbonding", holdings.unbonding_micro_usdc, plan.unbonding_micro_usdc),
    )
    for name, before, after in rows:
        change = f"{format_usdc(before)} -> {format_usdc(after)}"
        click.echo(f"{name:<10}{change if before != after else format_usdc(before)} USDC", err=True)


def print_refusal(refused: MoveRefused, *, as_json: bool) -> None:
    """For people on standard error; as JSON on standard output, where a program looks for it."""
    if as_json:
        click.echo(json.dumps({"error": {"code": refused.code, "message": str(refused)}}, indent=2))
        return
    click.echo(f"neurogrid-node: {refused.code}: {refused}", err=True)


def _lines(money: Money) -> list[tuple[str, str]]:
    holdings, provider = money.holdings, money.holdings.provider
    minimum = format_usdc(holdings.terms.min_stake_micro_usdc)
    lines = [
        ("wallet", str(holdings.wallet)),
        (
            "in wallet",
            f"{format_usdc(holdings.wallet_micro_usdc)} USDC, {sol(holdings.wallet_lamports)} SOL",
        ),
    ]
    if provider is None:
        return [*lines, ("staked", "nothing: not registered (neurogrid-node register)")]
    enough = holdings.staked_micro_usdc >= holdings.terms.min_stake_micro_usdc
    asks = f"the market asks for {minimum}" + ("" if enough else ": no new jobs")
    lines += [
        ("staked", f"{format_usdc(provider.staked_micro_usdc)} USDC ({asks})"),
        ("unbonding", _unbonding(holdings)),
        ("bonded", f"{format_usdc(provider.bonded_micro_usdc)} USDC of the stake, in disputes"),
        ("slashed", f"{format_usdc(provider.slashed_micro_usdc)} USDC"),
        (
            "earned",
            f"{format_usdc(provider.earned_micro_usdc)} USDC in {counted(provider.jobs_completed, 'job')}",
        ),
        ("escrows", _escrows(money.escrows)),
    ]
    for address, escrow in list((money.escrows or {}).items())[:_ESCROWS_LISTED]:
        state = escrow.state.name.lower()
        paid = f"{format_usdc(escrow.released_micro_usdc)} of {format_usdc(escrow.max_micro_usdc)}"
        until = moment(escrow.claim_until_unix_s)
        lines.append(("", f"{address} {state}, {paid} USDC paid, claim until {until}"))
    return [*lines, ("vouchers", _vouchers(money.vouchers))]


def _unbonding(holdings: Holdings) -> str:
    provider, amount = holdings.provider, format_usdc(holdings.unbonding_micro_usdc)
    if provider is None or not provider.unbonding_micro_usdc:
        return f"{amount} USDC"
    wait_s = provider.unbonding_until_unix_s - holdings.now_unix_s
    if wait_s <= 0:
        return f"{amount} USDC, to be withdrawn at any time"
    return f"{amount} USDC until {moment(provider.unbonding_until_unix_s)} ({duration(wait_s)})"


def _escrows(escrows: dict[Pubkey, EscrowAccount] | None) -> str:
    if escrows is None:
        return "this endpoint does not list them"
    if not escrows:
        return "none open"
    remaining = sum(escrow.remaining_micro_usdc for escrow in escrows.values())
    return f"{len(escrows)} open, {format_usdc(remaining)} USDC promised and not paid yet"


def _vouchers(vouchers: list[HeldVoucher] | None) -> str:
    if vouchers is None:
        return "the journal is in use: ask again in a second"
    if not vouchers:
        return "none held"
    total = sum(voucher.micro_usdc for voucher in vouchers)
    return f"{format_usdc(total)} USDC held for {counted(len(vouchers), 'lease')}, not redeemed yet"


def _document(money: Money) -> dict[str, object]:
    holdings, provider = money.holdings, money.holdings.provider
    document: dict[str, object] = {
        "wallet": str(holdings.wallet),
        "wallet_usdc": format_usdc(holdings.wallet_micro_usdc),
        "wallet_sol": sol(holdings.wallet_lamports),
        "registered": provider is not None,
        "payout_wallet": str(provider.payout_owner) if provider else None,
        "minimum_stake_usdc": format_usdc(holdings.terms.min_stake_micro_usdc),
        "staked_usdc": format_usdc(holdings.staked_micro_usdc),
        "unbonding_usdc": format_usdc(holdings.unbonding_micro_usdc),
        "unbonding_until_unix_s": provider.unbonding_until_unix_s if provider else 0,
        "bonded_usdc": format_usdc(provider.bonded_micro_usdc if provider else 0),
        "slashed_usdc": format_usdc(provider.slashed_micro_usdc if provider else 0),
        "earned_usdc": format_usdc(provider.earned_micro_usdc if provider else 0),
        "jobs_completed": provider.jobs_completed if provider else 0,
        "chain_unix_s": holdings.now_unix_s,
        "escrows": None,
        "vouchers": None,
    }
    if money.escrows is not None:
        document["escrows"] = [
            {
                "address": str(address),
                "state": escrow.state.name.lower(),
                "max_usdc": format_usdc(escrow.max_micro_usdc),
                "released_usdc": format_usdc(escrow.released_micro_usdc),
                "deadline_unix_s": escrow.deadline_unix_s,
                "claim_until_unix_s": escrow.claim_until_unix_s,
            }
            for address, escrow in money.escrows.items()
        ]
    if money.vouchers is not None:
        document["vouchers"] = [
            {"lease_id": voucher.lease_id, "usdc": format_usdc(voucher.micro_usdc)}
            for voucher in money.vouchers
        ]
    return document
