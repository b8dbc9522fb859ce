"""Authlib's authorization server over one transaction: RFC 6749, 7009, 7636 and 7662 are its, rows are ours.

Authlib is synchronous, as `store` is: a server is made for each request, inside the transaction that answers it, and is
done with its answer. What is refused is an answer, too, so that what was found out (a code used twice) is kept.
"""

import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidRequestError,
    InvalidScopeError,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from sqlalchemy import Connection

from ..store import accounts, api_keys, oauth
from ..store.accounts import SCOPES, Account, KeyKind
from ..store.api_keys import KeyState
from ..store.oauth import Grant, OAuthClient
from .key_rules import state_of
from .oauth_parties import (
    ANY_CLIENT,
    CONFIDENTIAL,
    Access,
    Allowed,
    KnownClient,
    Owner,
    ReadRequest,
    Sent,
)

ACCESS_S = 3600
# A browser follows the redirect at once.
CODE_S = 60
GRANT_S = 90 * 86_400
# Access tokens that an application has of one account at once; with one more the oldest ends.
TOKENS_MAX = 50
# What an account allows at once; with one more the oldest ends.
GRANTS_MAX = 50
# Tokens that have ended and are still shown with the account's keys.
_ENDED_MAX = 20

# At its most detailed level it writes tokens into the log.
logging.getLogger("authlib").setLevel(logging.INFO)

Answer = tuple[int, Any, list[tuple[str, str]]]


class _Pkce(CodeChallenge):
    """S256, of everybody: a stolen code is worth nothing without the verifier."""

    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar[list[str]] = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("Send a code_challenge with code_challenge_method=S256.")
        super().validate_code_challenge(grant, redirect_uri)


