"""How a client waits and reads files in an event loop, of asyncio or trio; ../runtime.py is for threads."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from anyio import Lock, sleep, to_thread

from ..files import CHUNK_BYTES

__all__ = ["Lock", "blocking", "pieces", "sleep"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def blocking(work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """What work of this machine comes to that takes as long as its disk; the loop goes on meanwhile."""
    return await to_thread.run_sync(work, *arguments)


async def pieces(path: Path) -> AsyncGenerator[bytes]:
    """What is in a file, a MiB at a time."""
    file = await blocking(path.open, "rb")
    try:
        while piece := await blocking(file.read, CHUNK_BYTES):
            yield piece
    finally:
        file.close()
