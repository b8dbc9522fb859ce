"""Who may come into a running job: the coordinator that awarded it, for a client whose job asks for it.

Asked for is what the node has signed to run (`Job.interactive`, `Job.service`), not what a coordinator says now:
nobody can be given a way into a job that was submitted without one.
"""

import logging
from collections.abc import Callable

import trio

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job_stream import (
    EXEC,
    JOB_STREAM_PROTOCOL_ID,
    REFUSALS,
    Exited,
    FrameKind,
    Open,
    OpenPort,
    Refused,
    StreamRefusal,
    write_bytes,
    write_words,
)
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.service import PORTS, Service
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import Host
from neurogrid_telemetry.about import about
from neurogrid_telemetry.log_lines import named

from ..container.errors import ContainerGone, EngineConflict, EngineError
from ..container.execs import ExecSpec
from ..container.job_engine import JobEngine
from ..container.ports import NotListening, PortConnection, connect
from ..container.spec import CONTAINER_NAME_PREFIX
from ..log_events import NodeEvent
from ..settings.clients import ExecConfig, ServicesConfig
from .frames import FrameStream
from .places import Places, refusal_of
from .session import Program, Session

COMMANDS_PER_LEASE = 8
_COMMANDS_MAX = 64
_CONNECTIONS_MAX = 256
# Of a node at once.
STREAMS_MAX = _COMMANDS_MAX + _CONNECTIONS_MAX
_OPEN_LIMIT_S = 15.0

_log = logging.getLogger(__name__)


