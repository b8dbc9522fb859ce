"""Answering with a stored file: streamed, resumable by ``Range``, cached by its hash."""

import mimetypes
import re
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..errors import error_response

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)


def file_response(
    request: Request,
    *,
    sha256: str,
    size_bytes: int,
    content: Callable[[int], AsyncIterator[bytes]],
    name: str = "",
) -> Response:
    """The file, or the part of it that was asked for.

    Args:
        content: the bytes from an offset on.
        name: for its media type; "" for plain bytes.
    """
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {
        "ETag": f'"{sha256}"',
        "Accept-Ranges": "bytes",
        # Named by its hash, so it never changes; private, because it is one account's.
        "Cache-Control": "private, max-age=31536000, immutable",
        # An output is somebody's upload: a browser must not run it in our name.
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    first, last = 0, size_bytes - 1
    status = 200
    wanted = request.headers.get("range")
    if wanted is not None and request.headers.get("if-range", headers["ETag"]) == headers["ETag"]:
        match = _RANGE.fullmatch(wanted)
        # Several ranges, or another unit: the whole file is a right answer (RFC 9110, 14.2).
        if match and match.group(0) != "bytes=-":
            first, last = _bounds(match[1], match[2], size_bytes)
            if first > last:
                return error_response(
                    "RANGE_NOT_SATISFIABLE",
                    f"the file has {size_bytes} bytes",
                    {"size": size_bytes},
                    headers={"Content-Range": f"bytes */{size_bytes}"},
                )
            status = 206
            headers["Content-Range"] = f"bytes {first}-{last}/{size_bytes}"
    headers["Content-Length"] = str(last - first + 1)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    body = _upto(content(first), last - first + 1)
    return StreamingResponse(body, status, headers=headers, media_type=media_type)


def _bounds(start: str, end: str, size_bytes: int) -> tuple[int, int]:
    """First and last byte; first beyond last if nothing of it exists."""
    if not start:
        return max(0, size_bytes - int(end)), size_bytes - 1
    last = min(int(end), size_bytes - 1) if end else size_bytes - 1
    return int(start), last


async def _upto(content: AsyncIterator[bytes], count: int) -> AsyncIterator[bytes]:
    async for piece in content:
        yield piece[:count]
        count -= len(piece)
        if count <= 0:
            return
