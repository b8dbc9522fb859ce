"""Who is asking: API keys of accounts, and lease tokens of nodes.

`Gate` is a FastAPI dependency: every native route but the public ones has a `Caller`, and services
get its account. There is no other way in, so tenancy holds in one place.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.requests import HTTPConnection, Request

from neurogrid_marketplace.request_signing import SIGNATURE_HEADER, TIMESTAMP_HEADER

from ..services.audit_rules import acting_of
from ..services.errors import Forbidden, KeyHasExpired, SignatureRequired, Unauthorized
from ..services.key_rules import require_scope
from ..services.role_rules import ANY_ROLE, CLIENTS, OPERATORS, PROVIDERS, require_role
from ..services.signatures import Signatures, Signed
from ..store import account_limits, accounts, audit
from ..store.accounts import CLIENT_ROLE, KEYS_SCOPE, READ_SCOPE, WRITE_SCOPE, Account, ApiKey
from ..store.database import Database
from . import repeating
from .body import JSON_BYTES_MAX, keep_body
from .headers import header
from .key_watch import KeyWatch
from .request_ids import REQUEST_ID_STATE
from .request_limits import RequestLimits

# Longer than any key or token of ours; nothing longer is hashed.
CREDENTIAL_CHARS_MAX = 512

# A busy client's key is looked up once a second, not with each request; so long a revoked key may
# still pass.
_KNOWN_S = 1.0
_KNOWN_MAX = 10_000

_READING = frozenset({"GET", "HEAD"})
# The scope of an entrance: reading for GET and HEAD, writing for the rest.
BY_METHOD = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client; ``tier``: how many requests its account may send, by the operator's table."""

    account: Account
    key: ApiKey
    tier: str = ""


@dataclass(frozen=True, slots=True)
class FormCaller:
    """Who sends a form, whose bytes are read when it is known who they are.

    Attributes:
        require_signature: told the SHA-256 of all that has arrived, before anything is done by it. Raises
            SignatureInvalid, SignatureExpired, SignatureReplayed where the wallet has to sign and has not signed that.
    """

    caller: Caller
    require_signature: Callable[[str], Awaitable[None]]


class Signing(Enum):
    """When the account's wallet has to sign a request."""

    # It moves money, or changes who may.
    ALWAYS = "always"
    # It changes something, and the account wants all such requests signed.
    WRITES = "writes"
    # It goes into a job, which is the account's own, and is no request to the coordinator.
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Entrance:
    """What a route asks of its caller: a FastAPI dependency that gives the `Caller`.

    Attributes:
        roles: one of these (`services.role_rules`).
        scope: of the key; `BY_METHOD`, or None where the service says what it may.
        signing: when the account's wallet has to sign the request.
    """

    gate: "Gate"
    roles: frozenset[str]
    scope: str | None
    signing: Signing = Signing.WRITES

    async def __call__(self, request: Request) -> Caller:
        """The caller of a request.

        Raises:
            Unauthorized, KeyHasExpired, Forbidden, RateLimited: see `services.errors`.
        """
        return await self.gate.admitted(request, self)


