"""``/dashboard``: the pages for people, as files that were built before (``make dashboard``).

Their scripts ask the same API as everybody, with a key that the person gave; nothing here knows who asks. What a page may
load is this coordinator's alone: no script, style, picture or connection of another host, and none within the page.
"""

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Final

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from .dashboard_files import INDEX, PageFile, read_files

PATH: Final = "/dashboard"
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_FIRST: Final = "no-cache"
_NOT_BUILT: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>NeuroGrid</title>'
    "<h1>The dashboard has not been built</h1>"
    "<p>This coordinator runs from a checkout: type <code>make dashboard</code> there and start it again. "
    'Until then there is the <a href="/docs">API documentation</a> and the <code>neurogrid</code> command.</p></html>'
)


def add_dashboard(app: FastAPI) -> None:
    """Add the routes."""
    files = cache(read_files)

    async def found() -> Mapping[str, PageFile]:
        # Packing takes some tens of milliseconds, once.
        return await asyncio.to_thread(files)

    @app.get(PATH, include_in_schema=False)
    async def dashboard(request: Request) -> Response:
        return _page(request, await found())

    @app.get(f"{PATH}/{{page:path}}", include_in_schema=False)
    async def dashboard_page(request: Request, page: str) -> Response:
        return answered(request, page, await found())


def answered(request: Request, path: str, files: Mapping[str, PageFile]) -> Response:
    """The file at a path, or the page, which shows what is at that path itself."""
    file = files.get(path)
    if file is not None:
        return _sent(request, file)
    if path.startswith("assets/"):
        # A page that was open while the dashboard was built anew asks for what is gone: it must not get a page for a script.
        return PlainTextResponse("There is no such file; load the page again.\n", 404)
    return _page(request, files)


def _page(request: Request, files: Mapping[str, PageFile]) -> Response:
    file = files.get(INDEX)
    if file is None:
        return HTMLResponse(_NOT_BUILT, headers={**HEADERS, "Cache-Control": "no-store"})
    return _sent(request, file)


def _sent(request: Request, file: PageFile) -> Response:
    headers = {
        **HEADERS,
        "Cache-Control": _FOR_EVER if file.is_hashed else _ASK_FIRST,
        "ETag": file.etag,
        "Vary": "Accept-Encoding",
    }
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    body = file.content
    if file.packed is not None and _takes_gzip(request.headers.get("accept-encoding", "")):
        body = file.packed
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type=file.media_type)


def _takes_gzip(accepted: str) -> bool:
    for coding in accepted.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
