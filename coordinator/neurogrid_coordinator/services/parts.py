"""What the coordinator is made of, and how each part is asked how it is."""

from collections.abc import Awaitable, Callable

from neurogrid_marketplace.task import TERMINAL, Phase

from ..market.reports import Traffic
from ..store import schedules, task_lists
from ..store.database import Database
from .health import Details, Health, Services
from .nodes import Nodes
from .pulse import Pulse


async def no_slot() -> int:
    """Of a coordinator without a chain."""
    return 0


def parts_of(
    database: Database,
    nodes: Nodes,
    market_is_up: Callable[[], bool],
    traffic: Callable[[], Traffic],
    chain_slot: Callable[[], Awaitable[int]],
    orchestrator: Pulse,
    scheduler: Pulse,
) -> Services:
    """The parts by name: database, market, chain, orchestrator, scheduler."""

    async def look_at_database() -> tuple[Health, Details]:
        phases = await database.read(task_lists.count_by_phase)
        count = database.connections
        return "healthy", {"tasks": sum(phases.values()), "connection_count": count}

    async def look_at_market() -> tuple[Health, Details]:
        up = market_is_up()
        details: Details = {
            "nodes": nodes.connected_count(),
            "connection_count": traffic().connections,
            "lease_streams": traffic().lease_streams,
        }
        return "healthy" if up else "unhealthy", details

    async def look_at_chain() -> tuple[Health, Details]:
        return "healthy", {"slot": await chain_slot()}

    async def look_at_orchestrator() -> tuple[Health, Details]:
        phases = await database.read(task_lists.count_by_phase)
        going = sum(number for phase, number in phases.items() if phase not in TERMINAL)
        health, details = orchestrator.look()
        return health, {
            "unfinished_tasks": going,
            "queued_tasks": phases[Phase.QUEUED],
            **details,
        }

    async def look_at_scheduler() -> tuple[Health, Details]:
        active = await database.read(schedules.count_active)
        health, details = scheduler.look()
        return health, {"active_schedules": active, **details}

    return Services(
        {
            "database": look_at_database,
            "market": look_at_market,
            "chain": look_at_chain,
            "orchestrator": look_at_orchestrator,
            "scheduler": look_at_scheduler,
        }
    )
