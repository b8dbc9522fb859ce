"""Accounts and their API keys. Of a key only its SHA-256 is stored."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from .ids import new_id
from .prepared import Prepared
from .tables import accounts, api_keys

KEY_PREFIX = "ng_"
_KEY_BYTES = 32
# 32 bytes as base64url without padding.
KEY_CHARS = len(KEY_PREFIX) + 43
_HINT_CHARS = len(KEY_PREFIX) + 6
# `last_used_at_ms` is for people: once a minute is enough, and saves a write per request.
LAST_USED_STEP_MS = 60_000

READ_SCOPE = "read"
WRITE_SCOPE = "write"
# May make, rotate and revoke the account's keys. Apart from "write": whoever steals the key of a
# program that submits jobs must not be able to make himself another one that outlives it.
KEYS_SCOPE = "keys"
# What a key may have; what one gets that is made with nothing said; what an account's first has.
SCOPES = (READ_SCOPE, WRITE_SCOPE, KEYS_SCOPE)
USUAL_SCOPES = (READ_SCOPE, WRITE_SCOPE)
FIRST_KEY_SCOPES = SCOPES

CLIENT_ROLE = "client"
PROVIDER_ROLE = "provider"
OPERATOR_ROLE = "operator"
# What an account and a key may act as (`services.role_rules`); what those do that are made with
# nothing said: everybody may both rent and offer machines, and nobody runs the coordinator by accident.
ROLES = (CLIENT_ROLE, PROVIDER_ROLE, OPERATOR_ROLE)
USUAL_ROLES = (CLIENT_ROLE, PROVIDER_ROLE)

_BY_ID = Prepared(select(accounts).where(accounts.c.id == bindparam("the_id")))
_BY_DIGEST = Prepared(select(api_keys).where(api_keys.c.key_sha256 == bindparam("the_digest")))


class KeyKind(StrEnum):
    """What made a key."""

    KEY = "key"
    # Somebody signed in with the account's wallet.
    SIGN_IN = "sign_in"
    # An application's, by OAuth.
    APPLICATION = "application"


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
    """Whoever submits tasks; ``wallet`` owns the client account on the chain that pays for them.

    Attributes:
        roles: what its keys may act as at most.
        signs_writes: whether all that it changes has to be signed, not only what moves money.
    """

    id: str
    name: str
    wallet: str
    created_at_ms: int
    roles: tuple[str, ...] = USUAL_ROLES
    signs_writes: bool = False


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret.

    Attributes:
        hint: its first characters, so that people can tell several apart.
        scopes: what it may do.
        roles: what it acts as, as far as its account still does.
        kind: whether it is a key, what somebody got who signed in, or an application's token.
        client_id, grant_id: of an application's: whose, and by which grant if not for itself.
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
    roles: tuple[str, ...] = USUAL_ROLES
    kind: KeyKind = KeyKind.KEY
    client_id: str | None = None
    grant_id: str | None = None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key, and the only time that its text is there."""

    api_key: ApiKey
    secret: str


def create(
    conn: Connection, name: str, wallet: str, now_ms: int, roles: tuple[str, ...] = USUAL_ROLES
) -> Account:
    """A new account.

    Raises:
        WalletTaken: the wallet has an account.
    """
    account = Account(new_id("acct"), name, wallet, now_ms, roles)
    taken = conn.execute(select(accounts.c.id).where(accounts.c.wallet == wallet)).scalar()
    if taken is not None:
        raise WalletTaken(f"the wallet {wallet} belongs to account {taken}")
    conn.execute(
        insert(accounts).values(
            id=account.id,
            name=name,
            wallet=wallet,
            created_at_ms=now_ms,
            roles_json=_listed(roles),
        )
    )
    return account


def set_roles(conn: Connection, account_id: str, roles: tuple[str, ...]) -> None:
    """Have the account's keys act as these at most.

    Raises:
        LookupError: no such account.
    """
    changed = conn.execute(
        update(accounts).where(accounts.c.id == account_id).values(roles_json=_listed(roles))
    )
    if not changed.rowcount:
        raise LookupError(f"there is no account {account_id}")


def get(conn: Connection, account_id: str) -> Account | None:
    """The account with this id."""
    row = _BY_ID.first(conn, {"the_id": account_id})
    return _account(row) if row else None


def of_wallet(conn: Connection, wallet: str) -> Account | None:
    """The account with this wallet."""
    row = conn.execute(select(accounts).where(accounts.c.wallet == wallet)).first()
    return _account(row) if row else None


