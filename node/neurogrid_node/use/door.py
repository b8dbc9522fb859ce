"""Who may ask the replicas that run here: the coordinator of a lease for use, an exchange at a time on streams that stay open.

Each exchange begins with its lease, is looked at as if its stream were new, and has a connection to the replica of its own; between
two a stream is joined to nothing. What was sent for an exchange that is over is passed over, never taken for the next one's.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import trio

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job_stream import (
    REFUSALS,
    USE_STREAM_PROTOCOL_ID,
    WINDOW_BYTES,
    Exited,
    ExitReason,
    FrameKind,
    OpenPort,
    Refused,
    StreamRefusal,
    write_words,
)
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.serving_ahead import is_ahead
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import Host
from neurogrid_telemetry.about import about

from ..access.frames import FrameStream
from ..access.places import Places, refusal_of
from ..access.session import Session
from ..container.errors import ContainerGone, EngineError
from ..container.job_engine import JobEngine
from ..container.ports import JobNetwork, NotListening, PortConnection
from ..container.spec import CONTAINER_NAME_PREFIX
from .connection import UseConnection
from .place import UsePlace

# Exchanges at once, of all replicas. Streams wait between them, so of those there are more.
_EXCHANGES_MAX: Final = 256
STREAMS_MAX: Final = 2 * _EXCHANGES_MAX
# Coordinators end those that they do not use after two minutes.
_IDLE_S: Final = 300.0
# Of an exchange that is over: its credits, and what came of a request whose answer did not wait for it.
_PASSED_OVER_MAX: Final = 1024
_WELL: Final = Exited(0)

_log = logging.getLogger(__name__)


class UseDoor:
    """See the module.

    Args:
        lease_of: the lease of this id, None if there is none.
        requests: that one replica answers at a time.
        idle_s: an exchange in which nothing goes either way for so long is broken off.
        may_enter: whether this daemon lets anybody into the networks of jobs, and can go there.
    """

    def __init__(
        self,
        engine: JobEngine,
        lease_of: Callable[[str], NodeLease | None],
        uses: UsePlace,
        *,
        requests: int,
        idle_s: float,
        may_enter: bool,
    ) -> None:
        self._engine = engine
        self._lease_of = lease_of
        self._uses = uses
        self._requests = Places(requests, _EXCHANGES_MAX)
        self._idle_s = idle_s
        self._may_enter = may_enter
        # By the replica's lease.
        self._networks: dict[str, JobNetwork] = {}
        self._streams = 0

    async def run(
        self, host: Host, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Take streams from the peers of ``host`` until cancelled."""
        host.serve_bytes(USE_STREAM_PROTOCOL_ID, self.serve)
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            for network in self._networks.values():
                network.close()
            self._networks.clear()

    async def serve(self, bytes_: ByteStream) -> None:
        """One stream, to its end."""
        stream = FrameStream(bytes_)
        if self._streams >= STREAMS_MAX:
            return
        self._streams += 1
        try:
            while (lease_id := await _wanted(stream)) is not None:
                with about(lease=lease_id, peer=stream.remote_id):
                    if not await self._exchange(stream, lease_id):
                        return
        except* ChannelClosed as group:
            _log.debug("a stream of %s: %s", stream.remote_id, group.exceptions)
        finally:
            self._streams -= 1

    async def _exchange(self, stream: FrameStream, lease_id: str) -> bool:
        """One exchange; whether the stream bears another."""
        lease = self._lease_of(lease_id)
        if lease is None or lease.coordinator != stream.remote_id:
            return await _refuse(stream, StreamRefusal.NO_LEASE)
        if lease.use is None:
            return await _refuse(stream, StreamRefusal.NO_SERVICE)
        replica = self._uses.replica_of(lease)
        start = replica.start if replica is not None else None
        if replica is None or start is None:
            return await _refuse(stream, StreamRefusal.NOT_RUNNING)
        if start.job.service is None:
            return await _refuse(stream, StreamRefusal.NO_SERVICE)
        refusal = refusal_of(
            lease,
            self._requests,
            self._uses.refusal(lease),
            allowed=self._may_enter,
            ahead=is_ahead(lease),
        ) or refusal_of(replica, self._requests, None, allowed=True)
        if refusal is not None:
            return await _refuse(stream, refusal)
        # What one replica has at work is what its owner limits, whoever asks.
        with self._requests.one_more(replica.lease_id):
            port = await self._connected(replica.lease_id, start.job.service.port)
            if isinstance(port, StreamRefusal):
                return await _refuse(stream, port)
            # Connecting takes a while, in which its lease may have come to its end: from here on it counts as being asked.
            lease = self._lease_of(lease_id) or lease
            if (refusal := self._uses.refusal(lease)) is not None:
                await port.aclose()
                return await _refuse(stream, refusal)
            exited = await self._passed_on(stream, port, lease)
        # Its place is free already: the next request need not wait for this one's last word to be read.
        await stream.send(write_words(exited))
        if (network := self._networks.get(replica.lease_id)) is not None:
            network.prepare()
        return exited == _WELL

    async def _passed_on(
        self, stream: FrameStream, port: PortConnection, lease: NodeLease
    ) -> Exited:
        uses, lease_id = self._uses, lease.lease_id
        exchange = UseConnection(
            port,
            uses.tally_of(lease),
            lambda: uses.must_wait(lease_id),
            lambda served: uses.is_beyond(lease_id, served),
        )
        exited = Exited(-1, ExitReason.LOST)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when, uses.until_stopped(lease_id), nursery)
                exited = await Session(stream, exchange, self._idle_s).run()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await exchange.aclose()
        return Exited(-1, ExitReason.USED_UP) if exchange.is_used_up else exited

    async def _connected(self, lease_id: str, port: int) -> PortConnection | StreamRefusal:
        """A connection to a port of a replica, or why there is none.

        The engine is asked once for each life of a container: it takes longer than all the rest of this.
        """
        with suppress(ContainerGone, NotListening, OSError):
            if lease_id in self._networks:
                return await self._networks[lease_id].connect(port)
        try:
            view = await self._engine.inspect(CONTAINER_NAME_PREFIX + lease_id)
            network = JobNetwork(view.pid, view.container_id)
            self._know(lease_id, network)
            return await network.connect(port)
        except ContainerGone:
            return StreamRefusal.NOT_RUNNING
        except NotListening:
            return StreamRefusal.NOT_LISTENING
        except (EngineError, OSError) as error:
            _log.warning("no way to the port of lease %s: %s", lease_id, error)
            return StreamRefusal.NOT_READY

    def _know(self, lease_id: str, network: JobNetwork) -> None:
        """Keep a network for the next exchanges, and none whose container has ended."""
        gone = {known for known, each in self._networks.items() if each.is_gone}
        for known in gone | ({lease_id} & self._networks.keys()):
            self._networks.pop(known).close()
        self._networks[lease_id] = network


async def _wanted(stream: FrameStream) -> str | None:
    """The lease of the next exchange; None: there was none for long."""
    passed_over, left_bytes = 0, WINDOW_BYTES
    with trio.move_on_after(_IDLE_S):
        while passed_over < _PASSED_OVER_MAX and left_bytes >= 0:
            frame = await stream.receive()
            match frame.kind:
                case FrameKind.OPEN_PORT:
                    try:
                        return frame.words(OpenPort).lease_id
                    except MalformedMessage as error:
                        raise ChannelClosed(f"broke the protocol: {error}") from error
                case FrameKind.INPUT | FrameKind.CREDIT | FrameKind.END_OF_INPUT:
                    passed_over += 1
                    left_bytes -= len(frame.payload)
                case _:
                    raise ChannelClosed(f"broke the protocol: {frame.kind.name} is not expected")
        raise ChannelClosed("sends what nobody waits for")
    return None


async def _refuse(stream: FrameStream, code: StreamRefusal) -> bool:
    """The stream stays: the next exchange may be of another lease."""
    await stream.send(write_words(Refused(code, REFUSALS[code])))
    return True


async def _cancel_when(over: Awaitable[None], nursery: trio.Nursery) -> None:
    await over
    nursery.cancel_scope.cancel()
