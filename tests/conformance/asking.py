"""Makes a document's requests in their order, and says in what each answer differs from the document."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import websockets
from websockets.exceptions import WebSocketException

from conformance.exchanges import Document, Exchange, Socket, at
from conformance.recording import SILENCE
from conformance.shape import differences

# Longer than any coordinator lets somebody wait for a result.
_ANSWER_S = 400.0
_MESSAGE_S = 15.0
_AGAIN_S = 0.5
_SHOWN_CHARS = 300


@dataclass(frozen=True)
class Outcome:
    """What came of one request or socket.

    Attributes:
        asked: which.
        differences: from the document; none where all is as it says.
        awaits: why it was not asked; "" where it was.
    """

    asked: str
    differences: tuple[str, ...] = ()
    awaits: str = ""


async def ask_all(
    document: Document,
    client: httpx.AsyncClient,
    key: str = "",
    sockets_url: str = "",
    webhook_url: str = "",
    recording: bytes = SILENCE,
) -> AsyncGenerator[Outcome]:
    """The outcome of everything that the document prints, as it comes.

    Args:
        client: whose base URL is the coordinator's.
        key: an API key; not sent where the document knows none.
        sockets_url: the coordinator's as ``ws://``; "" leaves sockets out.
        webhook_url: what the coordinator may send events to.
        recording: a WAV file, for models that transcribe. Of silence they may have nothing to say.
    """
    headers: dict[str, str] = {}
    if document.key_header and key:
        name, _, value = document.key_header.partition(": ")
        headers[name] = value.format(key=key)
    # Ids that clients choose are good once in an account, so the documents' get this behind them.
    kept: dict[str, str] = {"webhook_url": webhook_url, "unique": secrets.token_hex(4)}
    for exchange in document.exchanges:
        if exchange.awaits and exchange.unless not in kept:
            yield Outcome(exchange.request, awaits=exchange.awaits)
            continue
        found = await _ask(document, exchange, client, headers, kept, recording)
        yield Outcome(exchange.request, tuple(found))
    for socket in document.sockets if sockets_url else ():
        if socket.awaits:
            yield Outcome(f"WS {socket.path}", awaits=socket.awaits)
            continue
        found = await _listen(document, socket, client, headers, sockets_url)
        yield Outcome(f"WS {socket.path}", tuple(found))


async def check(
    document: Document,
    client: httpx.AsyncClient,
    key: str = "",
    sockets_url: str = "",
    webhook_url: str = "",
    recording: bytes = SILENCE,
) -> list[str]:
    """All differences, each with what was asked."""
    found: list[str] = []
    asked = ask_all(document, client, key, sockets_url, webhook_url, recording)
    async with aclosing(asked) as outcomes:
        async for outcome in outcomes:
            found += [f"{outcome.asked}: {one}" for one in outcome.differences]
    return found


async def _ask(
    document: Document,
    exchange: Exchange,
    client: httpx.AsyncClient,
    headers: Mapping[str, str],
    kept: dict[str, str],
    recording: bytes,
) -> list[str]:
    method, _, path = _filled(exchange.request, kept).partition(" ")
    own = {name: _filled(text, kept) for name, text in exchange.headers.items()}
    sent = {**headers, **own}
    body = _filled(exchange.body, kept).encode()
    if body:
        sent.setdefault("Content-Type", "application/json")
    form = {name: _filled(text, kept) for name, text in exchange.form.items()}
    files = {"file": ("speech.wav", recording, "audio/wav")} if form else None
    path = document.prefix + path
    try:
        async with asyncio.timeout(_ANSWER_S):
            while True:
                answer = await client.request(
                    method,
                    path,
                    content=body or None,
                    data=form or None,
                    files=files,
                    headers=sent,
                    timeout=_ANSWER_S,
                )
                if exchange.until is None or _has_come(answer, *exchange.until):
                    break
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        return [f"{exchange.until} has not come within {_ANSWER_S:g} s"]
    except httpx.HTTPError as error:
        return [f"no answer: {error!r}"]
    if answer.status_code != exchange.status:
        text = answer.text[:_SHOWN_CHARS]
        return [f"{answer.status_code}, where the document has {exchange.status}: {text}"]
    return _compared(exchange, answer, kept)


def _has_come(answer: httpx.Response, path: str, word: str) -> bool:
    """Whether the answer has this word there, or another end than it."""
    try:
        return at(answer.json(), path) in (word, "failed", "cancelled", "error")
    except (LookupError, TypeError, ValueError):
        return True


def _compared(exchange: Exchange, answer: httpx.Response, kept: dict[str, str]) -> list[str]:
    try:
        value = answer.json()
    except ValueError:
        return [f"no JSON: {answer.text[:_SHOWN_CHARS]}"]
    found = list(differences(exchange.printed, value, exchange.words, exchange.filled))
    for name, path in exchange.keeps.items():
        try:
            kept[name] = at(value, path)
        except (LookupError, TypeError, ValueError):
            found.append(f"{path}: is missing, and later requests need it")
    for name, path in exchange.keeps_if_there.items():
        with suppress(LookupError, TypeError, ValueError):
            kept[name] = at(value, path)
    return found


async def _listen(
    document: Document,
    socket: Socket,
    client: httpx.AsyncClient,
    headers: Mapping[str, str],
    url: str,
) -> list[str]:
    """The first messages of a socket, beside those that are printed."""
    found: list[str] = []
    try:
        async with (
            websockets.connect(url + document.prefix + socket.path) as connection,
            asyncio.TaskGroup() as tasks,
        ):
            asked: asyncio.Task[list[str]] | None = None
            for printed in socket.messages:
                said = await _next(connection, socket.skips)
                found += differences(json.loads(printed), said, socket.words)
                if asked is None and socket.meanwhile is not None:
                    asking = _ask(document, socket.meanwhile, client, headers, {}, SILENCE)
                    asked = tasks.create_task(asking)
        found += asked.result() if asked is not None else []
    except* (OSError, TimeoutError, ValueError, WebSocketException) as errors:
        found.append(f"no message: {errors.exceptions!r}")
    return found


async def _next(connection: websockets.ClientConnection, skips: tuple[str, ...]) -> Any:
    async with asyncio.timeout(_MESSAGE_S):
        while True:
            said = json.loads(await connection.recv())
            if not skips or said.get("type") not in skips:
                return said


def _filled(text: str, kept: Mapping[str, str]) -> str:
    """The text with what earlier answers had in place of its names in braces."""
    return re.sub(r"\{(\w+)\}", lambda name: kept.get(name[1], name[0]), text)
