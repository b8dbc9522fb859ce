"""A connection to a service, as bytes."""

import asyncio
from typing import Protocol

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job_stream import FrameKind

from ..market.job_stream import JobStream, JobStreamBroken

# What a service does not take for so long, it does not want.
STALL_LIMIT_S = 60.0


class ServiceBroken(Exception):
    """The service, or the way to it, is gone, or what it says is not what was asked for."""


class Hung(ServiceBroken):
    """The service has said nothing of its answer for longer than one may."""


class UsedUp(ServiceBroken):
    """The rest of an answer is more than the escrow of its lease for use can pay."""


class Connection(Protocol):
    """Bytes both ways, to somebody who speaks HTTP."""

    async def read(self) -> bytes:
        """What comes next; b"" at the end. Raises ServiceBroken: the way to it is gone."""
        ...

    async def write(self, data: bytes) -> None:
        """Give it all of this. Raises ServiceBroken: it takes none."""
        ...


class ServiceConnection:
    """Read by one task, written by one."""

    def __init__(self, stream: JobStream) -> None:
        self._stream = stream

    async def read(self) -> bytes:
        """What comes next; b"" when the service says no more.

        Raises:
            ServiceBroken: the way to it is gone.
        """
        try:
            while True:
                frame = await self._stream.receive()
                match frame.kind:
                    case FrameKind.OUTPUT if frame.payload:
                        return frame.payload
                    case FrameKind.EXITED:
                        return b""
                    case FrameKind.CREDIT | FrameKind.OUTPUT:
                        continue
                    case _:
                        raise ServiceBroken(f"{frame.kind.name} is not expected")
        except (JobStreamBroken, MalformedMessage) as error:
            raise ServiceBroken(str(error)) from error

    async def write(self, data: bytes) -> None:
        """Give it all of this.

        Raises:
            ServiceBroken: it takes none.
        """
        try:
            async with asyncio.timeout(STALL_LIMIT_S):
                await self._stream.write(data)
        except TimeoutError:
            raise ServiceBroken(f"it took nothing for {STALL_LIMIT_S:g} s") from None
        except JobStreamBroken as error:
            raise ServiceBroken(str(error)) from error
