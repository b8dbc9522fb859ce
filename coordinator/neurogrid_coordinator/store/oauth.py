"""OAuth 2's applications, and what owners of accounts have allowed them. Secrets are stored as SHA-256.

Access tokens are rows of `api_keys` with the client's and the grant's id.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from .accounts import KeyKind
from .ids import new_id
from .tables import api_keys, oauth_clients, oauth_grants

_SECRET_PREFIX = "ngc_"
_REFRESH_PREFIX = "ngr_"
_FAMILY_BYTES = 16
# 16 bytes as base64url without padding.
_FAMILY_CHARS = 22


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """An application that an account has registered.

    Attributes:
        redirect_uris: to the byte; empty for one that only acts for its own account.
        scopes, roles: what it may have at most.
        is_confidential: it can keep a secret.
        expires_at_ms: when it ends, as the key that registered it does.
    """

    id: str
    account_id: str
    name: str
    redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    is_confidential: bool
    created_at_ms: int
    expires_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Grant:
    """What the owner of an account has allowed an application.

    Attributes:
        code_challenge: of PKCE, S256.
        code_until_ms, code_used_at_ms: of the one code that was given for it.
        expires_at_ms: when its last token ends.
    """

    id: str
    client_id: str
    account_id: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    redirect_uri: str
    code_challenge: str
    code_until_ms: int
    code_used_at_ms: int | None
    created_at_ms: int
    expires_at_ms: int
    revoked_at_ms: int | None


@dataclass(frozen=True, slots=True)
class AllowedApplication:
    """A grant, and what its application calls itself."""

    grant: Grant
    name: str


def add_client(
    conn: Connection,
    *,
    account_id: str,
    name: str,
    redirect_uris: tuple[str, ...],
    scopes: tuple[str, ...],
    roles: tuple[str, ...],
    is_confidential: bool,
    now_ms: int,
    expires_at_ms: int | None,
) -> tuple[OAuthClient, str | None]:
    """A new application, and its secret if it can keep one."""
    client = OAuthClient(
        new_id("client"),
        account_id,
        name,
        redirect_uris,
        scopes,
        roles,
        is_confidential,
        now_ms,
        expires_at_ms,
    )
    secret = _SECRET_PREFIX + secrets.token_urlsafe(32) if is_confidential else None
    conn.execute(
        insert(oauth_clients).values(
            id=client.id,
            account_id=account_id,
            name=name,
            secret_sha256=None if secret is None else digest(secret),
            redirect_uris_json=_listed(redirect_uris),
            scopes_json=_listed(scopes),
            roles_json=_listed(roles),
            created_at_ms=now_ms,
            expires_at_ms=expires_at_ms,
        )
    )
    return client, secret


def client(conn: Connection, client_id: str) -> OAuthClient | None:
    """The application with this id, of whatever account."""
    row = conn.execute(select(oauth_clients).where(oauth_clients.c.id == client_id)).first()
    return _client(row) if row else None


def list_clients(
    conn: Connection, account_id: str, *, limit: int, offset: int
) -> tuple[list[OAuthClient], int]:
    """Applications of an account, newest first, and how many there are."""
    mine = oauth_clients.c.account_id == account_id
    rows = conn.execute(
        select(oauth_clients)
        .where(mine)
        .order_by(oauth_clients.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    total = conn.scalar(select(func.count()).select_from(oauth_clients).where(mine)) or 0
    return [_client(row) for row in rows], total


def is_secret(conn: Connection, client_id: str, secret: str, now_ms: int) -> bool:
    """Whether this is the application's secret, or the one before in its grace."""
    row = conn.execute(select(oauth_clients).where(oauth_clients.c.id == client_id)).first()
    if row is None:
        return False
    given = digest(secret)
    known = [row.secret_sha256] if row.secret_sha256 else []
    if row.old_secret_sha256 and now_ms < (row.old_secret_until_ms or 0):
        known.append(row.old_secret_sha256)
    return any(hmac.compare_digest(given, each) for each in known)


