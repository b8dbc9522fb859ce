"""Carrying adverts: handing them to whoever asks, and asking others for theirs."""

import trio

from neurogrid_marketplace.advert import (
    ADVERTS_MAX,
    ADVERTS_PROTOCOL_ID,
    Advert,
    check_advert,
    parse_advert,
)
from neurogrid_marketplace.errors import RemoteError
from neurogrid_marketplace.fields import plain

from ..channel import Channel
from ..errors import HandshakeFailed
from ..host import Host
from .exchange import EXCHANGE_LIMIT_S


class Herald:
    """Hands out adverts; serves from its construction on.

    Attributes:
        adverts: what is handed out.
    """

    def __init__(self, host: Host) -> None:
        self.adverts: tuple[Advert, ...] = ()
        host.serve(ADVERTS_PROTOCOL_ID, self._asked)

    async def _asked(self, channel: Channel) -> None:
        await channel.send({"adverts": [plain(advert) for advert in self.adverts[:ADVERTS_MAX]]})


async def adverts_at(host: Host, address: str, network: str, now_ms: int) -> tuple[Advert, ...]:
    """The adverts of one network that a peer carries.

    Raises:
        P2pError: it is not there, or carries none; the message says what is wrong with the last one.
    """
    try:
        with trio.fail_after(EXCHANGE_LIMIT_S):
            channel = await host.dial(address, ADVERTS_PROTOCOL_ID)
            try:
                message = await channel.receive()
            finally:
                channel.abort("heard")
    except trio.TooSlowError:
        raise HandshakeFailed(f"no answer within {EXCHANGE_LIMIT_S:.0f} s") from None
    items = message.get("adverts")
    if not isinstance(items, list):
        raise HandshakeFailed("it hands out something else than adverts")
    found, flaw = [], "it carries no adverts"
    for item in items[:ADVERTS_MAX]:
        try:
            advert = parse_advert(item)
            check_advert(advert, network, now_ms)
        except RemoteError as error:
            flaw = f"its advert is not good: {error}"
            continue
        found.append(advert)
    if not found:
        raise HandshakeFailed(flaw)
    return tuple(found)
