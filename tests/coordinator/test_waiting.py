from collections import Counter
from dataclasses import replace

from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_coordinator.tasks.waiting import (
    FALLBACK_GAP_MS,
    FALLBACK_MAX_MS,
    RETRY_GAP_MS,
    WaitingRoom,
)
from neurogrid_marketplace.attributes import NODE
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.deadlines import AGING_MS
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity
from neurogrid_marketplace.spread import Spread, SpreadBy
from neurogrid_marketplace.standing import Standing
from neurogrid_marketplace.task import Task


def task(name: str, price: int = 1_000) -> Task:
    state = new_task("acct", price_micro_usdc_per_hour=price).state
    return replace(state, task_id=name)


def offer(node_id: str, *, cores: int = 8, price: int = 1_000) -> Offer:
    """What a node offers: so many cores free, of many."""
    total = Capacity(64_000, 2**36, 2**40)
    free = replace(total, cpu_millis=cores * 1_000)
    prices = PriceList(base_micro_usdc_per_hour=price)
    return Offer(node_id, wallet(node_id), "fake/1", "local", total, free, prices)


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
    assert all_of(room) == ["c", "b", "a", "d"]
    assert len(room) == 0


def fail(
    room: WaitingRoom,
    failed: Task,
    *,
    now_ms: int = NOW_MS,
    wakes: int | None = None,
    retry_at_ms: int | None = None,
) -> None:
    """A task that has its turn finds nobody; with ``retry_at_ms``, somebody was asked."""
    room.failed(
        failed,
        now_ms,
        room.wakes if wakes is None else wakes,
        asked=retry_at_ms is not None,
        retry_at_ms=retry_at_ms or 0,
    )


def test_a_line_whose_first_found_no_node_waits_as_a_whole() -> None:
    room = WaitingRoom()
    for name in ("a", "b", "c"):
        room.add(task(name), 5)
    room.add(task("other", price=7), 5)
    assert room.take(NOW_MS) == "a"
    fail(room, task("a"), retry_at_ms=NOW_MS + 250)
    assert all_of(room) == ["other"]
    assert room.next_due_ms() == NOW_MS + 250
    assert all_of(room, NOW_MS + 249) == []
    # One of them tries for all.
    assert all_of(room, NOW_MS + 250) == ["a"]
    assert room.next_due_ms() is None
    room.over("a", "node")
    assert all_of(room, NOW_MS + 251) == ["b", "c"]


def test_a_try_that_fails_blocks_the_line_again() -> None:
    room = WaitingRoom()
    for name in ("a", "b"):
        room.add(task(name), 5)
    assert room.take(NOW_MS) == "a"
    fail(room, task("a"), retry_at_ms=NOW_MS + 250)
    assert all_of(room, NOW_MS + 250) == ["a"]
    fail(room, task("a"), now_ms=NOW_MS + 300, retry_at_ms=NOW_MS + 800)
    assert all_of(room, NOW_MS + 799) == []
    assert all_of(room, NOW_MS + 800) == ["a"]
    room.over("a")  # cancelled while it tried: another one tries
    assert all_of(room, NOW_MS + 800 + RETRY_GAP_MS) == ["b"]


def test_where_nobody_could_be_asked_tries_are_rare_and_grow_rarer() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    assert room.take(NOW_MS) == "a"
    now_ms, pauses_ms = NOW_MS, []
    for auctions in range(6):
        fail(room, replace(task("a"), auctions=auctions), now_ms=now_ms)
        due_ms = room.next_due_ms()
        assert due_ms is not None
        assert all_of(room, due_ms - 1) == []
        assert all_of(room, due_ms) == ["a"]
        pauses_ms.append(due_ms - now_ms)
        now_ms = due_ms
    for pause_ms, about_ms in zip(pauses_ms, (60, 120, 240, 300, 300, 300), strict=True):
        assert 750 * about_ms <= pause_ms <= 1250 * about_ms


