"""What the coordinator's books say beside what the chain says: a pure comparison that never repairs.

Books and chain are never read at the same instant, and money moves meanwhile. So a look reads the books,
then one slot of the chain, then the books again, and a difference counts only if it is there against
both books (`compare`), belongs to nothing that is in flight, and is found by two looks in a row
(`confirmed`). What stays then is for a person: docs/operations.md says what each kind means.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from neurogrid_marketplace.settlement import SettlementPhase

from .escrow_history import Closing

_ON_CHAIN = frozenset({SettlementPhase.OPEN, SettlementPhase.FINAL, SettlementPhase.RELEASING})
# In these phases the escrow of a lease may be on the chain; while it is opening, it may not be yet.
_MAY_BE_ON_CHAIN = _ON_CHAIN | {SettlementPhase.OPENING}


class Kind(StrEnum):
    """What differs."""

    ESCROW_MISSING = "escrow_missing"
    """A lease is not settled, and the chain has no escrow of it."""
    ESCROW_DIFFERS = "escrow_differs"
    """The escrow of a lease is another one than was booked."""
    ESCROW_WITHOUT_LEASE = "escrow_without_lease"
    """A client of ours has an escrow, or we opened one, for which there is no unsettled lease."""
    PAID_BEYOND_SIGNED = "paid_beyond_signed"
    """An escrow has paid more than we ever signed for."""
    LOCKED_DIFFERS = "locked_differs"
    """A client account locks another amount, or counts other escrows, than its escrows hold."""
    HOLDS_UNCOVERED = "holds_uncovered"
    """Waiting tasks hold more than the client has free."""
    LIMIT_UNCOVERED = "limit_uncovered"
    """Waiting tasks hold more than we may still open escrows for."""
    CLOSING_DIFFERS = "closing_differs"
    """A settled lease's escrow was closed by another transaction than was booked."""
    PAID_DIFFERS = "paid_differs"
    """A settled lease's escrow paid another amount than was booked."""
    HISTORY_MISSING = "history_missing"
    """The chain's history does not show how a settled lease's escrow ended."""
    PAYMENT_UNDECIDED = "payment_undecided"
    """A transaction of ours has neither landed nor died for too long."""


OF_HISTORY = frozenset(
    {Kind.CLOSING_DIFFERS, Kind.PAID_DIFFERS, Kind.HISTORY_MISSING, Kind.PAID_BEYOND_SIGNED}
)
"""Kinds that, once a lease is settled, only a look into its escrow's history finds or finds gone."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing on which books and chain do not agree.

    Attributes:
        subject: what it is about: a lease id, an escrow's address, a wallet, a payment id.
        booked, found: what each side says, for people; money in micro-USDC.
    """

    kind: Kind
    subject: str
    booked: str
    found: str

    @property
    def key(self) -> tuple[Kind, str]:
        """Two differences of one key are the same one, seen again."""
        return self.kind, self.subject


@dataclass(frozen=True, slots=True)
class BookedLease:
    """The money of one lease, as the books have it.

    Attributes:
        client: the client's wallet.
        provider: the provider *account* that its escrow should pay.
        escrow: where its escrow is, whether it was opened or not.
        sequence: of the escrow, once it is known to be open.
        voucher_signer: whose vouchers the escrow should honour.
        closed_by: the transaction that closed it; "" if none was opened.
    """

    lease_id: str
    client: str
    provider: str
    escrow: str
    phase: SettlementPhase
    sequence: int
    voucher_signer: str
    max_micro_usdc: int
    signed_micro_usdc: int
    paid_micro_usdc: int
    closed_by: str


@dataclass(frozen=True, slots=True)
class Books:
    """What the coordinator believes.

    Attributes:
        held_micro_usdc: by client's wallet, what its tasks hold that have no escrow yet.
        leases: all that are not settled.
    """

    held_micro_usdc: Mapping[str, int]
    leases: tuple[BookedLease, ...]


@dataclass(frozen=True, slots=True)
class ChainClient:
    """A client account.

    Attributes:
        operator_limit_micro_usdc: what we may still open escrows for; 0 if we are not its operator.
    """

    address: str
    balance_micro_usdc: int
    locked_micro_usdc: int
    open_escrows: int
    operator_limit_micro_usdc: int


@dataclass(frozen=True, slots=True)
class ChainEscrow:
    """An escrow account.

    Attributes:
        client, provider: addresses of accounts, not wallets.
        is_ours: our operator's key opened it.
    """

    client: str
    provider: str
    sequence: int
    voucher_signer: str
    max_micro_usdc: int
    released_micro_usdc: int
    is_disputed: bool
    is_ours: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """The market's accounts in one slot.

    Attributes:
        clients: by wallet, those of our clients that have one.
        escrows: by address, everybody's.
    """

    slot: int
    clients: Mapping[str, ChainClient]
    escrows: Mapping[str, ChainEscrow]


def compare(
    before: Books, picture: Picture, after: Books, in_flight: Collection[str]
) -> list[Difference]:
    """Where the books, read before and after the picture was taken, both differ from it.

    Args:
        in_flight: leases with a transaction of ours under way.
    """
    keys = {difference.key for difference in _compare_once(before, picture, in_flight)}
    return [
        difference
        for difference in _compare_once(after, picture, in_flight)
        if difference.key in keys
    ]


