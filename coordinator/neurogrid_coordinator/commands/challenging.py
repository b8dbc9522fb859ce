"""`neurogrid-coordinator challenge`: ask a running coordinator to challenge a node, and wait for what comes of it.

The two meet in the database: the command notes what it asks for, the coordinator carries it out.
"""

import asyncio
from pathlib import Path

from ..setup import database_place
from ..store import challenges
from ..store.challenges import ChallengeRow, Reason, Stage
from ..store.database import Database

_LOOK_S = 0.5


async def challenge_now(
    directory: Path, node_id: str, *, now_ms: int, patience_s: float
) -> tuple[ChallengeRow, bytes | None]:
    """Have a node challenged; how far it came within the patience, and the evidence.

    Raises:
        OSError, ConfigError, Overloaded, DatabaseInUse, ServerUnfit: the database cannot be opened.
    """
    async with Database.open(database_place(directory)) as database:
        asked = await database.write(challenges.ask, node_id, Reason.BY_HAND, 0, now_ms)
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + patience_s
        row = await _row(database, asked)
        # Another process works at it: nothing here could tell us when it is done.
        while isinstance(row.state, Stage) and loop.time() < give_up_s:
            await asyncio.sleep(_LOOK_S)
            row = await _row(database, asked)
        return row, await database.read(challenges.evidence, asked)


async def _row(database: Database, challenge_id: str) -> ChallengeRow:
    row = await database.read(challenges.get, challenge_id)
    assert row is not None, "it was just asked for, and rows are never deleted"
    return row
