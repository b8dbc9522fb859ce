"""The proxy of one job: each connection asks for one host, is judged, and is then carried to its end.

A tunnel (CONNECT) carries TLS for the name that it was asked for, and nothing else; a plain request is read
and written anew. What is refused is said to the job as a response whose reason is the code of `Refused`,
which programs print.
"""

import logging
from dataclasses import dataclass

import h11
import trio

from neurogrid_marketplace.network import REFUSALS, Network, Refused

from .carrying import BROKEN, JobStream, both, copy
from .client_hello import UNRECOGNIZED_NAME, NotTls, read_client_hello
from .dialling import ConnectionRefused, Dialler
from .flow import Flow, FlowStream
from .forwarding import forward
from .request import HEAD_BYTES_MAX, Target, passed_on, target_of

_log = logging.getLogger(__name__)

_RETRY_S = 1.0
_HEAD_READ_BYTES = 4096
_FORBIDDEN = 403
_STATUS = {
    Refused.BAD_REQUEST: 400,
    Refused.TOO_SLOW: 408,
    Refused.UNRESOLVED: 502,
    Refused.UNREACHABLE: 502,
}
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a job may take to say what it wants.

    Attributes:
        head_s: from connecting to the end of the request's head.
        hello_s: from the answer to a tunnel's request to the end of the TLS client's hello: some programs
            connect in advance.
    """

    head_s: float = 20.0
    hello_s: float = 60.0


class Proxy:
    """The proxy of one lease's job.

    Args:
        slots: connections that all jobs of this node may have at a time.
        limits: how long a job may take to say what it wants.
    """

    def __init__(
        self,
        lease_id: str,
        network: Network,
        dialler: Dialler,
        flow: Flow,
        slots: trio.Semaphore,
        limits: Limits = Limits(),
    ) -> None:
        self._lease_id = lease_id
        self._network = network
        self._dialler = dialler
        self._flow = flow
        self._slots = slots
        self._limits = limits

    async def run(self, listener: trio.SocketListener) -> None:
        """Take the job's connections for ever. What is too much waits in the listener's own queue."""
        own_slots = trio.Semaphore(self._flow.caps.connections)

        async def serve(stream: trio.SocketStream) -> None:
            try:
                await self.serve(stream)
            except Exception:  # noqa: BLE001 - one connection's boundary: a defect must not end the others
                _log.exception("lease %s: a connection of its proxy", self._lease_id)
            finally:
                # Without waiting: a job that takes nothing holds nobody up.
                stream.socket.close()
                self._slots.release()
                own_slots.release()

        async with trio.open_nursery() as nursery:
            while True:
                await trio.sleep(self._flow.pause_before_next_s())
                await own_slots.acquire()
                stream = await self._accept(listener)
                try:
                    await self._slots.acquire()
                except BaseException:
                    stream.socket.close()
                    raise
                nursery.start_soon(serve, stream)

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection of the job."""
        job = JobStream(stream)
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        target: Target | None = None
        try:
            self._flow.require_room(1)
            request = await _request(job, connection, self._limits.head_s)
            target = target_of(request)
            if not self._network.admits(target.host, target.port):
                raise ConnectionRefused(
                    Refused.NOT_LISTED,
                    f"{target.host}:{target.port} is not among the hosts that this task asked for",
                )
            plain = None if target.is_tunnel else passed_on(request, target)
            upstream = await self._dialler.dial(target.host, target.port)
            try:
                with trio.CancelScope() as idle:
                    host = FlowStream(upstream, target.host, target.port, self._flow, idle)
                    if plain is None:
                        await _tunnel(job, connection, target.host, host, self._limits.hello_s)
                    else:
                        await forward(job, connection, plain, host)
            finally:
                upstream.socket.close()
        except ConnectionRefused as refusal:
            self._note(refusal.reason, target)
            await _refuse(job, refusal, target)
        except BROKEN:
            # Either end is gone, and with this connection the other learns of it.
            return

    async def _accept(self, listener: trio.SocketListener) -> trio.SocketStream:
        while True:
            try:
                return await listener.accept()
            except OSError as error:
                # Mostly no file left to be had: others end, and there is one again.
                _log.warning("lease %s: its proxy takes no connection: %s", self._lease_id, error)
                await trio.sleep(_RETRY_S)

    def _note(self, reason: Refused, target: Target | None) -> None:
        host, port = (target.host, target.port) if target else ("", 0)
        if self._flow.record.refused(host, port, reason):
            what = f"{host}:{port}" if host else "a request"
            _log.info("lease %s: refused %s: %s", self._lease_id, what, REFUSALS[reason])


async def _request(job: JobStream, connection: h11.Connection, limit_s: float) -> h11.Request:
    try:
        with trio.fail_after(limit_s):
            while (event := connection.next_event()) is h11.NEED_DATA:
                # In small pieces: what is there at once is not held to the limit of a head.
                connection.receive_data(await job.receive(_HEAD_READ_BYTES))
    except h11.RemoteProtocolError as error:
        raise ConnectionRefused(Refused.BAD_REQUEST, str(error)) from error
    except trio.TooSlowError as error:
        raise ConnectionRefused(Refused.TOO_SLOW, f"no request within {limit_s:g} s") from error
    if not isinstance(event, h11.Request):
        raise trio.BrokenResourceError("the job has left")
    return event


async def _tunnel(
    job: JobStream, connection: h11.Connection, name: str, host: FlowStream, limit_s: float
) -> None:
    connection.next_event()
    await job.send(_ESTABLISHED)
    data, _ = connection.trailing_data
    await host.send(await _hello_for(name, bytes(data), job, limit_s))
    await both(
        lambda: copy(job.receive, host.send, host.send_eof),
        lambda: copy(host.receive, job.send, job.send_eof),
    )


async def _hello_for(name: str, data: bytes, job: JobStream, limit_s: float) -> bytes:
    """The first bytes of a tunnel, once they are a TLS client's hello for a name.

    Raises:
        ConnectionRefused: they are not.
    """
    try:
        with trio.fail_after(limit_s):
            while (hello := read_client_hello(data)) is None:
                more = await job.receive()
                if not more:
                    raise trio.BrokenResourceError("the job has left")
                data += more
    except NotTls as error:
        raise ConnectionRefused(Refused.NO_TLS, str(error)) from error
    except trio.TooSlowError as error:
        raise ConnectionRefused(Refused.TOO_SLOW, "no hello of TLS in time") from error
    if hello.server_name.removesuffix(".") != name:
        raise ConnectionRefused(Refused.OTHER_NAME, f"TLS for {hello.server_name[:80]!r}")
    return data


async def _refuse(job: JobStream, refusal: ConnectionRefused, target: Target | None) -> None:
    """Say why, as far as that can be said any more."""
    try:
        if not job.is_answered:
            await job.send_last(_response(refusal))
        elif target and target.is_tunnel and refusal.reason is Refused.OTHER_NAME:
            await job.send_last(UNRECOGNIZED_NAME)
    except BROKEN:
        # It does not want to know.
        return


def _response(refusal: ConnectionRefused) -> bytes:
    body = f"neurogrid: {refusal.reason}: {REFUSALS[refusal.reason]} ({refusal}).\n".encode()
    return (
        f"HTTP/1.1 {_STATUS.get(refusal.reason, _FORBIDDEN)} {refusal.reason}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
