"""Coordinators that nobody listed: looked for by a process of its own, joined like the others, and kept.

What is found is written down, so that a start at which no source answers joins those of before.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import trio

from neurogrid_p2p.discovery import lines
from neurogrid_p2p.discovery.child import Discovery
from neurogrid_p2p.discovery.settings import Settings
from neurogrid_telemetry.log_settings import LogSettings
from neurogrid_wallet.errors import WalletError

from ..settings.network import DiscoveryConfig
from . import found
from .found import Rules
from .network import CoordinatorLink

# How often it is looked who is connected.
_LOOK_S = 5.0
# And written down, where only that has changed.
_SAVE_S = 600.0

_log = logging.getLogger(__name__)


class FoundCoordinators:
    """Those that were found, each with its link among the others.

    Args:
        make_link: a link to the coordinator at an address.
        links: of all coordinators, by peer id; ours are added and removed.
        has_leases: whether there are leases of the coordinator of this peer id.
        log: where the process that looks for them logs.
    """

    def __init__(
        self,
        directory: Path,
        rules: Rules,
        make_link: Callable[[str], CoordinatorLink],
        links: dict[str, CoordinatorLink],
        has_leases: Callable[[str], bool],
        now_ms: Callable[[], int],
        log: LogSettings,
    ) -> None:
        self._directory = directory
        self._rules = rules
        self._make_link = make_link
        self._links = links
        self._has_leases = has_leases
        self._now_ms = now_ms
        self._found = found.Found()
        self._saved = self._found
        self._running: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        self._said: dict[str, str] = {}
        settings = replace(process_settings(rules.config, rules.network), log=log)
        self.discovery = Discovery(settings, self.heard)

    @property
    def sources(self) -> dict[str, str]:
        """Where each of those that are joined was found, by peer id."""
        return {peer_id: each.source for peer_id, each in self._found.joined.items()}

    def restore(self, has_leases: Callable[[str], bool]) -> None:
        """Know those again that were joined before a restart; before leases look for their links."""
        self._found, problem = found.load(self._directory, self._rules)
        if problem:
            _log.warning("%s", problem)
        self._saved = self._found
        self._found = self._found.looked(self._rules, self._now_ms(), (), has_leases)
        for peer_id in self._found.joined:
            if peer_id not in self._links:
                self._add(peer_id)

    async def run(self) -> None:
        """Stay joined to them, and look for others where the owner wants that, for ever."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for peer_id in list(self._running):
                self._start(peer_id)
            if self._rules.config.is_on:
                nursery.start_soon(self.discovery.run)
            while True:
                with trio.move_on_after(_SAVE_S):
                    while self._found.joined.keys() == self._saved.joined.keys():
                        await trio.sleep(_LOOK_S)
                        self._look()
                await self._save()

    async def heard(self, report: lines.Report) -> None:
        """What the process reports."""
        if isinstance(report, lines.Looked):
            if self._said.get(report.source) != report.problem:
                # Once: a source that is away for a day is one line.
                self._said[report.source] = report.problem
                if report.problem:
                    _log.warning(
                        "looking for coordinators by %s: %s", report.source, report.problem
                    )
        elif isinstance(report, lines.Found):
            self._hear(report)
            await self._save()

    def _hear(self, report: lines.Found) -> None:
        advert = report.advert
        before = self._found
        self._found, why = before.heard(
            self._rules, advert, report.source, self._now_ms(), self._is_busy
        )
        if why:
            _log.debug("%s, found by %s, is not joined: %s", advert.coordinator, report.source, why)
        for peer_id in before.joined.keys() - self._found.joined.keys():
            self._remove(peer_id)
        if advert.coordinator not in self._found.joined:
            return
        if advert.coordinator not in self._links:
            _log.info("coordinator %s was found by %s", advert.coordinator, report.source)
            self._add(advert.coordinator)
            self._start(advert.coordinator)
        elif advert.coordinator in self._running:
            addresses = self._found.joined[advert.coordinator].addresses
            self._links[advert.coordinator].reached_at(addresses)

    def _look(self) -> None:
        connected = [each for each in self._running if self._links[each].is_connected()]
        before = self._found
        self._found = before.looked(self._rules, self._now_ms(), connected, self._has_leases)
        for peer_id in before.joined.keys() - self._found.joined.keys():
            _log.info("coordinator %s, once found, is gone", peer_id)
            self._remove(peer_id)
        for peer_id in self._found.joined:
            if peer_id not in self._links:  # it was a direct client's until now
                self._add(peer_id)
                self._start(peer_id)

    async def _save(self) -> None:
        if self._found == self._saved:
            return
        now = self._found
        try:
            await trio.to_thread.run_sync(found.save, self._directory, now)
        except WalletError as error:
            _log.warning("which coordinators were found is not kept: %s", error)
        self._saved = now

    def _is_busy(self, peer_id: str) -> bool:
        link = self._links.get(peer_id)
        return self._has_leases(peer_id) or (link is not None and link.is_connected())

    def _add(self, peer_id: str) -> None:
        addresses = self._found.joined[peer_id].addresses
        link = self._make_link(addresses[0])
        link.reached_at(addresses)
        self._links[peer_id] = link
        self._running[peer_id] = trio.CancelScope()

    def _start(self, peer_id: str) -> None:
        async def run(link: CoordinatorLink, scope: trio.CancelScope) -> None:
            with scope:
                await link.run()

        assert self._nursery is not None, "run() comes first"
        self._nursery.start_soon(run, self._links[peer_id], self._running[peer_id])

    def _remove(self, peer_id: str) -> None:
        if peer_id in self._running:
            self._running.pop(peer_id).cancel()
            del self._links[peer_id]


def process_settings(config: DiscoveryConfig, network: str, interval_s: int = 0) -> Settings:
    """Of a process that looks for coordinators, under a name that is nobody's: a new one each time."""
    return Settings(
        seed=os.urandom(32).hex(),
        network=network,
        dht=config.dht,
        rendezvous=config.rendezvous,
        mdns=config.mdns,
        private=config.private,
        find=True,
        interval_s=interval_s or config.interval_s,
    )
