"""Webhooks and their deliveries."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from .listed import Listed

WebhookState = Literal["active", "paused", "disabled"]
DeliveryState = Literal["pending", "delivered", "failed"]
SignatureForm = Literal["timestamped", "payload"]


class WebhookFilter(Struct, frozen=True, kw_only=True):
    """Which events: about one of these ids, and about a task whose name begins so."""

    about: list[str] = []
    task_name_prefix: str = ""


class WebhookRetries(Struct, frozen=True, kw_only=True):
    """How often a delivery is tried; the pause doubles after each attempt."""

    max_attempts: int
    backoff_seconds: int


class Webhook(Struct, frozen=True, kw_only=True):
    """A webhook without its secret.

    Attributes:
        reason: why it is disabled.
        failing_since: since when no attempt has succeeded; None while all is well.
    """

    id: str
    url: str
    events: list[str]
    state: WebhookState
    created_at: datetime
    updated_at: datetime
    retries: WebhookRetries
    filter: WebhookFilter = WebhookFilter()
    signature: SignatureForm = "timestamped"
    description: str = ""
    reason: str = ""
    failing_since: datetime | None = None
    last_delivered_at: datetime | None = None


class NewWebhook(Webhook, frozen=True, kw_only=True):
    """A webhook with its ``secret``, which is shown this once."""

    secret: str


class WebhookPage(Listed[Webhook], Struct, frozen=True, kw_only=True):
    """Some webhooks; ``total`` counts all that were asked for."""

    webhooks: list[Webhook]
    total: int
    limit: int = 0
    offset: int = 0


class WebhookEvent(Struct, frozen=True, kw_only=True):
    """An event that webhooks may ask for; ``description`` says when it happens."""

    name: str
    description: str


class WebhookEvents(Struct, frozen=True, kw_only=True):
    """All events that there are."""

    events: list[WebhookEvent]


class DeletedWebhook(Struct, frozen=True, kw_only=True):
    """A webhook that is gone."""

    id: str


class DeliveryAttempt(Struct, frozen=True, kw_only=True):
    """A try to deliver.

    Attributes:
        took_ms: None while it lasts, and where the coordinator was ended meanwhile.
        status: what the receiver answered; None where it did not.
        error: what was wrong; "" for nothing.
        answer: the beginning of what the receiver said.
    """

    number: int
    at: datetime
    took_ms: int | None = None
    status: int | None = None
    error: str = ""
    answer: str = ""


class Delivery(Struct, frozen=True, kw_only=True):
    """An event that is to be told, or was; its id is the same at every attempt."""

    id: str
    webhook_id: str
    event: str
    state: DeliveryState
    attempts: int
    attempts_max: int
    created_at: datetime
    subject_id: str = ""
    next_attempt_at: datetime | None = None
    ended_at: datetime | None = None


class DeliveryDetail(Delivery, frozen=True, kw_only=True):
    """A delivery with its attempts, oldest first; ``body``: None before the first."""

    log: list[DeliveryAttempt]
    body: dict[str, Any] | None = None


class DeliveryPage(Listed[Delivery], Struct, frozen=True, kw_only=True):
    """Some deliveries of a webhook; ``total`` counts all that were asked for."""

    deliveries: list[Delivery]
    total: int
    limit: int = 0
    offset: int = 0
