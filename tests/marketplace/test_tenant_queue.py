from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.tenant_queue import QueueFull, TenantQueue, Ticket


def first(queue: TenantQueue, at_work: dict[str, int] | None = None) -> Ticket:
    return next(queue.in_turn(at_work or {}))


def test_tenants_are_served_in_turn_and_each_in_its_own_order() -> None:
    queue = TenantQueue()
    for _ in range(3):
        queue.add("many", 0, 1)
    queue.add("one", 0, 1)
    served = []
    while len(queue):
        ticket = first(queue)
        queue.served(ticket)
        served.append((ticket.tenant, ticket.number))
    assert served == [("many", 1), ("one", 4), ("many", 2), ("many", 3)]


def test_who_has_less_at_work_is_first() -> None:
    queue = TenantQueue()
    queue.add("busy", 0, 1)
    queue.add("idle", 0, 1)
    assert first(queue, {"busy": 1}).tenant == "idle"
    assert [ticket.tenant for ticket in queue.in_turn({"busy": 2, "idle": 1})] == ["idle", "busy"]


def test_no_more_wait_than_may_of_one_and_in_all() -> None:
    queue = TenantQueue(most=3, most_of_tenant=2)
    queue.add("a", 0, 1)
    ticket = queue.add("a", 0, 1)
    with pytest.raises(QueueFull) as caught:
        queue.add("a", 0, 1)
    assert (caught.value.of_tenant, caught.value.limit) == (True, 2)
    queue.add("b", 0, 1)
    with pytest.raises(QueueFull) as caught:
        queue.add("b", 0, 1)
    assert (caught.value.of_tenant, caught.value.limit) == (False, 3)
    queue.remove(ticket)
    queue.remove(ticket)
    queue.add("b", 0, 1)


def test_one_that_was_not_served_after_all_has_its_old_place_again() -> None:
    queue = TenantQueue(most=2)
    old = queue.add("a", 5, 100)
    queue.served(old)
    queue.add("a", 6, 100)
    queue.add("a", 7, 100)
    queue.back(old)
    queue.back(old)
    assert (len(queue), first(queue), queue.oldest_since_ms()) == (3, old, 5)


@given(st.lists(st.sampled_from("aaaabbc"), max_size=40), st.integers(1, 5))
def test_at_any_time_nobody_is_two_ahead_of_one_who_waits(coming: list[str], places: int) -> None:
    queue = TenantQueue(most_of_tenant=40)
    for tenant in coming:
        queue.add(tenant, 0, 1)
    served: Counter[str] = Counter()
    while len(queue):
        for ticket in list(queue.in_turn({}))[:places]:
            queue.served(ticket)
            served[ticket.tenant] += 1
        waiting = {ticket.tenant for ticket in queue.in_turn({})}
        for tenant in waiting:
            assert max(served.values()) - served[tenant] <= 1 + places
    assert served == Counter(coming)
