"""``/tasks/{id}/checkpoints``: what is kept of a task's work, for its owner."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, FastAPI, Path, Request
from starlette.responses import Response

from ...services.artifacts import Artifacts
from ...services.checkpoints import Checkpoints
from ..auth import Caller, Gate
from ..envelope import success
from ..openapi import Schemas, errors
from ..paths import API
from .files import file_response
from .task_schemas import CheckpointFilesView, CheckpointListView, OutputView
from .task_views import checkpoint_view

_Sequence = Annotated[int, Path(ge=1, le=10**9, description="Of the checkpoint.")]


def add_checkpoint_routes(
    app: FastAPI,
    *,
    checkpoints: Checkpoints,
    artifacts: Artifacts,
    gate: Gate,
    schemas: Schemas,
    public_url: str,
) -> None:
    """Add the routes."""
    path = f"{API}/tasks/{{task_id}}/checkpoints"
    one = f"{path}/{{sequence}}"

    @app.get(
        path,
        tags=["Results"],
        summary="List a task's checkpoints",
        response_class=Response,
        responses={
            200: schemas.answer(CheckpointListView, "Those that are kept, oldest first."),
            **errors("UNAUTHORIZED", "NOT_FOUND"),
        },
    )
    async def list_checkpoints(task_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """What is kept of its work. They stay until the task is deleted."""
        kept = await checkpoints.list(caller.account, task_id)
        return success(CheckpointListView(task_id, [checkpoint_view(each) for each in kept]))

    @app.get(
        one,
        tags=["Results"],
        summary="List a checkpoint's files",
        response_class=Response,
        responses={
            200: schemas.answer(CheckpointFilesView, "Its files, sorted by path."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "NOT_FOUND"),
        },
    )
    async def get_checkpoint(
        task_id: str, sequence: _Sequence, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Every file by its hash."""
        detail = await checkpoints.get(caller.account, task_id, sequence)
        where = f"{public_url}{API}/tasks/{task_id}/checkpoints/{sequence}/files"
        files = [
            OutputView(file.path, file.sha256, file.size_bytes, f"{where}/{quote(file.path)}")
            for file in detail.files
        ]
        return success(CheckpointFilesView(task_id, checkpoint_view(detail.kept), files))

    @app.get(
        one + "/files/{path:path}",
        tags=["Results"],
        summary="Get a file of a checkpoint",
        response_class=Response,
        responses={
            200: {"description": "The file. `ETag` is its SHA-256; `Range` resumes."},
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "NOT_FOUND",
                "RANGE_NOT_SATISFIABLE",
                "STORE_UNAVAILABLE",
            ),
        },
    )
    async def get_checkpoint_file(
        request: Request,
        task_id: str,
        sequence: _Sequence,
        path: str,
        caller: Annotated[Caller, Depends(gate)],
    ) -> Response:
        """Exactly the bytes that the job wrote."""
        file = await checkpoints.file(caller.account, task_id, sequence, path)
        stored = await artifacts.present(file.sha256, file.size_bytes)
        return file_response(
            request,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            content=lambda offset: artifacts.content(stored, offset),
            name=file.path,
        )
