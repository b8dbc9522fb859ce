from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.errors import BadSignature, SealBroken
from neurogrid_marketplace.input_seal import SealTarget, seal_of, unwrap_key, wrap_key
from neurogrid_marketplace.messages import Accept, Award

from .keys import Person
from .story import COORDINATOR, LEASE_ID, LOSER, WINNER, signed

CONTENT_KEY = bytes(range(32))
JOB_HASH = "a" * 64
PRIVATE_KEY = X25519PrivateKey.from_private_bytes(b"p" * 32)
SEALING_KEY = PRIVATE_KEY.public_key().public_bytes_raw().hex()
TARGET = SealTarget(LEASE_ID, WINNER.peer_id, JOB_HASH, SEALING_KEY)
AWARD = Award(
    LEASE_ID, "demand_" + "0" * 32, "0" * 64, "0" * 64, (), 1, 1, 600, 30, job_hash=JOB_HASH
)
ACCEPT = Accept(LEASE_ID, AWARD.hash(), SEALING_KEY)


def offered(award: Award = AWARD, to: Person = WINNER) -> Envelope:
    return signed(COORDINATOR, to, award)


def accepted(accept: Accept = ACCEPT, by: Person = WINNER) -> Envelope:
    return signed(by, COORDINATOR, accept)


def test_the_node_itself_says_whom_to_seal_to() -> None:
    assert seal_of(offered(), accepted(), JOB_HASH) == TARGET


ANOTHER_KEY = X25519PrivateKey.generate().public_key().public_bytes_raw().hex()


@pytest.mark.parametrize(
    ("award", "accept", "words"),
    [
        # A coordinator that swaps the key has no signature of the node over it ...
        (
            offered(),
            replace(accepted(), body={**accepted().body, "sealing_key": ANOTHER_KEY}),
            "signature",
        ),
        # ... one that signs it itself is not the node that the award was offered to ...
        (offered(), accepted(replace(ACCEPT, sealing_key=ANOTHER_KEY), LOSER), "another node"),
        # ... and an accept of another lease or award is none of this one.
        (offered(), accepted(replace(ACCEPT, lease_id="lease_" + "9" * 32)), "not this award"),
        (offered(), accepted(replace(ACCEPT, award_hash="0" * 64)), "not this award"),
        (offered(to=LOSER), accepted(), "another node"),
        (offered(replace(AWARD, job_hash="b" * 64)), accepted(), "not this award"),
        (offered(), accepted(replace(ACCEPT, sealing_key="")), "no key"),
        (accepted(), offered(), "not an award"),
    ],
)
def test_a_coordinator_that_swaps_the_key_or_the_node_is_found_out(
    award: Envelope, accept: Envelope, words: str
) -> None:
    with pytest.raises(BadSignature, match=words):
        seal_of(award, accept, JOB_HASH)


def test_a_key_for_another_job_is_not_wrapped() -> None:
    with pytest.raises(BadSignature, match="another job"):
        seal_of(offered(), accepted(), "c" * 64)


def test_a_wrapped_key_opens_for_its_node_lease_and_job_alone() -> None:
    wrapped = wrap_key(CONTENT_KEY, TARGET)
    assert len(wrapped) == 160
    assert unwrap_key(wrapped, PRIVATE_KEY, TARGET) == CONTENT_KEY
    others: list[dict[str, Any]] = [
        {"lease_id": "lease_" + "9" * 32},
        {"node_id": LOSER.peer_id},
        {"job_hash": "b" * 64},
    ]
    for change in others:
        with pytest.raises(SealBroken):
            unwrap_key(wrapped, PRIVATE_KEY, replace(TARGET, **change))
    with pytest.raises(SealBroken):
        unwrap_key(wrapped, X25519PrivateKey.generate(), TARGET)
    changed = f"{int(wrapped[0], 16) ^ 1:x}{wrapped[1:]}"
    with pytest.raises(SealBroken):
        unwrap_key(changed, PRIVATE_KEY, TARGET)
    # A point of small order: X25519 refuses it instead of agreeing on zero.
    with pytest.raises(SealBroken):
        unwrap_key("0" * 160, PRIVATE_KEY, TARGET)
