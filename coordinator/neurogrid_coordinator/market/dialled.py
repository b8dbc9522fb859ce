"""Nodes that we dial, instead of waiting for them: what a client's own coordinator does.

Once the stream is open, who opened it makes no difference: we greet, and the node says hello.
"""

import itertools
import logging
import random
from collections.abc import Awaitable, Callable

import trio

from neurogrid_marketplace.messages import DIRECT_PROTOCOL_ID
from neurogrid_p2p.address import parse_address
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import P2pError
from neurogrid_p2p.host import Host

_BACKOFF_FIRST_S = 0.5
_BACKOFF_MAX_S = 10.0

_log = logging.getLogger(__name__)


class DialledNodes:
    """Keeps connections to nodes, as long as `run` runs.

    Args:
        addresses: of the nodes, each with its /p2p/ peer id; also through relays. Of several of one
            node, one is used at a time.
        serve: talks with a node until either side ends it.
    """

    def __init__(
        self, host: Host, addresses: tuple[str, ...], serve: Callable[[Channel], Awaitable[None]]
    ) -> None:
        self._host = host
        self._addresses: dict[str, list[str]] = {}
        for address in addresses:
            node_id = str(parse_address(address).peer_id)
            self._addresses.setdefault(node_id, []).append(address)
        self._serve = serve

    async def run(self) -> None:
        """Dial them all, and again for ever; ends at once if there are none."""
        async with trio.open_nursery() as nursery:
            for addresses in self._addresses.values():
                nursery.start_soon(self._keep, addresses)

    async def _keep(self, addresses: list[str]) -> None:
        backoff_s = _BACKOFF_FIRST_S
        said: dict[str, str] = {}
        for address in itertools.cycle(addresses):
            began_s = trio.current_time()
            reason = await self._once(address)
            if trio.current_time() - began_s > _BACKOFF_MAX_S:
                backoff_s = _BACKOFF_FIRST_S
                said.clear()
            if said.get(address) != reason:
                # Once: a node that is away for a day is one line.
                said[address] = reason
                _log.warning("node %s: %s; trying again", address, reason)
            await trio.sleep(random.uniform(backoff_s / 2, backoff_s))
            backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)

    async def _once(self, address: str) -> str:
        """One connection from dial to end; returns why it ended."""
        try:
            channel = await self._host.dial(address, DIRECT_PROTOCOL_ID)
            try:
                await self._serve(channel)
                return channel.closed_reason or "the node left"
            finally:
                await channel.aclose()
        except P2pError as error:
            return str(error)
        except Exception:  # noqa: BLE001 - one node's boundary: the others go on
            _log.exception("node %s", address)
            return "a defect of ours"
