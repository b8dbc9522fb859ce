"""Adverts: whatever a stranger makes of one is found out by whoever reads it."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.advert import (
    ADVERT_LIFETIME_MAX_MS,
    ADVERT_LIFETIME_MS,
    Advert,
    check_advert,
    make_advert,
    meeting_place,
    parse_advert,
    provider_key,
)
from neurogrid_marketplace.envelope import CLOCK_TOLERANCE_MS
from neurogrid_marketplace.errors import (
    BadSignature,
    InvalidValue,
    MalformedMessage,
    RemoteError,
    ReplayedMessage,
)
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.identity import peer_id_of

NETWORK = "ng-0123456789abcdef"
NOW_MS = 1_800_000_000_000


class Somebody:
    def __init__(self, name: str) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
        self.peer_id = peer_id_of(self.key.public_key().public_bytes_raw())

    def address(self, host: str = "192.0.2.7") -> str:
        return f"/ip4/{host}/tcp/4001/p2p/{self.peer_id}"

    def advert(self, **changes: Any) -> Advert:
        given: dict[str, Any] = {
            "network": NETWORK,
            "coordinator": self.peer_id,
            "addresses": (self.address(),),
            "now_ms": NOW_MS,
            **changes,
        }
        return make_advert(self.key.sign, **given)


COORDINATOR, OTHER = Somebody("coordinator"), Somebody("other")
GOOD = COORDINATOR.advert()


def test_an_advert_is_read_as_it_was_made_and_holds_for_a_day() -> None:
    advert = parse_advert(plain(GOOD))
    assert advert == GOOD
    check_advert(advert, NETWORK, NOW_MS)
    check_advert(advert, NETWORK, NOW_MS + ADVERT_LIFETIME_MS - 1)
    with pytest.raises(ReplayedMessage, match="over since 0 s"):
        check_advert(advert, NETWORK, NOW_MS + ADVERT_LIFETIME_MS)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"network": "ng-fedcba9876543210"}, BadSignature, "made for network ng-fedc"),
        ({"addresses": (COORDINATOR.address("192.0.2.8"),)}, BadSignature, "does not match"),
        ({"addresses": (OTHER.address(),)}, MalformedMessage, "address of another peer"),
        ({"addresses": ("/ip4/192.0.2.7/tcp/4001",)}, MalformedMessage, "of another peer"),
        (
            {"coordinator": OTHER.peer_id, "addresses": (OTHER.address(),)},
            BadSignature,
            "does not match",
        ),
        ({"expires_at_ms": GOOD.expires_at_ms + 1}, BadSignature, "does not match"),
        ({"expires_at_ms": GOOD.issued_at_ms}, MalformedMessage, "a lifetime of 0 s"),
        (
            {"expires_at_ms": GOOD.issued_at_ms + ADVERT_LIFETIME_MAX_MS + 1},
            MalformedMessage,
            "a lifetime of 604800 s",
        ),
        ({"issued_at_ms": NOW_MS - 1}, BadSignature, "does not match"),
        ({"signature": "0" * 128}, BadSignature, "does not match"),
        (
            {"coordinator": "1" * 46, "addresses": ("/ip4/192.0.2.7/tcp/1/p2p/" + "1" * 46,)},
            MalformedMessage,
            "stands for 46 bytes",
        ),
    ],
)
def test_what_was_changed_is_refused(
    changes: dict[str, Any], error: type[RemoteError], says: str
) -> None:
    advert = replace(GOOD, **changes)
    with pytest.raises(error, match=says):
        check_advert(advert, NETWORK, NOW_MS)


def test_one_from_the_future_is_refused_and_a_clock_that_is_a_little_off_is_not() -> None:
    check_advert(COORDINATOR.advert(now_ms=NOW_MS + CLOCK_TOLERANCE_MS), NETWORK, NOW_MS)
    late = COORDINATOR.advert(now_ms=NOW_MS + CLOCK_TOLERANCE_MS + 1)
    with pytest.raises(ReplayedMessage, match="120 s from now; set both clocks"):
        check_advert(late, NETWORK, NOW_MS)


@pytest.mark.parametrize(
    "changes",
    [
        {"addresses": []},
        {"addresses": [COORDINATOR.address()] * 9},
        {"addresses": ["/" + "x" * 512]},
        {"addresses": ["/ip4/192.0.2.7/tcp/1 /p2p/"]},
        {"addresses": "all"},
        {"issued_at_ms": -1},
        {"issued_at_ms": 2**53},
        {"expires_at_ms": "tomorrow"},
        {"signature": "0"},
        {"coordinator": "me"},
        {"version": 2},
        {"version": True},
        {"later": 1},
    ],
)
def test_what_does_not_fit_is_no_advert(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        parse_advert({**plain(GOOD), **changes})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*Advert.__dataclass_fields__, "later"]), inner, max_size=8
            )
        ),
        max_leaves=12,
    )
)
def test_no_value_does_worse_than_a_clear_error(value: object) -> None:
    with pytest.raises(MalformedMessage):
        parse_advert(value)


def test_nobody_makes_an_advert_that_nobody_would_take() -> None:
    with pytest.raises(InvalidValue, match="nobody takes"):
        COORDINATOR.advert(addresses=(OTHER.address(),))
    with pytest.raises(InvalidValue, match="nobody takes"):
        COORDINATOR.advert(addresses=())
    with pytest.raises(InvalidValue, match="nobody takes"):
        COORDINATOR.advert(lifetime_ms=ADVERT_LIFETIME_MAX_MS + 1)


def test_a_network_has_one_place_to_meet_and_its_hash_as_a_key() -> None:
    assert meeting_place(NETWORK) == f"neurogrid:coordinators:{NETWORK}"
    digest = hashlib.sha256(meeting_place(NETWORK).encode()).digest()
    assert provider_key(NETWORK) == bytes.fromhex("1220") + digest
