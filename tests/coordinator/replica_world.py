"""A coordinator that keeps replicas: its real store and rules, nodes and servers that do as told, and a clock that a test turns."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from coordinator.api_world import TERMS, Customer, World, node_view, open_world
from coordinator.fake_jobs import FakeJobs, Serve
from neurogrid_coordinator.api.app import create_app
from neurogrid_coordinator.gateway.connection import ServiceBroken
from neurogrid_coordinator.paid_use.meter import Meter, PaidBy
from neurogrid_coordinator.replicas.asking import AskLimits, Question, ask
from neurogrid_coordinator.replicas.orders import ReplicaSettings
from neurogrid_coordinator.replicas.pool import Pool
from neurogrid_coordinator.replicas.serving import Asked, ModelServing, Payments, serving_of
from neurogrid_coordinator.replicas.upkeep import ReplicaUpkeep
from neurogrid_coordinator.services.balances import Balances
from neurogrid_coordinator.services.errors import Conflict, Unavailable
from neurogrid_coordinator.services.models import ModelSettings
from neurogrid_coordinator.services.submission import REPLICA_KIND
from neurogrid_coordinator.services.tasks import Tasks
from neurogrid_coordinator.store import task_lists
from neurogrid_coordinator.store.ids import new_id
from neurogrid_coordinator.store.task_lists import TaskFilter
from neurogrid_coordinator.store.tasks import TaskRow
from neurogrid_marketplace.model_catalogue import Catalogue, Model, parse_catalogue
from neurogrid_marketplace.service import PORTS
from neurogrid_marketplace.serving import ServingTerms
from neurogrid_marketplace.task import TERMINAL, Lease
from neurogrid_marketplace.units import UnitPrices

MODEL = "warm"
DAY_S = 24 * 3600
HASTY = AskLimits(first_byte_s=20, between_s=20, whole_s=60)
CATALOGUE = """
[[model]]
id = "warm"
name = "Warm"
type = "text"
category = "generation"
image = "neurogrid/warm:1"
needs = { memory_gb = 0.25, cpu_cores = 1 }
price = { max_usdc_per_hour = "0.36" }
concurrency = 20
[model.server]
command = ["serve"]
port = 8000
health_path = "/health"
start_s = 60
routes = ["/v1/completions"]
concurrency = 2
replicas_max = 2
idle_s = 60
retainer_usdc_per_hour = "0.05"
[model.unit_price]
output_per_million = "0.10"
"""
_HEALTH = AskLimits(first_byte_s=5, between_s=5, whole_s=10)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def model(entry: str = CATALOGUE, **changes: Any) -> Model:
    """The catalogue's only one, with another server."""
    (made,) = parse_catalogue(entry, "tests").models
    assert made.server is not None
    return msgspec.structs.replace(made, server=msgspec.structs.replace(made.server, **changes))


