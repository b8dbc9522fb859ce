"""One attempt to deliver to a webhook: a POST to whoever its owner named, who may be anybody."""

import asyncio
from collections.abc import Mapping

import httpcore

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.input_url import InputUrl

from ..outbound import Outbound, Unreachable, broke_off, header
from .schedule import ATTEMPT_LIMIT_S, Outcome

# Of the answer so much is read and kept, for who looks why it failed.
_ANSWER_BYTES_MAX = 1024
_TIMEOUTS = dict.fromkeys(("connect", "read", "write", "pool"), float(ATTEMPT_LIMIT_S))


class WebhookSender:
    """Sends, and says what came of it; never raises for what a receiver does."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def send(self, url: str, headers: Mapping[str, str], body: str) -> Outcome:
        """POST the body; redirects are not followed, and the answer is read as far as it is kept."""
        try:
            target = InputUrl.read(url)
            async with asyncio.timeout(ATTEMPT_LIMIT_S), self._outbound.pool() as pool:
                return await _exchange(pool, target, headers, body)
        except (TimeoutError, httpcore.TimeoutException):
            return Outcome(error=f"no whole answer within {ATTEMPT_LIMIT_S} s")
        except (Unreachable, InvalidValue) as error:
            return Outcome(error=str(error)[:300])
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            return Outcome(error=broke_off(error))


async def _exchange(
    pool: httpcore.AsyncConnectionPool, url: InputUrl, headers: Mapping[str, str], body: str
) -> Outcome:
    request = httpcore.Request(
        "POST",
        httpcore.URL(
            scheme=url.scheme.encode(),
            host=url.host.encode(),
            port=url.port,
            target=url.target.encode(),
        ),
        headers=[
            ("Host", url.authority),
            ("User-Agent", "neurogrid-webhooks"),
            ("Accept-Encoding", "identity"),
            ("Content-Length", str(len(body.encode()))),
            *headers.items(),
        ],
        content=body.encode(),
        extensions={"timeout": _TIMEOUTS},
    )
    response = await pool.handle_async_request(request)
    try:
        answer = bytearray()
        async for piece in response.aiter_stream():
            answer += piece
            if len(answer) >= _ANSWER_BYTES_MAX:
                break
    finally:
        await response.aclose()
    status = response.status
    error = ""
    if 300 <= status < 400:
        error = f"it answers {status}, and redirects are not followed: change the webhook's url"
    elif not 200 <= status < 300:
        error = f"it answers {status}"
    # NUL: text of PostgreSQL can't hold it.
    said = answer[:_ANSWER_BYTES_MAX].decode("utf-8", "replace").replace("\0", "\ufffd")
    return Outcome(status, error, _retry_after_s(response), said)


def _retry_after_s(response: httpcore.Response) -> int | None:
    """Its seconds; a date is rare and needs its clock."""
    text = header(response, b"retry-after").strip()
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 9 else None
