"""For processes that are to be killed: a life starts in no time, everything being imported already."""

import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from solana.rpc.async_api import AsyncClient

from neurogrid_wallet import rpc
from neurogrid_wallet.errors import RpcError
from neurogrid_wallet.outbox import OutboxPolicy

T = TypeVar("T")

POLICY = OutboxPolicy(check_interval_s=0.1, poll_max_s=0.05, in_flight_max=64)
"""For a chain whose slots last some milliseconds, over a line that loses half of everything."""


def lead(life: Callable[[], None]) -> None:
    """Fork a process that runs ``life`` for each line read, say its process id, and how it ended."""
    # Half of all calls are lost; real waits in between would only make the test long.
    rpc._BACKOFF_FIRST_S = 0.01
    # The first one loads certificates and half of its modules, for each process anew.
    AsyncClient("http://127.0.0.1:1")
    for _ in sys.stdin:
        process_id = os.fork()
        if process_id == 0:
            life()
            os._exit(0)
        print(process_id, flush=True)
        _, status = os.waitpid(process_id, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


async def again(step: Callable[[], Awaitable[T]]) -> T:
    """Ask until the line lets it through."""
    while True:
        with contextlib.suppress(RpcError):
            return await step()
