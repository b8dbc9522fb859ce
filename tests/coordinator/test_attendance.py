from dataclasses import replace

from coordinator.records import NOW_MS, wallet
from neurogrid_coordinator.market.reports import NodeView
from neurogrid_coordinator.tasks.attendance import Attendance
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus, Offer, PriceList
from neurogrid_marketplace.resources import Capacity

CAPACITY = Capacity(cpu_millis=4000, memory_bytes=2**30, disk_bytes=2**30)
OFFER = Offer("node", wallet("node"), "fake/1", "local", CAPACITY, CAPACITY, PriceList())


def beat(at_ms: int, *lease_ids: str) -> NodeView:
    statuses = tuple(LeaseStatus(lease_id, LeasePhase.RUNNING) for lease_id in lease_ids)
    return NodeView(OFFER, NOW_MS, at_ms, statuses)


def test_silence_counts_from_the_last_word_or_from_our_own_start() -> None:
    attendance = Attendance(NOW_MS)
    attendance.look(1, NOW_MS)
    assert attendance.heard_ms("node") == NOW_MS
    attendance.heard("node", NOW_MS + 500)
    attendance.heard("node", NOW_MS + 200)
    attendance.look(1, NOW_MS + 1_000)
    assert attendance.heard_ms("node") == NOW_MS + 500


def test_silence_starts_anew_after_a_nap_a_clock_set_back_and_a_new_market_process() -> None:
    attendance = Attendance(NOW_MS)
    attendance.look(1, NOW_MS)
    attendance.look(1, NOW_MS + 1_000)
    assert attendance.heard_ms("node") == NOW_MS
    attendance.look(1, NOW_MS + 60_000)
    assert attendance.heard_ms("node") == NOW_MS + 60_000
    attendance.look(1, NOW_MS + 59_000)
    assert attendance.heard_ms("node") == NOW_MS + 59_000
    attendance.look(2, NOW_MS + 60_000)
    assert attendance.heard_ms("node") == NOW_MS + 60_000
    attendance.look(None, NOW_MS + 61_000)
    attendance.look(3, NOW_MS + 62_000)
    attendance.look(3, NOW_MS + 63_000)
    assert attendance.heard_ms("node") == NOW_MS + 62_000


def test_only_a_node_with_more_to_give_has_become_free() -> None:
    attendance = Attendance(NOW_MS)
    less = replace(OFFER, free=replace(CAPACITY, cpu_millis=1000))
    assert attendance.became_free(OFFER)
    assert not attendance.became_free(OFFER)
    assert not attendance.became_free(less)
    assert attendance.became_free(OFFER)
    assert not attendance.became_free(replace(OFFER, accepting=False))
    assert attendance.became_free(OFFER)
    attendance.left("node")
    assert attendance.became_free(OFFER)


def test_a_lease_is_forgotten_when_it_is_missing_for_long_enough() -> None:
    attendance = Attendance(NOW_MS)
    taken = {"lease": NOW_MS}
    assert attendance.forgotten(beat(NOW_MS + 14_999), taken) == []
    assert attendance.forgotten(beat(NOW_MS + 20_000), taken) == []
    assert attendance.forgotten(beat(NOW_MS + 25_000, "lease"), taken) == []
    assert attendance.forgotten(beat(NOW_MS + 30_000), taken) == []
    assert attendance.forgotten(beat(NOW_MS + 44_999), taken) == []
    assert attendance.forgotten(beat(NOW_MS + 45_000), taken) == ["lease"]


def test_nodes_that_are_gone_and_hold_nothing_are_dropped() -> None:
    attendance = Attendance(NOW_MS)
    for node_id in ("gone", "leased", "here"):
        attendance.heard(node_id, NOW_MS + 100)
    attendance.became_free(replace(OFFER, node_id="here"))
    attendance.forget(frozenset({"leased"}))
    heard = {node_id: attendance.heard_ms(node_id) for node_id in ("gone", "leased", "here")}
    assert heard == {"gone": NOW_MS, "leased": NOW_MS + 100, "here": NOW_MS + 100}
