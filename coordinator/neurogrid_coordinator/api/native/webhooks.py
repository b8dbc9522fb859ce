"""``/webhooks``: where the account is told of events."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from msgspec import UnsetType
from starlette.responses import Response

from ...event_kinds import EVENT_KINDS
from ...services.webhooks import LIST_MAX, WantedWebhook, WebhookChange, Webhooks
from ...store.webhooks import WebhookRow, WebhookState
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none, success
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..openapi import Schemas, errors
from ..paths import API
from .webhook_schemas import (
    WEBHOOK_RULES,
    DeletedWebhookView,
    NewWebhookView,
    SecretRotation,
    WebhookEventListView,
    WebhookEventView,
    WebhookFilter,
    WebhookListView,
    WebhookRequest,
    WebhookRetries,
    WebhookUpdate,
    WebhookView,
    signature_of,
)

_CREATE_EXAMPLE = {
    "url": "https://your-app.com/webhook",
    "events": ["task.completed", "task.failed", "system.alert"],
    "secret": "your-webhook-secret",
    "retries": {"max_attempts": 8, "backoff_seconds": 10},
}
_UPDATE_EXAMPLE = {"events": ["task.completed"], "filter": {"task_name_prefix": "nightly"}}
_ROTATE_EXAMPLE = {"secret": "another-webhook-secret"}
_ONCE = "Keep the secret: it is not shown again."
# No cache on the way shall keep a secret.
_SECRET_HEADERS = {"Cache-Control": "no-store"}
_READ_ERRORS = ("UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "RATE_LIMITED")
_BODY_ERRORS = ("INVALID_REQUEST", "PAYLOAD_TOO_LARGE")


def add_webhook_routes(app: FastAPI, webhooks: Webhooks, gate: Gate, schemas: Schemas) -> None:
    """Add the routes that make, show and change webhooks."""

    @app.get(
        f"{API}/webhook-events",
        tags=["Webhooks"],
        summary="List the events that webhooks may ask for",
        response_class=Response,
        responses={
            200: schemas.answer(WebhookEventListView, "Each with when it happens."),
            **errors(*_READ_ERRORS),
        },
    )
    async def list_webhook_events(_: Annotated[Caller, Depends(gate)]) -> Response:
        """The same names are at `/ws`, which also tells of a task's other phases."""
        views = [WebhookEventView(name, words) for name, words in EVENT_KINDS.items()]
        return success(WebhookEventListView(views))

    @app.post(
        f"{API}/webhooks",
        tags=["Webhooks"],
        summary="Make a webhook",
        status_code=201,
        response_class=Response,
        responses={
            201: schemas.answer(NewWebhookView, "With its secret, which is shown this once."),
            200: schemas.answer(NewWebhookView, "It was made before with this idempotency key."),
            **errors(
                *_READ_ERRORS, *_BODY_ERRORS, "CONFLICT", "IDEMPOTENCY_MISMATCH", "UNAVAILABLE"
            ),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(WebhookRequest, _CREATE_EXAMPLE),
        },
    )
    async def create_webhook(
        request: Request, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Needs the scopes `read` and `write`: what it is told of is what a key that may read sees. Its
        host is looked up, and refused where it has no address of the public internet. An account has at
        most 20."""
        key = idempotency_key(request)
        body = await read_json(request, WebhookRequest, WEBHOOK_RULES)
        wanted = WantedWebhook(
            url=body.url,
            events=tuple(body.events),
            description=body.description,
            filter=body.filter.rule(),
            secret=body.secret,
            signature=signature_of(body.signature),
            max_attempts=body.retries.max_attempts,
            backoff_s=body.retries.backoff_seconds,
        )
        row, created = await webhooks.create(caller.account, caller.key, wanted, key)
        return success(
            NewWebhookView(**_fields(row), secret=row.secret),
            status=201 if created else 200,
            message=_ONCE,
            headers={"Location": f"{API}/webhooks/{row.id}"} | _SECRET_HEADERS,
        )

    @app.get(
        f"{API}/webhooks",
        tags=["Webhooks"],
        summary="List your webhooks",
        response_class=Response,
        responses={
            200: schemas.answer(WebhookListView, "Newest first, without secrets."),
            **errors("INVALID_REQUEST", *_READ_ERRORS),
        },
    )
    async def list_webhooks(
        caller: Annotated[Caller, Depends(gate)],
        state: Annotated[WebhookState | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Their state says whether they are told of anything."""
        page = await webhooks.list(caller.account, state=state, limit=limit, offset=offset)
        views = [webhook_view(row) for row in page.rows]
        return success(WebhookListView(views, page.total, limit, offset))

    webhook = f"{API}/webhooks/{{webhook_id}}"

    @app.get(
        webhook,
        tags=["Webhooks"],
        summary="Show a webhook",
        response_class=Response,
        responses={
            200: schemas.answer(WebhookView, "Without its secret."),
            **errors(*_READ_ERRORS, "NOT_FOUND"),
        },
    )
    async def get_webhook(webhook_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Where it is disabled, `reason` says why."""
        return success(webhook_view(await webhooks.get(caller.account, webhook_id)))

    @app.patch(
        webhook,
        tags=["Webhooks"],
        summary="Change a webhook",
        response_class=Response,
        responses={
            200: schemas.answer(WebhookView, "As it is now."),
            **errors(*_READ_ERRORS, *_BODY_ERRORS, "NOT_FOUND", "UNAVAILABLE"),
        },
        openapi_extra=schemas.body(WebhookUpdate, _UPDATE_EXAMPLE),
    )
    async def update_webhook(
        request: Request, webhook_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """What is left out stays. What waits goes to the new URL; other events and filters hold for what
        happens from now on. Needs `read` and `write`."""
        body = await read_json(request, WebhookUpdate, WEBHOOK_RULES)
        change = WebhookChange(
            url=_or_none(body.url),
            events=None if isinstance(body.events, UnsetType) else tuple(body.events),
            description=_or_none(body.description),
            filter=None if isinstance(body.filter, UnsetType) else body.filter.rule(),
            signature=(
                None if isinstance(body.signature, UnsetType) else signature_of(body.signature)
            ),
            max_attempts=None if isinstance(body.retries, UnsetType) else body.retries.max_attempts,
            backoff_s=None if isinstance(body.retries, UnsetType) else body.retries.backoff_seconds,
        )
        row = await webhooks.update(caller.account, caller.key, webhook_id, change)
        return success(webhook_view(row))

    @app.delete(
        webhook,
        tags=["Webhooks"],
        summary="Delete a webhook",
        response_class=Response,
        responses={
            200: schemas.answer(DeletedWebhookView, "With all its deliveries."),
            **errors(*_READ_ERRORS, "NOT_FOUND"),
        },
    )
    async def delete_webhook(webhook_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """What is being sent at this moment may still arrive."""
        await webhooks.delete(caller.account, webhook_id)
        return success(DeletedWebhookView(webhook_id, True), message="The webhook is deleted.")

    @app.post(
        f"{webhook}/rotate-secret",
        tags=["Webhooks"],
        summary="Give a webhook another secret",
        response_class=Response,
        responses={
            200: schemas.answer(NewWebhookView, "With its secret, which is shown this once."),
            **errors(*_READ_ERRORS, *_BODY_ERRORS, "NOT_FOUND"),
        },
        openapi_extra=schemas.body(SecretRotation, _ROTATE_EXAMPLE),
    )
    async def rotate_webhook_secret(
        request: Request, webhook_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """All that is sent from now on is signed with it, also what is tried again: have the receiver take
        both until then."""
        body = await read_json(request, SecretRotation, WEBHOOK_RULES)
        row = await webhooks.rotate_secret(caller.account, webhook_id, body.secret)
        view = NewWebhookView(**_fields(row), secret=row.secret)
        return success(view, message=_ONCE, headers=_SECRET_HEADERS)

    @app.post(
        f"{webhook}/pause",
        tags=["Webhooks"],
        summary="Pause a webhook",
        response_class=Response,
        responses={
            200: schemas.answer(WebhookView, "It is sent nothing."),
            **errors(*_READ_ERRORS, "NOT_FOUND", "CONFLICT"),
        },
    )
    async def pause_webhook(webhook_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """What happens meanwhile is kept, a week at most and 100,000 deliveries. Repeating is harmless."""
        return success(webhook_view(await webhooks.pause(caller.account, webhook_id)))

    @app.post(
        f"{webhook}/resume",
        tags=["Webhooks"],
        summary="Resume a webhook",
        response_class=Response,
        responses={
            200: schemas.answer(WebhookView, "It is told of events again."),
            **errors(*_READ_ERRORS, "NOT_FOUND"),
        },
    )
    async def resume_webhook(webhook_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Of a paused one, and of one that was disabled. Repeating is harmless."""
        return success(webhook_view(await webhooks.resume(caller.account, webhook_id)))


def webhook_view(row: WebhookRow) -> WebhookView:
    """A webhook without its secret."""
    return WebhookView(**_fields(row))


def _fields(row: WebhookRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": row.url,
        "description": row.description,
        "events": list(row.events),
        "filter": WebhookFilter(list(row.filter.about), row.filter.task_name_prefix),
        "signature": row.signature.value,
        "retries": WebhookRetries(row.max_attempts, row.backoff_s),
        "state": row.state.value,
        "reason": row.reason,
        "failing_since": iso_or_none(row.failing_since_ms),
        "last_delivered_at": iso_or_none(row.delivered_at_ms),
        "created_at": iso(row.created_at_ms),
        "updated_at": iso(row.updated_at_ms),
    }


def _or_none(value: str | UnsetType) -> str | None:
    return None if isinstance(value, UnsetType) else value
