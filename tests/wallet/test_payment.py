"""The machine against a chain that does its worst: delays, forks, lagging and pruning nodes."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from neurogrid_wallet.chain import (
    ChainPosition,
    Commitment,
    SignatureStatus,
    TransactionFailure,
)
from neurogrid_wallet.payment import (
    ATTEMPTS_MAX,
    EXPIRY_MARGIN_BLOCKS,
    Event,
    Landed,
    Missing,
    Payment,
    PaymentState,
    Signed,
    SignedTransaction,
    advance,
    is_dead,
)

BLOCKHASH_LIFE_BLOCKS = 150
BLOCKS_TO_FINALITY = 32
FAILURE = TransactionFailure("Custom", 0, 6000)

TRANSACTION = SignedTransaction(b"raw", "signature", last_valid_block_height=150, slot=20)
SIGNED = advance(Payment("id"), Signed(TRANSACTION))
DEAD = Missing(
    "signature",
    position=ChainPosition(slot=1000, block_height=150 + EXPIRY_MARGIN_BLOCKS + 1),
    answered_slot=1000,
    known_from_slot=20,
)


def _landed(commitment: Commitment, failure: TransactionFailure | None = None) -> Landed:
    return Landed("signature", SignatureStatus(77, commitment, failure))


def test_a_payment_is_signed_confirmed_and_finalized() -> None:
    confirmed = advance(SIGNED, _landed(Commitment.CONFIRMED))
    finalized = advance(confirmed, _landed(Commitment.FINALIZED))
    assert (SIGNED.state, SIGNED.attempts) == (PaymentState.SIGNED, 1)
    assert (confirmed.state, confirmed.landed_slot) == (PaymentState.CONFIRMED, 77)
    assert (finalized.state, finalized.signature) == (PaymentState.FINALIZED, "signature")


def test_one_nodes_opinion_of_its_fork_changes_nothing() -> None:
    assert advance(SIGNED, _landed(Commitment.PROCESSED)) is SIGNED
    assert advance(SIGNED, _landed(Commitment.PROCESSED, FAILURE)) is SIGNED


def test_an_error_is_the_end_only_once_it_is_final() -> None:
    confirmed = advance(SIGNED, _landed(Commitment.CONFIRMED, FAILURE))
    assert (confirmed.state, confirmed.failure) == (PaymentState.CONFIRMED, FAILURE)
    failed = advance(confirmed, _landed(Commitment.FINALIZED, FAILURE))
    assert (failed.state, failed.failure) == (PaymentState.FAILED, FAILURE)
    # The block was dropped after all, and the transaction succeeded in another one.
    finalized = advance(confirmed, _landed(Commitment.FINALIZED))
    assert (finalized.state, finalized.failure) == (PaymentState.FINALIZED, None)


def test_what_is_provably_dead_starts_over() -> None:
    assert is_dead(TRANSACTION, DEAD)
    new = advance(SIGNED, DEAD)
    assert (new.state, new.attempts, new.signed) == (PaymentState.NEW, 1, None)
    again = advance(new, Signed(SignedTransaction(b"raw2", "signature2", 400, 200)))
    assert (again.state, again.attempts) == (PaymentState.SIGNED, 2)


@pytest.mark.parametrize(
    "missing",
    [
        Missing("signature", ChainPosition(1000, 150 + EXPIRY_MARGIN_BLOCKS), 1000, 20),
        Missing("signature", DEAD.position, answered_slot=999, known_from_slot=20),
        Missing("signature", DEAD.position, answered_slot=1000, known_from_slot=21),
    ],
    ids=["not expired by the margin", "the answering node is behind", "its history is too short"],
)
def test_what_is_not_proven_dead_stays_as_it_is(missing: Missing) -> None:
    assert advance(SIGNED, missing) is SIGNED


def test_too_many_dead_attempts_are_a_failure() -> None:
    payment = Payment("id")
    for _ in range(ATTEMPTS_MAX):
        assert payment.state is PaymentState.NEW
        payment = advance(advance(payment, Signed(TRANSACTION)), DEAD)
    assert payment.state is PaymentState.FAILED
    assert payment.failure is not None
    assert payment.failure.name.startswith("NeverLanded")


LARGE = replace(SIGNED, two_endpoints=True)


def _seconded(second: SignatureStatus | None, failure: TransactionFailure | None = None) -> Landed:
    return replace(_landed(Commitment.FINALIZED, failure), second=second)


@pytest.mark.parametrize("failure", [None, FAILURE])
def test_a_large_payment_is_decided_when_two_endpoints_agree(
    failure: TransactionFailure | None,
) -> None:
    status = SignatureStatus(77, Commitment.FINALIZED, failure)
    decided = advance(LARGE, _seconded(status, failure))
    assert decided.state is (PaymentState.FAILED if failure else PaymentState.FINALIZED)
    # What one of them calls confirmed is enough for that.
    assert advance(LARGE, _landed(Commitment.CONFIRMED)).state is PaymentState.CONFIRMED


@pytest.mark.parametrize(
    "second",
    [
        None,
        SignatureStatus(77, Commitment.CONFIRMED, None),
        SignatureStatus(78, Commitment.FINALIZED, None),
        SignatureStatus(77, Commitment.FINALIZED, FAILURE),
    ],
    ids=["unknown", "not final", "another slot", "another outcome"],
)
def test_a_large_payment_waits_while_the_endpoints_differ(second: SignatureStatus | None) -> None:
    waiting = advance(LARGE, _seconded(second))
    assert waiting.state is PaymentState.CONFIRMED
    assert advance(waiting, _seconded(second)) is waiting
    agreed = SignatureStatus(77, Commitment.FINALIZED, None)
    assert advance(waiting, _seconded(agreed)).state is PaymentState.FINALIZED


def test_a_large_payment_is_dead_only_when_both_endpoints_prove_it() -> None:
    assert advance(LARGE, DEAD) is LARGE
    behind = replace(DEAD, answered_slot=999)
    assert advance(LARGE, replace(DEAD, second=behind)) is LARGE
    assert advance(LARGE, replace(behind, second=DEAD)) is LARGE
    assert advance(LARGE, replace(DEAD, second=DEAD)).state is PaymentState.NEW


def test_the_second_endpoint_alone_decides_nothing_and_small_payments_do_without() -> None:
    final = SignatureStatus(77, Commitment.FINALIZED, None)
    assert (
        advance(LARGE, replace(_landed(Commitment.CONFIRMED), second=final)).state
        is PaymentState.CONFIRMED
    )
    assert advance(SIGNED, _seconded(None)).state is PaymentState.FINALIZED


FINALIZED = advance(SIGNED, _landed(Commitment.FINALIZED))
FAILED = advance(SIGNED, _landed(Commitment.FINALIZED, FAILURE))


@pytest.mark.parametrize(
    ("payment", "event"),
    [
        (SIGNED, Signed(TRANSACTION)),
        (advance(SIGNED, _landed(Commitment.CONFIRMED)), Signed(TRANSACTION)),
        (FINALIZED, Signed(TRANSACTION)),
        (FAILED, Signed(TRANSACTION)),
        (FINALIZED, DEAD),
        (FAILED, DEAD),
        (FINALIZED, _landed(Commitment.FINALIZED)),
        (Payment("id"), DEAD),
        (Payment("id"), _landed(Commitment.FINALIZED)),
        (SIGNED, Landed("another", SignatureStatus(77, Commitment.FINALIZED, None))),
        (SIGNED, Missing("another", DEAD.position, 1000, 20)),
    ],
)
def test_an_event_that_makes_no_sense_is_refused(payment: Payment, event: Event) -> None:
    with pytest.raises(ValueError, match=r"payment|attempt"):
        advance(payment, event)


@dataclass
class Node:
    """One node of a cluster; several answer behind one address."""

    height: int = 0
    known_from_slot: int = 0


@dataclass
class Chain:
    """The one true chain. A block's height is also what is counted; slots run ahead of it."""

    height: int = 1
    slots: list[int] = field(default_factory=lambda: [0, 1])
    landed: dict[str, tuple[int, TransactionFailure | None]] = field(default_factory=dict)

    def mine(self, blocks: int, skipped_slots: int) -> None:
        for number in range(blocks):
            self.slots.append(self.slots[-1] + 1 + (skipped_slots if number == 0 else 0))
        self.height += blocks

    @property
    def finalized_height(self) -> int:
        return max(0, self.height - BLOCKS_TO_FINALITY)


