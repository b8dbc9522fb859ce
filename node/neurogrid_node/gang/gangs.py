"""The private networks of the gangs that this node's leases are members of: links, and ways to other nodes.

A lease's link is a container beside the job's (`gang/profile.py`); its packets go by `gang/membership.py`. A
daemon that restarts finds the links as they were and only makes the ways anew.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.gang import GangPlace
from neurogrid_marketplace.gang_packets import GANG_PROTOCOL_ID, Drop
from neurogrid_marketplace.lease import NodeLease
from neurogrid_p2p.address import through_relay
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import Host
from neurogrid_p2p.limits import Limits
from neurogrid_p2p.relay_reservation import RelayReservations

from ..container.job_engine import JobEngine
from ..container.links import Links, listening
from .link import GangLink
from .membership import GREETING_LIMIT_S, Membership, receive_greeting
from .profile import LINK_IMAGE, LINK_NAME_PREFIX, gang_link
from .trial import obstacle

_log = logging.getLogger(__name__)

_RETRY_S = 1.0
# That we and one other node are both in. Each has a connection of its own, and one that replaces it.
_GANGS_WITH_ONE_PEER = 16


def with_gangs(limits: Limits) -> Limits:
    """The limits of a host that others come to about gangs, too."""
    return replace(
        limits, connections_per_peer=limits.connections_per_peer + 2 * _GANGS_WITH_ONE_PEER
    )


@dataclass(slots=True, eq=False)
class _Member:
    """One lease's part in its gang, while this process lives."""

    membership: Membership
    link: GangLink
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)


class Gangs:
    """All members on this node. It serves others from its construction on; links outlive it."""

    def __init__(
        self,
        engine: JobEngine,
        host: Host,
        reservations: RelayReservations,
        relay_of: Callable[[str], str | None],
        directory: Path,
        bytes_per_s: int,
        nursery: trio.Nursery,
    ) -> None:
        """
        Args:
            relay_of: the address of a coordinator, which may be a relay; None for one that dials us.
            directory: for the sockets of links; nobody's but ours.
            bytes_per_s: what one gang may send and what it may get, on average.
            nursery: where the members' tasks live.
        """
        self._engine = engine
        self._links = Links(engine, LINK_IMAGE, LINK_NAME_PREFIX, directory)
        self._host = host
        self._reservations = reservations
        self._relay_of = relay_of
        self._bytes_per_s = bytes_per_s
        self._nursery = nursery
        self._members: dict[str, _Member] = {}
        host.serve_bytes(GANG_PROTOCOL_ID, self._called)

    async def join(self, lease_id: str, coordinator: str, place: GangPlace) -> str:
        """Bring a lease's interface up; the id of the container whose network the job joins.

        Raises:
            EngineError, OSError: it cannot be had; `LinkFailed` says what its link said.
        """
        await self.resume(lease_id, coordinator, place)
        spec = gang_link(
            lease_id,
            self._engine.node_id,
            await self._links.image_id(),
            place,
            self._links.folder_of(lease_id).absolute(),
        )
        return await self._links.start(spec, self._members[lease_id].link.until_connected)

    async def resume(self, lease_id: str, coordinator: str, place: GangPlace) -> None:
        """Carry the packets of a lease, whether or not its link is there yet. A second call does nothing.

        Raises:
            OSError: there is no socket to be had.
        """
        if lease_id not in self._members:
            await self._nursery.start(self._serve, lease_id, coordinator, place)

    async def restore(self, lease: NodeLease) -> None:
        """Take up a lease's part again after a restart of ours, if it has any."""
        if lease.start is None or lease.start.gang is None:
            return
        try:
            await self.resume(lease.lease_id, lease.coordinator, lease.start.gang)
        except OSError as error:
            # Its job runs on, cut off from the others; other leases are well.
            _log.error("lease %s has no way to its gang: %s", lease.lease_id, error)

    async def until_lost(self, lease_id: str) -> None:
        """Wait for the end of a lease's link; for ever where there is none."""
        if lease_id not in self._members:
            await trio.sleep_forever()
        await self._links.until_lost(lease_id)

    async def leave(self, lease_id: str) -> None:
        """Remove everything of a lease, after its job; one without a gang has nothing.

        Raises:
            EngineError, OSError: something is still there; ask again.
        """
        member = self._members.get(lease_id)
        if member is not None:
            member.scope.cancel()
            await member.ended.wait()
        await self._links.remove(lease_id)

    async def sweep(self, keep: set[str]) -> None:
        """At start: remove what is of no lease.

        Raises:
            EngineError: the engine is away.
        """
        await self._links.sweep(keep)

    def dropped(self, lease_id: str) -> Mapping[Drop, int]:
        """How many packets of a lease's interface were not let through, by reason."""
        return self._members[lease_id].membership.dropped

    async def obstacle(self) -> str:
        """Why this machine can hold no member of a gang, or "": a link is tried. Takes half a second."""
        return await obstacle(self._links, self._engine.node_id)

    # --- steps -------------------------------------------------------------------------------

    async def _called(self, stream: ByteStream) -> None:
        """A node has come to us: let it in if it is a member of a gang that we are in, too."""
        try:
            with trio.fail_after(GREETING_LIMIT_S):
                greeting = await receive_greeting(stream)
            for member in self._members.values():
                if member.membership.admits(greeting, stream.remote_id):
                    await member.membership.welcome(greeting.rank, stream)
                    return
            _log.debug("%s is in no gang of ours", stream.remote_id)
        except (ChannelClosed, MalformedMessage, trio.TooSlowError) as error:
            _log.debug("%s, about a gang: %s", stream.remote_id, error)

    async def _serve(
        self,
        lease_id: str,
        coordinator: str,
        place: GangPlace,
        task_status: trio.TaskStatus[None],
    ) -> None:
        relay = self._relay_of(coordinator)
        with ExitStack() as stack:
            link = GangLink(stack.enter_context(listening(self._links.folder_of(lease_id))))
            membership = Membership(
                place,
                link,
                self._host,
                lambda node_id: through_relay(relay, node_id) if relay else None,
                self._bytes_per_s,
            )
            if relay and membership.is_dialled:
                stack.enter_context(self._reservations.through(relay))
            member = self._members[lease_id] = _Member(membership, link)
            task_status.started()
            try:
                with member.scope:
                    await _run_on(membership, lease_id)
            finally:
                # In this order: nobody comes in between.
                del self._members[lease_id]
                membership.hang_up()
                member.ended.set()
                if membership.dropped:
                    _log.info("lease %s: packets dropped: %s", lease_id, dict(membership.dropped))


async def _run_on(membership: Membership, lease_id: str) -> None:
    while True:
        try:
            await membership.run()
        except Exception:  # noqa: BLE001 - one gang's boundary: a defect must not end the others
            _log.exception("lease %s: its gang's network starts over", lease_id)
        await trio.sleep(_RETRY_S)
