"""``/artifacts/{sha256}``: files by their hash, for clients and for the nodes of their leases."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from ...services.artifacts import Artifacts, Upload
from ..auth import Caller, Gate, bearer
from ..body import announced_bytes, arriving
from ..envelope import success
from ..openapi import Schemas, errors
from ..paths import API
from .files import file_response
from .task_schemas import ArtifactView


def add_artifact_routes(app: FastAPI, artifacts: Artifacts, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""
    path = f"{API}/artifacts/{{sha256}}"

    async def client(request: Request) -> Caller | None:
        """The client; None for a node with a lease's token, which the service checks."""
        if artifacts.is_lease_token(bearer(request)):
            return None
        return await gate(request)

    @app.put(
        path,
        tags=["Artifacts"],
        summary="Upload a file",
        response_class=Response,
        responses={
            201: schemas.answer(ArtifactView, "It is stored."),
            200: schemas.answer(ArtifactView, "It was here already."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "FORBIDDEN", "PAYLOAD_TOO_LARGE"),
        },
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
                },
            }
        },
    )
    async def put_artifact(
        request: Request, sha256: str, caller: Annotated[Caller | None, Depends(client)]
    ) -> Response:
        """The body is the file; it must have this SHA-256. Name it in a task's `inputs`."""
        body = Upload(sha256, arriving(request), announced_bytes(request))
        if caller is None:
            stored = await artifacts.put_of_lease(bearer(request), body)
        else:
            stored = await artifacts.put(caller.account, body)
        view = ArtifactView(stored.sha256, stored.size_bytes, stored.created)
        return success(view, status=201 if stored.created else 200)

    async def get_artifact(
        request: Request, sha256: str, caller: Annotated[Caller | None, Depends(client)]
    ) -> Response:
        """`Range` resumes; `HEAD` asks whether it is here."""
        if caller is None:
            stored = await artifacts.find_of_lease(bearer(request), sha256)
        else:
            stored = await artifacts.find(caller.account, sha256)
        return file_response(
            request,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            content=lambda offset: artifacts.content(stored, offset),
        )

    for method in ("GET", "HEAD"):
        app.add_api_route(
            path,
            get_artifact,
            tags=["Artifacts"],
            methods=[method],
            summary="Download a file" if method == "GET" else "Ask for a file",
            operation_id=f"{method.lower()}_artifact",
            response_class=Response,
            responses={
                200: {"description": "The file."},
                **errors("UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND"),
            },
        )
