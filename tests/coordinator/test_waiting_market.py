"""Waiting tasks in a market of virtual time: nobody waits who could run, and waiting costs what changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.records import NOW_MS
from coordinator.waiting_market import BEAT_MS, WaitingMarket
from neurogrid_coordinator.tasks.waiting import (
    FALLBACK_GAP_MS,
    FALLBACK_MAX_MS,
    RETRY_GAP_MS,
    WaitingRoom,
)

HOUR_MS = 3_600_000
# The longest pause of a task whose node was busy for a moment (`awarding`).
PAUSE_MAX_MS = 30_000


def busy_market(seed: int, *, lost: float = 0.0, busy: float = 0.0) -> WaitingMarket:
    """Nodes come and go, tasks of many kinds come, some of which nobody can run."""
    market = WaitingMarket(seed, lost=lost, busy=busy)
    chance = market.chance

    def submit() -> None:
        for _ in range(chance.choice((1, 1, 5, 30))):
            market.submit(
                f"task {len(market.tasks):05}",
                cores=chance.choice((1, 1, 2, 4, 8, 100)),
                price=chance.choice((500, 1_000, 2_000)),
                job_ms=chance.choice((100, 1_000, 20_000)),
                account=chance.choice("abc"),
            )
        if len(market.tasks) < 300:
            market.after(chance.randrange(4_000), submit)

    def churn() -> None:
        if market.nodes and chance.random() < 0.3:
            market.leave(chance.choice(list(market.nodes.values())))
        name = f"node {market.changes:05}"
        if name not in market.nodes:
            market.node(name, cores=chance.choice((1, 2, 8)), price=chance.choice((400, 1_000)))
        if market.now_ms < NOW_MS + 120_000:
            market.after(chance.randrange(20_000), churn)

    submit()
    churn()
    return market


@pytest.mark.parametrize("seed", range(3))
def test_nobody_waits_for_whom_a_node_stands_idle(seed: int) -> None:
    market = busy_market(seed, busy=0.1)
    market.run(600_000)
    assert market.longest_ms <= BEAT_MS + PAUSE_MAX_MS
    # What is left, nobody who is there can run.
    for sim in market.waiting:
        assert sim.could_run_since_ms is None or market.now_ms - sim.could_run_since_ms < 40_000


@pytest.mark.parametrize("seed", [14])
def test_where_half_of_all_news_is_lost_nobody_waits_longer_than_the_fallback(seed: int) -> None:
    market = busy_market(seed, lost=0.5)
    market.run(1_200_000)
    lines = len({sim.task.demand.requirements for sim in market.tasks.values()}) * 3
    assert market.longest_ms <= FALLBACK_MAX_MS * 5 // 4 + lines * FALLBACK_GAP_MS + BEAT_MS
    assert len(market.waiting) < 300


def test_an_hour_of_waiting_costs_the_same_for_one_task_as_for_thousands() -> None:
    held = []
    for count in (1, 2_000):
        market = WaitingMarket(1)
        market.node("small", cores=1)
        for number in range(count):
            market.submit(f"{number:05}", cores=8)
        market.run(10_000)
        begun = market.auctions
        assert begun <= 8
        market._watch = lambda: None  # type: ignore[method-assign]  # all of them can't run: it would look at each
        market.run(HOUR_MS)
        held.append(market.auctions - begun)
        assert len(market.room) == count
    assert held[0] <= HOUR_MS // (FALLBACK_MAX_MS * 3 // 4) + 4
    assert held[1] <= held[0] + 2


def test_a_thousand_kinds_of_waiting_tasks_share_the_fallbacks() -> None:
    market = WaitingMarket(1)
    market.node("small", cores=1)
    market._watch = lambda: None  # type: ignore[method-assign]  # as above
    for number in range(1_000):
        market.submit(f"{number:05}", cores=2, price=number)
    market.run(60_000)
    begun = market.auctions
    market.run(HOUR_MS)
    assert market.auctions - begun <= HOUR_MS * 4 // 3 // FALLBACK_MAX_MS * 1_000 + 1_000
    assert market.auctions - begun <= HOUR_MS // FALLBACK_GAP_MS


def test_one_node_that_comes_has_as_many_auctions_as_it_can_serve() -> None:
    market = WaitingMarket(2)
    for number in range(3_000):
        market.submit(f"{number:05}", cores=1, price=1_000 + number % 7, job_ms=10_000)
    market.run(5_000)
    before = market.auctions
    market.node("four", cores=4)
    market.run(1_000)
    assert market.auctions - before <= 4 + 1
    assert len(market.waiting) == 3_000 - 4
    market.run(100_000)
    # Each that ends makes room for one more: no auction is in vain but the few of a busy moment.
    done = 3_000 - len(market.waiting)
    assert 36 <= done <= 44
    assert market.auctions - before <= done + 20


def test_three_accounts_share_what_comes_free() -> None:
    market = WaitingMarket(3)
    for account, count in (("many", 500), ("few", 5), ("one", 1)):
        for number in range(count):
            market.submit(f"{account} {number:05}", cores=1, job_ms=1_000, account=account)
    market.run(1_000)
    market.node("two", cores=2)
    market.run(8_000)
    started = [name for name, sim in market.tasks.items() if sim.started_ms is not None]
    assert {"one 00000", *(f"few {number:05}" for number in range(5))} <= set(started)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ("add", "take", "fail", "ask", "over", "found", "open", "left", "drop", "later")
            ),
            st.integers(0, 7),
        ),
        max_size=60,
    )
)
def test_no_task_is_lost_or_has_two_turns(moves: list[tuple[str, int]]) -> None:
    market = WaitingMarket(0)
    room, now_ms = WaitingRoom(), NOW_MS
    waiting: set[str] = set()
    out: list[str] = []
    for number in range(8):
        market.submit(str(number), cores=1 + number % 3, price=1_000 + number % 2)
    for number in range(3):
        market.nodes[f"n{number}"] = market.node(f"n{number}", cores=1 + 2 * number)
    for move, number in moves:
        name, task = str(number), market.tasks[str(number)].task
        node = f"n{number % 3}"
        if move == "add" and name not in out:
            room.add(task, 5)
            waiting.add(name)
        elif move == "drop" and name not in out:
            room.drop(name)
            waiting.discard(name)
        elif move == "take" and (taken := room.take(now_ms)) is not None:
            assert taken in waiting
            waiting.discard(taken)
            out.append(taken)
        elif move in ("fail", "ask") and out:
            name = out.pop(number % len(out))
            task = market.tasks[name].task
            asked = move == "ask"
            room.failed(task, now_ms, room.wakes, asked=asked, retry_at_ms=now_ms + 250)
            waiting.add(name)
        elif move in ("over", "found") and out:
            room.over(out.pop(number % len(out)), node if move == "found" else "")
        elif move == "open":
            room.node_opened(market.nodes[node].offer())
        elif move == "left":
            room.node_left(node)
        elif move == "later":
            now_ms += 100 * 4**number
        assert len(room) == len(waiting)
    for name in out:
        room.over(name)
    # Whatever has happened: each has its turn once every line has had its try, and not twice.
    taken_at_last: list[str] = []
    for _ in range(2_000):
        now_ms += RETRY_GAP_MS + FALLBACK_MAX_MS // 100
        while (one := room.take(now_ms)) is not None:
            taken_at_last.append(one)
            room.over(one, "somewhere")
        if not waiting.difference(taken_at_last):
            break
    assert sorted(taken_at_last) == sorted(waiting)
    assert len(room) == 0
    assert room.next_due_ms() is None
