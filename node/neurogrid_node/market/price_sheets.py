"""Asks coordinators what awards cleared at, under a name of its own; a running node is not disturbed."""

from collections.abc import Sequence

import trio

from neurogrid_marketplace.errors import RemoteError
from neurogrid_marketplace.price_sheet import PRICES_PROTOCOL_ID, PriceSheet, parse_sheet
from neurogrid_p2p.errors import P2pError
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.peer_lists import PeerLists
from neurogrid_wallet.keys import KeyPair

# Each is asked at the same time as the others; a person is waiting.
_PATIENCE_S = 10.0


async def ask_prices(
    addresses: Sequence[str], lists: PeerLists | None = None
) -> tuple[dict[str, PriceSheet], dict[str, str]]:
    """What each coordinator tells, and why others tell nothing; by their addresses.

    Args:
        lists: who may be asked.
    """
    sheets: dict[str, PriceSheet] = {}
    problems: dict[str, str] = {}

    async def ask(host: Host, address: str) -> None:
        with trio.move_on_after(_PATIENCE_S) as patience:
            try:
                sheets[address] = await _ask(host, address)
            except (P2pError, RemoteError) as error:
                problems[address] = str(error)
        if patience.cancelled_caught:
            problems[address] = f"no answer within {_PATIENCE_S:g} s"

    async with open_host(KeyPair.generate().seed) as host:
        if lists is not None:
            host.admit(lists)
        async with trio.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(ask, host, address)
    return sheets, problems


async def _ask(host: Host, address: str) -> PriceSheet:
    channel = await host.dial(address, PRICES_PROTOCOL_ID)
    try:
        return parse_sheet(await channel.receive())
    finally:
        channel.abort("heard")
