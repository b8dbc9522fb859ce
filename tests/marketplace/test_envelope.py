from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.envelope import (
    CLOCK_TOLERANCE_MS,
    Envelope,
    Session,
    check_envelope,
    network_id,
    parse_envelope,
    seal,
)
from neurogrid_marketplace.errors import (
    BadSignature,
    MalformedMessage,
    RemoteError,
    ReplayedMessage,
)

from .keys import person

NETWORK = network_id("genesis", "program")
NODE, COORDINATOR, STRANGER = person("node"), person("coordinator"), person("stranger")
NOW_MS = 1_700_000_000_000


def sealed(sequence: int = 0, **changes: object) -> Envelope:
    fields: dict[str, object] = {
        "network": NETWORK,
        "type": "heartbeat",
        "sender": NODE.peer_id,
        "recipient": COORDINATOR.peer_id,
        "session": "s1",
        "sequence": sequence,
        "sent_at_ms": NOW_MS,
        "body": {"free": 1},
        **changes,
    }
    return seal(NODE.sign, **fields)  # type: ignore[arg-type]  # the fields of an envelope


def session() -> Session:
    return Session(network=NETWORK, session="s1", local=COORDINATOR.peer_id, remote=NODE.peer_id)


def test_messages_are_admitted_in_their_order() -> None:
    ours = session()
    for sequence in range(3):
        ours.admit(sealed(sequence), NOW_MS)


def test_a_replayed_message_is_refused() -> None:
    ours = session()
    ours.admit(sealed(0), NOW_MS)
    with pytest.raises(ReplayedMessage, match="0 where 1"):
        ours.admit(sealed(0), NOW_MS)


def test_a_skipped_message_is_noticed() -> None:
    with pytest.raises(ReplayedMessage):
        session().admit(sealed(1), NOW_MS)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"session": "s0"}, ReplayedMessage),
        ({"network": network_id("genesis", "other")}, BadSignature),
        ({"recipient": STRANGER.peer_id}, BadSignature),
        ({"sender": STRANGER.peer_id}, BadSignature),
        ({"sent_at_ms": NOW_MS - CLOCK_TOLERANCE_MS - 1}, ReplayedMessage),
        ({"sent_at_ms": NOW_MS + CLOCK_TOLERANCE_MS + 1}, ReplayedMessage),
    ],
)
def test_messages_of_another_session_network_or_time_are_refused(
    changes: dict[str, object], error: type[RemoteError]
) -> None:
    with pytest.raises(error):
        session().admit(sealed(0, **changes), NOW_MS)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "bid"},
        {"body": {"free": 2}},
        {"sequence": 1},
        {"sent_at_ms": NOW_MS + 1},
        {"recipient": STRANGER.peer_id},
        {"session": "s2"},
        {"sender": STRANGER.peer_id},
    ],
)
def test_every_field_is_signed(changes: dict[str, object]) -> None:
    with pytest.raises(BadSignature):
        check_envelope(replace(sealed(), **changes), NETWORK)  # type: ignore[arg-type]  # the fields of an envelope


def test_what_travels_reads_back() -> None:
    envelope = sealed()
    assert parse_envelope(envelope.to_dict()) == envelope
    assert len(envelope.hash()) == 64


@given(
    st.dictionaries(
        st.sampled_from(["version", "network", "type", "sender", "body", "signature", "x"]),
        st.none() | st.integers() | st.text(max_size=5) | st.booleans(),
    )
)
def test_nonsense_is_malformed_and_nothing_worse(value: dict[str, object]) -> None:
    with pytest.raises(MalformedMessage):
        parse_envelope(value)


def test_a_body_without_canonical_form_is_malformed() -> None:
    envelope = replace(sealed(), body={"free": 0.5})  # type: ignore[dict-item]  # that is the point
    with pytest.raises(MalformedMessage):
        check_envelope(envelope, NETWORK)
