"""What one API key may do with others: no more than itself, and for no longer. Pure."""

import hashlib
from collections.abc import Sequence

import msgspec

from neurogrid_marketplace.canonical import Json

from ..store.accounts import KEYS_SCOPE, ApiKey
from ..store.api_keys import KeyState
from .errors import Forbidden, InvalidRequest

# Of an account, that open something: enough for a key per program and per person.
KEYS_MAX = 50
# A rotation leaves the old key for a while, and must be possible where there are as many as may be.
KEYS_AND_ROTATED_MAX = 2 * KEYS_MAX
# Those that have ended, and are still shown: the newest.
ENDED_MAX = 100

# Below a minute, a lost answer could lock its owner out; revoking ends a key at once.
GRACE_MIN_S = 60
GRACE_MAX_S = 7 * 86_400
GRACE_S = 86_400
LIFE_MIN_S = 60
LIFE_MAX_S = 10 * 366 * 86_400

# Of the 32 hex digits of an id: the first say which idempotency key, the others which request.
_WHICH_DIGITS = 20
_PREFIX = "key_"


def state_of(key: ApiKey, now_ms: int) -> KeyState:
    """What a key is good for now; `store.api_keys` has the same for the database."""
    if key.revoked_at_ms is not None:
        return KeyState.REVOKED
    if key.expires_at_ms is not None and now_ms >= key.expires_at_ms:
        return KeyState.EXPIRED
    return KeyState.ACTIVE


def require_scope(key: ApiKey, scope: str) -> None:
    """Refuse a key that lacks a scope.

    Raises:
        Forbidden: it does; says where another one is to be had.
    """
    if scope in key.scopes:
        return
    advice = ""
    if scope == KEYS_SCOPE:
        advice = (
            ". Use a key that has it, as an account's first has, or ask the operator for one: "
            "`neurogrid-coordinator key create --scope read --scope write --scope keys`"
        )
    raise Forbidden(
        f"this key may not do that: it lacks the scope {scope!r}{advice}", {"scope": scope}
    )


def require_within(asking: ApiKey, scopes: Sequence[str]) -> None:
    """Refuse a key that may do more than the one that asks for it.

    Raises:
        Forbidden: it may; ``details`` say what.
    """
    beyond = [scope for scope in scopes if scope not in asking.scopes]
    if beyond:
        words = " and ".join(repr(scope) for scope in beyond)
        raise Forbidden(
            f"a key can't make one that may do more than itself: yours lacks {words}. Leave that out, "
            "or use a key that has it",
            {"scopes": list(beyond)},
        )


def expiry_ms(
    asking: ApiKey, now_ms: int, *, at_ms: int | None, in_s: int | None, else_ms: int | None = None
) -> int | None:
    """When a new key ends; None for never.

    Args:
        asking: the key that asks for it.
        at_ms, in_s: as wanted; one of them at most.
        else_ms: where neither is said, if the key that asks doesn't end sooner.

    Raises:
        InvalidRequest: both are said, or it has passed.
        Forbidden: the key that asks ends sooner.
    """
    if at_ms is not None and in_s is not None:
        raise InvalidRequest(
            "expires_in_seconds: say it or expires_at, not both", "expires_in_seconds"
        )
    limit_ms = asking.expires_at_ms
    if at_ms is None and in_s is None:
        ends = [each for each in (limit_ms, else_ms) if each is not None]
        return min(ends, default=None)
    field = "expires_at" if in_s is None else "expires_in_seconds"
    wanted_ms = at_ms if in_s is None else now_ms + 1000 * in_s
    assert wanted_ms is not None, "one of them is said"
    if wanted_ms <= now_ms:
        raise InvalidRequest(f"{field}: has passed; name a moment that is to come", field)
    if limit_ms is not None and wanted_ms > limit_ms:
        raise Forbidden(
            f"{field}: a key can't make one that lives longer than itself, and yours ends in "
            f"{(limit_ms - now_ms) // 1000} s. Name an earlier moment, leave it out, or use a key that "
            "lives longer",
            {"field": field, "seconds_max": (limit_ms - now_ms) // 1000},
        )
    return wanted_ms


def grace_end_ms(key: ApiKey, now_ms: int, grace_s: int) -> int:
    """When a key ends that was replaced; never later than it would have anyway."""
    ends_ms = now_ms + 1000 * grace_s
    return ends_ms if key.expires_at_ms is None else min(ends_ms, key.expires_at_ms)


def repeatable_id(account_id: str, idempotency_key: str, request: Json) -> str:
    """The id of the key that this request makes, whenever it is sent.

    So a repeated request finds what the first one made, without anything else being stored.
    """
    which = _hex(account_id, idempotency_key)[:_WHICH_DIGITS]
    return f"{_PREFIX}{which}{_hex(request)[: 32 - _WHICH_DIGITS]}"


def which_request(key_id: str) -> str:
    """What ids have in common that were made with one idempotency key."""
    return key_id[: len(_PREFIX) + _WHICH_DIGITS]


def _hex(*parts: Json) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
