"""Looking at a job's service while it runs, as its client would: from inside its own network."""

import logging
from collections.abc import Callable
from typing import Final

import h11
import trio

from neurogrid_marketplace.service import Service

from ..container.errors import ContainerGone, EngineError
from ..container.job_engine import JobEngine
from ..container.ports import NotListening, PortConnection, connect
from ..container.views import ContainerState
from .service_health import Health

_LOOK_LIMIT_S: Final = 10.0
_HEAD_BYTES_MAX: Final = 64 * 1024

_log = logging.getLogger(__name__)


async def until_given_up(
    engine: JobEngine, name: str, service: Service, say: Callable[[bool], None]
) -> str:
    """Look at a job's service for ever; why it is to be ended, once it is.

    Args:
        name: of its container.
        say: told after each look whether it is ready.
    """
    health = Health(trio.current_time())
    while not health.ending:
        await trio.sleep(health.next_look_s)
        try:
            view = await engine.inspect(name)
            if view.state is ContainerState.PAUSED:
                health = health.stood_still(trio.current_time())
                continue
            why = await _problem(view.pid, view.container_id, service)
        except ContainerGone:
            await trio.sleep_forever()  # whoever waits for its end knows
        except (EngineError, OSError) as error:
            # Nothing was seen of the service: an engine that is away is not its fault.
            _log.info("the service of %s: %s", name, error)
            health = health.stood_still(trio.current_time())
            continue
        now_s = trio.current_time()
        health = health.unwell(service, why, now_s) if why else health.well(now_s)
        say(health.is_ready)
    return health.ending


async def _problem(pid: int, container_id: str, service: Service) -> str:
    """What is wrong with it now, or ""."""
    try:
        connection = await connect(pid, container_id, service.port)
    except NotListening:
        return f"nothing listens at port {service.port}"
    try:
        if not service.health:
            return ""
        with trio.move_on_after(_LOOK_LIMIT_S):
            return await _answer(connection, service.health)
        return f"no answer for {_LOOK_LIMIT_S:g} s"
    except EngineError:
        return "the connection was broken off"
    finally:
        await connection.aclose()


async def _answer(connection: PortConnection, path: str) -> str:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES_MAX)
    headers = [("Host", "localhost"), ("User-Agent", "neurogrid-health"), ("Connection", "close")]
    request = http.send(h11.Request(method="GET", target=path, headers=headers)) or b""
    await connection.write(request + (http.send(h11.EndOfMessage()) or b""))
    try:
        while not isinstance(event := http.next_event(), h11.Response):
            if isinstance(event, h11.ConnectionClosed):
                return "it closed the connection"
            if event is h11.NEED_DATA:
                piece = await connection.read()
                http.receive_data(piece.data if piece is not None else b"")
    except h11.RemoteProtocolError:
        return "it answers no HTTP"
    return "" if event.status_code < 400 else f"it answers {event.status_code}"
