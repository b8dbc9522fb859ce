"""Tells whoever asks what awards cleared at: one frame, and the stream is closed."""

from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.price_sheet import PRICES_PROTOCOL_ID, PriceSheet
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.host import Host


class PriceDesk:
    """Serves on a host from `serve_on` on.

    Attributes:
        sheet: what is told; None before the api has said anything.
    """

    def __init__(self) -> None:
        self.sheet: PriceSheet | None = None

    def serve_on(self, host: Host) -> None:
        """Answer there."""
        host.serve(PRICES_PROTOCOL_ID, self._asked, owns_connection=False)

    def set(self, sheet: PriceSheet) -> None:
        """Have this told from now on."""
        self.sheet = sheet

    async def _asked(self, channel: Channel) -> None:
        if self.sheet is not None:
            await channel.send(plain(self.sheet))
