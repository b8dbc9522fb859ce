"""Who and what takes part in OAuth, as Authlib asks about it: requests, applications, grants, access tokens."""

from collections import defaultdict
from dataclasses import dataclass

from authlib.oauth2.rfc6749 import (
    AuthorizationCodeMixin,
    ClientMixin,
    OAuth2Payload,
    OAuth2Request,
    TokenMixin,
)
from sqlalchemy import Connection

from ..store import oauth
from ..store.accounts import SCOPES, Account, ApiKey
from ..store.oauth import Grant, OAuthClient

# How an application shows who it is.
PUBLIC = "none"
CONFIDENTIAL = ["client_secret_basic", "client_secret_post"]
ANY_CLIENT = [*CONFIDENTIAL, PUBLIC]
# As a client has it who speaks to the proxy before us; Authlib refuses what is not https.
_URI = "https://coordinator/oauth"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request to one of the endpoints.

    Attributes:
        fields: of the query or the form, in order.
        authorization: that header; "" without.
    """

    method: str
    fields: tuple[tuple[str, str], ...]
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who allows an application something.

    Attributes:
        roles: that they may pass on.
        key: that they have shown; None where the wallet itself has signed.
    """

    account: Account
    roles: tuple[str, ...]
    key: ApiKey | None


class _Payload(OAuth2Payload):
    def __init__(self, fields: tuple[tuple[str, str], ...]) -> None:
        self._data: dict[str, str] = {}
        self._lists: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in fields:
            self._data.setdefault(name, value)
            self._lists[name].append(value)

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return self._lists


class ReadRequest(OAuth2Request):
    def __init__(self, sent: Sent) -> None:
        super().__init__(sent.method, _URI, headers={"Authorization": sent.authorization})
        self.payload = _Payload(sent.fields)

    @property
    def args(self) -> dict[str, str]:
        return self.payload.data

    @property
    def form(self) -> dict[str, str]:
        return self.payload.data


class KnownClient(ClientMixin):
    """An application, as Authlib asks about it."""

    def __init__(self, conn: Connection, row: OAuthClient, now_ms: int) -> None:
        self._conn = conn
        self._now_ms = now_ms
        self.row = row

    def get_client_id(self) -> str:
        return self.row.id

    def get_default_redirect_uri(self) -> str:
        return ""  # it has to be said, to the byte

    def get_allowed_scope(self, scope: str | None) -> str | None:
        if not scope:
            return " ".join(self.row.scopes)
        wanted = scope.split()
        if not wanted or not set(wanted) <= set(self.row.scopes):
            return None
        return " ".join(each for each in SCOPES if each in wanted)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.row.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return oauth.is_secret(self._conn, self.row.id, client_secret, self._now_ms)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in CONFIDENTIAL if self.row.is_confidential else method == PUBLIC

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        if grant_type == "client_credentials":
            return self.row.is_confidential
        return bool(self.row.redirect_uris)


class Allowed(AuthorizationCodeMixin, TokenMixin):
    """A grant, as the holder of its code or refresh token has it."""

    def __init__(self, grant: Grant, refresh_token: str = "") -> None:
        self.grant = grant
        self.refresh_token = refresh_token
        self.code_challenge = grant.code_challenge
        self.code_challenge_method = "S256"

    def get_redirect_uri(self) -> str:
        return self.grant.redirect_uri

    def get_scope(self) -> str:
        return " ".join(self.grant.scopes)

    def check_client(self, client: KnownClient) -> bool:
        return self.grant.client_id == client.row.id

    def is_expired(self) -> bool:
        return False  # those are not found

    def is_revoked(self) -> bool:
        return False


class Access(TokenMixin):
    """An access token."""

    def __init__(self, key: ApiKey) -> None:
        self.key = key

    def check_client(self, client: KnownClient) -> bool:
        return self.key.client_id == client.row.id

    def is_expired(self) -> bool:
        return False  # those are not found

    def is_revoked(self) -> bool:
        return False
