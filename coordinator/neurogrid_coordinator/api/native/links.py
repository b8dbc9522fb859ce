"""``/links/{word}``: files that an answer's URL opens, without a key, for a while."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path
from starlette.requests import Request
from starlette.responses import Response

from ...services.artifacts import Artifacts
from ...services.file_links import FileLinks, LinkedFile
from ...services.model_questions import Link
from ..openapi import errors
from ..paths import API
from .files import file_response

_PATH = f"{API}/links"
_ROUTE: dict[str, Any] = {
    "tags": ["Artifacts"],
    "response_class": Response,
    "responses": {
        200: {"description": "The file. `ETag` is its SHA-256; `Range` resumes."},
        **errors("NOT_FOUND", "RANGE_NOT_SATISFIABLE", "RATE_LIMITED", "STORE_UNAVAILABLE"),
    },
}


def add_link_route(app: FastAPI, links: FileLinks, artifacts: Artifacts) -> None:
    """Add the route."""

    async def follow_link(
        request: Request,
        word: Annotated[str, Path(description="As an answer said it.", max_length=1024)],
    ) -> Response:
        """Needs no key: whoever has the link reads this one file, for an hour from when it was made."""
        file = links.opened(word)
        stored = await artifacts.find_of(file.account_id, file.sha256)
        return file_response(
            request,
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            content=lambda offset: artifacts.content(stored, offset),
            name=file.name,
        )

    for method in ("GET", "HEAD"):
        app.add_api_route(
            _PATH + "/{word}",
            follow_link,
            methods=[method],
            summary="Follow a link to a file",
            operation_id=f"{method.lower()}_link",
            **_ROUTE,
        )


def link_maker(links: FileLinks, public_url: str) -> Callable[[Request, str], Link]:
    """What makes absolute links for an account: below the host that the operator names, else the one that was asked."""

    def of(request: Request, account_id: str) -> Link:
        host = public_url or str(request.base_url).rstrip("/")
        return lambda sha256, name: (
            f"{host}{_PATH}/{links.made(LinkedFile(account_id, sha256, name))}"
        )

    return of
