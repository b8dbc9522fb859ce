from dataclasses import replace

from coordinator.records import NOW_MS, new_task
from neurogrid_coordinator.waiting import WaitingRoom
from neurogrid_marketplace.deadlines import AGING_MS
from neurogrid_marketplace.task import Task


def task(name: str, price: int = 1_000) -> Task:
    state = new_task("acct", price_micro_usdc_per_hour=price).state
    return replace(state, task_id=name)


def all_of(room: WaitingRoom, now_ms: int = NOW_MS) -> list[str]:
    taken = []
    while (task_id := room.take(now_ms)) is not None:
        taken.append(task_id)
    return taken


def test_urgent_tasks_come_first_then_old_ones() -> None:
    room = WaitingRoom()
    for name, priority, price in [("b", 5, 1), ("a", 5, 2), ("c", 9, 1), ("d", 1, 1)]:
        room.add(task(name, price), priority)
    assert len(room) == 4
    assert all_of(room) == ["c", "a", "b", "d"]
    assert len(room) == 0


def test_a_line_whose_first_found_no_node_waits_as_a_whole() -> None:
    room = WaitingRoom()
    for name in ("a", "b", "c"):
        room.add(task(name), 5)
    room.add(task("other", price=7), 5)
    assert room.take(NOW_MS) == "a"
    room.block(task("a"), NOW_MS + 250, room.wakes)
    room.add(task("a"), 5)
    assert all_of(room) == ["other"]
    assert room.next_due_ms() == NOW_MS + 250
    assert all_of(room, NOW_MS + 249) == []
    assert all_of(room, NOW_MS + 250) == ["a", "b", "c"]


def test_a_freed_node_ends_every_wait() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    room.add(task("b", price=7), 5)
    room.block(task("a"), NOW_MS + 60_000, room.wakes)
    room.block(task("b", price=7), NOW_MS + 60_000, room.wakes)
    assert all_of(room) == []
    room.wake()
    assert all_of(room) == ["a", "b"]
    assert room.next_due_ms() is None


def test_a_node_that_comes_during_an_auction_is_not_missed() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    wakes = room.wakes
    assert room.take(NOW_MS) == "a"
    room.wake()
    room.add(task("a"), 5)
    room.block(task("a"), NOW_MS + 30_000, wakes)
    assert room.take(NOW_MS) == "a"


def test_a_blocked_line_that_empties_and_fills_again_stays_in_order() -> None:
    room = WaitingRoom()
    room.block(task("x"), NOW_MS + 100, room.wakes)
    assert room.take(NOW_MS) is None
    room.add(task("b"), 5)
    room.add(task("a"), 5)
    assert room.take(NOW_MS + 99) is None
    assert all_of(room, NOW_MS + 100) == ["a", "b"]


def test_a_node_that_is_excluded_makes_another_line() -> None:
    room = WaitingRoom()
    room.block(task("a"), NOW_MS + 100, room.wakes)
    room.add(replace(task("b"), excluded=("node",)), 5)
    assert room.take(NOW_MS) == "b"


def test_a_task_has_one_place() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    room.add(task("a"), 5)
    assert all_of(room) == ["a"]


def test_an_urgent_newcomer_overtakes_its_line() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    room.add(task("z"), 9)
    assert all_of(room) == ["z", "a"]


def test_the_earliest_deadline_of_a_priority_goes_first() -> None:
    room = WaitingRoom()
    for name, finish_in_ms, priority in [
        ("a", 0, 5),
        ("b", 1_200_000, 5),
        ("c", 600_000, 5),
        ("d", 0, 6),
    ]:
        waiting = task(name)
        finish_by_ms = NOW_MS + finish_in_ms if finish_in_ms else 0
        demand = replace(waiting.demand, finish_by_ms=finish_by_ms)
        room.add(replace(waiting, demand=demand), priority)
    assert all_of(room) == ["d", "c", "b", "a"]


def test_waiting_makes_tasks_more_urgent_also_in_one_line() -> None:
    room = WaitingRoom()
    room.add(task("old"), 2)
    later = replace(task("new"), queue_until_ms=task("new").queue_until_ms + 4 * AGING_MS)
    room.add(later, 5)
    assert room.take(NOW_MS) == "new"
    room.add(later, 5)
    # The older one has waited for four levels, and they are in one line.
    assert all_of(room, NOW_MS + 4 * AGING_MS) == ["old", "new"]


def test_a_blocked_line_stays_blocked_when_places_are_made_anew() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    room.block(task("a"), NOW_MS + 10 * AGING_MS, room.wakes)
    assert all_of(room, NOW_MS + 9 * AGING_MS) == []
    assert all_of(room, NOW_MS + 10 * AGING_MS) == ["a"]