class _CodeGrant(AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ANY_CLIENT
    server: "_Server"

    def generate_authorization_code(self) -> str:
        return f"ngo_{secrets.token_urlsafe(32)}"

    def save_authorization_code(self, code: str, request: Any) -> None:
        owner: Owner = request.user
        self.server.allow(request.client.row, owner, request, code)

    def query_authorization_code(self, code: str, client: KnownClient) -> Allowed | None:
        return self.server.of_code(code, client)

    def delete_authorization_code(self, authorization_code: Allowed) -> None:
        oauth.use_code(self.server.conn, authorization_code.grant.id, self.server.now_ms)

    def authenticate_user(self, authorization_code: Allowed) -> Account | None:
        return accounts.get(self.server.conn, authorization_code.grant.account_id)


class _RefreshGrant(RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ANY_CLIENT
    INCLUDE_NEW_REFRESH_TOKEN = True
    server: "_Server"

    def authenticate_refresh_token(self, refresh_token: str) -> Allowed | None:
        return self.server.of_refresh_token(refresh_token, self.request.client)

    def authenticate_user(self, refresh_token: Allowed) -> Account | None:
        return accounts.get(self.server.conn, refresh_token.grant.account_id)

    def revoke_old_credential(self, refresh_token: Allowed) -> None:
        """`save_token` has put another in its place."""


class _OwnGrant(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = CONFIDENTIAL

    def validate_token_request(self) -> None:
        super().validate_token_request()
        scope = self.request.client.get_allowed_scope(self.request.payload.scope)
        if scope is None:
            raise InvalidScopeError()
        self.request.payload.data["scope"] = scope


class _Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ANY_CLIENT
    server: "_Server"

    def query_token(self, token: str, token_type_hint: str | None) -> Allowed | Access | None:
        return self.server.any_token(token)

    def revoke_token(self, token: Allowed | Access, request: Any) -> None:
        conn, now_ms = self.server.conn, self.server.now_ms
        if isinstance(token, Allowed):
            oauth.revoke_grant(conn, token.grant.id, now_ms)
        else:
            accounts.revoke_key(conn, token.key.id, now_ms)


class _Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = CONFIDENTIAL
    server: "_Server"

    def query_token(self, token: str, token_type_hint: str | None) -> Allowed | Access | None:
        return self.server.any_token(token)

    def check_permission(self, token: Any, client: KnownClient, request: Any) -> bool:
        return bool(token.check_client(client))

    def introspect_token(self, token: Allowed | Access) -> dict[str, Any]:
        if isinstance(token, Allowed):
            grant = token.grant
            return {
                "active": True,
                "client_id": grant.client_id,
                "token_type": "refresh_token",
                "scope": " ".join(grant.scopes),
                "sub": grant.account_id,
                "iat": grant.created_at_ms // 1000,
                "exp": grant.expires_at_ms // 1000,
            }
        key = token.key
        return {
            "active": True,
            "client_id": key.client_id,
            "token_type": "Bearer",
            "scope": " ".join(key.scopes),
            "sub": key.account_id,
            "iat": key.created_at_ms // 1000,
            "exp": (key.expires_at_ms or 0) // 1000,
        }


class _Server(AuthorizationServer):
    """One request's."""

    def __init__(self, conn: Connection, now_ms: int) -> None:
        super().__init__(scopes_supported=list(SCOPES))
        self.conn = conn
        self.now_ms = now_ms
        self.register_token_generator("default", _token)
        self.register_grant(_CodeGrant, [_Pkce(required=True)])
        self.register_grant(_RefreshGrant)
        self.register_grant(_OwnGrant)
        self.register_endpoint(_Revocation)
        self.register_endpoint(_Introspection)

    def query_client(self, client_id: str) -> KnownClient | None:
        row = oauth.client(self.conn, client_id)
        if row is None or (row.expires_at_ms is not None and row.expires_at_ms <= self.now_ms):
            return None
        return KnownClient(self.conn, row, self.now_ms)

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Keep an access token, and give its grant a refresh token."""
        client: OAuthClient = request.client.row
        allowed: Allowed | None = request.authorization_code or request.refresh_token
        grant = None if allowed is None else allowed.grant
        account_id = client.account_id if grant is None else grant.account_id
        limit_ms = client.expires_at_ms if grant is None else grant.expires_at_ms
        ends_ms = min(self.now_ms + 1000 * ACCESS_S, limit_ms or self.now_ms + 1000 * ACCESS_S)
        token["expires_in"] = (ends_ms - self.now_ms) // 1000
        api_keys.lock(self.conn, account_id)
        old = oauth.tokens_of(self.conn, client.id, account_id, self.now_ms)
        for key_id in old[: max(0, len(old) - TOKENS_MAX + 1)]:
            accounts.revoke_key(self.conn, key_id, self.now_ms)
        api_keys.delete_ended(
            self.conn, account_id, self.now_ms, kind=KeyKind.APPLICATION, kept=_ENDED_MAX
        )
        issued = accounts.issue_key(
            self.conn,
            account_id,
            client.name,
            tuple(token["scope"].split()),
            self.now_ms,
            ends_ms,
            roles=client.roles if grant is None else grant.roles,
            kind=KeyKind.APPLICATION,
            client_id=client.id,
            grant_id=None if grant is None else grant.id,
        )
        token["access_token"] = issued.secret
        if allowed is not None:
            family = oauth.family_of(allowed.refresh_token)
            token["refresh_token"] = oauth.new_refresh_token(self.conn, allowed.grant.id, family)

    def create_oauth2_request(self, request: Any) -> OAuth2Request:
        return request if isinstance(request, OAuth2Request) else ReadRequest(request)

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        return status, body, list(headers)

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def allow(self, client: OAuthClient, owner: Owner, request: Any, code: str) -> None:
        """Keep what an owner allows, with its code."""
        account_id = owner.account.id
        api_keys.lock(self.conn, account_id)
        oauth.forget_ended_grants(self.conn, account_id, self.now_ms)
        old = oauth.live_grants(self.conn, account_id, self.now_ms)
        for grant_id in old[: max(0, len(old) - GRANTS_MAX + 1)]:
            oauth.revoke_grant(self.conn, grant_id, self.now_ms)
        ends_ms = self.now_ms + 1000 * GRANT_S
        if owner.key is not None and owner.key.expires_at_ms is not None:
            ends_ms = min(ends_ms, owner.key.expires_at_ms)
        oauth.add_grant(
            self.conn,
            client_id=client.id,
            account_id=account_id,
            scopes=tuple(request.scope.split()),
            roles=tuple(role for role in owner.roles if role in client.roles),
            redirect_uri=request.payload.redirect_uri,
            code=code,
            code_challenge=request.payload.data["code_challenge"],
            code_until_ms=self.now_ms + 1000 * CODE_S,
            now_ms=self.now_ms,
            expires_at_ms=ends_ms,
        )

    def of_code(self, code: str, client: KnownClient) -> Allowed | None:
        """The grant of a code that is good; one that comes again ends what it gave before."""
        grant = oauth.grant_of_code(self.conn, code)
        if grant is None or grant.client_id != client.row.id:
            return None
        if grant.code_used_at_ms is not None:
            # RFC 6749, 4.1.2: somebody else has it.
            oauth.revoke_grant(self.conn, grant.id, self.now_ms)
            return None
        if self.now_ms >= grant.code_until_ms or not self._holds(grant):
            return None
        return Allowed(grant)

    def of_refresh_token(self, token: str, client: KnownClient) -> Allowed | None:
        """The grant of the newest refresh token; one that was replaced ends it (RFC 9700, 4.14)."""
        found = oauth.grant_of_refresh_token(self.conn, token)
        if found is None or found[0].client_id != client.row.id:
            return None
        grant, is_newest = found
        if not is_newest:
            oauth.revoke_grant(self.conn, grant.id, self.now_ms)
            return None
        return Allowed(grant, token) if self._holds(grant) else None

    def any_token(self, token: str) -> Allowed | Access | None:
        """What opens something now."""
        found = oauth.grant_of_refresh_token(self.conn, token)
        if found is not None:
            grant, is_newest = found
            return Allowed(grant, token) if is_newest and self._holds(grant) else None
        try:
            key = accounts.find_key(self.conn, token, self.now_ms)
        except accounts.KeyRefused:
            return None
        return Access(key) if key.kind is KeyKind.APPLICATION else None

    def _holds(self, grant: Grant) -> bool:
        return grant.revoked_at_ms is None and self.now_ms < grant.expires_at_ms


def _token(*, scope: str | None, include_refresh_token: bool, **_: object) -> dict[str, Any]:
    """What a token's answer has; `_Server.save_token` fills it in."""
    token: dict[str, Any] = {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": ACCESS_S,
    }
    if include_refresh_token:
        token["refresh_token"] = ""
    token["scope"] = scope or ""
    return token


def token(conn: Connection, sent: Sent, now_ms: int) -> Answer:
    """The token endpoint's answer."""
    answer: Answer = _Server(conn, now_ms).create_token_response(sent)
    return answer


def revocation(conn: Connection, sent: Sent, now_ms: int) -> Answer:
    """The revocation endpoint's answer."""
    answer: Answer = _Server(conn, now_ms).create_endpoint_response("revocation", sent)
    return answer


def introspection(conn: Connection, sent: Sent, now_ms: int) -> Answer:
    """The introspection endpoint's answer."""
    answer: Answer = _Server(conn, now_ms).create_endpoint_response("introspection", sent)
    return answer


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an application wants to be allowed, and that it may ask for it.

    Attributes:
        scopes: of the token.
    """

    client: OAuthClient
    scopes: tuple[str, ...]
    redirect_uri: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where the browser is sent with the answer."""

    location: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """What can't be asked, and is told to the person: the application is not who it says, or sends nowhere."""

    error: str
    description: str


def wanted(conn: Connection, sent: Sent, now_ms: int) -> Wanted | Elsewhere | Wrong:
    """What an authorization request wants."""
    try:
        grant = _Server(conn, now_ms).get_consent_grant(sent)
    except OAuth2Error as error:
        return _refused(error)
    request = grant.request
    return Wanted(request.client.row, tuple(request.scope.split()), grant.redirect_uri)


def decided(conn: Connection, sent: Sent, owner: Owner | None, now_ms: int) -> Elsewhere | Wrong:
    """Allow it in the name of ``owner``, or refuse it (None)."""
    server = _Server(conn, now_ms)
    try:
        grant = server.get_consent_grant(sent)
        if owner is not None and owner.key is not None:
            key = api_keys.get(conn, owner.account.id, owner.key.id)
            if key is None or state_of(key, now_ms) is not KeyState.ACTIVE:
                return Wrong("access_denied", "The key has ended meanwhile.")
        status, _, headers = server.create_authorization_response(
            grant.request, grant_user=owner, grant=grant
        )
    except OAuth2Error as error:
        return _refused(error)
    assert status == 302, "an authorization's answer goes to the application"
    return Elsewhere(dict(headers)["Location"])


def _refused(error: OAuth2Error) -> Elsewhere | Wrong:
    if error.redirect_uri:
        return Elsewhere(dict(error()[2])["Location"])
    return Wrong(str(error.error), str(error.description or ""))


def unreadable(fields: Iterable[tuple[str, str]]) -> str | None:
    """The name of a field with characters that no request of OAuth has; None if all are well.

    Authlib repeats what it refuses, and may not repeat everything (RFC 6749, 4.1.2.1).
    """
    for name, value in fields:
        if any(not " " <= each <= "~" for each in name + value):
            return name
        # An application gets its state back as it was.
        if name != "state" and any(each in '"\\' for each in name + value):
            return name
    return None