def test_however_many_lines_wait_few_are_tried() -> None:
    room = WaitingRoom()
    count = 500
    for number in range(count):
        room.add(task(f"{number:04}", price=number), 5)
    assert len(all_of(room)) == count
    for number in range(count):
        fail(room, task(f"{number:04}", price=number))
    tries: Counter[str] = Counter()
    end_ms = NOW_MS + FALLBACK_MAX_MS * 4
    # What is longest overdue goes first, so each has its turn within the time that all take.
    while (due_ms := room.next_due_ms()) is not None and due_ms <= end_ms:
        for tried in all_of(room, due_ms):
            tries[tried] += 1
            fail(room, task(tried, price=int(tried)), now_ms=due_ms)
    assert sum(tries.values()) <= FALLBACK_MAX_MS * 4 // FALLBACK_GAP_MS
    assert len(tries) == count


def test_a_node_that_opens_serves_the_most_urgent_it_has_room_for() -> None:
    room = WaitingRoom()
    for name, priority, price in [("a", 5, 1_000), ("b", 9, 2_000), ("c", 5, 3_000), ("d", 9, 1)]:
        room.add(task(name, price), priority)
    for name in all_of(room):
        price = {"a": 1_000, "b": 2_000, "c": 3_000, "d": 1}[name]
        fail(room, task(name, price))
    assert all_of(room) == []
    # It has room for two, and is too dear for d.
    room.node_opened(offer("one", cores=2, price=1_000))
    assert all_of(room) == ["b", "a"]
    # Who is out may not take what it claims; then it is the next one's.
    fail(room, task("b", 2_000))
    assert all_of(room) == ["c"]
    room.over("a", "one")
    room.over("c", "one")
    assert all_of(room) == []
    # The node's word that it has room again, and one that another node came, are openings.
    room.node_opened(offer("one", cores=1, price=1_000))
    assert all_of(room) == ["b"]


def test_a_thousand_waiting_tasks_are_not_all_auctioned_for_one_free_place() -> None:
    room = WaitingRoom()
    for number in range(1_000):
        room.add(task(f"{number:04}"), 5)
    assert room.take(NOW_MS) == "0000"
    fail(room, task("0000"))
    for _ in range(3):
        room.node_opened(offer("one", cores=3))
        first = all_of(room)
        assert len(first) == 3
        for name in first:
            room.over(name, "one")
        assert all_of(room) == []
    assert len(room) == 1_000 - 9


def test_a_node_that_does_not_do_is_not_tried_again_until_it_changes() -> None:
    room = WaitingRoom()
    for name in ("a", "b"):
        room.add(task(name), 5)
    assert room.take(NOW_MS) == "a"
    fail(room, task("a"))
    room.node_opened(offer("one", cores=1))
    assert all_of(room) == ["a"]
    fail(room, task("a"), retry_at_ms=NOW_MS + 30_000)
    assert all_of(room) == []
    room.node_opened(offer("one", cores=1))
    assert all_of(room) == ["a"]


def test_a_node_that_opens_during_an_auction_is_not_missed() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    room.add(task("b", price=7), 5)
    wakes = room.wakes
    assert all_of(room) == ["a", "b"]
    room.node_opened(offer("one", price=100))
    assert all_of(room) == []
    fail(room, task("b", price=7), wakes=wakes)
    assert all_of(room) == []
    fail(room, task("a"), wakes=wakes)
    assert all_of(room) == ["a"]
    fail(room, task("a"))
    assert all_of(room) == []


def test_a_node_that_is_thought_better_of_is_an_opening() -> None:
    room = WaitingRoom()
    careful = task("a")
    where = read_conditions("score >= 0.8", NODE)
    careful = replace(careful, demand=replace(careful.demand, where=where))
    room.add(careful, 5)
    assert room.take(NOW_MS) == "a"
    fail(room, careful)
    one = offer("one")
    room.node_opened(one)
    assert all_of(room) == []
    room.stand({"one": Standing(score_permille=700)}, {"one": one})
    assert all_of(room) == []
    room.stand({"one": Standing(score_permille=900)}, {"one": one})
    assert all_of(room) == ["a"]
    fail(room, careful)
    room.stand({"one": Standing(score_permille=850)}, {"one": one})
    assert all_of(room) == []
    room.stand({"two": Standing(score_permille=900)}, {})  # it is gone meanwhile
    assert all_of(room) == []


