"""How a contender is driven: one JSON value a line, commands on its input, answers on its output.

Only the standard library: whoever imports this may run in another environment.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from typing import Any

# A line is a few hundred bytes; the payloads that a contender starts with are a few thousand.
_LINE_BYTES = 1024 * 1024


def say(value: Any) -> None:
    """Answer."""
    print(json.dumps(value), flush=True)


async def commands() -> AsyncIterator[Any]:
    """What we are told, until whoever tells us closes the pipe."""
    reader = asyncio.StreamReader(_LINE_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


class Worker:
    """A process that was started here and is told what to do; made by `start`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, module: str, *arguments: str) -> "Worker":
        """Start ``python -m module arguments``."""
        command = (sys.executable, "-m", module, *arguments)
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, limit=_LINE_BYTES
            )
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def tell(self, command: Any) -> Any:
        """Tell it to do something, and wait for its answer."""
        assert self._process.stdin is not None, "a pipe was asked for"
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return await self.hear()

    async def hear(self) -> Any:
        """Its next answer.

        Raises:
            RuntimeError: it has ended.
        """
        assert self._process.stdout is not None, "a pipe was asked for"
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker ended with {await self._process.wait()}")
        return json.loads(line)

    async def stop(self) -> None:
        """Close its input, upon which it ends."""
        assert self._process.stdin is not None, "a pipe was asked for"
        self._process.stdin.close()
        await self._process.wait()
