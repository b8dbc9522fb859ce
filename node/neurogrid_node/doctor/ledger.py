"""The chain, the market on it, and our stake: facts in, findings out. Pure."""

from dataclasses import dataclass
from typing import Final

from neurogrid_marketplace.money import format_usdc

from ..money.holdings import Holdings
from ..money.plans import REGISTRATION_LAMPORTS
from ..money.readable import sol
from ..money.staking import missing_funds, stake_problem
from .findings import Finding

# A healthy endpoint is some seconds behind; Solana's own nodes call themselves unhealthy 128 slots (51 s) behind.
_LAG_S_MAX: Final = 60
# Fees of some hundred transactions: a claim for each lease.
_FEES_LAMPORTS_MIN: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What the endpoint tells.

    Attributes:
        away: why it does not answer; "" if it does.
        genesis_hash: of its chain; wanted: of ours.
        has_program: whether the program is there.
        no_market: why the market cannot be read; "" if it can.
        lag_s: how far its clock is behind ours; None: unknown.
        second_away: the same as `away` of second_rpc_url; "" where there is none.
    """

    away: str
    genesis_hash: str = ""
    wanted: str = ""
    has_program: bool = False
    no_market: str = ""
    lag_s: int | None = None
    second_away: str = ""


def judge_ledger(facts: LedgerFacts) -> tuple[Finding, ...]:
    """Whether we can be paid."""
    if facts.away:
        return (Finding("LEDGER_AWAY", facts.away, "check [chain] rpc_url, and the network"),)
    if facts.genesis_hash != facts.wanted:
        saw = f"[chain] rpc_url is of the chain {facts.genesis_hash}, not {facts.wanted}"
        return (Finding("LEDGER_OTHER_CHAIN", saw, "take an endpoint of the market's chain"),)
    if not facts.has_program:
        saw = "the chain has no program at [chain] program_id"
        return (Finding("LEDGER_NO_PROGRAM", saw, "check the market's addresses in [chain]"),)
    if facts.no_market:
        return (
            Finding("LEDGER_NO_MARKET", facts.no_market, "check admin and usdc_mint in [chain]"),
        )
    found = []
    if facts.second_away:
        saw = f"[chain] second_rpc_url: {facts.second_away}"
        fix = "large payments wait for it: mend it, or take another"
        found.append(Finding("LEDGER_SECOND_AWAY", saw, fix))
    if facts.lag_s is not None and facts.lag_s > _LAG_S_MAX:
        saw = f"the chain's clock, as the endpoint tells it, is {facts.lag_s} s behind ours"
        fix = "take an endpoint that keeps up; check our own clock, too"
        found.append(Finding("LEDGER_LAGS", saw, fix))
    behind = "" if facts.lag_s is None else f", {max(0, facts.lag_s)} s behind our clock"
    return (*found, Finding("LEDGER_OK", f"the market is there{behind}"))


def judge_stake(
    holdings: Holdings, wanted_micro_usdc: int, *, has_left: bool
) -> tuple[Finding, ...]:
    """Whether the market lets new work in.

    Args:
        wanted_micro_usdc: what the first start stakes.
        has_left: whether the owner has closed the account.
    """
    found = []
    terms = holdings.terms
    if holdings.provider is None and not has_left:
        wanted = max(wanted_micro_usdc, terms.min_stake_micro_usdc)
        if missing := missing_funds(holdings, wanted):
            found.append(Finding("STAKE_UNFUNDED", "not registered yet", missing))
        else:
            saw = f"the first start registers {holdings.wallet} with {format_usdc(wanted)} USDC"
            found.append(Finding("STAKE_AT_START", saw))
    elif terms.paused:
        saw = "the market's admin has paused new escrows"
        found.append(Finding("MARKET_PAUSED", saw, "wait, or ask the market's admin"))
    elif problem := stake_problem(holdings):
        saw, _, fix = problem.rpartition(": ")
        found.append(Finding("STAKE_LOW", saw, fix))
    else:
        staked, asked = holdings.staked_micro_usdc, terms.min_stake_micro_usdc
        saw = f"{format_usdc(staked)} USDC staked; the market asks for {format_usdc(asked)}"
        found.append(Finding("STAKE_OK", saw))
    if holdings.provider is not None and holdings.wallet_lamports < _FEES_LAMPORTS_MIN:
        saw = f"{holdings.wallet} has {sol(holdings.wallet_lamports)} SOL for fees"
        found.append(Finding("FEES_LOW", saw, f"send it {sol(REGISTRATION_LAMPORTS)} SOL"))
    return tuple(found)
