"""Document 000's ``/api/keys/generate`` and ``/api/webhooks/configure``."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Request
from msgspec import Meta, Struct, field
from starlette.responses import Response

from ...event_filter import EventFilter
from ...services.api_keys import ApiKeys, NewKey
from ...services.errors import InvalidRequest
from ...services.webhooks import WantedWebhook, Webhooks
from ...store.accounts import SCOPES
from ...store.webhooks import Signature, WebhookRow, WebhookState
from ...webhooks.schedule import ATTEMPTS, ATTEMPTS_MAX, BACKOFF_MAX_S, BACKOFF_S
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none, json_response
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..native.api_key_schemas import KEY_RULES, Scope
from ..native.audit import unix_ms
from ..native.schemas import Time
from ..native.webhook_schemas import WEBHOOK_RULES, Events, Secret, Url
from ..openapi import Schemas
from .bolt_errors import bolt_errors
from .bolt_words import NAME
from .field_names import naming

_KEY_EXAMPLE = {
    "name": "my app",
    "permissions": ["read", "write"],
    "expiry": "2030-01-01T00:00:00Z",
}
_WEBHOOK_EXAMPLE = {
    "url": "https://your-app.com/webhook",
    "events": ["task.complete", "task.failed"],
    "secret": "your-webhook-secret",
    "security": {
        "signatureAlgorithm": "sha256",
        "headers": {"X-Signature": "signature", "X-Timestamp": "timestamp"},
    },
    "retries": {"maxAttempts": 3, "backoffSeconds": 10},
}
# No cache on the way shall keep a secret.
_SECRET_HEADERS = {"Cache-Control": "no-store"}
_KEY_FIELDS = {"expires_at": "expiry", "scopes": "permissions"}

_State = Literal["active", "paused", "disabled"]
# Nobody is shown one that is deleted.
_STATES: Mapping[WebhookState, _State] = {
    WebhookState.ACTIVE: "active",
    WebhookState.PAUSED: "paused",
    WebhookState.DISABLED: "disabled",
}


class BoltKeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A key that is wanted."""

    name: Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,100}\Z")]
    permissions: Annotated[
        list[Scope],
        Meta(
            min_length=1,
            max_length=8,
            description="`read`, `write`, `keys`: none that the key or token that asks lacks.",
        ),
    ]
    expiry: Annotated[
        str,
        Meta(
            max_length=40,
            description="When it ends: ISO 8601, in UTC where it names no zone. Empty: with the key that asks.",
        ),
    ] = ""


class BoltKey(Struct, frozen=True, rename="camel"):
    """A key that was made."""

    id: str
    name: str
    key: Annotated[
        str | None,
        Meta(
            description="What to send as `Authorization: Bearer`. Shown this once; null where the request is "
            "repeated with its idempotency key and the key has been used."
        ),
    ]
    permissions: list[str]
    expiry: Time | None
    created_at: Time


class BoltHeaders(Struct, frozen=True, forbid_unknown_fields=True):
    """The headers by which a receiver knows who sent a delivery; the texts are the receiver's own."""

    signature: Annotated[str, Meta(max_length=256)] = field(default="", name="X-Signature")
    timestamp: Annotated[str, Meta(max_length=256)] = field(default="", name="X-Timestamp")