class JobDoor:
    """Lets commands and connections into jobs.

    Args:
        lease_of: the lease of this id, None if there is none.
        may_end: whether this daemon can end the commands that it starts.
        may_enter: whether it can go into the networks of jobs.
    """

    def __init__(
        self,
        engine: JobEngine,
        lease_of: Callable[[str], NodeLease | None],
        commands: ExecConfig,
        services: ServicesConfig,
        *,
        may_end: bool,
        may_enter: bool,
    ) -> None:
        self._engine = engine
        self._lease_of = lease_of
        self._exec_idle_s = commands.idle_s
        self._port_idle_s = services.idle_s
        self._takes_commands = commands.allow and may_end and engine.execs is not None
        self._takes_connections = services.allow and may_enter
        self._commands = Places(COMMANDS_PER_LEASE, _COMMANDS_MAX)
        self._connections = Places(services.connections, _CONNECTIONS_MAX)

    @property
    def takes_connections(self) -> bool:
        """Whether anybody gets to a job's port here."""
        return self._takes_connections

    @property
    def ways(self) -> tuple[str, ...]:
        """What the node's offer says of it (`Offer.access`)."""
        return (
            *([EXEC] if self._takes_commands else []),
            *([PORTS] if self._takes_connections else []),
        )

    async def open_on(self, host: Host, lease_ids: list[str]) -> None:
        """Take streams from the peers of ``host``, once what is left in these leases' containers is ended.

        Nobody is at the other end of what an earlier life of this daemon has let in. Its connections to ports
        have ended with it.
        """
        execs = self._engine.execs
        for lease_id in lease_ids:
            if execs is None:
                break
            try:
                ended = await execs.end_left(_container(lease_id))
            except EngineError as error:
                _log.warning("commands that may be left beside lease %s: %s", lease_id, error)
                continue
            if ended:
                _log.info("ended %d commands that were left beside lease %s", ended, lease_id)
        host.serve_bytes(JOB_STREAM_PROTOCOL_ID, self.serve)

    async def serve(self, bytes_: ByteStream) -> None:
        """One stream, to its end."""
        stream = FrameStream(bytes_)
        try:
            await self._serve(stream)
        except* ChannelClosed as group:
            _log.debug("a stream of %s: %s", stream.remote_id, group.exceptions)

    async def _serve(self, stream: FrameStream) -> None:
        wanted = None
        with trio.move_on_after(_OPEN_LIMIT_S):
            wanted = await _wanted(stream)
        if wanted is None:
            return  # it wants nothing
        lease = self._lease_of(wanted.lease_id)
        if lease is None or lease.coordinator != stream.remote_id:
            await _refuse(stream, StreamRefusal.NO_LEASE)
            return
        with about(lease=wanted.lease_id, peer=stream.remote_id):
            if lease.serves:
                await _refuse(stream, StreamRefusal.PER_USE)
            elif isinstance(wanted, Open):
                await self._command(stream, wanted, lease)
            else:
                await self._connection(stream, lease)

    async def _command(self, stream: FrameStream, wanted: Open, lease: NodeLease) -> None:
        asks = lease.start is not None and lease.start.job.interactive
        refusal = refusal_of(
            lease,
            self._commands,
            StreamRefusal.NOT_INTERACTIVE if not asks else None,
            allowed=self._takes_commands,
        )
        if refusal is not None:
            await _refuse(stream, refusal)
            return
        execs = self._engine.execs
        assert execs is not None, "else no commands are taken"
        spec = ExecSpec(wanted.command, wanted.tty, wanted.columns, wanted.rows, wanted.term)
        with self._commands.one_more(lease.lease_id):
            _log.info(
                "lease %s: its client runs %.100r beside it",
                lease.lease_id,
                wanted.command[0],
                extra=named(NodeEvent.COMMAND_BEGUN),
            )
            try:
                async with execs.run(_container(lease.lease_id), spec) as running:
                    exited = await _follow(stream, running, self._exec_idle_s)
            except (ContainerGone, EngineConflict):
                await _refuse(stream, StreamRefusal.NOT_RUNNING)
            except EngineError as error:
                await _refuse(stream, StreamRefusal.NOT_READY, str(error))
            else:
                await stream.finish(write_words(exited))

    async def _connection(self, stream: FrameStream, lease: NodeLease) -> None:
        service = lease.start.job.service if lease.start is not None else None
        refusal = refusal_of(
            lease,
            self._connections,
            StreamRefusal.NO_SERVICE if service is None else None,
            allowed=self._takes_connections,
        )
        if refusal is not None or service is None:
            await _refuse(stream, refusal or StreamRefusal.NO_SERVICE)
            return
        with self._connections.one_more(lease.lease_id):
            connection = await self._connected(stream, lease.lease_id, service)
            if connection is None:
                return
            try:
                exited = await _follow(stream, connection, self._port_idle_s)
            finally:
                await connection.aclose()
            await stream.finish(write_words(exited))

    async def _connected(
        self, stream: FrameStream, lease_id: str, service: Service
    ) -> PortConnection | None:
        """A connection to the port of a lease's job; None where the stream is refused."""
        try:
            view = await self._engine.inspect(_container(lease_id))
            return await connect(view.pid, view.container_id, service.port)
        except ContainerGone:
            await _refuse(stream, StreamRefusal.NOT_RUNNING)
        except NotListening:
            await _refuse(stream, StreamRefusal.NOT_LISTENING)
        except (EngineError, OSError) as error:
            _log.warning("no way to the port of lease %s: %s", lease_id, error)
            await _refuse(stream, StreamRefusal.NOT_READY)
        return None


async def _follow(stream: FrameStream, program: Program, idle_s: float) -> Exited:
    await stream.send(write_bytes(FrameKind.OPENED))
    return await Session(stream, program, idle_s).run()


async def _wanted(stream: FrameStream) -> Open | OpenPort:
    frame = await stream.receive()
    try:
        match frame.kind:
            case FrameKind.OPEN:
                return frame.words(Open)
            case FrameKind.OPEN_PORT:
                return frame.words(OpenPort)
        raise MalformedMessage(f"{frame.kind.name} is not expected")
    except MalformedMessage as error:
        raise ChannelClosed(f"broke the protocol: {error}") from error


async def _refuse(stream: FrameStream, code: StreamRefusal, detail: str = "") -> None:
    message = f"{REFUSALS[code]}: {detail}" if detail else REFUSALS[code]
    await stream.finish(write_words(Refused(code, message[:1024])))


def _container(lease_id: str) -> str:
    return CONTAINER_NAME_PREFIX + lease_id
