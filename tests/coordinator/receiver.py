"""A webhook's receiver, which answers as a test tells it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

from coordinator.api_world import World
from coordinator.web_server import ok
from neurogrid_coordinator.api.event_views import webhook_body
from neurogrid_coordinator.webhooks.delivery import WebhookDelivery
from neurogrid_coordinator.webhooks.sender import WebhookSender

HOST = "hooks.example.org"
GOOD = ok(b"thanks")
Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


def status(code: int, *headers: str) -> bytes:
    """An answer with this status and no body."""
    return "\r\n".join([f"HTTP/1.1 {code} X", "Content-Length: 0", *headers, "", ""]).encode()


async def silence(_: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Received:
    """A POST; the names of its headers are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers one after the other; the last answer stays.

    Attributes:
        received: in order; each also releases ``arrivals``.
    """

    port: int = 0
    answers: list[Answer] = field(default_factory=lambda: [GOOD])
    received: list[Received] = field(default_factory=list)
    arrivals: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    _serving: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def url(self) -> str:
        """Where it listens, by a name."""
        return f"http://{HOST}:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            pairs = (line.partition(": ") for line in head[1:] if line)
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            self.received.append(Received(head[0].split()[1], headers, body))
            self.arrivals.release()
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def hang_up(self) -> None:
        """End what is not answered yet."""
        serving = [*self._serving]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@asynccontextmanager
async def receiving(world: World) -> AsyncGenerator[Receiver]:
    """A receiver that the world's operator allows."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    world.web.private[HOST, receiver.port] = ip_address("127.0.0.1")
    try:
        yield receiver
    finally:
        server.close()
        await receiver.hang_up()


def delivery_of(world: World, database: object = None) -> WebhookDelivery:
    """A process's delivery, with a clock that the test moves: ``world.now_ms``."""
    return WebhookDelivery(
        database=database or world.database,  # type: ignore[arg-type]  # or one that crashes
        feed=world.feed,
        sender=WebhookSender(world.web.outbound()),
        body_of=webhook_body,
        now_ms=lambda: world.now_ms,
    )


async def deliver_due(world: World, delivery: WebhookDelivery | None = None) -> int:
    """Make one attempt of all that is due now; how many there were."""
    delivery = delivery or delivery_of(world)
    taken = await delivery.take()
    for one in taken:
        await delivery.deliver(one)
    return len(taken)
