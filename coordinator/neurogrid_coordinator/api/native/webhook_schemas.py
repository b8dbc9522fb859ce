"""Webhooks: what requests say and answers show."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ...event_filter import EventFilter
from ...event_kinds import EVENT_NAMES
from ...store.webhooks import Signature
from ...webhooks.schedule import ATTEMPTS, ATTEMPTS_MAX, BACKOFF_MAX_S, BACKOFF_S
from .schemas import Time

WEBHOOK_RULES = {
    "secret": "16 to 256 characters of ASCII without spaces",
    "description": "up to 200 characters without control characters",
    "filter.about[]": "ids of tasks, workflows, batches, schedules or nodes",
    "filter.task_name_prefix": "up to 200 characters without control characters",
}

Url = Annotated[
    str,
    Meta(
        min_length=8,
        max_length=2048,
        description="`https://` or `http://`, with a name and never an address. It has to be on the "
        "public internet, unless the operator allows it by name.",
        examples=["https://your-app.com/webhook"],
    ),
]
EventName = Annotated[
    str, Meta(min_length=1, max_length=80, extra_json_schema={"enum": list(EVENT_NAMES)})
]
Events = Annotated[
    list[EventName],
    Meta(
        min_length=1,
        max_length=32,
        description="Names of events; `GET /webhook-events` lists them.",
        examples=[["task.completed", "task.failed"]],
    ),
]
_Description = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f\x7f]{0,200}\Z", description="For people.")
]
Secret = Annotated[
    str,
    Meta(
        pattern=r"^[\x21-\x7e]{16,256}\Z",
        description="What deliveries are signed with. Without one it is made here.",
    ),
]
SignatureForm = Annotated[
    Literal["timestamped", "payload"],
    Meta(
        description="What `X-Signature` is the HMAC-SHA256 of: `timestamped`: the value of "
        "`X-Timestamp`, a dot, and the body. `payload`: the body alone, which who has seen a delivery "
        "can send again at any time."
    ),
]


class WebhookFilter(Struct, frozen=True, forbid_unknown_fields=True):
    """Which of these events: all that is said has to hold."""

    about: Annotated[
        list[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{1,128}\Z")]],
        Meta(
            max_length=100,
            description="Ids of tasks, workflows, batches, schedules or nodes, one of which the event has "
            "to be about; empty: any. `node.status` needs the nodes named here, or is told of the nodes "
            "that have one of your tasks.",
        ),
    ] = []
    task_name_prefix: Annotated[
        str,
        Meta(
            pattern=r"^[^\x00-\x1f\x7f]{0,200}\Z",
            description="What the name of the event's task begins with.",
        ),
    ] = ""

    def rule(self) -> EventFilter:
        """As it is stored."""
        return EventFilter(tuple(self.about), self.task_name_prefix)


class WebhookRetries(Struct, frozen=True, forbid_unknown_fields=True):
    """How often a delivery is tried."""

    max_attempts: Annotated[int, Meta(ge=1, le=ATTEMPTS_MAX)] = ATTEMPTS
    backoff_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=BACKOFF_MAX_S,
            description="Before the second attempt; twice as long before each further one, six hours at "
            "most.",
        ),
    ] = BACKOFF_S


class WebhookRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook that is wanted."""

    url: Url
    events: Events
    description: _Description = ""
    filter: WebhookFilter = WebhookFilter()
    secret: Secret | None = None
    signature: SignatureForm = "timestamped"
    retries: WebhookRetries = WebhookRetries()


class WebhookUpdate(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be another than before; what is left out stays."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    description: _Description | UnsetType = UNSET
    filter: WebhookFilter | UnsetType = UNSET
    signature: SignatureForm | UnsetType = UNSET
    retries: WebhookRetries | UnsetType = UNSET


class SecretRotation(Struct, frozen=True, forbid_unknown_fields=True):
    """Another secret; without one it is made here."""

    secret: Secret | None = None


class WebhookTest(Struct, frozen=True, forbid_unknown_fields=True):
    """A made-up event to be sent."""

    event: EventName = "task.completed"


class WebhookView(Struct, frozen=True):
    """A webhook without its secret."""

    id: str
    url: str
    description: str
    events: list[str]
    filter: WebhookFilter
    signature: SignatureForm
    retries: WebhookRetries
    state: Annotated[
        Literal["active", "paused", "disabled"],
        Meta(
            description="`paused`: events are kept for it, and go out when it is resumed. `disabled`: it "
            "has failed for too long, and nothing is kept for it until it is resumed."
        ),
    ]
    reason: Annotated[str, Meta(description="Why it is disabled.")]
    failing_since: Annotated[
        Time | None,
        Meta(description="Since when no attempt has succeeded; null while all is well."),
    ]
    last_delivered_at: Time | None
    created_at: Time
    updated_at: Time


class NewWebhookView(WebhookView, frozen=True):
    """A webhook with its secret."""

    secret: Annotated[str, Meta(description="What deliveries are signed with. Shown this once.")]


class WebhookListView(Struct, frozen=True):
    """Some of the account's webhooks; ``total`` counts all that were asked for."""

    webhooks: list[WebhookView]
    total: int
    limit: int
    offset: int


class DeletedWebhookView(Struct, frozen=True):
    """A webhook that is gone."""

    id: str
    deleted: Literal[True]


class WebhookEventView(Struct, frozen=True):
    """An event that may be asked for."""

    name: str
    description: str


class WebhookEventListView(Struct, frozen=True):
    """All of them."""

    events: list[WebhookEventView]


class AttemptView(Struct, frozen=True):
    """A try to deliver."""

    number: int
    at: Time
    took_ms: Annotated[
        int | None,
        Meta(description="Null while it lasts, and where the coordinator was ended meanwhile."),
    ]
    status: Annotated[int | None, Meta(description="The receiver's; null where it did not answer.")]
    error: Annotated[str, Meta(description="What was wrong; empty for nothing.")]
    answer: Annotated[str, Meta(description="The beginning of what the receiver said.")]


class DeliveryView(Struct, frozen=True):
    """An event that is to be told, or was. Its id is the same at every attempt."""

    id: str
    webhook_id: str
    event: str
    subject_id: Annotated[str, Meta(description="The task, or what else it is about.")]
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    attempts_max: int
    created_at: Time
    next_attempt_at: Annotated[Time | None, Meta(description="Null where it has ended.")]
    ended_at: Time | None


class DeliveryDetailView(DeliveryView, frozen=True):
    """A delivery with its attempts, oldest first."""

    log: list[AttemptView]
    body: Annotated[
        dict[str, Any] | None, Meta(description="What is sent; null before the first attempt.")
    ]


class DeliveryListView(Struct, frozen=True):
    """Some deliveries of a webhook; ``total`` counts all that were asked for."""

    deliveries: list[DeliveryView]
    total: int
    limit: int
    offset: int


def signature_of(form: str) -> Signature:
    """As it is stored."""
    return Signature(form)