class BoltSecurity(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How deliveries are signed: HMAC-SHA256 of the body alone, in hex."""

    signature_algorithm: Literal["sha256"] = "sha256"
    headers: BoltHeaders = BoltHeaders()


class BoltRetries(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How often a delivery is tried."""

    max_attempts: Annotated[int, Meta(ge=1, le=ATTEMPTS_MAX)] = ATTEMPTS
    backoff_seconds: Annotated[
        int,
        Meta(ge=1, le=BACKOFF_MAX_S, description="Doubled before each further attempt."),
    ] = BACKOFF_S


class BoltWebhookRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to be told of what."""

    url: Url
    events: Events
    secret: Annotated[
        Secret | None,
        Meta(description="What deliveries are signed with. Without one it is made here."),
    ] = None
    security: BoltSecurity = BoltSecurity()
    retries: BoltRetries = BoltRetries()


class BoltWebhook(Struct, frozen=True):
    """A webhook."""

    id: str
    url: str
    events: Annotated[list[str], Meta(description="By their native names.")]
    security: BoltSecurity
    retries: BoltRetries
    state: _State
    secret: Annotated[str | None, Meta(description="Where it was made here, this once; null else.")]


def add_bolt_access_routes(
    app: FastAPI, keys: ApiKeys, webhooks: Webhooks, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""

    @app.post(
        "/api/keys/generate",
        tags=[NAME],
        summary="Make an API key",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.bare(BoltKey, "With the key itself, which is shown this once."),
            200: schemas.bare(BoltKey, "It was made before with this idempotency key."),
            **bolt_errors(schemas, 400, 401, 403, 409, 413, 422, 429, 503),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(BoltKeyRequest, _KEY_EXAMPLE),
        },
    )
    async def generate_bolt_key(
        request: Request, caller: Annotated[Caller, Depends(gate.for_keys)]
    ) -> Response:
        """With a key or an OAuth token that has the scope `keys`."""
        repeat_key = idempotency_key(request)
        asked = await read_json(request, BoltKeyRequest, KEY_RULES)
        wanted = NewKey(
            name=asked.name,
            scopes=tuple(scope for scope in SCOPES if scope in asked.permissions),
            expires_at_ms=_expiry_ms(asked.expiry),
            idempotency_key=repeat_key,
        )
        with naming(_KEY_FIELDS):
            made = await keys.create(caller.key, wanted)
        view = BoltKey(
            id=made.key.id,
            name=made.key.name,
            key=made.secret,
            permissions=list(made.key.scopes),
            expiry=iso_or_none(made.key.expires_at_ms),
            created_at=iso(made.key.created_at_ms),
        )
        return json_response(view, 201 if made.created else 200, _SECRET_HEADERS)

    @app.post(
        "/api/webhooks/configure",
        tags=[NAME],
        summary="Make or change a webhook",
        response_class=Response,
        responses={
            200: schemas.bare(BoltWebhook, "As it is now."),
            **bolt_errors(schemas, 400, 401, 403, 409, 413, 422, 429, 503),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(BoltWebhookRequest, _WEBHOOK_EXAMPLE),
        },
    )
    async def configure_bolt_webhook(
        request: Request, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Of a URL that the account has a webhook for, it changes that one: repeating is harmless. Deliveries
        are signed as the document's `verifyWebhook` checks it: over the body alone."""
        asked = await read_json(request, BoltWebhookRequest, WEBHOOK_RULES)
        wanted = WantedWebhook(
            url=asked.url,
            events=tuple(asked.events),
            description="",
            filter=EventFilter(),
            secret=asked.secret,
            signature=Signature.PAYLOAD,
            max_attempts=asked.retries.max_attempts,
            backoff_s=asked.retries.backoff_seconds,
        )
        row, created = await webhooks.configure(caller.account, caller.key, wanted)
        shows_secret = created and asked.secret is None
        view = _webhook_view(row, row.secret if shows_secret else None)
        return json_response(view, headers=_SECRET_HEADERS if shows_secret else None)


def _expiry_ms(text: str) -> int | None:
    if not text:
        return None
    try:
        return unix_ms(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        example = datetime(2030, 1, 1, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        raise InvalidRequest(f"expiry: is no time such as {example}", "expiry") from error


def _webhook_view(row: WebhookRow, secret: str | None) -> BoltWebhook:
    return BoltWebhook(
        id=row.id,
        url=row.url,
        events=list(row.events),
        security=BoltSecurity(
            headers=BoltHeaders("HMAC-SHA256 of the body, in hex", "Unix seconds")
        ),
        retries=BoltRetries(row.max_attempts, row.backoff_s),
        state=_STATES[row.state],
        secret=secret,
    )
