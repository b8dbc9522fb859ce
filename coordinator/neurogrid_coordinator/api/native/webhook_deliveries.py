"""``/webhooks/{webhook_id}/deliveries``: what was told, what was not, and why; tests and redeliveries."""

from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from ...services.webhook_deliveries import WebhookDeliveries
from ...services.webhooks import LIST_MAX
from ...store.webhook_deliveries import AttemptRow, DeliveryRow, DeliveryState
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, iso_or_none, success
from ..openapi import Schemas, errors
from ..paths import API
from .webhook_schemas import (
    AttemptView,
    DeliveryDetailView,
    DeliveryListView,
    DeliveryView,
    WebhookTest,
)

_WEBHOOK = f"{API}/webhooks/{{webhook_id}}"
_DELIVERIES = f"{_WEBHOOK}/deliveries"
_TEST_EXAMPLE = {"event": "task.completed"}
_ERRORS = ("UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "NOT_FOUND", "RATE_LIMITED")


def add_webhook_delivery_routes(
    app: FastAPI, deliveries: WebhookDeliveries, gate: Gate, schemas: Schemas
) -> None:
    """Add the routes."""

    @app.post(
        f"{_WEBHOOK}/test",
        tags=["Webhooks"],
        summary="Send a test event",
        status_code=202,
        response_class=Response,
        responses={
            202: schemas.answer(
                DeliveryView, "It is sent; ask for the delivery to see what came of it."
            ),
            **errors(*_ERRORS, "INVALID_REQUEST", "PAYLOAD_TOO_LARGE", "CONFLICT", "UNAVAILABLE"),
        },
        openapi_extra=schemas.body(WebhookTest, _TEST_EXAMPLE),
    )
    async def test_webhook(
        request: Request, webhook_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Signed like any other, with `"test": true` in its body; tried once. Goes out also where the
        webhook is paused or disabled."""
        body = await read_json(request, WebhookTest)
        return _accepted(await deliveries.test(caller.account, webhook_id, body.event))

    @app.get(
        _DELIVERIES,
        tags=["Webhooks"],
        summary="List a webhook's deliveries",
        response_class=Response,
        responses={
            200: schemas.answer(DeliveryListView, "Newest first."),
            **errors(*_ERRORS, "INVALID_REQUEST"),
        },
    )
    async def list_webhook_deliveries(
        webhook_id: str,
        caller: Annotated[Caller, Depends(gate)],
        state: Annotated[DeliveryState | None, Query()] = None,
        event: Annotated[str | None, Query(max_length=80)] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Of those that have ended, the newest 1,000 are kept, and 30 days at most."""
        page = await deliveries.list(
            caller.account, webhook_id, state=state, kind=event, limit=limit, offset=offset
        )
        views = [DeliveryView(**_fields(row)) for row in page.rows]
        return success(DeliveryListView(views, page.total, limit, offset))

    @app.get(
        f"{_DELIVERIES}/{{delivery_id}}",
        tags=["Webhooks"],
        summary="Show a delivery",
        response_class=Response,
        responses={
            200: schemas.answer(DeliveryDetailView, "With every attempt, and what is sent."),
            **errors(*_ERRORS),
        },
    )
    async def get_webhook_delivery(
        webhook_id: str, delivery_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Of each answer its first kilobyte is kept."""
        row, attempts = await deliveries.get(caller.account, webhook_id, delivery_id)
        return success(
            DeliveryDetailView(
                **_fields(row),
                log=[_attempt_view(attempt) for attempt in attempts],
                body=None if row.body is None else msgspec.json.decode(row.body),
            )
        )

    @app.post(
        f"{_DELIVERIES}/{{delivery_id}}/redeliver",
        tags=["Webhooks"],
        summary="Deliver once more",
        status_code=202,
        response_class=Response,
        responses={
            202: schemas.answer(DeliveryView, "It is sent again."),
            **errors(*_ERRORS, "CONFLICT", "UNAVAILABLE"),
        },
    )
    async def redeliver(
        webhook_id: str, delivery_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """The same body under the same id, with as many attempts as the webhook has; also where it is
        paused or disabled. A delivery that has not ended stays as it is."""
        return _accepted(await deliveries.redeliver(caller.account, webhook_id, delivery_id))


def _accepted(row: DeliveryRow) -> Response:
    location = f"{API}/webhooks/{row.webhook_id}/deliveries/{row.id}"
    return success(DeliveryView(**_fields(row)), status=202, headers={"Location": location})


def _fields(row: DeliveryRow) -> dict[str, Any]:
    is_pending = row.state is DeliveryState.PENDING
    return {
        "id": row.id,
        "webhook_id": row.webhook_id,
        "event": row.kind,
        "subject_id": row.subject_id,
        "state": row.state.value,
        "attempts": row.attempts,
        "attempts_max": row.attempts_max,
        "created_at": iso(row.at_ms),
        "next_attempt_at": iso(row.next_at_ms) if is_pending else None,
        "ended_at": iso_or_none(row.ended_at_ms),
    }


def _attempt_view(row: AttemptRow) -> AttemptView:
    return AttemptView(row.number, iso(row.at_ms), row.took_ms, row.status, row.error, row.answer)
