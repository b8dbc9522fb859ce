"""Waiting until somebody has sent the wallet what a move needs."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from neurogrid_wallet.errors import RpcError

from .moves import MoveRefused, Refusal

T = TypeVar("T")

_LACKS_FUNDS: Final = frozenset({Refusal.NOT_ENOUGH_SOL, Refusal.NOT_ENOUGH_USDC})
# A person is waiting, and a public endpoint answers 40 such calls in ten seconds.
_LOOK_S: Final = 2.0


async def until_funded(
    attempt: Callable[[], Awaitable[T]], timeout_s: float, tell: Callable[[str], None]
) -> T:
    """Try again and again while only money is missing; 0 seconds: once.

    A chain that is away for a while is no reason to give up before the time is over.

    Args:
        tell: hears what is missing, each time that it is something else.

    Raises:
        MoveRefused: something else stands in the way; or the time is over, and this is missing.
        RpcError: the time is over, and the chain is away.
    """
    deadline = trio.current_time() + timeout_s
    told = ""
    while True:
        try:
            return await attempt()
        except (MoveRefused, RpcError) as error:
            if isinstance(error, MoveRefused) and error.code not in _LACKS_FUNDS:
                raise
            left_s = deadline - trio.current_time()
            if left_s <= 0:
                raise
            if str(error) != told:
                told = str(error)
                tell(f"{told}; waiting for at most {max(1, round(left_s / 60))} min")
        await trio.sleep(min(_LOOK_S, left_s))
