"""Webhooks: where an account wants to be told of events. What became of telling it: `webhook_deliveries`."""

import hashlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.input_url import InputUrl

from ..event_filter import EventFilter
from ..event_kinds import UnknownEvent, wanted_kinds
from ..outbound import Outbound, Unreachable
from ..store import webhooks
from ..store.accounts import READ_SCOPE, Account, ApiKey
from ..store.database import Database
from ..store.feed import Feed
from ..store.ids import new_id
from ..store.webhooks import Signature, WebhookRow, WebhookState
from .errors import Conflict, IdempotencyMismatch, InvalidRequest, NotFound, Unavailable
from .key_rules import require_scope

LIST_MAX = 100
# Of an account: one for each program that listens, and some.
WEBHOOKS_MAX = 20
_SECRET_BYTES = 32

_ID = re.compile(r"webhook_[0-9a-f]{32}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class WantedWebhook:
    """A webhook that is wanted. ``secret``: None for one that is made here."""

    url: str
    events: tuple[str, ...]
    description: str
    filter: EventFilter
    secret: str | None
    signature: Signature
    max_attempts: int
    backoff_s: int


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """What is to be another than before; None for what stays."""

    url: str | None = None
    events: tuple[str, ...] | None = None
    description: str | None = None
    filter: EventFilter | None = None
    signature: Signature | None = None
    max_attempts: int | None = None
    backoff_s: int | None = None


@dataclass(frozen=True, slots=True)
class WebhookPage:
    """Some webhooks; ``total`` counts all that were asked for."""

    rows: tuple[WebhookRow, ...]
    total: int


class Webhooks:
    """What an account does with its webhooks.

    Args:
        outbound: says where a host may be reached; None where the operator lets none be told.
    """

    def __init__(self, database: Database, feed: Feed, outbound: Outbound | None) -> None:
        self._database = database
        self._feed = feed
        self._outbound = outbound

    async def create(
        self, account: Account, key: ApiKey, wanted: WantedWebhook, idempotency_key: str | None
    ) -> tuple[WebhookRow, bool]:
        """A new webhook, and whether this request made it, and not the same one before.

        Raises:
            InvalidRequest: the URL can't be told anything, or there is no such event.
            Forbidden: the key may not read what the events tell.
            Conflict: the account has as many as may be.
            IdempotencyMismatch: the idempotency key was used for another request.
            Unavailable: the operator lets no webhook be told.
        """
        require_scope(key, READ_SCOPE)
        digest = _digest(wanted)

        def before(conn: Connection) -> WebhookRow | None:
            if idempotency_key is None:
                return None
            row = webhooks.by_idempotency_key(conn, account.id, idempotency_key)
            if row is not None and row.request_sha256 != digest:
                raise IdempotencyMismatch(
                    f"the idempotency key {idempotency_key!r} was used for webhook {row.id}, which was "
                    "another request"
                )
            return row

        found = await self._database.read(before)
        if found is not None:
            return found, False
        row = replace(await self._new(account, wanted), idempotency_key=idempotency_key)

        def make(conn: Connection) -> tuple[WebhookRow, bool]:
            webhooks.lock_account(conn, account.id)
            made = before(conn)
            if made is not None:
                return made, False
            _insert(conn, row)
            return row, True

        return await self._database.write(make)

    async def configure(
        self, account: Account, key: ApiKey, wanted: WantedWebhook
    ) -> tuple[WebhookRow, bool]:
        """Change the account's webhook for a URL (its newest), or make one; and whether it is new.

        One that is there keeps its id, description, filter and state; and its secret, where none is wanted.

        Raises:
            InvalidRequest, Forbidden, Conflict, Unavailable: see `create`.
        """
        require_scope(key, READ_SCOPE)
        new = await self._new(account, wanted)

        def save(conn: Connection) -> tuple[WebhookRow, bool]:
            webhooks.lock_account(conn, account.id)
            mine, _ = webhooks.of_account(conn, account.id, limit=WEBHOOKS_MAX, offset=0)
            row = next((each for each in mine if each.url == new.url), None)
            if row is None:
                _insert(conn, new)
                return new, True
            changed = replace(
                row,
                events=new.events,
                secret=wanted.secret or row.secret,
                signature=new.signature,
                max_attempts=new.max_attempts,
                backoff_s=new.backoff_s,
                updated_at_ms=new.updated_at_ms,
            )
            webhooks.save(conn, changed)
            return changed, False

        return await self._database.write(save)

    async def _new(self, account: Account, wanted: WantedWebhook) -> WebhookRow:
        """As it would be stored."""
        kinds = kinds_named(wanted.events)
        url = await self._reachable(wanted.url)
        now_ms = _now_ms()
        return WebhookRow(
            id=new_id("webhook"),
            account_id=account.id,
            url=url.text,
            host=url.authority,
            description=wanted.description,
            events=kinds,
            filter=wanted.filter,
            secret=wanted.secret or f"whsec_{secrets.token_urlsafe(_SECRET_BYTES)}",
            signature=wanted.signature,
            max_attempts=wanted.max_attempts,
            backoff_s=wanted.backoff_s,
            state=WebhookState.ACTIVE,
            reason="",
            failures=0,
            failing_since_ms=None,
            delivered_at_ms=None,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            request_sha256=_digest(wanted),
        )

    async def list(
        self, account: Account, *, state: WebhookState | None, limit: int, offset: int
    ) -> WebhookPage:
        """The account's webhooks, newest first; only those in a state, if given."""
        rows, total = await self._database.read(
            lambda conn: webhooks.of_account(
                conn, account.id, state=state, limit=min(limit, LIST_MAX), offset=offset
            )
        )
        return WebhookPage(tuple(rows), total)

    async def get(self, account: Account, webhook_id: str) -> WebhookRow:
        """One webhook.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        return await self._database.read(owned, account, webhook_id)

    async def update(
        self, account: Account, key: ApiKey, webhook_id: str, change: WebhookChange
    ) -> WebhookRow:
        """Change a webhook. What waits for it goes to the new URL.

        Raises:
            NotFound: see `get`; InvalidRequest, Forbidden, Unavailable: see `create`.
        """
        require_scope(key, READ_SCOPE)
        await self.get(account, webhook_id)
        changes: dict[str, object] = {
            name: getattr(change, name)
            for name in ("description", "filter", "signature", "max_attempts", "backoff_s")
            if getattr(change, name) is not None
        }
        if change.events is not None:
            changes["events"] = kinds_named(change.events)
        if change.url is not None:
            url = await self._reachable(change.url)
            changes |= {"url": url.text, "host": url.authority}
        return await self._change(account, webhook_id, lambda row: replace(row, **changes))  # type: ignore[arg-type]  # mypy can't tell which of the row's fields each name is

    async def rotate_secret(
        self, account: Account, webhook_id: str, secret: str | None
    ) -> WebhookRow:
        """Sign with another secret from now on, also what is tried again.

        Args:
            secret: None for one that is made here.

        Raises:
            NotFound: see `get`.
        """
        made = secret or f"whsec_{secrets.token_urlsafe(_SECRET_BYTES)}"
        return await self._change(account, webhook_id, lambda row: replace(row, secret=made))

    async def pause(self, account: Account, webhook_id: str) -> WebhookRow:
        """Send it nothing, and keep what happens, until it is resumed. Repeating is harmless.

        Raises:
            NotFound: see `get`.
            Conflict: it is disabled.
        """

        def paused(row: WebhookRow) -> WebhookRow:
            if row.state is WebhookState.DISABLED:
                raise Conflict(f"the webhook is disabled ({row.reason}); resume it first")
            return replace(row, state=WebhookState.PAUSED)

        return await self._change(account, webhook_id, paused)

    async def resume(self, account: Account, webhook_id: str) -> WebhookRow:
        """Go on telling a webhook that is paused or disabled. Repeating is harmless.

        Raises:
            NotFound: see `get`.
        """
        resumed = await self._change(
            account,
            webhook_id,
            lambda row: replace(
                row, state=WebhookState.ACTIVE, reason="", failures=0, failing_since_ms=None
            ),
        )
        self._feed.notify()
        return resumed

    async def delete(self, account: Account, webhook_id: str) -> None:
        """Forget a webhook with all its deliveries.

        Raises:
            NotFound: see `get`.
        """
        await self._change(
            account,
            webhook_id,
            # Its idempotency key goes with it: the same request makes another.
            lambda row: replace(row, state=WebhookState.DELETED, secret="", idempotency_key=None),
        )

    async def _change(
        self, account: Account, webhook_id: str, change: Callable[[WebhookRow], WebhookRow]
    ) -> WebhookRow:
        def save(conn: Connection) -> WebhookRow:
            row = owned(conn, account, webhook_id)
            changed = change(row)
            if changed == row:
                return row
            changed = replace(changed, updated_at_ms=_now_ms())
            webhooks.save(conn, changed)
            return changed

        return await self._database.write(save)

    async def _reachable(self, text: str) -> InputUrl:
        """A URL that can be told something now, as far as its name says."""
        outbound = require_outbound(self._outbound)
        if "#" in text:
            raise InvalidRequest("url: leave out the fragment, which no server sees", "url")
        try:
            url = InputUrl.read(text)
            await outbound.addresses(url.host, url.port)
        except (InvalidValue, Unreachable) as error:
            raise InvalidRequest(f"url: {error}", "url") from error
        return url


def require_outbound(outbound: Outbound | None) -> Outbound:
    """What says where a host may be reached.

    Raises:
        Unavailable: the operator lets no webhook be told.
    """
    if outbound is None:
        raise Unavailable("this coordinator tells no webhooks: its operator has turned them off")
    return outbound


def _insert(conn: Connection, row: WebhookRow) -> None:
    """Store a new webhook of a locked account.

    Raises:
        Conflict: it has as many as may be.
    """
    _, total = webhooks.of_account(conn, row.account_id, limit=1, offset=0)
    if total >= WEBHOOKS_MAX:
        raise Conflict(
            f"the account has {total} webhooks, and may have {WEBHOOKS_MAX}; delete one that is "
            "not needed any more",
            {"webhooks": total, "webhooks_max": WEBHOOKS_MAX},
        )
    webhooks.insert_new(conn, row)


def kinds_named(names: tuple[str, ...], field: str = "events") -> tuple[str, ...]:
    """The events that are called so.

    Raises:
        InvalidRequest: there is no such event.
    """
    try:
        return wanted_kinds(names)
    except UnknownEvent as error:
        raise InvalidRequest(f"{field}: {error}", field) from error


def owned(conn: Connection, account: Account, webhook_id: str) -> WebhookRow:
    """A webhook of this account.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = webhooks.get(conn, account.id, webhook_id) if _ID.match(webhook_id) else None
    if row is None:
        raise NotFound(f"there is no webhook {webhook_id[:80]}", {"webhook_id": webhook_id[:80]})
    return row


def _digest(wanted: WantedWebhook) -> str:
    """Of a request, to tell a repeated one from another."""
    record: Json = msgspec.to_builtins(wanted)
    return hashlib.sha256(msgspec.json.encode(record, order="deterministic")).hexdigest()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
