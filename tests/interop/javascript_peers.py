"""Peers of tests/interop/js, each a process that says what happens as lines of JSON."""

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from javascript import NODE

JS = Path(__file__).parent / "js"
# Far beyond what any test of them takes, for what hangs.
LIMIT_S = 180


@asynccontextmanager
async def javascript(script: str, *arguments: str) -> AsyncIterator[trio.abc.ReceiveStream]:
    """A running peer, and what it says."""
    process = await trio.lowlevel.open_process(
        [NODE, script, *arguments], cwd=JS, stdout=subprocess.PIPE
    )
    assert process.stdout is not None, "asked for"
    try:
        with trio.fail_after(LIMIT_S):
            yield process.stdout
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()


async def said(stream: trio.abc.ReceiveStream) -> dict[str, object]:
    """The next line."""
    line = b""
    while not line.endswith(b"\n"):
        piece = await stream.receive_some(1)
        assert piece, "it ended; its standard error says why"
        line += piece
    heard: dict[str, object] = json.loads(line)
    return heard
