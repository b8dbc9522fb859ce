"""An account's own API keys: shown, made, rotated and revoked by one of them."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json

from ..store import accounts, api_keys
from ..store.accounts import KEYS_SCOPE, ApiKey, KeyKind
from ..store.api_keys import KeyPage, KeyState
from ..store.database import Database
from .errors import Conflict, IdempotencyMismatch, KeyHasExpired, NotFound, Unauthorized
from .key_rules import (
    ENDED_MAX,
    GRACE_S,
    KEYS_AND_ROTATED_MAX,
    KEYS_MAX,
    expiry_ms,
    grace_end_ms,
    repeatable_id,
    require_scope,
    require_within,
    state_of,
    which_request,
)
from .role_rules import require_roles_within, usual_roles

LIST_MAX = 100

_ID = re.compile(r"key_[0-9a-f]{32}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is wanted; see `key_rules.expiry_ms` for its end.

    Attributes:
        roles: what it shall act as; None for `role_rules.usual_roles`.
    """

    name: str
    scopes: tuple[str, ...]
    expires_at_ms: int | None = None
    expires_in_s: int | None = None
    idempotency_key: str | None = None
    roles: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """How a key is to be replaced; ``grace_s``: how long the old one goes on."""

    grace_s: int = GRACE_S
    expires_at_ms: int | None = None
    expires_in_s: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class MadeKey:
    """What a request made.

    Attributes:
        secret: the key's text; None where the request was sent before and its key has been used.
        created: whether this request made it, and not the same one before.
        replaced: the old key, of a rotation.
    """

    key: ApiKey
    secret: str | None
    created: bool
    replaced: ApiKey | None = None


class ApiKeys:
    """What an account does with its keys. Each call is made with one of them, ``asking``.

    Args:
        forget: has requests with this key look it up again.
    """

    def __init__(self, database: Database, *, forget: Callable[[str], None]) -> None:
        self._database = database
        self._forget = forget

    async def list(
        self, asking: ApiKey, *, state: KeyState | None = None, limit: int = 50, offset: int = 0
    ) -> KeyPage:
        """The account's keys, newest first; only those in a state, if given."""
        return await self._database.read(
            lambda conn: api_keys.list_keys(
                conn,
                asking.account_id,
                _now_ms(),
                state=state,
                limit=min(limit, LIST_MAX),
                offset=offset,
            )
        )

    async def get(self, asking: ApiKey, key_id: str) -> ApiKey:
        """One key of the account; without the scope for keys, itself alone.

        Raises:
            Forbidden: another key, and it lacks the scope.
            NotFound: there is none, or it is somebody else's.
        """
        if key_id != asking.id:
            require_scope(asking, KEYS_SCOPE)
        return await self._database.read(lambda conn: _owned(conn, asking.account_id, key_id))

    async def create(self, asking: ApiKey, wanted: NewKey) -> MadeKey:
        """A new key of the account, that may do no more than ``asking`` and lives no longer.

        Raises:
            InvalidRequest, Forbidden: see `key_rules`.
            Conflict: the account has as many as may be.
            IdempotencyMismatch: the idempotency key was used for another request.
            Unauthorized, KeyHasExpired: ``asking`` has ended meanwhile.
        """
        record: dict[str, Json] = {
            "create": wanted.name,
            "scopes": list(wanted.scopes),
            "expires_at_ms": wanted.expires_at_ms,
            "expires_in_s": wanted.expires_in_s,
        }
        if wanted.roles is not None:
            record["roles"] = list(wanted.roles)

        def make(conn: Connection) -> MadeKey:
            now_ms = _now_ms()
            current = _asking(conn, asking, now_ms)
            key_id = _id_of(current, wanted.idempotency_key, record)
            made = _repeated(conn, current, key_id, wanted.idempotency_key, now_ms)
            if made is not None:
                return made
            require_within(current, wanted.scopes)
            roles = usual_roles(current) if wanted.roles is None else wanted.roles
            require_roles_within(current, roles)
            ends_ms = expiry_ms(
                current, now_ms, at_ms=wanted.expires_at_ms, in_s=wanted.expires_in_s
            )
            _require_room(conn, current, now_ms, KEYS_MAX)
            like = replace(current, name=wanted.name, scopes=wanted.scopes, roles=roles)
            return _issue(conn, like, now_ms, ends_ms, key_id)

        result = await self._database.write(make)
        self._forget(result.key.id)
        return result

    async def rotate(self, asking: ApiKey, key_id: str, wanted: Rotation) -> MadeKey:
        """A new key with the name and the scopes of another, which ends after a while.

        Where nothing is said of its end, the new one ends when the old one would have.

        Raises:
            NotFound: there is none, or it is somebody else's.
            Conflict: the old one has ended, or the account has as many as may be.
            InvalidRequest, Forbidden, IdempotencyMismatch, Unauthorized, KeyHasExpired: see `create`.
        """
        record: dict[str, Json] = {
            "rotate": key_id,
            "grace_s": wanted.grace_s,
            "expires_at_ms": wanted.expires_at_ms,
            "expires_in_s": wanted.expires_in_s,
        }

        def make(conn: Connection) -> MadeKey:
            now_ms = _now_ms()
            current = _asking(conn, asking, now_ms)
            old = _owned(conn, asking.account_id, key_id)
            new_id = _id_of(current, wanted.idempotency_key, record)
            made = _repeated(conn, current, new_id, wanted.idempotency_key, now_ms)
            if made is not None:
                return replace(made, replaced=old)
            if old.kind is not KeyKind.KEY:
                raise Conflict(
                    f"{old.id} is no API key, but a token: get another as you got this one"
                )
            state = state_of(old, now_ms)
            if state is not KeyState.ACTIVE:
                raise Conflict(
                    f"the key {old.id} is {state.value}, so there is nothing to replace; make a new one",
                    {"state": state.value},
                )
            require_within(current, old.scopes)
            require_roles_within(current, old.roles)
            ends_ms = expiry_ms(
                current,
                now_ms,
                at_ms=wanted.expires_at_ms,
                in_s=wanted.expires_in_s,
                else_ms=old.expires_at_ms,
            )
            _require_room(conn, current, now_ms, KEYS_AND_ROTATED_MAX)
            issued = _issue(conn, old, now_ms, ends_ms, new_id)
            api_keys.end_at(conn, old.id, grace_end_ms(old, now_ms, wanted.grace_s))
            return replace(issued, replaced=_owned(conn, asking.account_id, old.id))

        result = await self._database.write(make)
        self._forget(key_id)
        self._forget(result.key.id)
        return result

    async def revoke(self, asking: ApiKey, key_id: str) -> ApiKey:
        """End a key of the account at once; repeating is harmless. Every key may end itself.

        Raises:
            Forbidden, NotFound: see `get`.
            Unauthorized, KeyHasExpired: ``asking`` has ended meanwhile.
        """
        if key_id != asking.id:
            require_scope(asking, KEYS_SCOPE)

        def end(conn: Connection) -> ApiKey:
            now_ms = _now_ms()
            _asking(conn, asking, now_ms)
            _owned(conn, asking.account_id, key_id)
            accounts.revoke_key(conn, key_id, now_ms, asking.account_id)
            return _owned(conn, asking.account_id, key_id)

        revoked = await self._database.write(end)
        self._forget(key_id)
        return revoked


