"""Who is asking: API keys of accounts, and lease tokens of nodes.

`Gate` is a FastAPI dependency: every native route but the public ones has a `Caller`, and services
get its account. There is no other way in, so tenancy holds in one place.
"""

import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request

from ..services.errors import Forbidden, KeyHasExpired, RateLimited, Unauthorized
from ..store import accounts
from ..store.accounts import Account, ApiKey
from ..store.database import Database
from .door import VERDICT_STATE
from .rate_limit import RateLimit

# Longer than any key or token of ours; nothing longer is hashed.
CREDENTIAL_CHARS_MAX = 512

# A busy client's key is looked up once a second, not with each request; so long a revoked key may
# still pass.
_KNOWN_S = 1.0
_KNOWN_MAX = 10_000

READ_SCOPE = "read"
WRITE_SCOPE = "write"
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client."""

    account: Account
    key: ApiKey


class Gate:
    """Authenticates requests.

    Args:
        limit: of requests per key, and of refused ones per address; None for no limit.
    """

    def __init__(self, database: Database, limit: RateLimit | None) -> None:
        self._database = database
        self._limit = limit
        # Secret's hash -> the caller, and when the database said so (monotonic).
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def __call__(self, request: Request) -> Caller:
        """The caller of a request; leaves the limiter's verdict for the response's headers.

        Raises:
            Unauthorized, KeyHasExpired, Forbidden, RateLimited: see `services.errors`.
        """
        try:
            caller = await self.caller_of(bearer(request))
        except Unauthorized:
            # Guessing keys is limited by address, so that it costs us little.
            self._count(request, f"ip:{request.client.host if request.client else ''}")
            raise
        self._count(request, caller.key.id)
        scope = READ_SCOPE if request.method in _READING else WRITE_SCOPE
        if scope not in caller.key.scopes:
            raise Forbidden(
                f"this key may not do that: it lacks the scope {scope!r}", {"scope": scope}
            )
        return caller

    async def anybody(self, request: Request) -> None:
        """Let in who has no key, too: counted by address.

        Raises:
            RateLimited: too many requests from there.
        """
        self._count(request, f"ip:{request.client.host if request.client else ''}")

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
            return Caller(account, key)

        try:
            caller = await self._database.read(find)
        except accounts.KeyExpired as error:
            raise KeyHasExpired(f"{error} Ask for a new one.") from error
        except accounts.KeyRefused as error:
            raise Unauthorized(str(error)) from error
        last_ms = caller.key.last_used_at_ms
        if last_ms is None or now_ms - last_ms >= accounts.LAST_USED_STEP_MS:
            key_id = caller.key.id
            await self._database.write(lambda conn: accounts.touch_key(conn, key_id, now_ms))
        return caller

    def _count(self, request: Request, name: str) -> None:
        if self._limit is None:
            return
        verdict = self._limit.take(name, time.time())
        request.scope.setdefault("state", {})[VERDICT_STATE] = verdict
        if verdict.retry_after_s:
            raise RateLimited(verdict.retry_after_s)


def bearer(request: Request) -> str:
    """The credential of ``Authorization: Bearer ...``.

    Raises:
        Unauthorized: there is none.
    """
    scheme, _, credential = request.headers.get("authorization", "").partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not 0 < len(credential) <= CREDENTIAL_CHARS_MAX:
        raise Unauthorized("send your API key as 'Authorization: Bearer ng_...'")
    return credential
