"""``/v1/files``: what batches read and write."""

from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ...openai.batch_lines import FILE_BYTES_MAX
from ...openai.fields import Unsupported
from ...services.openai_files import LIST_MAX, OpenAiFiles
from ...store.openai_files import BATCH, FileRow
from ..auth import Caller, FormCaller, Gate
from ..envelope import json_response
from ..form import read_form
from ..native.files import file_response
from ..openapi import Schemas
from .errors import refusals
from .models import NAME

_PURPOSE = "purpose"
_MS_PER_S = 1000
_FORM: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", _PURPOSE],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    _PURPOSE: {"const": BATCH},
                },
            }
        }
    },
}
After = Annotated[str | None, Query(description="Only those behind this id.", max_length=80)]


class OpenAiFile(Struct, frozen=True):
    """A file."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Literal["processed"]


class OpenAiFileList(Struct, frozen=True):
    """Some files."""

    object: Literal["list"]
    data: list[OpenAiFile]
    first_id: str | None
    last_id: str | None
    has_more: bool


class OpenAiFileDeleted(Struct, frozen=True):
    """It is forgotten."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


def add_openai_file_routes(app: FastAPI, files: OpenAiFiles, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""
    read = refusals(schemas, 401, 403, 404, 429, 503)

    @app.post(
        "/v1/files",
        tags=[NAME],
        summary="Upload the requests of a batch",
        response_class=Response,
        responses={
            200: schemas.bare(OpenAiFile, "It is kept."),
            **refusals(schemas, 400, 401, 403, 409, 413, 429, 503),
        },
        openapi_extra={"requestBody": _FORM},
    )
    async def upload_file(
        request: Request, sender: Annotated[FormCaller, Depends(gate.of_form)]
    ) -> Response:
        """A form with `purpose` batch and `file`, at most 64 MiB, kept as an artifact of the account."""
        async with read_form(request, "file", FILE_BYTES_MAX, sender.require_signature) as form:
            purpose = form.fields.get(_PURPOSE)
            if purpose != BATCH:
                raise Unsupported(
                    f"purpose: files are here for batches: send {BATCH!r}", _PURPOSE, value=True
                )
            unknown = (form.fields.keys() | form.lists.keys()) - {_PURPOSE}
            if unknown:
                name = min(unknown)[:64]
                raise Unsupported(f"{name}: files are kept as all artifacts are", name)
            row = await files.upload(
                sender.caller.account,
                form.file.filename or "batch.jsonl",
                form.pieces(),
                form.file.size,
            )
        return json_response(_view(row))

    @app.get(
        "/v1/files",
        tags=[NAME],
        summary="List files",
        response_class=Response,
        responses={
            200: schemas.bare(OpenAiFileList, "Of the account."),
            **refusals(schemas, 400, 401, 403, 429, 503),
        },
    )
    async def list_files(
        caller: Annotated[Caller, Depends(gate)],
        purpose: Annotated[str | None, Query(description="Only these.", max_length=40)] = None,
        after: After = None,
        order: Annotated[Literal["asc", "desc"], Query()] = "desc",
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = LIST_MAX,
    ) -> Response:
        """What was uploaded, and what batches have left."""
        page = await files.list(
            caller.account,
            purpose=purpose,
            after=after,
            newest_first=order == "desc",
            limit=limit,
        )
        views = [_view(row) for row in page.files]
        first, last = (views[0].id, views[-1].id) if views else (None, None)
        return json_response(OpenAiFileList("list", views, first, last, page.has_more))

    @app.get(
        "/v1/files/{file_id}",
        tags=[NAME],
        summary="Show a file",
        response_class=Response,
        responses={200: schemas.bare(OpenAiFile, "Without its bytes."), **read},
    )
    async def get_file(file_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """A file of another account is not found."""
        return json_response(_view(await files.get(caller.account, file_id)))

    @app.get(
        "/v1/files/{file_id}/content",
        tags=[NAME],
        summary="Read a file",
        response_class=Response,
        responses={
            200: {
                "description": "Its bytes.",
                "content": {
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
                },
            },
            **read,
        },
    )
    async def read_file(
        request: Request, file_id: str, caller: Annotated[Caller, Depends(gate)]
    ) -> Response:
        """Takes `Range`."""
        stored = await files.stored(await files.get(caller.account, file_id))
        return file_response(
            request,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            content=lambda offset: files.content(stored, offset),
        )

    @app.delete(
        "/v1/files/{file_id}",
        tags=[NAME],
        summary="Delete a file",
        response_class=Response,
        responses={
            200: schemas.bare(OpenAiFileDeleted, "Its id and its name are gone."),
            **read,
        },
    )
    async def delete_file(file_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """A batch that is made of it goes on."""
        await files.delete(caller.account, file_id)
        return json_response(OpenAiFileDeleted(file_id, "file", True))


def _view(row: FileRow) -> OpenAiFile:
    return OpenAiFile(
        id=row.id,
        object="file",
        bytes=row.size_bytes,
        created_at=row.created_at_ms // _MS_PER_S,
        filename=row.filename,
        purpose=row.purpose,
        status="processed",
    )
