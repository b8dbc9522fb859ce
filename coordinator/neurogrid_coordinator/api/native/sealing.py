"""``/tasks/{id}/key``: the key to sealed inputs, wrapped to the node that has the task."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from neurogrid_marketplace.fields import Id

from ...services.sealing import KeyWanted, Sealing
from ..auth import Caller, Gate
from ..body import read_json
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .schemas import Time

_RULES = {
    "lease_id": "a lease's id",
    "wrapped_key": "160 lower-case hex digits",
}
_EXAMPLE = {"lease_id": "lease_" + "0" * 32, "wrapped_key": "0" * 160}


class KeyWantedView(Struct, frozen=True):
    """Whom the key has to be wrapped to, as signed by coordinator and node."""

    task_id: str
    lease_id: str
    node_id: str
    award: Annotated[dict[str, Any], Meta(description="Envelope; names the hash of the job.")]
    accept: Annotated[
        dict[str, Any],
        Meta(description="Envelope; the node's signature covers its sealing key."),
    ]
    until: Annotated[Time, Meta(description="Without the key the task fails then.")]


class KeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The content key, wrapped to the node's sealing key for this lease."""

    lease_id: Id
    wrapped_key: Annotated[
        str, Meta(pattern=r"^[0-9a-f]{160}\Z", description="HPKE (RFC 9180) output, hex.")
    ]


class KeySentView(Struct, frozen=True):
    """The key is taken."""

    task_id: str
    lease_id: str


def add_sealing_routes(app: FastAPI, sealing: Sealing, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""
    path = f"{API}/tasks/{{task_id}}/key"

    @app.get(
        path,
        tags=["Tasks"],
        summary="Ask whom to wrap the key of a sealed task to",
        response_class=Response,
        responses={
            200: schemas.answer(KeyWantedView, "Check both signatures yourself."),
            **errors("UNAUTHORIZED", "NOT_FOUND", "CONFLICT"),
        },
    )
    async def get_key(task_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """After the award, while the task is `starting` and waits (`task.needs_key`); again after a
        retry on another node."""
        return success(_view(task_id, await sealing.wanted(caller.account, task_id)))

    @app.post(
        path,
        tags=["Tasks"],
        summary="Send the key to a sealed task's inputs",
        response_class=Response,
        responses={
            200: schemas.answer(KeySentView, "The escrow is opened, and the node gets the key."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "NOT_FOUND", "CONFLICT"),
        },
        openapi_extra=schemas.body(KeyRequest, _EXAMPLE),
    )
    async def post_key(
        request: Request, task_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """It can be read by that node alone, for this lease and job."""
        sent = await read_json(request, KeyRequest, _RULES)
        await sealing.send(caller.account, task_id, sent.lease_id, sent.wrapped_key)
        return success(KeySentView(task_id, sent.lease_id))


def _view(task_id: str, wanted: KeyWanted) -> KeyWantedView:
    return KeyWantedView(
        task_id=task_id,
        lease_id=wanted.lease_id,
        node_id=wanted.node_id,
        award=wanted.award.to_dict(),
        accept=wanted.accept.to_dict(),
        until=iso(wanted.until_ms),
    )
