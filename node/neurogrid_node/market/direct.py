"""Clients that come to us by themselves: each has a coordinator of its own, which dials us.

What is said on the stream is what we say to every coordinator; only who opened it differs. A client that
is away keeps its leases: it finds them when it comes back, under the same peer id.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import P2pError

from ..settings.clients import DirectConfig
from .network import CoordinatorLink

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Visit:
    """One connection of a client."""

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)


class DirectClients:
    """The clients that are here, and those whose leases are.

    Args:
        make_link: a link to the coordinator of this peer id, which is never run: it is dialled.
        links: of all coordinators, by peer id; ours are added and removed.
        has_leases: whether there are leases of the coordinator of this peer id.
    """

    def __init__(
        self,
        config: DirectConfig,
        make_link: Callable[[str], CoordinatorLink],
        links: dict[str, CoordinatorLink],
        has_leases: Callable[[str], bool],
    ) -> None:
        self._config = config
        self._make_link = make_link
        self._links = links
        self._has_leases = has_leases
        self._here: dict[str, _Visit] = {}
        self._ours: set[str] = set()

    def expect(self, coordinator: str) -> None:
        """Know a client again that has leases from before a restart."""
        if coordinator not in self._links:
            self._links[coordinator] = self._make_link(coordinator)
            self._ours.add(coordinator)

    async def serve(self, channel: Channel) -> None:
        """Talk with a client's coordinator until either side ends it."""
        coordinator = channel.remote_id
        refusal = self._refusal(coordinator)
        if refusal:
            _log.warning("direct client %s refused: %s", coordinator, refusal)
            channel.abort(refusal)
            return
        # A client that comes again has lost its older connection, and knows it sooner than we do. Its
        # link is one, so the older talk is over before the newer begins.
        while (older := self._here.get(coordinator)) is not None:
            older.scope.cancel()
            await older.ended.wait()
        visit = self._here[coordinator] = _Visit()
        self.expect(coordinator)
        try:
            with visit.scope:
                reason = await self._links[coordinator].converse(channel)
                _log.info("direct client %s left: %s", coordinator, reason)
        except (P2pError, trio.TooSlowError) as error:
            _log.info("direct client %s: %s", coordinator, error or "no answer")
        finally:
            del self._here[coordinator]
            visit.ended.set()
            self._forget_idle()

    def _refusal(self, coordinator: str) -> str:
        """Why this client is not served; "" if it is."""
        if self._config.allow and coordinator not in self._config.allow:
            return "it is not on the list [direct] allow"
        if coordinator in self._links and coordinator not in self._ours:
            return "it is one of the coordinators that we dial"
        if coordinator not in self._here and len(self._here) >= self._config.clients:
            return f"{self._config.clients} others are here"
        return ""

    def _forget_idle(self) -> None:
        """Let go of clients that are away and have nothing here."""
        for coordinator in sorted(self._ours - set(self._here)):
            if not self._has_leases(coordinator):
                self._ours.discard(coordinator)
                del self._links[coordinator]