class Gate:
    """Authenticates requests.

    Args:
        limits: of requests per account, and of those without a good key per address.
        repeats_kept_s: how long a request with an idempotency key is answered as before.
    """

    def __init__(
        self,
        database: Database,
        limits: RequestLimits,
        signatures: Signatures,
        *,
        repeats_kept_s: int,
    ) -> None:
        self._database = database
        self._repeats_kept_ms = repeats_kept_s * 1000
        self._signatures = signatures
        self._limits = limits
        self._watch = KeyWatch(database)
        # Secret's hash -> the caller, and when the database said so (monotonic).
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._of_clients = self.needs(CLIENTS)
        self._into_jobs = self.needs(CLIENTS, WRITE_SCOPE, Signing.NEVER)
        # What is everybody's, or one's own.
        self.for_everybody = self.needs(ANY_ROLE)
        self.for_keys = self.needs(ANY_ROLE, KEYS_SCOPE)
        # Open to every good key; the service says what it may.
        self.with_any_scope = self.needs(ANY_ROLE, None)
        self.for_providers = self.needs(PROVIDERS)
        self.for_operators = self.needs(OPERATORS)
        # What moves money (docs/authentication.md lists the routes), of either role; signed by the wallet.
        self.moving_money = self.needs(CLIENTS, WRITE_SCOPE, Signing.ALWAYS)
        self.moving_providers_money = self.needs(PROVIDERS, WRITE_SCOPE, Signing.ALWAYS)
        # Changes what the wallet has to sign.
        self.changing_signing = self.needs(ANY_ROLE, KEYS_SCOPE, Signing.ALWAYS)

    def needs(
        self,
        roles: frozenset[str],
        scope: str | None = BY_METHOD,
        signing: Signing = Signing.WRITES,
    ) -> Entrance:
        """An entrance for routes that no other fits."""
        return Entrance(self, roles, scope, signing)

    async def __call__(self, request: Request) -> Caller:
        """The caller of a client's request; leaves the limiter's verdict for the response's headers.

        Raises:
            Unauthorized, KeyHasExpired, Forbidden, RateLimited: see `services.errors`.
        """
        return await self.admitted(request, self._of_clients)

    async def of_upload(self, request: Request, sha256: str) -> Caller:
        """The caller of a request whose body is a file with this SHA-256, which is not read here.

        Raises:
            Unauthorized, KeyHasExpired, Forbidden, RateLimited: see `services.errors`.
        """
        return await self.admitted(request, self._of_clients, body_sha256=sha256)

    async def of_form(self, request: Request) -> FormCaller:
        """The caller of a request whose body is a form, which may be larger than what is kept in memory.

        Raises:
            Unauthorized, KeyHasExpired, Forbidden, RateLimited: see `services.errors`.
            SignatureRequired: the wallet has to sign it; before anything of it is read.
        """
        caller = await self.admitted(request, self._of_clients, is_form=True)

        async def require_signature(body_sha256: str) -> None:
            if _has_to_sign(request, caller, self._of_clients):
                await self._require_signature(request, caller, body_sha256)

        return FormCaller(caller, require_signature)

    async def of_socket(self, connection: HTTPConnection) -> Caller:
        """The caller of a WebSocket's handshake, or of a service's request, whose key may change things.

        Raises:
            Unauthorized, KeyHasExpired, Forbidden, RateLimited: see `services.errors`.
        """
        return await self.admitted(connection, self._into_jobs)

    def forget(self, key_id: str) -> None:
        """Look this key up again when it comes next: it was revoked, or its expiry was changed."""
        known = [digest for digest, (caller, _) in self._known.items() if caller.key.id == key_id]
        for digest in known:
            del self._known[digest]

    async def admitted(
        self,
        request: HTTPConnection,
        entrance: Entrance,
        *,
        body_sha256: str | None = None,
        is_form: bool = False,
    ) -> Caller:
        """The caller, who may come in there: the one place where roles, scopes and signatures are asked for.

        Args:
            body_sha256: of a body that is to be read later, and has to be that then.
            is_form: whoever reads the body later checks its signature, which has to be there now.

        Raises:
            Unauthorized, KeyHasExpired, Forbidden, RateLimited: see `services.errors`.
        """
        try:
            caller = await self.caller_of(bearer(request))
        except Unauthorized:
            # Guessing keys is limited by address, so that it costs us little.
            self._limits.of_stranger(request)
            raise
        self._limits.of_account(request, caller.account.id, caller.tier)
        require_role(caller.account, caller.key, entrance.roles)
        scope = entrance.scope
        if scope == BY_METHOD:
            scope = READ_SCOPE if request.scope["method"] in _READING else WRITE_SCOPE
        if scope is not None:
            require_scope(caller.key, scope)
        if _has_to_sign(request, caller, entrance):
            assert isinstance(request, Request), "what is no request goes into a job"
            if is_form:
                self._signature_of(request)
            else:
                await self._require_signature(request, caller, body_sha256)
        method = request.scope.get("method", "GET")
        if method not in _READING:
            audit.act(
                acting_of(
                    method,
                    request.scope["path"],
                    account_id=caller.account.id,
                    key_id=caller.key.id,
                    address=request.client.host if request.client else "",
                    request_id=str(request.scope.get("state", {}).get(REQUEST_ID_STATE, "")),
                )
            )
            await repeating.expect(
                request, self._database, caller.account.id, self._repeats_kept_ms
            )
        return caller

    async def _require_signature(
        self, request: Request, caller: Caller, body_sha256: str | None
    ) -> None:
        signature, timestamp = self._signature_of(request)
        if body_sha256 is None:
            body_sha256 = hashlib.sha256(await keep_body(request, JSON_BYTES_MAX)).hexdigest()
        signed = Signed(request.method, _target(request), body_sha256, signature, timestamp)
        await self._signatures.require(caller.account, signed)

    def _signature_of(self, request: Request) -> tuple[str, str]:
        return self._signatures.present(
            request.headers.get(SIGNATURE_HEADER), request.headers.get(TIMESTAMP_HEADER)
        )

    async def reader(self, secret: str) -> Caller:
        """The caller with this key, who may read; for keys that do not come in a header.

        Raises:
            Unauthorized, KeyHasExpired, Forbidden: see `services.errors`.
        """
        caller = await self.caller_of(secret)
        require_scope(caller.key, READ_SCOPE)
        return caller

    async def ended(self, caller: Caller) -> Unauthorized:
        """Wait until the caller's key opens nothing any more; why. For connections that stay open."""
        return await self._watch.ended(caller.key)

    async def anybody(self, request: Request) -> None:
        """Let in who has no key, too: counted by address.

        Raises:
            RateLimited: too many requests from there.
        """
        self._limits.of_stranger(request)

    async def without_key(self, request: Request, account: Account, tier: str) -> Account:
        """Let in a request that acts for this account by its operator's word: counted as the account's.

        Raises:
            Forbidden: it is no client.
            SignatureRequired: it changes something, and the account has such requests signed.
            RateLimited: too many requests of the account.
        """
        self._limits.of_account(request, account.id, tier)
        if account.signs_writes and request.method not in _READING:
            raise SignatureRequired(
                "the account has all that it changes signed by its wallet: send its key and a signature"
            )
        if CLIENT_ROLE not in account.roles:
            raise Forbidden(
                f"the account {account.id}, which requests without a key act for, has not the role client",
                {"roles": [CLIENT_ROLE]},
            )
        return account

    async def caller_of(self, secret: str) -> Caller:
        """The caller with this key.

        Raises:
            Unauthorized, KeyHasExpired: it opens nothing.
        """
        now_ms = time.time_ns() // 1_000_000
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        caller, looked_s = self._known.get(digest, (None, 0.0))
        if caller is None or time.monotonic() - looked_s > _KNOWN_S:
            self._known.pop(digest, None)
            caller = await self._look_up(secret, now_ms)
            self._known[digest] = (caller, time.monotonic())
            if len(self._known) > _KNOWN_MAX:
                self._known.popitem(last=False)
        expires_ms = caller.key.expires_at_ms
        if expires_ms is not None and now_ms >= expires_ms:
            raise KeyHasExpired("This API key has expired. Ask for a new one.")
        return caller

    async def _look_up(self, secret: str, now_ms: int) -> Caller:
        def find(conn: Connection) -> Caller:
            key = accounts.find_key(conn, secret, now_ms)
            account = accounts.get(conn, key.account_id)
            assert account is not None, "a key refers to its account"
            return Caller(account, key, account_limits.tier_of(conn, account.id))

        try:
            caller = await self._database.read_briefly(find)
        except accounts.KeyExpired as error:
            raise KeyHasExpired(f"{error} Ask for a new one.") from error
        except accounts.KeyRefused as error:
            raise Unauthorized(str(error)) from error
        last_ms = caller.key.last_used_at_ms
        if last_ms is None or now_ms - last_ms >= accounts.LAST_USED_STEP_MS:
            key_id = caller.key.id
            await self._database.write_briefly(accounts.touch_key, key_id, now_ms)
        return caller


def _has_to_sign(request: HTTPConnection, caller: Caller, entrance: Entrance) -> bool:
    """Whether the account's wallet has to sign a request that comes in there."""
    if entrance.signing is Signing.WRITES:
        return caller.account.signs_writes and request.scope["method"] not in _READING
    return entrance.signing is Signing.ALWAYS


def _target(request: HTTPConnection) -> str:
    """Path and query as they were sent."""
    scope = request.scope
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


def bearer(request: HTTPConnection) -> str:
    """The credential of ``Authorization: Bearer ...``.

    Raises:
        Unauthorized: there is none.
    """
    scheme, _, credential = (header(request, b"authorization") or "").partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not 0 < len(credential) <= CREDENTIAL_CHARS_MAX:
        raise Unauthorized("send your API key as 'Authorization: Bearer ng_...'")
    return credential
