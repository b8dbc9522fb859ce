"""The committed vectors are what the code gives, and hold when they are read as a stranger would."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace.canonical import canonical_bytes
from neurogrid_marketplace.envelope import Session, parse_envelope
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.input_seal import SealTarget, unwrap_key
from neurogrid_marketplace.messages import (
    LEASE_PROTOCOL_ID,
    MESSAGE_TYPES,
    CoordinatorLeaseMessage,
    NodeLeaseMessage,
    Welcome,
    parse_body,
)
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.sealed_file import FileOpener
from neurogrid_marketplace.wire import FrameDecoder

from .make import FOLDER, files

MADE = files()


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_committed_file_is_what_the_code_gives(name: str) -> None:
    assert (FOLDER / name).read_bytes() == MADE[name], (
        "run: PYTHONPATH=tests python -m vectors.make"
    )


def test_no_vector_is_left_over() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(MADE)


def _document(name: str) -> Any:
    return json.loads((FOLDER / name).read_bytes())


def test_every_message_type_occurs_and_every_frame_is_admitted_in_its_session() -> None:
    seen = set()
    sessions: dict[tuple[str, str], Session] = {}
    for vector in _document("messages.json"):
        (value,) = FrameDecoder().feed(bytes.fromhex(vector["frame_hex"]))
        assert value == vector["envelope"]
        envelope = parse_envelope(value)
        session = sessions.setdefault(
            (envelope.session, envelope.sender),
            Session(
                network=envelope.network,
                session=envelope.session,
                local=envelope.recipient,
                remote=envelope.sender,
            ),
        )
        session.admit(envelope, envelope.sent_at_ms)
        message = parse_body(envelope.type, envelope.body)
        is_of_lease = isinstance(message, NodeLeaseMessage | CoordinatorLeaseMessage)
        if not isinstance(message, Welcome):
            assert is_of_lease == (vector["protocol"] == LEASE_PROTOCOL_ID)
        seen.add(envelope.type)
    assert seen == set(MESSAGE_TYPES)


def test_what_the_vectors_call_refused_is_refused() -> None:
    for vector in _document("canonical.json")["refused"]:
        with pytest.raises(InvalidValue):
            canonical_bytes(json.loads(vector["json"]))


def test_the_key_of_the_vectors_opens_its_files() -> None:
    document = _document("sealed.json")
    key = document["key"]
    target = SealTarget(key["lease_id"], key["node_id"], key["job_hash"], key["sealing_key"])
    private_key = X25519PrivateKey.from_private_bytes(bytes.fromhex(key["private_key_hex"]))
    content_key = unwrap_key(key["wrapped_key"], private_key, target)
    assert content_key.hex() == document["content_key_hex"]
    for file in document["files"]:
        opener = FileOpener(content_key)
        opened = opener.feed(bytes.fromhex(file["sealed_hex"])) + opener.finish()
        assert opened.decode() == file["plain_text"] * file["times"]


def test_the_receipt_of_the_vectors_holds() -> None:
    found = verify_receipt((FOLDER / "receipt.json").read_bytes())
    assert found.result.outcome is Outcome.COMPLETED
    # The second score less the winner's own waiting: 640,000 + 108,360 - 360, for 42.5 s.
    assert found.price_micro_usdc_per_hour == 748_000
    assert found.paid_micro_usdc == 8_831