class PayingOnce(RuleBasedStateMachine):
    """Whatever happens in whatever order, a payment never lands twice."""

    def __init__(self) -> None:
        super().__init__()
        self.chain = Chain()
        self.nodes = [Node(1), Node(1)]
        self.payment = Payment("id")
        self.attempts: list[SignedTransaction] = []

    nodes_index = st.integers(0, 1)

    @rule(
        blocks=st.sampled_from([1, 130, 250]),
        skipped_slots=st.sampled_from([0, 50]),
        behind=st.sampled_from([(0, 0), (40, 0), (0, 500), (500, 0)]),
        kept_slots=st.sampled_from([0, 100, None]),
    )
    def time_passes(
        self, blocks: int, skipped_slots: int, behind: tuple[int, int], kept_slots: int | None
    ) -> None:
        """Each node follows in its own time, and the second may forget its history."""
        self.chain.mine(blocks, skipped_slots)
        for node, blocks_behind in zip(self.nodes, behind, strict=True):
            node.height = max(node.height, self.chain.height - blocks_behind)
        if kept_slots is not None:
            node = self.nodes[1]
            oldest = self.chain.slots[node.height] - kept_slots
            node.known_from_slot = max(node.known_from_slot, oldest)

    @precondition(lambda self: self.payment.state is PaymentState.NEW)
    @rule(index=nodes_index, lands=st.booleans(), fails=st.booleans())
    def sign(self, index: int, lands: bool, fails: bool) -> None:
        height = self.nodes[index].height
        transaction = SignedTransaction(
            raw=b"raw",
            signature=f"signature {len(self.attempts)} of {self.payment.payment_id}",
            last_valid_block_height=height + BLOCKHASH_LIFE_BLOCKS,
            slot=self.chain.slots[height],
        )
        self.attempts.append(transaction)
        self.payment = advance(self.payment, Signed(transaction))
        if lands and self._can_land():
            self.an_attempt_lands(fails)

    def _can_land(self) -> list[str]:
        return [
            attempt.signature
            for attempt in self.attempts
            if attempt.last_valid_block_height > self.chain.height
            and attempt.signature not in self.chain.landed
        ]

    @precondition(lambda self: bool(self._can_land()))
    @rule(fails=st.booleans())
    def an_attempt_lands(self, fails: bool) -> None:
        """Its bytes may have left at any time, and the network may have kept them."""
        signature = self._can_land()[0]
        self.chain.mine(1, 0)
        self.chain.landed[signature] = (self.chain.height, FAILURE if fails else None)

    def _can_be_dropped(self) -> list[str]:
        finalized = self.chain.finalized_height
        return [name for name, (height, _) in self.chain.landed.items() if height > finalized]

    @precondition(lambda self: bool(self._can_be_dropped()))
    @rule()
    def a_fork_is_dropped(self) -> None:
        """Blocks that were not final lose; what was in them may land again."""
        for signature in self._can_be_dropped():
            del self.chain.landed[signature]

    @precondition(lambda self: self.payment.state in (PaymentState.SIGNED, PaymentState.CONFIRMED))
    @rule(position_from=nodes_index, status_from=nodes_index, confirmed=st.booleans())
    def observe(self, position_from: int, status_from: int, confirmed: bool) -> None:
        """Two nodes answer behind one address: one tells the position, one the status."""
        height = max(0, self.nodes[position_from].height - BLOCKS_TO_FINALITY)
        position = ChainPosition(self.chain.slots[height], height)
        self._read_status(position, self.nodes[status_from], confirmed)

    def _read_status(self, position: ChainPosition, node: Node, confirmed: bool) -> None:
        assert self.payment.signed is not None
        signature = self.payment.signed.signature
        height, failure = self.chain.landed.get(signature, (2**63, None))
        slot = self.chain.slots[height] if height <= node.height else 0
        if height <= node.height and slot >= node.known_from_slot:
            if height <= node.height - BLOCKS_TO_FINALITY:
                commitment = Commitment.FINALIZED
            else:
                commitment = Commitment.CONFIRMED if confirmed else Commitment.PROCESSED
            status = SignatureStatus(slot, commitment, failure)
            self.payment = advance(self.payment, Landed(signature, status))
        else:
            answered_slot = self.chain.slots[node.height]
            missing = Missing(signature, position, answered_slot, node.known_from_slot)
            self.payment = advance(self.payment, missing)

    @precondition(lambda self: self.payment.state in (PaymentState.FINALIZED, PaymentState.FAILED))
    @rule()
    def go_on_with_the_next_payment(self) -> None:
        self.chain.landed.clear()
        self.attempts.clear()
        self.payment = Payment("next")

    @invariant()
    def it_lands_at_most_once(self) -> None:
        assert len(self.chain.landed) <= 1

    @invariant()
    def signing_is_only_allowed_when_nothing_can_land(self) -> None:
        if self.payment.state is PaymentState.NEW:
            assert not self.chain.landed
            assert all(
                attempt.last_valid_block_height <= self.chain.height for attempt in self.attempts
            )

    @invariant()
    def what_is_decided_is_true(self) -> None:
        if self.payment.state in (PaymentState.FINALIZED, PaymentState.FAILED):
            [(signature, (_, failure))] = self.chain.landed.items()
            assert self.payment.signature == signature
            assert self.payment.failure == failure
            assert (failure is None) == (self.payment.state is PaymentState.FINALIZED)

    def teardown(self) -> None:
        """Once the chain is well, and one node kept everything, it is decided soon."""
        node = Node()
        for _ in range(3):
            if self.payment.state is PaymentState.NEW:
                self.nodes[0].height = self.chain.height
                self.sign(0, lands=True, fails=False)
            self.chain.mine(BLOCKHASH_LIFE_BLOCKS + 3 * BLOCKS_TO_FINALITY, 0)
            node.height = self.chain.height
            height = self.chain.finalized_height
            position = ChainPosition(self.chain.slots[height], height)
            if self.payment.state in (PaymentState.SIGNED, PaymentState.CONFIRMED):
                self._read_status(position, node, confirmed=True)
        assert self.payment.state in (PaymentState.FINALIZED, PaymentState.FAILED)
        self.it_lands_at_most_once()
        self.what_is_decided_is_true()


TestPayingOnce = PayingOnce.TestCase
TestPayingOnce.settings = settings(
    max_examples=400,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
