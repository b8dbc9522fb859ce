"""The account's webhooks."""

import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from typing import Any

from ..errors import WaitTimeout
from ..models.webhooks import (
    DeletedWebhook,
    Delivery,
    DeliveryDetail,
    DeliveryPage,
    DeliveryState,
    NewWebhook,
    SignatureForm,
    Webhook,
    WebhookEvent,
    WebhookEvents,
    WebhookPage,
    WebhookState,
)
from .pages import each
from .runtime import sleep
from .transport import Transport

_POLL_S = 0.5


class Webhooks:
    """Where the account is told of events."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def events(self) -> Sequence[WebhookEvent]:
        """The events that webhooks may ask for."""
        return (await self._transport.call(WebhookEvents, "GET", "/webhook-events")).events

    async def create(
        self,
        url: str,
        events: Sequence[str],
        *,
        description: str = "",
        secret: str | None = None,
        signature: SignatureForm = "timestamped",
        about: Sequence[str] = (),
        task_name_prefix: str = "",
        max_attempts: int | None = None,
        backoff_s: int | None = None,
        idempotency_key: str | None = None,
    ) -> NewWebhook:
        """Have a URL told of events. The answer has the secret, this once.

        Args:
            url: a name on the public internet.
            events: their names, see `events`.
            secret: 16 to 256 characters; the coordinator makes one by default.
            signature: ``payload`` signs the body without the time, for receivers that know only that.
            about: ids of tasks, workflows, batches, schedules or nodes, one of which an event has to be about.
            task_name_prefix: what the name of an event's task begins with.
            max_attempts, backoff_s: how often, and how long before the second time; it doubles.
            idempotency_key: the same key with the same arguments is the same webhook.

        Raises:
            InvalidRequestError: the URL can't be told anything, or there is no such event.
            ConflictError: the account has as many as it may have.
        """
        body: dict[str, Any] = {
            "url": url,
            "events": [*events],
            "description": description,
            "signature": signature,
            "filter": {"about": [*about], "task_name_prefix": task_name_prefix},
            "retries": _retries(max_attempts, backoff_s),
        }
        if secret is not None:
            body["secret"] = secret
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return await self._transport.call(
            NewWebhook, "POST", "/webhooks", json=body, headers=headers
        )

    async def list(
        self, *, state: WebhookState | None = None, limit: int = 50, offset: int = 0
    ) -> WebhookPage:
        """The account's webhooks, newest first."""
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        if state is not None:
            params["state"] = state
        return await self._transport.call(WebhookPage, "GET", "/webhooks", params=params)

    def iterate(
        self, *, state: WebhookState | None = None, page_size: int = 100
    ) -> AsyncGenerator[Webhook]:
        """All webhooks that fit, each once, however many there are; ``page_size``: how many one request asks for."""
        return each(partial(self.list, state=state), page_size)

    async def get(self, webhook_id: str) -> Webhook:
        """One webhook.

        Raises:
            NotFoundError: there is no such webhook of this account.
        """
        return await self._transport.call(Webhook, "GET", f"/webhooks/{webhook_id}")

    async def update(self, webhook_id: str, **changes: Any) -> Webhook:
        """Change a webhook; what is not named stays.

        Args:
            changes: ``url``, ``events``, ``description``, ``signature``, ``filter`` (``about``,
                ``task_name_prefix``), ``retries`` (``max_attempts``, ``backoff_seconds``).

        Raises:
            NotFoundError: see `get`; InvalidRequestError: see `create`.
        """
        return await self._transport.call(Webhook, "PATCH", f"/webhooks/{webhook_id}", json=changes)

    async def rotate_secret(self, webhook_id: str, *, secret: str | None = None) -> NewWebhook:
        """Sign with another secret from now on, also what is tried again.

        Raises:
            NotFoundError: see `get`.
        """
        # Named here, so that a repeated attempt does not make a second one.
        body = {"secret": secret or f"whsec_{uuid.uuid4().hex}{uuid.uuid4().hex}"}
        path = f"/webhooks/{webhook_id}/rotate-secret"
        return await self._transport.call(NewWebhook, "POST", path, json=body)

    async def pause(self, webhook_id: str) -> Webhook:
        """Keep what happens, and send it when the webhook is resumed.

        Raises:
            NotFoundError: see `get`; ConflictError: it is disabled.
        """
        return await self._transport.call(Webhook, "POST", f"/webhooks/{webhook_id}/pause")

    async def resume(self, webhook_id: str) -> Webhook:
        """Go on telling a webhook that is paused or disabled.

        Raises:
            NotFoundError: see `get`.
        """
        return await self._transport.call(Webhook, "POST", f"/webhooks/{webhook_id}/resume")

    async def delete(self, webhook_id: str) -> None:
        """Delete a webhook with all its deliveries.

        Raises:
            NotFoundError: see `get`.
        """
        await self._transport.call(DeletedWebhook, "DELETE", f"/webhooks/{webhook_id}")

    async def test(self, webhook_id: str, event: str = "task.completed") -> Delivery:
        """Send a made-up event, once; `wait` says what came of it.

        Raises:
            NotFoundError: see `get`; InvalidRequestError: there is no such event.
        """
        path = f"/webhooks/{webhook_id}/test"
        return await self._transport.call(Delivery, "POST", path, json={"event": event})

    async def deliveries(
        self,
        webhook_id: str,
        *,
        state: DeliveryState | None = None,
        event: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> DeliveryPage:
        """A webhook's deliveries, newest first.

        Raises:
            NotFoundError: see `get`.
        """
        wanted: Mapping[str, str | int | None] = {
            "limit": limit,
            "offset": offset,
            "state": state,
            "event": event,
        }
        params = {name: value for name, value in wanted.items() if value is not None}
        path = f"/webhooks/{webhook_id}/deliveries"
        return await self._transport.call(DeliveryPage, "GET", path, params=params)

    async def delivery(self, webhook_id: str, delivery_id: str) -> DeliveryDetail:
        """One delivery with its attempts.

        Raises:
            NotFoundError: there is no such delivery of this webhook.
        """
        path = f"/webhooks/{webhook_id}/deliveries/{delivery_id}"
        return await self._transport.call(DeliveryDetail, "GET", path)

    async def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a delivery that has ended once more, under the same id.

        Raises:
            NotFoundError: see `delivery`; ConflictError: it was sent too often.
        """
        path = f"/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver"
        return await self._transport.call(Delivery, "POST", path)

    async def wait(self, delivery: Delivery, *, timeout_s: float = 60.0) -> DeliveryDetail:
        """Wait until a delivery has ended.

        Raises:
            WaitTimeout: it has not within ``timeout_s``.
        """
        end_s = time.monotonic() + timeout_s
        while True:
            found = await self.delivery(delivery.webhook_id, delivery.id)
            if found.state != "pending":
                return found
            if time.monotonic() >= end_s:
                raise WaitTimeout(f"the delivery {delivery.id} has not ended in {timeout_s:g} s")
            await sleep(_POLL_S)


def _retries(max_attempts: int | None, backoff_s: int | None) -> dict[str, int]:
    wanted = {"max_attempts": max_attempts, "backoff_seconds": backoff_s}
    return {name: value for name, value in wanted.items() if value is not None}
