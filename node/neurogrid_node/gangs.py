"""The private networks of the gangs that this node's leases are members of: links, and ways to other nodes.

A lease's link is a container beside the job's (`gang_profile.py`); its packets go by `gang_membership.py`. A
daemon that restarts finds the links as they were and only makes the ways anew.
"""

import logging
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.gang import GangMember, GangPlace
from neurogrid_marketplace.gang_packets import GANG_PROTOCOL_ID, Drop
from neurogrid_marketplace.lease import NodeLease
from neurogrid_p2p.address import through_relay
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.gate import Limits
from neurogrid_p2p.host import Host
from neurogrid_p2p.relay_reservation import RelayReservations

from .container import Engine
from .container_errors import ContainerGone, EngineError, EngineRefused
from .gang_link import GangLink, listening
from .gang_membership import GREETING_LIMIT_S, Membership, receive_greeting
from .gang_profile import LINK_IMAGE, LinkSpec, link_name

_log = logging.getLogger(__name__)

# A link is up within a second; a busy machine may take longer.
_LINK_LIMIT_S = 60.0
_RETRY_S = 1.0
_LOG_BYTES_MAX = 4096
# That we and one other node are both in. Each has a connection of its own, and one that replaces it.
_GANGS_WITH_ONE_PEER = 16
# No key has this id, so that nobody can be the other member of a gang that is only tried.
_NOBODY = "1" * 46


def with_gangs(limits: Limits) -> Limits:
    """The limits of a host that others come to about gangs, too."""
    return replace(
        limits, connections_per_peer=limits.connections_per_peer + 2 * _GANGS_WITH_ONE_PEER
    )


class LinkFailed(EngineRefused):
    """A member's link did not come up, or is gone: this machine's fault."""

    code = "gang_link_failed"


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
        engine: Engine,
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
        self._host = host
        self._reservations = reservations
        self._relay_of = relay_of
        self._directory = directory
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
        image = await self._engine.image(LINK_IMAGE)
        if image is None:
            raise LinkFailed(f"{LINK_IMAGE} is not on this machine any more: make images")
        container_id = await self._engine.create_link(
            LinkSpec(
                lease_id,
                self._engine.node_id,
                image.image_id,
                place,
                self._directory_of(lease_id).absolute(),
            )
        )
        view = await self._engine.inspect(container_id)
        if view.ended is None:
            await self._engine.start(container_id)
            if await self._is_up(self._members[lease_id].link, container_id):
                return container_id
        raise LinkFailed(f"the link of the gang did not come up: {await self._words(container_id)}")

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
        while True:
            try:
                view = await self._engine.inspect(link_name(lease_id))
                await self._engine.wait(view.container_id)
                return
            except ContainerGone:
                return
            except EngineError as error:
                _log.info("link of %s: %s", lease_id, error)
                await trio.sleep(_RETRY_S)

    async def leave(self, lease_id: str) -> None:
        """Remove everything of a lease, after its job; one without a gang has nothing.

        Raises:
            EngineError, OSError: something is still there; ask again.
        """
        member = self._members.get(lease_id)
        if member is not None:
            member.scope.cancel()
            await member.ended.wait()
        directory = self._directory_of(lease_id)
        # It is made before the container and removed after it, so it says whether there is one.
        if directory.exists():
            await self._engine.remove(link_name(lease_id))
            shutil.rmtree(directory)

    async def sweep(self, keep: set[str]) -> None:
        """At start: remove what is of no lease.

        Raises:
            EngineError: the engine is away.
        """
        for found in await self._engine.list_links():
            if found.lease_id not in keep:
                _log.warning("removing the link of forgotten lease %s", found.lease_id)
                await self._engine.remove(found.container_id)
        for path in self._directory.iterdir():
            if path.name not in keep:
                shutil.rmtree(path, ignore_errors=True)

    def dropped(self, lease_id: str) -> Mapping[Drop, int]:
        """How many packets of a lease's interface were not let through, by reason."""
        return self._members[lease_id].membership.dropped

    async def obstacle(self) -> str:
        """Why this machine can hold no member of a gang, or "": a link is tried. Takes half a second."""
        lease_id = f"probe-{uuid.uuid4().hex}"
        members = (GangMember(self._host.peer_id), GangMember(_NOBODY))
        try:
            try:
                await self.join(lease_id, _NOBODY, GangPlace("task_" + "0" * 32, 0, 0, members))
            finally:
                with trio.CancelScope(shield=True):
                    await self.leave(lease_id)
        except (EngineError, OSError) as error:
            return str(error)
        return ""

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
            link = stack.enter_context(listening(self._directory_of(lease_id)))
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

    async def _is_up(self, link: GangLink, container_id: str) -> bool:
        is_up = False

        async def until_connected() -> None:
            nonlocal is_up
            await link.until_connected()
            is_up = True
            nursery.cancel_scope.cancel()

        with trio.move_on_after(_LINK_LIMIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(until_connected)
                await self._engine.wait(container_id)
                nursery.cancel_scope.cancel()
        return is_up

    async def _words(self, container_id: str) -> str:
        """What a link said before it failed."""
        text = ""
        with trio.move_on_after(_RETRY_S):
            async with self._engine.follow_logs(container_id, max_bytes=_LOG_BYTES_MAX) as chunks:
                async for chunk in chunks:
                    text += chunk.text
        return text.strip() or f"it said nothing (docker logs {container_id[:12]})"

    def _directory_of(self, lease_id: str) -> Path:
        return self._directory / lease_id


async def _run_on(membership: Membership, lease_id: str) -> None:
    while True:
        try:
            await membership.run()
        except Exception:  # noqa: BLE001 - one gang's boundary: a defect must not end the others
            _log.exception("lease %s: its gang's network starts over", lease_id)
        await trio.sleep(_RETRY_S)
