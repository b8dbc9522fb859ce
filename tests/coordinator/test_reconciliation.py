"""The comparison itself: agreement is silent, and each thing that differs is named as what it is."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_coordinator.money.escrow_history import Closing
from neurogrid_coordinator.money.reconciliation import (
    BookedLease,
    Books,
    ChainClient,
    ChainEscrow,
    Difference,
    Kind,
    Picture,
    compare,
    compare_closing,
    confirmed,
)
from neurogrid_marketplace.settlement import SettlementPhase

LEASE = BookedLease(
    lease_id="lease_1",
    client="wallet",
    provider="provider account",
    escrow="escrow_1",
    phase=SettlementPhase.OPEN,
    sequence=4,
    voucher_signer="session key",
    max_micro_usdc=100,
    signed_micro_usdc=30,
    paid_micro_usdc=0,
    closed_by="",
)
ESCROW = ChainEscrow(
    client="client account",
    provider="provider account",
    sequence=4,
    voucher_signer="session key",
    max_micro_usdc=100,
    released_micro_usdc=30,
    is_disputed=False,
    is_ours=True,
)
CLIENT = ChainClient(
    address="client account",
    balance_micro_usdc=1000,
    locked_micro_usdc=70,
    open_escrows=1,
    operator_limit_micro_usdc=900,
)
BOOKS = Books({"wallet": 500}, (LEASE,))
PICTURE = Picture(7, {"wallet": CLIENT}, {"escrow_1": ESCROW})


def kinds(
    books: Books, picture: Picture, after: Books | None = None, in_flight: tuple[str, ...] = ()
) -> list[tuple[Kind, str]]:
    found = compare(books, picture, after or books, in_flight)
    return [difference.key for difference in found]


def with_lease(**changes: object) -> Books:
    return replace(BOOKS, leases=(replace(LEASE, **changes),))  # type: ignore[arg-type]  # by name


def with_escrow(**changes: object) -> Picture:
    return replace(PICTURE, escrows={"escrow_1": replace(ESCROW, **changes)})  # type: ignore[arg-type]  # by name


def with_client(**changes: object) -> Picture:
    return replace(PICTURE, clients={"wallet": replace(CLIENT, **changes)})  # type: ignore[arg-type]  # by name


FOREIGN = replace(ESCROW, client="somebody else's account", is_ours=False)

TABLE: dict[str, tuple[Books, Picture, list[tuple[Kind, str]]]] = {
    "agreement": (BOOKS, PICTURE, []),
    "nothing at all": (Books({}, ()), Picture(7, {}, {}), []),
    "another market's client": (
        BOOKS,
        replace(PICTURE, escrows={**PICTURE.escrows, "x": FOREIGN}),
        [],
    ),
    "an escrow that is gone": (
        BOOKS,
        Picture(7, {"wallet": replace(CLIENT, locked_micro_usdc=0, open_escrows=0)}, {}),
        [(Kind.ESCROW_MISSING, "lease_1")],
    ),
    "another sequence": (
        BOOKS,
        with_escrow(sequence=5),
        [(Kind.ESCROW_DIFFERS, "lease_1")],
    ),
    "another provider": (
        BOOKS,
        with_escrow(provider="another"),
        [(Kind.ESCROW_DIFFERS, "lease_1")],
    ),
    "another session key": (
        BOOKS,
        with_escrow(voucher_signer="another"),
        [(Kind.ESCROW_DIFFERS, "lease_1")],
    ),
    "a smaller maximum in the books": (
        with_lease(max_micro_usdc=90),
        PICTURE,
        [(Kind.ESCROW_DIFFERS, "lease_1")],
    ),
    "more paid than signed": (
        with_lease(signed_micro_usdc=29),
        PICTURE,
        [(Kind.PAID_BEYOND_SIGNED, "lease_1")],
    ),
    "an escrow that nobody booked": (
        Books({"wallet": 500}, ()),
        PICTURE,
        [(Kind.ESCROW_WITHOUT_LEASE, "escrow_1")],
    ),
    "an escrow that its owner opened": (
        BOOKS,
        Picture(
            7,
            {"wallet": replace(CLIENT, locked_micro_usdc=140, open_escrows=2)},
            {**PICTURE.escrows, "own": replace(ESCROW, is_ours=False)},
        ),
        [(Kind.ESCROW_WITHOUT_LEASE, "own")],
    ),
    "an escrow that we opened for a client that the books have lost": (
        BOOKS,
        replace(PICTURE, escrows={**PICTURE.escrows, "lost": replace(FOREIGN, is_ours=True)}),
        [(Kind.ESCROW_WITHOUT_LEASE, "lost")],
    ),
    "an escrow of a lease that wants none": (
        with_lease(phase=SettlementPhase.NONE),
        PICTURE,
        [(Kind.ESCROW_WITHOUT_LEASE, "escrow_1")],
    ),
    "an escrow that is being opened, and is there": (
        with_lease(phase=SettlementPhase.OPENING, sequence=0),
        PICTURE,
        [],
    ),
    "an escrow that is being opened, and is not there": (
        with_lease(phase=SettlementPhase.OPENING, sequence=0),
        Picture(7, {"wallet": replace(CLIENT, locked_micro_usdc=0, open_escrows=0)}, {}),
        [],
    ),
    "too much locked": (
        BOOKS,
        with_client(locked_micro_usdc=71),
        [(Kind.LOCKED_DIFFERS, "wallet")],
    ),
    "an escrow too many counted": (
        BOOKS,
        with_client(open_escrows=2),
        [(Kind.LOCKED_DIFFERS, "wallet")],
    ),
    "a bond beside a disputed escrow": (
        BOOKS,
        Picture(
            7,
            {"wallet": replace(CLIENT, locked_micro_usdc=90)},
            {"escrow_1": replace(ESCROW, is_disputed=True)},
        ),
        [],
    ),
    "a deposit that was withdrawn": (
        BOOKS,
        with_client(balance_micro_usdc=569),
        [(Kind.HOLDS_UNCOVERED, "wallet")],
    ),
    "a deposit that just suffices": (BOOKS, with_client(balance_micro_usdc=570), []),
    "a limit that was lowered": (
        BOOKS,
        with_client(operator_limit_micro_usdc=499),
        [(Kind.LIMIT_UNCOVERED, "wallet")],
    ),
    "holds of a wallet that has no account": (
        Books({"poor": 1}, ()),
        Picture(7, {}, {}),
        [(Kind.HOLDS_UNCOVERED, "poor"), (Kind.LIMIT_UNCOVERED, "poor")],
    ),
    "holds that count an escrow that is being opened": (
        replace(with_lease(phase=SettlementPhase.OPENING), held_micro_usdc={"wallet": 950}),
        PICTURE,
        [],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_each_thing_that_differs_is_named_as_what_it_is(case: str) -> None:
    books, picture, expected = TABLE[case]
    assert kinds(books, picture) == expected


@pytest.mark.parametrize("phase", [p for p in SettlementPhase if p is not SettlementPhase.CLOSED])
def test_nothing_is_said_about_a_lease_with_a_payment_in_flight(phase: SettlementPhase) -> None:
    books = with_lease(phase=phase, sequence=1, signed_micro_usdc=0)
    assert kinds(books, PICTURE, in_flight=("lease_1",)) == []


def test_what_changed_while_we_looked_is_no_difference() -> None:
    # It was settled, and its escrow closed, between the two readings; and the other way round.
    gone = Picture(7, {"wallet": replace(CLIENT, locked_micro_usdc=0, open_escrows=0)}, {})
    settled = replace(BOOKS, leases=())
    assert kinds(BOOKS, gone, settled) == []
    assert kinds(settled, PICTURE, BOOKS) == []
    assert kinds(with_lease(signed_micro_usdc=20), PICTURE, BOOKS) == []


def test_only_what_two_looks_in_a_row_have_found_is_confirmed() -> None:
    first = [Difference(Kind.ESCROW_MISSING, "lease_1", "open", "none")]
    second = [
        Difference(Kind.ESCROW_MISSING, "lease_1", "final", "none"),
        Difference(Kind.ESCROW_MISSING, "lease_2", "open", "none"),
        Difference(Kind.ESCROW_DIFFERS, "lease_1", "a", "b"),
    ]
    assert confirmed([], first) == []
    assert confirmed([difference.key for difference in first], second) == second[:1]


SETTLED = replace(LEASE, phase=SettlementPhase.CLOSED, paid_micro_usdc=30, closed_by="transaction")


@pytest.mark.parametrize(
    ("lease", "closing", "expected"),
    [
        (SETTLED, Closing("transaction", 30), []),
        (SETTLED, Closing("transaction", None), []),
        (SETTLED, Closing("another", 30), [Kind.CLOSING_DIFFERS]),
        (SETTLED, Closing("transaction", 29), [Kind.PAID_DIFFERS]),
        (SETTLED, Closing("transaction", 31), [Kind.PAID_DIFFERS, Kind.PAID_BEYOND_SIGNED]),
        (replace(SETTLED, paid_micro_usdc=31), Closing("transaction", 30), [Kind.PAID_DIFFERS]),
        (SETTLED, None, [Kind.HISTORY_MISSING]),
        (replace(SETTLED, closed_by=""), None, []),
    ],
)
def test_a_settled_lease_is_compared_with_its_escrows_history(
    lease: BookedLease, closing: Closing | None, expected: list[Kind]
) -> None:
    assert [difference.kind for difference in compare_closing(lease, closing)] == expected


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Books, Picture]:
    """Books and a chain that agree: clients with leases in every phase, and strangers."""
    leases: list[BookedLease] = []
    escrows: dict[str, ChainEscrow] = {"stranger": FOREIGN}
    clients: dict[str, ChainClient] = {}
    held: dict[str, int] = {}
    for number in range(draw(st.integers(0, 4))):
        wallet, account, locked, opened = f"wallet {number}", f"account {number}", 0, 0
        for lease_number in range(draw(st.integers(0, 4))):
            phase = draw(st.sampled_from(sorted(set(SettlementPhase) - {SettlementPhase.CLOSED})))
            maximum = draw(st.integers(1, 1000))
            signed = draw(st.integers(0, maximum))
            name = f"{number}/{lease_number}"
            lease = replace(
                LEASE,
                lease_id=f"lease {name}",
                client=wallet,
                escrow=f"escrow {name}",
                phase=phase,
                max_micro_usdc=maximum,
                signed_micro_usdc=signed,
            )
            leases.append(lease)
            may_be_there = phase is SettlementPhase.OPENING and draw(st.booleans())
            if may_be_there or phase not in (SettlementPhase.NONE, SettlementPhase.OPENING):
                released = draw(st.integers(0, signed))
                escrows[lease.escrow] = replace(
                    ESCROW, client=account, max_micro_usdc=maximum, released_micro_usdc=released
                )
                locked, opened = locked + maximum - released, opened + 1
        free, limit = draw(st.integers(0, 1000)), draw(st.integers(0, 1000))
        if hold := draw(st.integers(0, min(free, limit))):
            held[wallet] = hold
        clients[wallet] = ChainClient(account, locked + free, locked, opened, limit)
    return Books(held, tuple(leases)), Picture(1, clients, escrows)


@given(worlds())
def test_worlds_that_agree_show_no_difference(world: tuple[Books, Picture]) -> None:
    books, picture = world
    assert kinds(books, picture) == []


def _take_escrow_away(lease: BookedLease, picture: Picture) -> Picture:
    escrows = {key: value for key, value in picture.escrows.items() if key != lease.escrow}
    client = picture.clients[lease.client]
    escrow = picture.escrows[lease.escrow]
    fewer = replace(
        client,
        locked_micro_usdc=client.locked_micro_usdc
        - (escrow.max_micro_usdc - escrow.released_micro_usdc),
        open_escrows=client.open_escrows - 1,
    )
    return replace(picture, escrows=escrows, clients={**picture.clients, lease.client: fewer})


def _reopen(lease: BookedLease, picture: Picture) -> Picture:
    escrow = replace(picture.escrows[lease.escrow], sequence=lease.sequence + 1)
    return replace(picture, escrows={**picture.escrows, lease.escrow: escrow})


@given(
    worlds(),
    st.sampled_from([(_take_escrow_away, Kind.ESCROW_MISSING), (_reopen, Kind.ESCROW_DIFFERS)]),
    st.data(),
)
def test_one_change_in_a_world_that_agrees_is_exactly_one_difference(
    world: tuple[Books, Picture],
    change: tuple[Callable[[BookedLease, Picture], Picture], Kind],
    data: st.DataObject,
) -> None:
    books, picture = world
    on_chain = [
        lease
        for lease in books.leases
        if lease.phase not in (SettlementPhase.NONE, SettlementPhase.OPENING)
    ]
    if not on_chain:
        return
    lease = data.draw(st.sampled_from(on_chain))
    tamper, kind = change
    # What is free stays as it is: taking an escrow away by itself gives its rest back.
    assert kinds(books, tamper(lease, picture)) == [(kind, lease.lease_id)]
    # The same lease forgotten by the books is an escrow that nobody booked.
    forgotten = replace(books, leases=tuple(one for one in books.leases if one != lease))
    assert kinds(forgotten, picture) == [(Kind.ESCROW_WITHOUT_LEASE, lease.escrow)]
