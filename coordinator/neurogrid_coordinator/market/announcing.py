"""Being found by nodes that do not know us: a signed advert, carried by a process of its own."""

import logging
from collections.abc import Awaitable, Callable

import trio

from neurogrid_marketplace.advert import make_advert
from neurogrid_p2p.address import is_loopback, parse_address, through_relay
from neurogrid_p2p.discovery.child import Discovery
from neurogrid_p2p.discovery.lines import Carry, Looked, Ready, Report
from neurogrid_p2p.discovery.peers import ADDRESSES_MAX, reached_at
from neurogrid_p2p.discovery.settings import Settings
from neurogrid_p2p.host import Host
from neurogrid_p2p.session import Party
from neurogrid_telemetry.log_settings import LogSettings

from .settings import Announcement

# An advert holds for a day: whoever has one when we go down finds us for hours after we are back.
RENEW_S = 3600.0

_log = logging.getLogger(__name__)


class Announcer:
    """Keeps this coordinator announced, as long as `run` runs.

    Args:
        party: the coordinator, which signs.
        host: where it serves nodes.
        relays: through which it is reached, too.
        seed: of the identity under which the discovery process is known; not the coordinator's.
        told: called with where that process is reached, whenever it has been started.
        log: where that process logs.
    """

    def __init__(
        self,
        party: Party,
        host: Host,
        relays: tuple[str, ...],
        announcement: Announcement,
        seed: bytes,
        told: Callable[[tuple[str, ...]], Awaitable[None]],
        log: LogSettings,
    ) -> None:
        self._party = party
        self._host = host
        self._relays = relays
        self._announcement = announcement
        self._told = told
        self._said: dict[str, str] = {}
        self.discovery = Discovery(
            Settings(
                seed=seed.hex(),
                network=party.network,
                listen=announcement.listen,
                hosts=announcement.hosts,
                dht=announcement.dht,
                rendezvous=announcement.rendezvous,
                mdns=announcement.mdns,
                private=announcement.private,
                serve=announcement.serve,
                log=log,
            ),
            self._heard,
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where nodes reach us, as the advert says it."""
        private = self._announcement.private
        direct = [
            text
            for text in reached_at(self._host, self._announcement.hosts)
            if private or not is_loopback(parse_address(text))
        ]
        relayed = [through_relay(relay, self._host.peer_id) for relay in self._relays]
        return tuple((direct + relayed)[:ADDRESSES_MAX])

    async def run(self) -> None:
        """Announce for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.discovery.run)
            while True:
                if addresses := self.addresses:
                    advert = make_advert(
                        self._party.sign,
                        network=self._party.network,
                        coordinator=self._party.peer_id,
                        addresses=addresses,
                        now_ms=self._party.now_ms(),
                    )
                    await self.discovery.carry(Carry((advert,)))
                else:
                    _log.warning(
                        "not announced: nobody else reaches where [p2p] listens; set [discovery] hosts"
                    )
                await trio.sleep(RENEW_S)

    async def _heard(self, report: Report) -> None:
        if isinstance(report, Ready):
            await self._told(report.addresses)
        elif isinstance(report, Looked) and self._said.get(report.source) != report.problem:
            # Once: a rendezvous point that is away for a day is one line.
            self._said[report.source] = report.problem
            if report.problem:
                _log.warning("not announced by %s: %s", report.source, report.problem)
            else:
                _log.info("announced by %s", report.source)
