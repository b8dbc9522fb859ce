"""Following what other coordinators of the database commit: their tasks are moved here, their events told here."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from ..store import events
from ..store.database import Database, Overloaded
from ..store.feed import Feed
from ..store.heard import Heard
from ..tasks.orchestrator import Orchestrator

_log = logging.getLogger(__name__)


async def tell_listeners(heard_of: AsyncGenerator[Heard], database: Database, feed: Feed) -> None:
    """Wake listeners whenever there are new events; never ends."""
    seq = -1
    async with aclosing(heard_of) as all_heard:
        async for _ in all_heard:
            try:
                newest = await database.read(events.last_seq)
            except Overloaded as error:
                _log.debug("what was heard is looked at later: %s", error)
                continue
            if newest != seq:
                seq = newest
                feed.notify()


async def move_others_tasks(
    heard_of: AsyncGenerator[Heard],
    database: Database,
    feed: Feed,
    orchestrator: Orchestrator,
    transfer_submitted: Callable[[], None],
) -> None:
    """Have the orchestrator take up what others stored or changed; never ends.

    Args:
        transfer_submitted: others may have been sent a client's transfer.
    """
    seq = -1
    may_lack = True
    handed_over: set[str] = set()
    async with aclosing(heard_of) as all_heard:
        async for heard in all_heard:
            may_lack |= heard.may_lack
            handed_over |= heard.task_ids
            try:
                if may_lack:
                    seq = await database.read(events.last_seq)
                    await orchestrator.look_again()
                    await orchestrator.taken_elsewhere(handed_over)
                    newest = seq
                    feed.notify()
                else:
                    created, updated, newest = await database.read(events.stored_after, seq)
                    unknown = [each for each in created if not orchestrator.knows(each)]
                    changed = dict.fromkeys((*unknown, *updated, *handed_over))
                    await orchestrator.taken_elsewhere(changed)
            except Overloaded as error:
                _log.debug("what was heard is looked at later: %s", error)
                may_lack = True
                continue
            may_lack = False
            handed_over.clear()
            if newest != seq:
                seq = newest
                feed.notify()
            transfer_submitted()
