import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from neurogrid_marketplace.execution import accept, decide
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.lease import NodeLease, Ran, StartReceived
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_node.container.log_cursor import LOG_START, LogCursor, StreamCursor
from neurogrid_node.journal import Earned, Journal, JournalError, JournalThread, LogPosition
from neurogrid_node.lease.past import NEVER_RAN, past
from neurogrid_node.market.reservations import Reservation
from neurogrid_node.market.start_history import NOTHING_MEASURED, StartTook
from node.market import COORDINATOR, GPU, LEASE, NEED, NOW_MS, award, start

HELD = Reservation(NEED, (GPU,), None, 7)
# Saves one lease again and again, and says each time when that is done.
WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from neurogrid_node.container.log_cursor import LOG_START, LogCursor, StreamCursor
from neurogrid_node.journal import Journal
journal = Journal(Path(sys.argv[1]))
(lease, held), = journal.load()
for number in range(10**9):
    journal.save(replace(lease, since_ms=number))
    print(number, flush=True)
"""


def lease(number: int = 1) -> NodeLease:
    terms = award("0" * 64, lease_id=f"lease_{number:032x}")
    return accept(terms, COORDINATOR, 60_000, NOW_MS)


def started() -> NodeLease:
    terms = award("0" * 64)
    made = accept(terms, COORDINATOR, 60_000, NOW_MS)
    return decide(made, StartReceived(start()), NOW_MS).lease


def test_a_lease_comes_back_as_it_was_with_what_it_held(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    made = started()
    journal.add(accept(made.award, COORDINATOR, 60_000, NOW_MS), HELD)
    ran = Ran(Outcome.COMPLETED, 0, "completed", NOW_MS + 5, NOW_MS)
    saved = replace(made, ran=ran, claim_until_ms=9, stop_reason=Outcome.CANCELLED)
    journal.save(saved)
    journal.close()
    again = Journal(tmp_path / "journal.db")
    assert again.load() == [(saved, HELD)]
    assert saved.phase is LeasePhase.PREPARING
    again.forget(past(saved, NOW_MS))
    assert again.load() == []
    again.close()


def test_what_was_saved_survives_kill_9_of_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.add(lease(), HELD)
    journal.close()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        for _ in range(20):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        last_said = int([b"19", *child.stdout.read().split()][-1])
    again = Journal(path)
    ((saved, _),) = again.load()
    # What was said is there; one more may have been saved before it could be said.
    assert last_said <= saved.since_ms <= last_said + 1
    again.close()


def test_a_second_daemon_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.db")
    with pytest.raises(JournalError, match="another neurogrid-node"):
        Journal(tmp_path / "journal.db")
    first.add(lease(), HELD)  # the first is not disturbed
    first.close()
    Journal(tmp_path / "journal.db").close()


def test_a_newer_nodes_journal_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal(path).close()
    with sqlite3.connect(path) as database:
        database.execute("pragma user_version=99")
    database.close()
    with pytest.raises(JournalError, match="newer"):
        Journal(path)


# What takes a journal of the next version back to this one.
OLDER = {
    1: "drop table old_earnings",
    2: "alter table lease drop column log_cursor;"
    "alter table lease add column log_until_ns integer not null default 0",
    3: "drop table start_history",
    4: "alter table lease drop column sealing_key",
    5: "drop table owner_word",
    6: "drop table past_lease",
    7: "drop table unpaid_use",
}


def downgrade(path: Path, version: int) -> None:
    with sqlite3.connect(path) as database:
        for older in range(len(OLDER), version - 1, -1):
            database.executescript(OLDER[older])
        database.execute(f"pragma user_version={version}")
    database.close()


@pytest.mark.parametrize("version", OLDER)
def test_an_older_journal_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    path = tmp_path / "journal.db"
    made = Journal(path)
    made.save_earning("lease_1", 1, 10, "signature")
    made.close()
    downgrade(path, version)
    again = Journal(path)
    assert again.earnings() == Earned(1, 10)
    again.close()


def test_a_log_goes_on_at_the_time_that_an_older_journal_noted(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    made = Journal(path)
    for number in (1, 2):
        made.add(lease(number), HELD)
    made.close()
    downgrade(path, 2)
    with sqlite3.connect(path) as database:
        database.execute("update lease set log_bytes=5, log_until_ns=6 where rowid=1")
    database.close()
    again = Journal(path)
    at_6 = StreamCursor(6, 1)
    assert again.log_position(lease(1).lease_id) == LogPosition(5, LogCursor(at_6, at_6))
    assert again.log_position(lease(2).lease_id) == LogPosition(0, LOG_START)
    again.close()


def test_how_long_starts_took_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    assert journal.starts() == NOTHING_MEASURED
    history = NOTHING_MEASURED.with_start(StartTook(70_000, "app:1", 60_000, 5, 1_000, 7))
    journal.save_starts(history)
    journal.close()
    again = Journal(path)
    assert again.starts() == history
    again.close()


def test_a_history_of_starts_that_cannot_be_read_costs_nothing_but_the_experience(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.db"
    Journal(path).close()
    with sqlite3.connect(path) as database:
        database.execute('update start_history set document=\'{"ready_ms": "x"}\'')
    database.close()
    journal = Journal(path)
    assert journal.starts() == NOTHING_MEASURED
    journal.close()


def test_something_else_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"my thesis" * 1000)
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(path)
    assert path.read_bytes().startswith(b"my thesis")
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(tmp_path / "missing" / "journal.db")


def test_a_lease_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    journal.add(lease(), HELD)
    journal.close()
    with sqlite3.connect(path) as database:
        database.execute("update lease set document=x'7b7d'")
    database.close()
    again = Journal(path)
    with pytest.raises(JournalError, match=lease().lease_id):
        again.load()
    again.close()


def test_earnings_add_up_once_each_however_many_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path, earnings_listed=10)
    for number in range(100):
        for _ in range(2):
            journal.save_earning(f"lease_{number}", number, number + 1, "signature")
    assert journal.earnings() == Earned(100, sum(range(1, 101)))
    journal.close()
    with sqlite3.connect(path) as database:
        assert database.execute("select count(*) from earning").fetchone()[0] <= 10
    database.close()
    again = Journal(path)
    assert again.earnings() == Earned(100, sum(range(1, 101)))
    again.close()


def test_profile_and_log_position_belong_to_a_lease(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    assert journal.profile(LEASE) == "{}"
    assert journal.log_position(LEASE) == LogPosition(0, LOG_START)
    journal.add(accept(award("0" * 64), COORDINATOR, 1, NOW_MS), HELD)
    journal.save_profile(LEASE, '{"a": 1}')
    reached = LogPosition(5, LogCursor(StreamCursor(6, 7), StreamCursor(8, 9)))
    journal.save_log_position(LEASE, reached)
    assert journal.profile(LEASE) == '{"a": 1}'
    assert journal.log_position(LEASE) == reached
    journal.close()


def test_a_forgotten_leases_sealing_key_is_nowhere_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = Journal(path)
    secret = bytes(range(100, 132))
    journal.add(lease(), HELD, secret)
    assert journal.sealing_key(lease().lease_id) == secret
    journal.forget(past(lease(), NOW_MS))
    assert journal.sealing_key(lease().lease_id) == b""
    journal.close()
    assert secret not in path.read_bytes()


async def test_the_thread_takes_one_call_at_a_time_and_names_broken_disks(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    thread = JournalThread(journal)
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(thread.call, Journal.add, lease(number), HELD)
    assert len(await thread.call(Journal.load)) == 8
    with pytest.raises(JournalError, match="UNIQUE"):
        await thread.call(Journal.add, lease(0), HELD)
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        await thread.call(Journal.earnings)


def test_of_leases_that_are_over_the_newest_are_kept_with_what_they_earned(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", past_kept=3)
    for number in range(1, 6):
        journal.add(lease(number), HELD)
        # Killed between, it is forgotten again.
        for _ in range(2):
            journal.forget(past(lease(number), NOW_MS + number))
    journal.save_earning(lease(4).lease_id, NOW_MS, 1_500, "signature")
    assert journal.load() == []
    journal.close()
    again = Journal(tmp_path / "journal.db", past_kept=3)
    found = again.past(100)
    assert [each.lease_id for each in found] == [lease(n).lease_id for n in (5, 4, 3)]
    assert [each.earned_micro_usdc for each in found] == [0, 1_500, 0]
    assert {(each.outcome, each.image) for each in found} == {(NEVER_RAN, "")}
    assert again.past(1) == found[:1]
    again.close()