def test_a_place_that_another_of_the_group_leaves_ends_the_wait() -> None:
    room = WaitingRoom()
    spread = Spread("mine", SpreadBy.NODE)
    first, second = (replace(task(name), spread=spread) for name in "ab")
    stranger = replace(task("c"), spread=Spread("other", SpreadBy.NODE))
    for each in (second, stranger):
        room.add(each, 5)
    assert all_of(room) == ["b", "c"]
    fail(room, stranger)
    wakes = room.wakes
    # Also where it happens while that one is being auctioned.
    room.place_left(first, NOW_MS)
    fail(room, second, wakes=wakes)
    assert all_of(room) == ["b"]
    fail(room, second)
    assert all_of(room) == []
    room.place_left(first, NOW_MS + 100)
    assert all_of(room, NOW_MS + 100) == ["b"]


def test_a_node_that_rests_is_tried_when_it_has_rested() -> None:
    room = WaitingRoom()
    tired = replace(task("a"), resting={"one": NOW_MS + 5_000})
    room.add(tired, 5)
    assert room.take(NOW_MS) == "a"
    fail(room, tired)
    room.node_opened(offer("one"))
    assert all_of(room) == []
    assert all_of(room, NOW_MS + 5_000) == ["a"]


def test_what_was_auctioned_before_a_restart_waits_for_nodes() -> None:
    room = WaitingRoom()
    # One joins before the tasks are loaded, one after.
    room.node_opened(offer("dear", price=2_000))
    for name, price in (("a", 1_000), ("b", 2_000), ("c", 500)):
        room.add(task(name, price), 5, waits_from_ms=NOW_MS)
    assert all_of(room) == ["b"]
    room.node_opened(offer("cheap", price=1_000, cores=1))
    assert all_of(room) == ["a"]
    due_ms = room.next_due_ms()
    assert due_ms is not None
    assert NOW_MS + 45_000 <= due_ms <= NOW_MS + 75_000


def test_a_blocked_line_that_empties_is_forgotten() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    assert room.take(NOW_MS) == "a"
    fail(room, task("a"))
    room.drop("a")
    assert len(room) == 0
    assert room.next_due_ms() is None
    room.add(task("b"), 5)
    assert all_of(room) == ["b"]


def test_a_node_that_is_excluded_makes_another_line() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    assert room.take(NOW_MS) == "a"
    fail(room, task("a"))
    room.add(replace(task("b"), excluded=("one",)), 5)
    assert room.take(NOW_MS) == "b"
    fail(room, replace(task("b"), excluded=("one",)))
    room.node_opened(offer("one"))
    assert all_of(room) == ["a"]


def test_more_nodes_than_can_be_held_against_lines_let_every_line_try() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    assert room.take(NOW_MS) == "a"
    fail(room, task("a"))
    for number in range(300):
        room.node_opened(offer(f"n{number}", price=2_000))
    assert all_of(room) == ["a"]


def test_somebody_who_comes_with_one_task_goes_between_anothers_thousand() -> None:
    room = WaitingRoom()
    for number in range(1_000):
        room.add(task(f"{number:04}"), 5, "many")
    late = replace(task("late"), queue_until_ms=task("late").queue_until_ms + 10_500)
    room.add(late, 5, "one")
    order = all_of(room)
    assert order.index("late") == 11


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
    room.over("new")
    room.add(later, 5)
    # The older one has waited for four levels, and they are in one line.
    assert all_of(room, NOW_MS + 4 * AGING_MS) == ["old", "new"]


def test_a_blocked_line_stays_blocked_when_places_are_made_anew() -> None:
    room = WaitingRoom()
    room.add(task("a"), 5)
    assert room.take(NOW_MS) == "a"
    fail(room, task("a"), retry_at_ms=NOW_MS + 10 * AGING_MS)
    assert all_of(room, NOW_MS + 9 * AGING_MS) == []
    assert all_of(room, NOW_MS + 10 * AGING_MS) == ["a"]


def test_a_task_that_is_asked_for_otherwise_takes_another_place() -> None:
    room = WaitingRoom()
    for name in ("a", "b", "c"):
        room.add(task(name), 5)
    room.renew(task("c"), 9)
    room.renew(task("b"), 5)
    assert room.take(NOW_MS) == "c"
    # A line that waits is left by who asks for something else, also the last one in it.
    fail(room, task("c"), retry_at_ms=NOW_MS + 60_000)
    assert all_of(room) == []
    for name in ("a", "b", "c"):
        room.renew(task(name, price=7), 5)
        assert all_of(room) == [name]
    assert all_of(room, NOW_MS + 60_000) == []
    assert len(room) == 0