def renew_client_secret(conn: Connection, client_id: str, old_until_ms: int) -> str:
    """Another secret; the one before is good until then."""
    secret = _SECRET_PREFIX + secrets.token_urlsafe(32)
    conn.execute(
        update(oauth_clients)
        .where(oauth_clients.c.id == client_id)
        .values(
            old_secret_sha256=oauth_clients.c.secret_sha256,
            old_secret_until_ms=old_until_ms,
            secret_sha256=digest(secret),
        )
    )
    return secret


def delete_client(conn: Connection, client_id: str, now_ms: int) -> None:
    """End an application with all its tokens and grants."""
    conn.execute(
        update(api_keys)
        .where(api_keys.c.client_id == client_id, api_keys.c.revoked_at_ms.is_(None))
        .values(revoked_at_ms=now_ms)
    )
    conn.execute(delete(oauth_grants).where(oauth_grants.c.client_id == client_id))
    conn.execute(delete(oauth_clients).where(oauth_clients.c.id == client_id))


def add_grant(
    conn: Connection,
    *,
    client_id: str,
    account_id: str,
    scopes: tuple[str, ...],
    roles: tuple[str, ...],
    redirect_uri: str,
    code: str,
    code_challenge: str,
    code_until_ms: int,
    now_ms: int,
    expires_at_ms: int,
) -> str:
    """Keep what an owner has allowed; its id."""
    grant_id = new_id("grant")
    conn.execute(
        insert(oauth_grants).values(
            id=grant_id,
            client_id=client_id,
            account_id=account_id,
            scopes_json=_listed(scopes),
            roles_json=_listed(roles),
            redirect_uri=redirect_uri,
            code_sha256=digest(code),
            code_challenge=code_challenge,
            code_until_ms=code_until_ms,
            created_at_ms=now_ms,
            expires_at_ms=expires_at_ms,
        )
    )
    return grant_id


def grant(conn: Connection, grant_id: str) -> Grant | None:
    """The grant with this id, of whatever account."""
    row = conn.execute(select(oauth_grants).where(oauth_grants.c.id == grant_id)).first()
    return _grant(row) if row else None


def grant_of_code(conn: Connection, code: str) -> Grant | None:
    """The grant of an authorization code, used or not; nobody else changes it until the transaction ends."""
    row = conn.execute(
        select(oauth_grants).where(oauth_grants.c.code_sha256 == digest(code)).with_for_update()
    ).first()
    return _grant(row) if row else None


def use_code(conn: Connection, grant_id: str, now_ms: int) -> None:
    """The code of this grant opens nothing any more."""
    conn.execute(
        update(oauth_grants).where(oauth_grants.c.id == grant_id).values(code_used_at_ms=now_ms)
    )


