"""Stories told again and again, with the coordinator dying at another commit each time."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from coordinator.crashing_database import CrashingDatabase
from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio

Story = Callable[[World, CrashingDatabase], Awaitable[None]]


def crashes_in(
    story: Story, folder: Path, commits: Iterable[int], *, before: bool | None = None
) -> int:
    """Tell a story with a crash at each of these commits in turn, until it ends sooner than that.

    Args:
        story: gets a new market, and the database that its first coordinator is to be started with.
        before: whether the coordinator dies before the commit or after it; None: in turns.

    Returns: how many crashes there were.
    """
    crashes = 0

    @on_asyncio
    async def told(at_commit: int) -> bool:
        own = folder / str(at_commit)
        own.mkdir()
        dies_before = at_commit % 2 == 0 if before is None else before
        async with world(own) as market:
            database = CrashingDatabase(market.database, at_commit, before=dies_before)
            await story(market, database)
            return database.dead.is_set()

    for at_commit in commits:
        if not told(at_commit):
            break
        crashes += 1
    return crashes


async def outlive(
    market: World, database: CrashingDatabase, is_over: Callable[[], Awaitable[bool]]
) -> None:
    """Let the first coordinator go on until it dies, then start another; or until all is over."""

    async def died_or_over() -> bool:
        return database.dead.is_set() or await is_over()

    await market.until(died_or_over, turning_ms=100)
    if database.dead.is_set():
        await market.stop()
        await market.start()
