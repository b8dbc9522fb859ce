"""Accounts and their API keys. Of a key only its SHA-256 is stored."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from .ids import new_id
from .tables import accounts, api_keys

KEY_PREFIX = "ng_"
_KEY_BYTES = 32
# 32 bytes as base64url without padding.
KEY_CHARS = len(KEY_PREFIX) + 43
_HINT_CHARS = len(KEY_PREFIX) + 6
# `last_used_at_ms` is for people: once a minute is enough, and saves a write per request.
LAST_USED_STEP_MS = 60_000

# Built once, see `tasks`.
_BY_ID = select(accounts).where(accounts.c.id == bindparam("the_id"))
_BY_DIGEST = select(api_keys).where(api_keys.c.key_sha256 == bindparam("the_digest"))


class WalletTaken(Exception):
    """Another account has this wallet already; the message names it."""


class KeyRefused(Exception):
    """This API key opens nothing; the message is for its owner."""


class KeyUnknown(KeyRefused):
    """No such key was ever issued here."""


class KeyExpired(KeyRefused):
    """The key was good until its expiry."""


class KeyRevoked(KeyRefused):
    """The key was revoked."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whoever submits tasks; ``wallet`` owns the client account on the chain that pays for them."""

    id: str
    name: str
    wallet: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret.

    Attributes:
        hint: its first characters, so that people can tell several apart.
        scopes: what it may do.
    """

    id: str
    account_id: str
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None
    last_used_at_ms: int | None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key, and the only time that its text is there."""

    api_key: ApiKey
    secret: str


def create(conn: Connection, name: str, wallet: str, now_ms: int) -> Account:
    """A new account.

    Raises:
        WalletTaken: the wallet has an account.
    """
    account = Account(new_id("acct"), name, wallet, now_ms)
    taken = conn.execute(select(accounts.c.id).where(accounts.c.wallet == wallet)).scalar()
    if taken is not None:
        raise WalletTaken(f"the wallet {wallet} belongs to account {taken}")
    conn.execute(
        insert(accounts).values(id=account.id, name=name, wallet=wallet, created_at_ms=now_ms)
    )
    return account


def get(conn: Connection, account_id: str) -> Account | None:
    """The account with this id."""
    row = conn.execute(_BY_ID, {"the_id": account_id}).first()
    return Account(*row) if row else None


def list_all(conn: Connection, *, limit: int = 1000) -> list[Account]:
    """Accounts, oldest first."""
    rows = conn.execute(select(accounts).order_by(accounts.c.id).limit(limit))
    return [Account(*row) for row in rows]


def issue_key(
    conn: Connection,
    account_id: str,
    name: str,
    scopes: tuple[str, ...],
    now_ms: int,
    expires_at_ms: int | None = None,
) -> IssuedKey:
    """A new key of the account.

    Raises:
        LookupError: no such account.
    """
    secret = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    api_key = ApiKey(
        new_id("key"),
        account_id,
        name,
        secret[:_HINT_CHARS],
        scopes,
        now_ms,
        expires_at_ms,
        revoked_at_ms=None,
        last_used_at_ms=None,
    )
    try:
        conn.execute(
            insert(api_keys).values(
                id=api_key.id,
                account_id=account_id,
                name=name,
                hint=api_key.hint,
                key_sha256=_digest(secret),
                scopes_json=msgspec.json.encode(scopes).decode(),
                created_at_ms=now_ms,
                expires_at_ms=expires_at_ms,
            )
        )
    except IntegrityError as error:
        raise LookupError(f"there is no account {account_id}") from error
    return IssuedKey(api_key, secret)


def revoke_key(conn: Connection, key_id: str, now_ms: int, account_id: str | None = None) -> bool:
    """Revoke a key (of this account only, if given); whether there is one. Repeating is harmless."""
    mine = api_keys.c.id == key_id
    if account_id is not None:
        mine &= api_keys.c.account_id == account_id
    found = conn.execute(select(api_keys.c.id).where(mine)).first()
    conn.execute(
        update(api_keys)
        .where(mine, api_keys.c.revoked_at_ms.is_(None))
        .values(revoked_at_ms=now_ms)
    )
    return found is not None


def find_key(conn: Connection, secret: str, now_ms: int) -> ApiKey:
    """The key with this text.

    Raises:
        KeyUnknown, KeyExpired, KeyRevoked: it opens nothing.
    """
    digest = _digest(secret)
    row = conn.execute(_BY_DIGEST, {"the_digest": digest}).first()
    # The index finds the row by hash, whose timing says nothing about the key; the comparison in
    # constant time costs nothing and keeps that true for any index.
    if row is None or not hmac.compare_digest(row.key_sha256, digest):
        raise KeyUnknown("This API key is not known here.")
    api_key = _api_key(row)
    if api_key.revoked_at_ms is not None:
        raise KeyRevoked("This API key was revoked.")
    if api_key.expires_at_ms is not None and now_ms >= api_key.expires_at_ms:
        raise KeyExpired("This API key has expired.")
    return api_key


def touch_key(conn: Connection, key_id: str, now_ms: int) -> None:
    """Note that the key was used; call it when ``last_used_at_ms`` is a `LAST_USED_STEP_MS` old."""
    conn.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at_ms=now_ms))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _api_key(row: Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        hint=row.hint,
        scopes=msgspec.json.decode(row.scopes_json, type=tuple[str, ...]),
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
        revoked_at_ms=row.revoked_at_ms,
        last_used_at_ms=row.last_used_at_ms,
    )