def list_grants(
    conn: Connection, account_id: str, now_ms: int, *, limit: int, offset: int
) -> tuple[list[AllowedApplication], int]:
    """What the account allows now, newest first, and how much that is."""
    mine = _live(account_id, now_ms)
    rows = conn.execute(
        select(oauth_grants, oauth_clients.c.name)
        .join(oauth_clients, oauth_clients.c.id == oauth_grants.c.client_id)
        .where(mine)
        .order_by(oauth_grants.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    total = conn.scalar(select(func.count()).select_from(oauth_grants).where(mine)) or 0
    return [AllowedApplication(_grant(row), row.name) for row in rows], total


def live_grants(conn: Connection, account_id: str, now_ms: int) -> list[str]:
    """Ids of what the account allows now, oldest first."""
    return list(
        conn.scalars(
            select(oauth_grants.c.id)
            .where(_live(account_id, now_ms))
            .order_by(oauth_grants.c.id)
            .limit(1000)
        )
    )


def revoke_grant(conn: Connection, grant_id: str, now_ms: int) -> None:
    """Take back what was allowed, with all its tokens. Repeating is harmless."""
    conn.execute(
        update(oauth_grants)
        .where(oauth_grants.c.id == grant_id, oauth_grants.c.revoked_at_ms.is_(None))
        .values(revoked_at_ms=now_ms)
    )
    conn.execute(
        update(api_keys)
        .where(api_keys.c.grant_id == grant_id, api_keys.c.revoked_at_ms.is_(None))
        .values(revoked_at_ms=now_ms)
    )


def forget_ended_grants(conn: Connection, account_id: str, now_ms: int) -> None:
    """Delete what the account no longer allows: nothing of it opens anything."""
    ended = (oauth_grants.c.account_id == account_id) & (
        oauth_grants.c.revoked_at_ms.is_not(None)
        | (oauth_grants.c.expires_at_ms <= now_ms)
        | (oauth_grants.c.code_used_at_ms.is_(None) & (oauth_grants.c.code_until_ms <= now_ms))
    )
    old = conn.scalars(select(oauth_grants.c.id).where(ended).limit(100)).all()
    if old:
        conn.execute(delete(oauth_grants).where(oauth_grants.c.id.in_(old)))


def tokens_of(conn: Connection, client_id: str, account_id: str, now_ms: int) -> list[str]:
    """Ids of the access tokens that an application has of an account now, oldest first."""
    return list(
        conn.scalars(
            select(api_keys.c.id)
            .where(
                api_keys.c.client_id == client_id,
                api_keys.c.account_id == account_id,
                api_keys.c.kind == KeyKind.APPLICATION.value,
                api_keys.c.revoked_at_ms.is_(None),
                api_keys.c.expires_at_ms > now_ms,
            )
            .order_by(api_keys.c.created_at_ms, api_keys.c.id)
            .limit(1000)
        )
    )


def new_refresh_token(conn: Connection, grant_id: str, family: str | None = None) -> str:
    """The one refresh token of a grant from now on.

    Its first part stays with the grant, so that a token of before is known as one.

    Args:
        family: of the token that it replaces.
    """
    family = family or secrets.token_urlsafe(_FAMILY_BYTES)
    token = f"{_REFRESH_PREFIX}{family}{secrets.token_urlsafe(32)}"
    conn.execute(
        update(oauth_grants)
        .where(oauth_grants.c.id == grant_id)
        .values(family_sha256=digest(family), refresh_sha256=digest(token))
    )
    return token


def family_of(token: str) -> str | None:
    """The part of a refresh token that all of its grant have; None for what is none."""
    if not token.startswith(_REFRESH_PREFIX) or len(token) <= len(_REFRESH_PREFIX) + _FAMILY_CHARS:
        return None
    return token[len(_REFRESH_PREFIX) :][:_FAMILY_CHARS]


def grant_of_refresh_token(conn: Connection, token: str) -> tuple[Grant, bool] | None:
    """The grant of a refresh token, and whether it is the newest; None for what never was one.

    Nobody else changes it until the transaction ends.
    """
    family = family_of(token)
    if family is None:
        return None
    row = conn.execute(
        select(oauth_grants).where(oauth_grants.c.family_sha256 == digest(family)).with_for_update()
    ).first()
    if row is None:
        return None
    return _grant(row), hmac.compare_digest(row.refresh_sha256 or "", digest(token))


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _live(account_id: str, now_ms: int) -> ColumnElement[bool]:
    return (
        (oauth_grants.c.account_id == account_id)
        & oauth_grants.c.revoked_at_ms.is_(None)
        & (oauth_grants.c.expires_at_ms > now_ms)
        & oauth_grants.c.code_used_at_ms.is_not(None)
    )


def _client(row: Row[tuple[object, ...]]) -> OAuthClient:
    return OAuthClient(
        row.id,
        row.account_id,
        row.name,
        _words(row.redirect_uris_json),
        _words(row.scopes_json),
        _words(row.roles_json),
        row.secret_sha256 is not None,
        row.created_at_ms,
        row.expires_at_ms,
    )


def _grant(row: Row[tuple[object, ...]]) -> Grant:
    return Grant(
        row.id,
        row.client_id,
        row.account_id,
        _words(row.scopes_json),
        _words(row.roles_json),
        row.redirect_uri,
        row.code_challenge,
        row.code_until_ms,
        row.code_used_at_ms,
        row.created_at_ms,
        row.expires_at_ms,
        row.revoked_at_ms,
    )


def _listed(words: tuple[str, ...]) -> str:
    return msgspec.json.encode(words).decode()


def _words(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])