def _compare_once(books: Books, picture: Picture, in_flight: Collection[str]) -> list[Difference]:
    found: list[Difference] = []
    for lease in books.leases:
        if lease.lease_id not in in_flight:
            found += _of_lease(lease, picture.escrows.get(lease.escrow))
    leases = {
        lease.escrow: lease
        for lease in books.leases
        if lease.phase in _MAY_BE_ON_CHAIN or lease.lease_id in in_flight
    }
    our_clients = {client.address for client in picture.clients.values()}
    by_client: dict[str, list[ChainEscrow]] = {}
    for address, escrow in picture.escrows.items():
        by_client.setdefault(escrow.client, []).append(escrow)
        if (escrow.is_ours or escrow.client in our_clients) and address not in leases:
            found.append(_without_lease(address, escrow))
    for wallet, client in picture.clients.items():
        found += _of_locked(wallet, client, by_client.get(client.address, []))
    # An escrow that was opened and is not booked yet is both locked and held.
    counted_twice = {
        lease.client
        for lease in books.leases
        if lease.phase is SettlementPhase.OPENING and lease.escrow in picture.escrows
    }
    for wallet, held in books.held_micro_usdc.items():
        if wallet not in counted_twice:
            found += _of_holds(wallet, held, picture.clients.get(wallet))
    return found


def _of_lease(lease: BookedLease, escrow: ChainEscrow | None) -> list[Difference]:
    if lease.phase not in _ON_CHAIN:
        return []
    if escrow is None:
        booked = f"{lease.phase}, escrow {lease.escrow}"
        return [Difference(Kind.ESCROW_MISSING, lease.lease_id, booked, "no such escrow")]
    found = []
    booked_as = (lease.sequence, lease.max_micro_usdc, lease.provider, lease.voucher_signer)
    present = (escrow.sequence, escrow.max_micro_usdc, escrow.provider, escrow.voucher_signer)
    if booked_as != present:
        found.append(
            Difference(
                Kind.ESCROW_DIFFERS,
                lease.lease_id,
                _terms(*booked_as),
                _terms(*present),
            )
        )
    if escrow.released_micro_usdc > lease.signed_micro_usdc:
        found.append(_beyond_signed(lease, escrow.released_micro_usdc))
    return found


def _terms(sequence: int, max_micro_usdc: int, provider: str, voucher_signer: str) -> str:
    return f"sequence {sequence}, at most {max_micro_usdc}, to {provider}, by {voucher_signer}"


def _without_lease(address: str, escrow: ChainEscrow) -> Difference:
    opener = "our operator" if escrow.is_ours else "somebody else"
    found = f"an escrow of client account {escrow.client}, opened by {opener}"
    return Difference(
        Kind.ESCROW_WITHOUT_LEASE,
        address,
        "no unsettled lease",
        f"{found}, with {_remaining(escrow)} left",
    )


def _of_locked(wallet: str, client: ChainClient, escrows: list[ChainEscrow]) -> list[Difference]:
    if any(escrow.is_disputed for escrow in escrows):
        # A dispute's bond may be locked too.
        return []
    due = sum(_remaining(escrow) for escrow in escrows)
    if (client.locked_micro_usdc, client.open_escrows) == (due, len(escrows)):
        return []
    return [
        Difference(
            Kind.LOCKED_DIFFERS,
            wallet,
            f"{len(escrows)} escrows with {due} left",
            f"{client.open_escrows} escrows with {client.locked_micro_usdc} locked",
        )
    ]


def _of_holds(wallet: str, held_micro_usdc: int, client: ChainClient | None) -> list[Difference]:
    free = client.balance_micro_usdc - client.locked_micro_usdc if client else 0
    limit = client.operator_limit_micro_usdc if client else 0
    booked = f"tasks hold {held_micro_usdc}"
    found = []
    if held_micro_usdc > free:
        found.append(Difference(Kind.HOLDS_UNCOVERED, wallet, booked, f"{free} are free"))
    if held_micro_usdc > limit:
        found.append(Difference(Kind.LIMIT_UNCOVERED, wallet, booked, f"{limit} may be spent"))
    return found


def compare_closing(lease: BookedLease, closing: Closing | None) -> list[Difference]:
    """A settled lease beside its escrow's history."""
    if not lease.closed_by:
        return []
    booked = f"closed by {lease.closed_by}"
    if closing is None:
        found = "the history does not show its end"
        return [Difference(Kind.HISTORY_MISSING, lease.lease_id, booked, found)]
    differences = []
    if closing.transaction != lease.closed_by:
        found = f"closed by {closing.transaction}"
        differences.append(Difference(Kind.CLOSING_DIFFERS, lease.lease_id, booked, found))
    paid = closing.paid_micro_usdc
    # Where the transactions do not show it, nothing is known, which is no difference.
    if paid is not None and paid != lease.paid_micro_usdc:
        differences.append(
            Difference(
                Kind.PAID_DIFFERS,
                lease.lease_id,
                f"paid {lease.paid_micro_usdc}",
                f"paid {paid}",
            )
        )
    if paid is not None and paid > lease.signed_micro_usdc:
        differences.append(_beyond_signed(lease, paid))
    return differences


def _beyond_signed(lease: BookedLease, paid_micro_usdc: int) -> Difference:
    return Difference(
        Kind.PAID_BEYOND_SIGNED,
        lease.lease_id,
        f"signed for {lease.signed_micro_usdc}",
        f"paid {paid_micro_usdc}",
    )


def confirmed(
    previous: Collection[tuple[Kind, str]], found: Iterable[Difference]
) -> list[Difference]:
    """What two looks in a row have found; ``previous``: the keys of the look before."""
    return [difference for difference in found if difference.key in previous]


def _remaining(escrow: ChainEscrow) -> int:
    return escrow.max_micro_usdc - escrow.released_micro_usdc
