"""What one key may do with others, as pure rules."""

import pytest

from coordinator.records import NOW_MS
from neurogrid_coordinator.services.errors import Forbidden, InvalidRequest
from neurogrid_coordinator.services.key_rules import (
    expiry_ms,
    grace_end_ms,
    repeatable_id,
    require_scope,
    require_within,
    state_of,
    which_request,
)
from neurogrid_coordinator.store.accounts import ApiKey
from neurogrid_coordinator.store.api_keys import KeyState
from neurogrid_marketplace.fields import Id, decode

DAY_MS = 86_400_000


def key(*scopes: str, expires_at_ms: int | None = None, revoked_at_ms: int | None = None) -> ApiKey:
    return ApiKey(
        "key_" + "0" * 32,
        "acct_" + "0" * 32,
        "laptop",
        "ng_abcdef",
        scopes,
        NOW_MS,
        expires_at_ms,
        revoked_at_ms,
        last_used_at_ms=None,
    )


def test_a_key_is_active_until_its_expiry_and_revoked_counts_first() -> None:
    assert state_of(key(), NOW_MS) is KeyState.ACTIVE
    assert state_of(key(expires_at_ms=NOW_MS + 1), NOW_MS) is KeyState.ACTIVE
    assert state_of(key(expires_at_ms=NOW_MS), NOW_MS) is KeyState.EXPIRED
    assert state_of(key(expires_at_ms=1, revoked_at_ms=1), NOW_MS) is KeyState.REVOKED


def test_who_lacks_the_scope_for_keys_is_told_where_to_get_it() -> None:
    require_scope(key("keys"), "keys")
    with pytest.raises(
        Forbidden, match="neurogrid-coordinator key create --scope read --scope write --scope keys"
    ) as refused:
        require_scope(key("read", "write"), "keys")
    assert refused.value.details == {"scope": "keys"}


def test_no_more_scopes_than_the_key_that_asks() -> None:
    require_within(key("read", "keys"), ("read",))
    with pytest.raises(Forbidden, match="yours lacks 'write'") as refused:
        require_within(key("read", "keys"), ("read", "write", "keys"))
    assert refused.value.details == {"scopes": ["write"]}


def test_no_longer_life_than_the_key_that_asks() -> None:
    forever, brief = key(), key(expires_at_ms=NOW_MS + DAY_MS)
    assert expiry_ms(forever, NOW_MS, at_ms=None, in_s=None) is None
    assert expiry_ms(forever, NOW_MS, at_ms=NOW_MS + 5, in_s=None) == NOW_MS + 5
    assert expiry_ms(forever, NOW_MS, at_ms=None, in_s=60) == NOW_MS + 60_000
    assert expiry_ms(brief, NOW_MS, at_ms=None, in_s=None) == NOW_MS + DAY_MS
    assert expiry_ms(brief, NOW_MS, at_ms=NOW_MS + DAY_MS, in_s=None) == NOW_MS + DAY_MS
    with pytest.raises(Forbidden, match=r"expires_at: .* yours ends in 86400 s"):
        expiry_ms(brief, NOW_MS, at_ms=NOW_MS + DAY_MS + 1, in_s=None)
    with pytest.raises(Forbidden, match="expires_in_seconds: "):
        expiry_ms(brief, NOW_MS, at_ms=None, in_s=86_401)


def test_a_replacement_ends_when_the_old_key_would_have_or_the_one_that_asks() -> None:
    forever, brief = key(), key(expires_at_ms=NOW_MS + DAY_MS)
    for asking, old_ms, ends_ms in [
        (forever, None, None),
        (forever, NOW_MS + 7, NOW_MS + 7),
        (brief, None, NOW_MS + DAY_MS),
        (brief, NOW_MS + 7, NOW_MS + 7),
        (brief, NOW_MS + 2 * DAY_MS, NOW_MS + DAY_MS),
    ]:
        assert expiry_ms(asking, NOW_MS, at_ms=None, in_s=None, else_ms=old_ms) == ends_ms


def test_an_end_that_has_passed_or_is_said_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="has passed"):
        expiry_ms(key(), NOW_MS, at_ms=NOW_MS, in_s=None)
    with pytest.raises(InvalidRequest, match="not both"):
        expiry_ms(key(), NOW_MS, at_ms=NOW_MS + 1, in_s=60)


def test_a_grace_never_prolongs_a_key() -> None:
    assert grace_end_ms(key(), NOW_MS, 60) == NOW_MS + 60_000
    assert grace_end_ms(key(expires_at_ms=NOW_MS + 5), NOW_MS, 60) == NOW_MS + 5


def test_a_request_that_is_repeated_has_one_id() -> None:
    one = repeatable_id("acct_1", "k", {"a": 1, "b": 2})
    assert one == repeatable_id("acct_1", "k", {"b": 2, "a": 1})
    decode(Id, one)
    other = repeatable_id("acct_1", "k", {"a": 2, "b": 2})
    assert other != one
    assert which_request(other) == which_request(one)
    for account, idempotency_key in [("acct_2", "k"), ("acct_1", "l"), ("acct_", "1k")]:
        strange = repeatable_id(account, idempotency_key, {"a": 1, "b": 2})
        assert which_request(strange) != which_request(one)
