"""A node that has a journal, an owner's door and nothing else, in a process of its own: ``owner_process.py DIR``.

Says "up" once it can be asked and signalled, and "goodbye" when it says that to its coordinators. A lease in
the journal stays until DIR/done exists.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path

import trio

from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.messages import Heartbeat
from neurogrid_node.control.answers import Answers
from neurogrid_node.control.door import serve_owner
from neurogrid_node.ending import end_when_asked
from neurogrid_node.journal import Journal
from neurogrid_node.lease.past import past
from neurogrid_node.market.opening import Opening
from neurogrid_node.market.reservations import Reservation
from node.market import COORDINATOR, NEED, NOW_MS, award
from node.seller import Seller


def lease_in(journal: Journal) -> None:
    """A preemptible lease."""
    lease = accept(award("0" * 64), COORDINATOR, 60_000, NOW_MS, reclaim_window_s=60)
    journal.add(lease, Reservation(NEED, (), None))


async def main(directory: Path) -> None:
    """Run until told to end."""
    seller = Seller(Journal(directory / "journal.db"))
    journal = seller.journal.inline
    for lease, held in journal.load():
        seller.provider.take_up(lease, held)
    stopping = trio.Event()
    opening = Opening(
        seller.provider, seller.journal, journal.word(), stopping, lambda: time.time_ns() // 10**6
    )

    async def goodbye() -> None:
        await opening.goodbye()
        assert [beat.accepting for beat in seller.link.taken() if isinstance(beat, Heartbeat)] == [
            False
        ]
        print("goodbye", flush=True)
        if (directory / "lingers").exists():
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(end_when_asked, stopping, goodbye, nursery.cancel_scope)
        opening.stake_seen(may_work=True)
        await opening.container_seen(is_held=True)
        nursery.start_soon(opening.run)
        await nursery.start(
            serve_owner, directory, Answers(seller.provider, opening, seller.journal)
        )
        print("up", flush=True)
        while not (directory / "done").exists():
            for runner in seller.runners:
                if runner.reclaimed and not runner.lease.reclaimed_at_ms:
                    runner.lease = replace(runner.lease, reclaimed_at_ms=NOW_MS)
            await trio.sleep(0.01)
        for lease_id, leased in list(seller.provider.runners.items()):
            seller.provider.cleared(lease_id)
            seller.provider.forgotten(lease_id)
            journal.save_earning(lease_id, NOW_MS, 1_500_000, "signature")
            journal.forget(past(leased.lease, NOW_MS))
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