def _asking(conn: Connection, asking: ApiKey, now_ms: int) -> ApiKey:
    """The key that asks as it is now: a key that was revoked a moment ago makes no other.

    Until the transaction ends, nobody else changes the account's keys.
    """
    api_keys.lock(conn, asking.account_id)
    key = api_keys.get(conn, asking.account_id, asking.id)
    if key is None or state_of(key, now_ms) is KeyState.REVOKED:
        raise Unauthorized("This API key was revoked.")
    if state_of(key, now_ms) is KeyState.EXPIRED:
        raise KeyHasExpired("This API key has expired. Ask for a new one.")
    return key


def _owned(conn: Connection, account_id: str, key_id: str) -> ApiKey:
    key = api_keys.get(conn, account_id, key_id) if _ID.match(key_id) else None
    if key is None:
        raise NotFound(f"there is no API key {key_id[:80]}", {"key_id": key_id[:80]})
    return key


def _id_of(asking: ApiKey, idempotency_key: str | None, record: Json) -> str | None:
    if idempotency_key is None:
        return None
    # Of another key the same words are another request: what made it had the right to its secret.
    return repeatable_id(asking.account_id, idempotency_key, [asking.id, record])


def _repeated(
    conn: Connection,
    asking: ApiKey,
    key_id: str | None,
    idempotency_key: str | None,
    now_ms: int,
) -> MadeKey | None:
    """What the same request made before.

    Its answer was lost, if nobody has used the key yet: it gets another secret, since the first is
    stored nowhere. So nobody who repeats a request is locked out, and no second key is made.
    """
    if key_id is None:
        return None
    made = api_keys.with_prefix(conn, asking.account_id, which_request(key_id))
    if made is None:
        return None
    if made.id != key_id:
        raise IdempotencyMismatch(
            f"the idempotency key {idempotency_key!r} was used for API key {made.id}, which was another "
            "request, or that of another key"
        )
    if made.last_used_at_ms is not None or state_of(made, now_ms) is not KeyState.ACTIVE:
        return MadeKey(made, None, created=False)
    renewed = accounts.renew_secret(conn, made)
    return MadeKey(renewed.api_key, renewed.secret, created=False)


def _require_room(conn: Connection, asking: ApiKey, now_ms: int, keys_max: int) -> None:
    active = api_keys.list_keys(
        conn,
        asking.account_id,
        now_ms,
        state=KeyState.ACTIVE,
        kind=KeyKind.KEY,
        limit=1,
        offset=0,
    ).total
    if active >= keys_max:
        raise Conflict(
            f"the account has {active} active keys, and may have {keys_max}; revoke one that is not "
            "needed any more",
            {"active": active, "keys_max": keys_max},
        )


def _issue(
    conn: Connection, like: ApiKey, now_ms: int, expires_at_ms: int | None, key_id: str | None
) -> MadeKey:
    """A new key with the account, the name, the scopes and the roles of ``like``."""
    issued = accounts.issue_key(
        conn,
        like.account_id,
        like.name,
        like.scopes,
        now_ms,
        expires_at_ms,
        key_id,
        like.roles,
    )
    api_keys.delete_ended(conn, like.account_id, now_ms, kept=ENDED_MAX)
    return MadeKey(issued.api_key, issued.secret, created=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