async def words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that is well, and writes three words."""
    head = await reader.readuntil(b"\r\n\r\n")
    if head.startswith(b"GET /health "):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return
    writer.write(HEAD)
    for word in (b"to ", b"be ", b"or"):
        writer.write(word)
        await writer.drain()


def well_but(serve: Serve) -> Serve:
    """A server whose health is well, and that does this with all other requests once it has read their head."""

    async def both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /health "):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            return
        await serve(reader, writer)

    return both


class AtNoPrice:
    """Who asks a replica asks it by its own lease, and nothing is noted: for what has nothing to do with money."""

    async def require_able(self, account_id: str, model_id: str) -> None:
        pass

    async def meter(
        self, asked: Asked, task_id: str, of: Lease, *, is_funded: bool = False
    ) -> Meter:
        return Meter(
            new_id("req"), PaidBy(task_id, of, UnitPrices(), 1, asked.tenant, asked.model_id), self
        )

    def over(self, meter: Meter, of: Lease) -> None:
        pass

    def gone(self, meter: Meter, of: Lease) -> None:
        pass

    def changed(self, meter: Meter) -> None:
        pass

    async def written(self, meter: Meter) -> None:
        pass


@dataclass
class ReplicaWorld:
    """See the module.

    Attributes:
        operator: pays.
        serving, upkeep: of the coordinator's present life.
        takes_uses: whether nodes answer what asks for leases for use.
        funds_uses: whether their escrows are opened.
        ahead: whether nodes serve before that.
    """

    world: World
    operator: Customer
    jobs: FakeJobs
    settings: ReplicaSettings
    serving: ModelServing
    upkeep: ReplicaUpkeep
    takes_uses: bool = True
    funds_uses: bool = True
    ahead: bool = False

    @property
    def pool(self) -> Pool:
        """Of the model."""
        return self.serving.pools[MODEL]

    def turn(self, seconds: float) -> None:
        """Time passes."""
        self.world.now_ms += round(1000 * seconds)

    async def rows(self) -> list[TaskRow]:
        """Replicas that have not ended, oldest first."""
        rows = await self.world.database.read(
            task_lists.list_rows, TaskFilter(kinds=frozenset({REPLICA_KIND})), oldest_first=True
        )
        return [row for row in rows if row.phase not in TERMINAL]

    async def up(
        self, task_id: str, name: str = "one", serve: Serve = words, reclaim_window_s: int = 0
    ) -> str:
        """A replica's container runs, with this server, until it takes requests; its lease."""
        task = await self.world.start(task_id, name=name, reclaim_window_s=reclaim_window_s)
        assert task.lease is not None
        self.jobs.servers[task.lease.lease_id] = serve
        await self.upkeep.look()
        await self.until(lambda: bool(self.pool.replicas[task_id].ready_at_ms))
        return task.lease.lease_id

    async def two_up(self, first: Serve, second: Serve) -> tuple[str, str]:
        """Two replicas, of nodes one and two; their tasks."""
        asking = [asyncio.create_task(self.ask()) for _ in range(3)]
        await self.until(lambda: self.pool.waiting == 3)
        await self.upkeep.look()
        one, two = await self.rows()
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self.up(one.id, "one", first)
        await self.up(two.id, "two", second)
        return one.id, two.id

    async def ask(self, tenant: str = "alice", **changes: Any) -> tuple[int, bytes, str]:
        """A request, answered to its end: status, body, and the replica that served it."""
        values: dict[str, Any] = {"limits": HASTY, "wait_s": 30}
        question = Question("POST", "/v1/completions", body=b"{}")
        asked = Asked(MODEL, tenant, question, **(values | changes))
        async with self.serving.ask(asked) as served:
            body = b"".join([piece async for piece in served.pieces()])
            return served.answer.status, body, served.task_id

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something has happened that takes no time but its own."""
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.005)

    def node_of(self, task_id: str) -> str:
        """Where a replica runs."""
        lease = self.pool.replicas[task_id].lease
        assert lease is not None
        return lease.node_id

    async def restart(self, database: Any = None, **changes: Any) -> None:
        """The coordinator is another process now; what it only knew is forgotten."""
        await self.stop()
        self.settings = replace(self.settings, **changes)
        self.serving, self.upkeep = made(self.world, self.jobs, self.settings, database)

    async def stop(self) -> None:
        """It dies."""
        for probe in self.upkeep.probes:
            probe.cancel()
        await asyncio.gather(*self.upkeep.probes, return_exceptions=True)
        await self.serving.exchanges.aclose()


def tasks_of(world: World, database: Any) -> Tasks:
    """What submits tasks, with this database."""
    return Tasks(
        database=database,
        feed=world.feed,
        terms=TERMS,
        explain=world.market.explain,
        may_return=world.nodes.may_return,
        balances=Balances(database, world.chain.funds),
        wake=lambda state: world.woken.append(state.task.task_id),
        request_cancel=world.collaborators.request_cancel,
    )


def made(
    world: World,
    jobs: FakeJobs,
    settings: ReplicaSettings,
    database: Any = None,
    payments: Payments | None = None,
) -> tuple[ModelServing, ReplicaUpkeep]:
    """What a coordinator has for replicas when it has just started."""
    database = database or world.database

    def now_ms() -> int:
        return world.now_ms

    serving = serving_of(settings, jobs.open_use_stream, now_ms, payments or AtNoPrice())

    async def is_well(lease: Lease) -> bool:
        """As its node finds out."""
        try:
            async with (
                serving.exchanges.under(lease) as exchange,
                ask(exchange, Question("GET", "/health"), _HEALTH) as answer,
            ):
                return answer.status < 400
        except (ServiceBroken, Unavailable, Conflict):
            return False

    tasks = tasks_of(world, database)
    return serving, ReplicaUpkeep(
        settings,
        serving,
        database=database,
        feed=world.feed,
        tasks=tasks,
        request_cancel=world.collaborators.request_cancel,
        connected=world.nodes.connected_ids,
        offers=world.nodes.offers,
        is_well=is_well,
        now_ms=now_ms,
    )


@asynccontextmanager
async def open_replica_world(
    folder: Path, timeout_s: int = DAY_S, entry: str = CATALOGUE, **changes: Any
) -> AsyncGenerator[ReplicaWorld]:
    """Two nodes that take clients to ports; ``changes`` are of the server of the model in ``entry``."""
    jobs = FakeJobs()
    served = model(entry, **changes)
    models = ModelSettings(Catalogue((served,)), wait_s=30)
    async with open_world(folder, jobs.open_stream, models=models) as world:
        operator = await world.customer("operator")
        world.market.views = [
            node_view(name, access=(PORTS,), serving=ServingTerms(0)) for name in ("one", "two")
        ]
        settings = ReplicaSettings(operator.account.id, timeout_s, {MODEL: served})
        here = ReplicaWorld(world, operator, jobs, settings, *made(world, jobs, settings))
        world.collaborators = replace(world.collaborators, serving=here.serving)
        world.app = create_app(world.settings, world.collaborators)
        try:
            yield here
        finally:
            await here.stop()
            await jobs.aclose()
