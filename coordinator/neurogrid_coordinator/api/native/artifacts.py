"""``/artifacts/{sha256}``: files by their hash, for clients and for the nodes of their leases."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Request
from starlette.responses import Response

from ...services.artifacts import Artifacts, Stored, Upload
from ...services.errors import Forbidden
from ..auth import Caller, Gate, bearer
from ..body import announced_bytes, arriving
from ..envelope import success
from ..openapi import Schemas, errors
from ..paths import API
from .files import file_response
from .task_schemas import ArtifactDeleted, ArtifactView

Digest = Annotated[
    str,
    Path(
        description="The file's SHA-256.",
        json_schema_extra={"pattern": "^[0-9a-f]{64}$"},
    ),
]

_DOWNLOAD: dict[str, Any] = {
    "tags": ["Artifacts"],
    "response_class": Response,
    "responses": {
        200: {"description": "The file."},
        **errors("UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "STORE_UNAVAILABLE"),
    },
}


def add_artifact_routes(app: FastAPI, artifacts: Artifacts, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""
    path = f"{API}/artifacts/{{sha256}}"

    async def client(request: Request) -> Caller | None:
        """The client; None for a node with a lease's token, which the service checks."""
        if artifacts.is_lease_token(bearer(request)):
            return None
        if request.method == "PUT":
            # The body is as long as it likes, and the service holds it to the hash in the path.
            return await gate.of_upload(request, request.path_params["sha256"])
        return await gate(request)

    @app.put(
        path,
        summary="Upload a file",
        **_upload(schemas),
    )
    async def put_artifact(
        request: Request, sha256: Digest, caller: Annotated[Caller | None, Depends(client)]
    ) -> Response:
        """The body is the file; it must have this SHA-256. Name it in a task's `inputs`."""
        body = Upload(sha256, arriving(request), announced_bytes(request))
        if caller is None:
            stored = await artifacts.put_of_lease(bearer(request), body)
        else:
            stored = await artifacts.put(caller.account, body)
        return _stored(stored)

    async def get_artifact(
        request: Request, sha256: Digest, caller: Annotated[Caller | None, Depends(client)]
    ) -> Response:
        """`Range` resumes; `HEAD` asks whether it is here."""
        if caller is None:
            stored = await artifacts.find_of_lease(bearer(request), sha256)
        else:
            stored = await artifacts.find(caller.account, sha256)
        return _file(request, artifacts, stored)

    @app.delete(
        path,
        tags=["Artifacts"],
        summary="Delete a file that was uploaded",
        response_class=Response,
        responses={
            200: schemas.answer(ArtifactDeleted, "It is deleted."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "CONFLICT"),
        },
    )
    async def delete_artifact(sha256: Digest, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """409 while something needs it, which `message` names: a task that has not ended, a batch, a schedule, a file of `/v1/files`; and
        for what a task has written, which goes when outputs are not kept any more."""
        await artifacts.delete(caller.account, sha256)
        return success(ArtifactDeleted(sha256), message="The file is deleted.")

    _add_checkpoint_routes(app, artifacts, client, schemas)
    for method in ("GET", "HEAD"):
        app.add_api_route(
            path,
            get_artifact,
            methods=[method],
            summary="Download a file" if method == "GET" else "Ask for a file",
            operation_id=f"{method.lower()}_artifact",
            **_DOWNLOAD,
        )


def _add_checkpoint_routes(
    app: FastAPI,
    artifacts: Artifacts,
    client: Callable[[Request], Awaitable[Caller | None]],
    schemas: Schemas,
) -> None:
    """The files of checkpoints, for the nodes of their tasks alone."""

    async def node(request: Request) -> str:
        """The lease's token."""
        if await client(request) is not None:
            raise Forbidden("files of checkpoints are put and read with the token of a lease")
        return bearer(request)

    path = f"{API}/artifacts/{{sha256}}/checkpoint"

    @app.put(
        path,
        summary="Upload a file of a checkpoint",
        **_upload(schemas),
    )
    async def put_checkpoint_file(
        request: Request, sha256: Digest, token: Annotated[str, Depends(node)]
    ) -> Response:
        """With the token of the lease that runs the task."""
        body = Upload(sha256, arriving(request), announced_bytes(request))
        stored = await artifacts.put_of_checkpoint(token, body)
        return _stored(stored)

    async def get_checkpoint_file(
        request: Request, sha256: Digest, token: Annotated[str, Depends(node)]
    ) -> Response:
        """With the token of the lease that runs the task."""
        stored = await artifacts.find_of_checkpoint(token, sha256)
        return _file(request, artifacts, stored)

    for method in ("GET", "HEAD"):
        app.add_api_route(
            path,
            get_checkpoint_file,
            methods=[method],
            summary=(
                "Get a file of a checkpoint of the lease's task"
                if method == "GET"
                else "Ask for a file of a checkpoint"
            ),
            operation_id=f"{method.lower()}_artifact_of_checkpoint",
            **_DOWNLOAD,
        )


def _upload(schemas: Schemas) -> dict[str, Any]:
    """What is said of every route that takes a file."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "tags": ["Artifacts"],
        "response_class": Response,
        "responses": {
            201: schemas.answer(ArtifactView, "It is stored."),
            200: schemas.answer(ArtifactView, "It was here already."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "FORBIDDEN",
                "PAYLOAD_TOO_LARGE",
                "UNAVAILABLE",
                "STORE_UNAVAILABLE",
            ),
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/octet-stream": binary}}
        },
    }


def _stored(stored: Stored) -> Response:
    view = ArtifactView(stored.sha256, stored.size_bytes, stored.created)
    return success(view, status=201 if stored.created else 200)


def _file(request: Request, artifacts: Artifacts, stored: Stored) -> Response:
    return file_response(
        request,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        content=lambda offset: artifacts.content(stored, offset),
    )
