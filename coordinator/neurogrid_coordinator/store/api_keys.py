"""The API keys of one account, as the account itself manages them. `accounts` issues and finds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from .accounts import ApiKey, KeyKind, key_of_row
from .tables import accounts, api_keys


class KeyState(StrEnum):
    """What a key is good for now."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some keys; ``total`` counts all that were asked for."""

    keys: tuple[ApiKey, ...]
    total: int


def lock(conn: Connection, account_id: str) -> None:
    """Have whoever else changes the keys of this account wait for the end of this transaction."""
    conn.execute(select(accounts.c.id).where(accounts.c.id == account_id).with_for_update())


def get(conn: Connection, account_id: str, key_id: str) -> ApiKey | None:
    """The key, if it is this account's."""
    row = conn.execute(
        select(api_keys).where(api_keys.c.id == key_id, api_keys.c.account_id == account_id)
    ).first()
    return key_of_row(row) if row else None


def of_ids(conn: Connection, key_ids: Sequence[str]) -> list[ApiKey]:
    """Those of these keys that there are, of whatever account."""
    return [
        key_of_row(row) for row in conn.execute(select(api_keys).where(api_keys.c.id.in_(key_ids)))
    ]


def with_prefix(conn: Connection, account_id: str, prefix: str) -> ApiKey | None:
    """The account's key whose id begins so."""
    row = conn.execute(
        select(api_keys).where(
            api_keys.c.account_id == account_id,
            api_keys.c.id.startswith(prefix, autoescape=True),
        )
    ).first()
    return key_of_row(row) if row else None


def list_keys(
    conn: Connection,
    account_id: str,
    now_ms: int,
    *,
    state: KeyState | None = None,
    kind: KeyKind | None = None,
    limit: int,
    offset: int,
) -> KeyPage:
    """The account's keys, newest first; only those in a state and of a kind, if given."""
    wanted = api_keys.c.account_id == account_id
    if kind is not None:
        wanted &= api_keys.c.kind == kind.value
    if state is not None:
        wanted &= _is(state, now_ms)
    rows = conn.execute(
        select(api_keys)
        .where(wanted)
        .order_by(api_keys.c.created_at_ms.desc(), api_keys.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    total = conn.scalar(select(func.count()).select_from(api_keys).where(wanted)) or 0
    return KeyPage(tuple(key_of_row(row) for row in rows), total)


def end_at(conn: Connection, key_id: str, expires_at_ms: int) -> None:
    """Have a key end then."""
    conn.execute(
        update(api_keys).where(api_keys.c.id == key_id).values(expires_at_ms=expires_at_ms)
    )


def delete_ended(
    conn: Connection, account_id: str, now_ms: int, *, kind: KeyKind = KeyKind.KEY, kept: int
) -> None:
    """Delete the account's keys of this kind that have ended, but for the newest ``kept``."""
    ended = (
        (api_keys.c.account_id == account_id)
        & (api_keys.c.kind == kind.value)
        & or_(_is(KeyState.REVOKED, now_ms), _is(KeyState.EXPIRED, now_ms))
    )
    # One is added at a time, so there is hardly ever more than one to go.
    old = conn.scalars(
        select(api_keys.c.id)
        .where(ended)
        .order_by(api_keys.c.created_at_ms.desc(), api_keys.c.id.desc())
        .limit(100)
        .offset(kept)
    ).all()
    if old:
        conn.execute(delete(api_keys).where(api_keys.c.id.in_(old)))


def _is(state: KeyState, now_ms: int) -> ColumnElement[bool]:
    """`services.key_rules.state_of`, for the database."""
    revoked = api_keys.c.revoked_at_ms.is_not(None)
    past = api_keys.c.expires_at_ms.is_not(None) & (api_keys.c.expires_at_ms <= now_ms)
    match state:
        case KeyState.REVOKED:
            return revoked
        case KeyState.EXPIRED:
            return ~revoked & past
        case KeyState.ACTIVE:
            return ~revoked & ~past