def named(conn: Connection, name: str) -> Account | None:
    """The account with this id or wallet, as operators name one in coordinator.toml."""
    return get(conn, name) or of_wallet(conn, name)


def set_signs_writes(conn: Connection, account_id: str, signs_writes: bool) -> None:
    """Say whether all that the account changes has to be signed."""
    conn.execute(
        update(accounts).where(accounts.c.id == account_id).values(signs_writes=int(signs_writes))
    )


def list_all(conn: Connection, *, limit: int = 1000, offset: int = 0) -> list[Account]:
    """Accounts, oldest first."""
    rows = conn.execute(select(accounts).order_by(accounts.c.id).limit(limit).offset(offset))
    return [_account(row) for row in rows]


def count(conn: Connection) -> int:
    """How many accounts there are."""
    return conn.scalar(select(func.count()).select_from(accounts)) or 0


def issue_key(
    conn: Connection,
    account_id: str,
    name: str,
    scopes: tuple[str, ...],
    now_ms: int,
    expires_at_ms: int | None = None,
    key_id: str | None = None,
    roles: tuple[str, ...] | None = None,
    kind: KeyKind = KeyKind.KEY,
    client_id: str | None = None,
    grant_id: str | None = None,
) -> IssuedKey:
    """A new key of the account.

    Args:
        key_id: that no key has; a new one by default.
        roles: what it acts as; None for `USUAL_ROLES`.

    Raises:
        LookupError: no such account.
    """
    roles = USUAL_ROLES if roles is None else roles
    secret = _new_secret()
    api_key = ApiKey(
        key_id or new_id("key"),
        account_id,
        name,
        secret[:_HINT_CHARS],
        scopes,
        now_ms,
        expires_at_ms,
        revoked_at_ms=None,
        last_used_at_ms=None,
        roles=roles,
        kind=kind,
        client_id=client_id,
        grant_id=grant_id,
    )
    try:
        conn.execute(
            insert(api_keys).values(
                id=api_key.id,
                account_id=account_id,
                name=name,
                hint=api_key.hint,
                key_sha256=_digest(secret),
                scopes_json=_listed(scopes),
                roles_json=_listed(roles),
                kind=kind.value,
                client_id=client_id,
                grant_id=grant_id,
                created_at_ms=now_ms,
                expires_at_ms=expires_at_ms,
            )
        )
    except IntegrityError as error:
        raise LookupError(f"there is no account {account_id}") from error
    return IssuedKey(api_key, secret)


def renew_secret(conn: Connection, key: ApiKey) -> IssuedKey:
    """The same key with another text; the one before opens nothing any more."""
    secret = _new_secret()
    hint = secret[:_HINT_CHARS]
    conn.execute(
        update(api_keys)
        .where(api_keys.c.id == key.id)
        .values(key_sha256=_digest(secret), hint=hint)
    )
    return IssuedKey(replace(key, hint=hint), secret)


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
    row = _BY_DIGEST.first(conn, {"the_digest": digest})
    # The index finds the row by hash, whose timing says nothing about the key; the comparison in
    # constant time costs nothing and keeps that true for any index.
    if row is None or not hmac.compare_digest(row.key_sha256, digest):
        raise KeyUnknown("This API key is not known here.")
    api_key = key_of_row(row)
    if api_key.revoked_at_ms is not None:
        raise KeyRevoked("This API key was revoked.")
    if api_key.expires_at_ms is not None and now_ms >= api_key.expires_at_ms:
        raise KeyExpired("This API key has expired.")
    return api_key


def touch_key(conn: Connection, key_id: str, now_ms: int) -> None:
    """Note that the key was used; call it when ``last_used_at_ms`` is a `LAST_USED_STEP_MS` old."""
    conn.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at_ms=now_ms))


def key_of_row(row: Row[tuple[object, ...]]) -> ApiKey:
    """A row of `api_keys`."""
    return ApiKey(
        id=row.id,
        account_id=row.account_id,
        name=row.name,
        hint=row.hint,
        scopes=_words(row.scopes_json),
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
        revoked_at_ms=row.revoked_at_ms,
        last_used_at_ms=row.last_used_at_ms,
        roles=_words(row.roles_json),
        kind=KeyKind(row.kind),
        client_id=row.client_id,
        grant_id=row.grant_id,
    )


def _account(row: Row[tuple[object, ...]]) -> Account:
    return Account(
        row.id,
        row.name,
        row.wallet,
        row.created_at_ms,
        _words(row.roles_json),
        bool(row.signs_writes),
    )


def _listed(words: tuple[str, ...]) -> str:
    return msgspec.json.encode(words).decode()


def _words(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])


def _new_secret() -> str:
    return KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
