import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.canonical import canonical_bytes
from neurogrid_marketplace.challenge_answer import Mark
from neurogrid_marketplace.challenge_evidence import (
    MAX_EVIDENCE_BYTES,
    Statement,
    build_evidence,
    verify_evidence,
)
from neurogrid_marketplace.errors import EvidenceInvalid
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Accept, Award, Event, EventKind, Message, Result
from neurogrid_marketplace.receipt_file import byte_form
from neurogrid_marketplace.receipt_items import Proof

from .challenge_reference import as_bytes, honest_answer, small_challenge
from .keys import Person
from .story import COORDINATOR, LEASE_ID, LOSER, NETWORK, TASK_ID, WINNER, signed

CHALLENGE = small_challenge()
ANSWER = as_bytes(honest_answer(CHALLENGE))
LOT = "21" * 32


def result_with(answer: bytes) -> Result:
    output = OutputFile("answer.json", hashlib.sha256(answer).hexdigest(), len(answer))
    return Result(Outcome.COMPLETED, 0, "", 1000, (output,))


def statement(**changes: Any) -> Statement:
    values: dict[str, Any] = {
        "network": NETWORK,
        "coordinator": COORDINATOR.peer_id,
        "task_id": TASK_ID,
        "lease_id": LEASE_ID,
        "challenge": CHALLENGE,
        "image": CHALLENGE.job().image,
        "sent_at_ms": 1_000,
        "answered_at_ms": 5_000,
        "lot": LOT,
        "mark": Mark.PASSED,
        "reason": f"right after 4000 of {CHALLENGE.deadline_ms} ms",
        "answer": ANSWER.decode(),
    }
    return Statement(**(values | changes))


def links(
    *,
    job_hash: str | None = None,
    result: Result | None = None,
    node: Person = WINNER,
    award_hash: str | None = None,
) -> list[Any]:
    """What both sides sign of a run."""
    award = Award(
        LEASE_ID,
        "demand_" + "0" * 32,
        "1" * 64,
        "2" * 64,
        (),
        30_000,
        600,
        72,
        30,
        job_hash or CHALLENGE.job().hash(),
    )
    accept = Accept(LEASE_ID, award_hash or award.hash())
    started = Event(LEASE_ID, 0, EventKind.STARTED, 2_000, accept.hash())
    finished = Event(
        LEASE_ID, 1, EventKind.FINISHED, 4_000, started.hash(), result or result_with(ANSWER)
    )
    said: list[tuple[Person, Person, Message]] = [
        (COORDINATOR, node, award),
        (node, COORDINATOR, accept),
        (node, COORDINATOR, started),
        (node, COORDINATOR, finished),
    ]
    return [signed(sender, to, message) for sender, to, message in said]


def evidence(said: Statement | None = None, **changes: Any) -> bytes:
    return build_evidence(COORDINATOR.sign, said or statement(), links(**changes))


HONEST = evidence()


def test_evidence_says_what_is_proven_and_that_times_are_claimed() -> None:
    checked = verify_evidence(HONEST)
    assert checked.statement == statement()
    proofs = {item.name: item.proof for item in checked.items}
    assert proofs["mark"] is proofs["answer"] is proofs["challenge"] is Proof.PROVEN
    assert proofs["times"] is Proof.CLAIMED
    assert "4 walks" in next(item.shows for item in checked.items if item.name == "mark")


def test_whoever_reads_it_may_draw_walks_of_their_own() -> None:
    checked = verify_evidence(HONEST, lot="33" * 32)
    assert "8 walks" in next(item.shows for item in checked.items if item.name == "mark")


@given(st.data())
def test_no_byte_can_be_changed(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(HONEST) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != HONEST[place]))
    with pytest.raises(EvidenceInvalid):
        verify_evidence(HONEST[:place] + bytes([byte]) + HONEST[place + 1 :])


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    with pytest.raises(EvidenceInvalid):
        verify_evidence(data)


LIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a mark that does not follow": (
        lambda: evidence(statement(mark=Mark.WRONG, reason="cpu: walk 1 ends elsewhere")),
        "makes it passed",
    ),
    "a pass that is late": (
        lambda: evidence(statement(answered_at_ms=10**8)),
        "makes it late",
    ),
    "the answer of somebody else": (
        lambda: evidence(statement(answer=ANSWER.decode() + " ")),
        "not the file that the node named",
    ),
    "an answer that is withheld": (
        lambda: evidence(statement(answer=None, mark=Mark.WRONG, reason="there is no answer")),
        "which is not here",
    ),
    "characters that are no bytes": (
        lambda: evidence(statement(answer="\u1234")),
        "no bytes",
    ),
    "another challenge than was awarded": (
        lambda: evidence(job_hash="9" * 64),
        "not this challenge's",
    ),
    "an easier challenge": (
        lambda: evidence(statement(challenge=replace(CHALLENGE, deadline_ms=10**7, rounds=2))),
        "not this challenge's",
    ),
    "another image": (lambda: evidence(statement(image="other:1")), "not this challenge's"),
    "another node": (lambda: evidence(node=LOSER), "another node"),
    "another coordinator": (
        lambda: evidence(statement(coordinator=LOSER.peer_id)),
        "signature over the evidence",
    ),
    "another network": (lambda: evidence(statement(network="ng-0")), "made for network"),
    "another award": (lambda: evidence(award_hash="3" * 64), "not this award"),
    "no result": (
        lambda: build_evidence(COORDINATOR.sign, statement(), links()[:3]),
        "result",
    ),
    "too large": (lambda: b" " * (MAX_EVIDENCE_BYTES + 1), "larger"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_named(name: str) -> None:
    make, words = LIES[name]
    with pytest.raises(EvidenceInvalid, match=words):
        verify_evidence(make())


def test_a_wrong_end_is_evidence_of_its_own_mark() -> None:
    answer = honest_answer(CHALLENGE)
    numbers = answer["devices"][0]["numbers"]
    answer["devices"][0]["numbers"] = "00" * (len(numbers) // 2)
    data = as_bytes(answer)
    with pytest.raises(EvidenceInvalid, match="makes it wrong"):
        verify_evidence(evidence(statement(answer=data.decode()), result=result_with(data)))


def resealed(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The file changed and signed again: what a coordinator itself could make."""
    document = json.loads(HONEST)
    del document["signature"]
    change(document)
    domain = b"neurogrid:challenge evidence:v1\0"
    signature = COORDINATOR.sign(domain + canonical_bytes(document)).hex()
    return byte_form({**document, "signature": signature})


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a field more": lambda document: document["statement"].update(more=1),
    "a field less": lambda document: document["statement"].pop("lot"),
    "a field at the top": lambda document: document.update(more=1),
    "a version to come": lambda document: document.update(version=2),
    "a true version": lambda document: document.update(version=True),
    "links that are none": lambda document: document.update(links=3),
    "a link with more": lambda document: document["links"][0].update(more=1),
    "a link of a number": lambda document: document["links"][0].update(kind=1),
    "a link too many": lambda document: document["links"].append(document["links"][-1]),
    "a link too few": lambda document: document["links"].pop(),
    "links in another order": lambda document: document["links"].reverse(),
    "a statement that is none": lambda document: document.update(statement=[]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_coordinator_can_sign_no_other_form(name: str) -> None:
    assert verify_evidence(resealed(lambda _: None))
    with pytest.raises(EvidenceInvalid):
        verify_evidence(resealed(CHANGES[name]))


def test_failures_are_evidence_too() -> None:
    result = Result(Outcome.EXIT_NONZERO, 4, "", 10)
    said = statement(
        mark=Mark.UNANSWERED, reason="it does not have the memory that it offers", answer=None
    )
    assert verify_evidence(evidence(said, result=result)).statement.mark is Mark.UNANSWERED
