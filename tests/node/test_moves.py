"""What an owner may do with stake, by table: what each move asks, leaves and is refused for."""

from dataclasses import replace

import pytest
from solders.pubkey import Pubkey

from neurogrid_contracts.accounts import (
    ACCOUNT_VERSION,
    CONFIG_LAYOUT,
    PROVIDER_LAYOUT,
    TAG_CONFIG,
    TAG_PROVIDER,
    ConfigAccount,
    ProviderAccount,
)
from neurogrid_contracts.deployment import Deployment
from neurogrid_node.money.holdings import Holdings
from neurogrid_node.money.moves import Move, MoveKind, MoveRefused, Refusal
from neurogrid_node.money.plans import plan
from neurogrid_node.money.readable import duration, moment, sol

USDC = 1_000_000
NOW_S = 1_800_000_000
WALLET = Pubkey.from_string("11111111111111111111111111111112")
DEPLOYMENT = Deployment(*(Pubkey(bytes([number]) * 32) for number in (1, 2, 3)))

TERMS = replace(
    ConfigAccount.parse(bytes([TAG_CONFIG, ACCOUNT_VERSION]).ljust(CONFIG_LAYOUT.size, b"\0")),
    min_stake_micro_usdc=5 * USDC,
    unbonding_window_s=60 * 86_400,
)
PROVIDER = replace(
    ProviderAccount.parse(
        bytes([TAG_PROVIDER, ACCOUNT_VERSION]).ljust(PROVIDER_LAYOUT.size, b"\0")
    ),
    staked_micro_usdc=10 * USDC,
    unbonding_micro_usdc=4 * USDC,
    unbonding_until_unix_s=NOW_S + 3 * 3600 + 61,
)
RICH = Holdings(WALLET, PROVIDER, TERMS, 90 * USDC, 10**9, NOW_S)
NEW = replace(RICH, provider=None)
RIPE = replace(RICH, now_unix_s=PROVIDER.unbonding_until_unix_s)
PAUSED = replace(TERMS, paused=True)

REGISTER, WITHDRAW, CLOSE = map(Move, (MoveKind.REGISTER, MoveKind.WITHDRAW, MoveKind.CLOSE))
EMPTY = replace(PROVIDER, staked_micro_usdc=0, unbonding_micro_usdc=0)


def stake(amount: int) -> Move:
    return Move(MoveKind.STAKE, amount)


def unstake(amount: int) -> Move:
    return Move(MoveKind.UNSTAKE, amount)


def rebond(amount: int) -> Move:
    return Move(MoveKind.REBOND, amount)


@pytest.mark.parametrize(
    ("move", "holdings", "code", "advice"),
    [
        (REGISTER, RICH, Refusal.ALREADY_REGISTERED, "neurogrid-node earnings"),
        (REGISTER, replace(NEW, wallet_lamports=19_999_999), Refusal.NOT_ENOUGH_SOL, "0.02 for"),
        (
            REGISTER,
            replace(NEW, terms=PAUSED),
            Refusal.MARKET_PAUSED,
            "can always be taken out",
        ),
        (replace(REGISTER, payout_wallet="me"), NEW, Refusal.PAYOUT_INVALID, "'me'"),
        (stake(1), NEW, Refusal.NOT_REGISTERED, "neurogrid-node register"),
        (unstake(1), NEW, Refusal.NOT_REGISTERED, "neurogrid-node register"),
        (WITHDRAW, NEW, Refusal.NOT_REGISTERED, "neurogrid-node register"),
        (stake(1), replace(RICH, wallet_lamports=5_000), Refusal.NOT_ENOUGH_SOL, "0.000005 SOL"),
        (stake(90 * USDC + 1), RICH, Refusal.NOT_ENOUGH_USDC, "send it 0.000001 more"),
        (stake(0), RICH, Refusal.AMOUNT_INVALID, "above zero"),
        (stake(1), replace(RICH, terms=PAUSED), Refusal.MARKET_PAUSED, "paused"),
        (unstake(10 * USDC + 1), RICH, Refusal.NOT_ENOUGH_STAKE, "10.00 USDC are staked"),
        (
            unstake(9 * USDC + 1),
            replace(RICH, provider=replace(PROVIDER, bonded_micro_usdc=USDC)),
            Refusal.NOT_ENOUGH_STAKE,
            "1.00 bonded in disputes: unstake at most 9.00",
        ),
        (rebond(4 * USDC + 1), RICH, Refusal.NOTHING_UNBONDING, "rebond at most that"),
        (rebond(0), RICH, Refusal.AMOUNT_INVALID, "above zero"),
        (CLOSE, RICH, Refusal.STAKE_LEFT, "10.00 USDC are staked and 4.00 unbonding"),
        (
            CLOSE,
            replace(RICH, provider=replace(EMPTY, unbonding_micro_usdc=1)),
            Refusal.STAKE_LEFT,
            "0.000001 unbonding",
        ),
        (
            CLOSE,
            replace(RICH, provider=replace(EMPTY, open_escrows=2)),
            Refusal.ESCROWS_OPEN,
            "2 escrows of yours open",
        ),
        (unstake(0), RICH, Refusal.AMOUNT_INVALID, "above zero"),
        (WITHDRAW, RICH, Refusal.STILL_UNBONDING, "come back in 3 h 1 min"),
        (
            WITHDRAW,
            replace(RIPE, now_unix_s=RIPE.now_unix_s - 1),
            Refusal.STILL_UNBONDING,
            "come back in 1 s",
        ),
        (
            WITHDRAW,
            replace(RIPE, provider=replace(PROVIDER, unbonding_micro_usdc=0)),
            Refusal.NOTHING_UNBONDING,
            "unstake AMOUNT first",
        ),
    ],
)
def test_what_can_not_be_is_refused_with_a_code_and_what_to_do(
    move: Move, holdings: Holdings, code: Refusal, advice: str
) -> None:
    with pytest.raises(MoveRefused) as refused:
        plan(move, holdings, DEPLOYMENT)
    assert refused.value.code is code
    assert advice in str(refused.value)


