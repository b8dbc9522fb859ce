"""Forms with a file (multipart/form-data): bounded while they arrive; a file that is large waits on the disk."""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ..services.errors import InvalidRequest, PayloadTooLarge
from .body import BODY_SHA256_STATE, announced_bytes, arriving

# Beside its file a form has a few words.
_FIELD_BYTES_MAX = 64 * 1024
_FIELDS_MAX = 32
# As PHP began it, and OpenAI's clients send lists.
_LIST = "[]"
_PIECE_BYTES = 64 * 1024
_FLAGS = {"true": True, "false": False}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Form:
    """What a form has.

    Attributes:
        fields: name -> text.
        lists: the same of those whose name ends with ``[]``, which may come more than once; without that end.
        file: what was sent as a file; its name is its sender's and may be anything.
    """

    fields: dict[str, str]
    lists: dict[str, list[str]]
    file: UploadFile

    async def pieces(self) -> AsyncIterator[bytes]:
        """The file's bytes."""
        await self.file.seek(0)
        while piece := await self.file.read(_PIECE_BYTES):
            yield piece


@asynccontextmanager
async def read_form(
    request: Request,
    file_field: str,
    limit_bytes: int,
    require_signature: Callable[[str], Awaitable[None]],
) -> AsyncIterator[Form]:
    """The form that is a request's body; its file is gone afterwards.

    Args:
        file_field: the field that has to be a file.
        limit_bytes: of the whole body.
        require_signature: as `auth.FormCaller` has it; what it raises is raised.

    Raises:
        PayloadTooLarge: as soon as it is known; the rest is not read.
        InvalidRequest: it is no such form, or has a field twice.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise InvalidRequest("the body: must be multipart/form-data")
    if (announced_bytes(request) or 0) > limit_bytes:
        raise PayloadTooLarge(limit_bytes)
    parser = MultiPartParser(
        request.headers,
        _bounded(request, limit_bytes),
        max_files=1,
        max_fields=_FIELDS_MAX,
        max_part_size=_FIELD_BYTES_MAX,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(f"the body: {error.message}") from error
    except FormParserError as error:
        # Of starlette before 1.0, which passes on what its parser says.
        raise InvalidRequest(f"the body: {error}") from error
    try:
        await require_signature(request.scope["state"][BODY_SHA256_STATE])
        items = form.multi_items()
        once = [name for name, _ in items if not name.endswith(_LIST)]
        if len(set(once)) != len(once):
            raise InvalidRequest("the body: has a field twice")
        file = form.get(file_field)
        if not isinstance(file, UploadFile):
            raise InvalidRequest(f"{file_field}: has to be a file", file_field)
        fields: dict[str, str] = {}
        lists: dict[str, list[str]] = {}
        for name, value in items:
            if isinstance(value, str) and name.endswith(_LIST):
                lists.setdefault(name.removesuffix(_LIST), []).append(value)
            elif isinstance(value, str):
                fields[name] = value
        yield Form(fields, lists, file)
    finally:
        await form.close()


async def with_form(form: AsyncExitStack, pieces: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The same pieces; the form, whose file they are about, is there until their end."""
    async with form, aclosing(pieces):
        async for piece in pieces:
            yield piece


def flag(text: str) -> bool | str:
    """What a field that is true or false says; the text itself where it is neither."""
    return _FLAGS.get(text.lower(), text)


async def _bounded(request: Request, limit_bytes: int) -> AsyncGenerator[bytes]:
    digest, count = hashlib.sha256(), 0
    async for piece in arriving(request):
        count += len(piece)
        if count > limit_bytes:
            raise PayloadTooLarge(limit_bytes)
        digest.update(piece)
        yield piece
    request.scope.setdefault("state", {})[BODY_SHA256_STATE] = digest.hexdigest()