@pytest.mark.parametrize(
    ("move", "holdings", "left", "said"),
    [
        (REGISTER, NEW, (0, 0, 90), "as a provider, to be paid to 1111"),
        (stake(2 * USDC), RICH, (12, 4, 88), "Stake 2.00 USDC?"),
        (unstake(5 * USDC), RICH, (5, 9, 90), "The 4.00 USDC that are unbonding already wait"),
        (unstake(6 * USDC), RICH, (4, 10, 90), "below the market's minimum of 5.00 USDC"),
        (WITHDRAW, RIPE, (10, 0, 94), "Withdraw 4.00 USDC"),
        (rebond(3 * USDC), RICH, (13, 1, 90), "be stake again?"),
        (CLOSE, replace(RICH, provider=EMPTY), (0, 0, 90), "takes no more work"),
        # A way out is open while the market is paused.
        (unstake(USDC), replace(RICH, terms=PAUSED), (9, 5, 90), "be slashed until then"),
        (WITHDRAW, replace(RIPE, terms=PAUSED), (10, 0, 94), "Withdraw"),
    ],
)
def test_a_move_says_what_it_leaves(
    move: Move, holdings: Holdings, left: tuple[int, int, int], said: str
) -> None:
    planned = plan(move, holdings, DEPLOYMENT)
    assert (
        planned.staked_micro_usdc,
        planned.unbonding_micro_usdc,
        planned.wallet_micro_usdc,
    ) == tuple(amount * USDC for amount in left)
    assert said in planned.question
    assert planned.instructions


def test_another_wallet_may_be_paid() -> None:
    other = Pubkey(bytes([9]) * 32)
    planned = plan(replace(REGISTER, payout_wallet=str(other)), NEW, DEPLOYMENT)
    assert f"paid to {other} for good" in planned.question
    # Both wallets' token accounts, and the registration.
    assert len(planned.instructions) == 3
    assert bytes(other) in bytes(planned.instructions[-1].data)


def test_a_move_is_named_as_it_is_typed() -> None:
    assert (str(stake(2_500_000)), str(WITHDRAW)) == ("stake 2.50", "withdraw")


def test_times_and_sol_are_readable() -> None:
    assert [duration(s) for s in (0, 59, 60, 3_661, 86_400 * 60)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h 1 min",
        "60 d",
    ]
    assert (moment(NOW_S), moment(2**63 - 1)) == (
        "2027-01-15 08:00:00 UTC",
        "Unix second 9223372036854775807",
    )
    assert [sol(lamports) for lamports in (0, 5_000, 10**9)] == ["0.00", "0.000005", "1.00"]
