"""A preemptible task, from the request to the receipts of its runs."""

from pathlib import Path

from coordinator.api_world import TASK, open_world
from coordinator.fake_nodes import FakeNode
from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.store import events, findings, leases
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.lease import Reclaim, StopReceived
from neurogrid_marketplace.messages import Event, EventKind
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.task import Phase

WINDOW_S = 30


@on_asyncio
async def test_a_request_becomes_a_demand_with_its_window(tmp_path: Path) -> None:
    async with open_world(tmp_path) as made:
        alice = await made.customer("alice")
        wanted = TASK | {"preemptible": True, "reclaim_window_seconds": 60}
        task = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]
        assert (task["preemptible"], task["reclaim_window_seconds"]) == (True, 60)
        assert (task["preemptions"], task["stops_at"]) == (0, None)
        demand = demand_of(await made.state(task["id"]))
        assert (demand.preemptible, demand.reclaim_window_s) == (True, 60)


@on_asyncio
async def test_a_window_that_nothing_asks_for_or_that_is_too_long_is_refused(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as made:
        alice = await made.customer("alice")
        for wanted in (
            {"reclaim_window_seconds": 60},
            {"preemptible": True, "reclaim_window_seconds": 601},
            {"preemptible": True, "reclaim_window_seconds": -1},
        ):
            answer = await alice.http.post("/api/v1/tasks", json=TASK | wanted)
            assert answer.status_code == 422, answer.text
            assert "reclaim_window_seconds" in answer.text


@on_asyncio
async def test_the_same_key_without_is_another_request(tmp_path: Path) -> None:
    async with open_world(tmp_path) as made:
        alice = await made.customer("alice")
        key = {"Idempotency-Key": "one"}
        await alice.http.post("/api/v1/tasks", json=TASK | {"preemptible": True}, headers=key)
        again = await alice.http.post("/api/v1/tasks", json=TASK, headers=key)
        assert again.status_code == 409


async def running(market: World, node: FakeNode) -> tuple[str, str]:
    """A preemptible task that runs there, and its lease."""
    node.behaviour.run_ms = None
    task_id = await market.submit(preemptible=True)
    row = await market.until_phase(task_id, Phase.RUNNING, turning_ms=100)
    assert row.node_id == node.node_id
    assert row.lease_id is not None
    return task_id, row.lease_id


@on_asyncio
async def test_a_reclaimed_run_is_warned_paid_and_goes_on_elsewhere(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        cheap, dear = market.node("cheap", 1_000_000), market.node("dear", 2_000_000)
        cheap.behaviour.reclaim_window_s = WINDOW_S
        await market.start()
        task_id, lease_id = await running(market, cheap)
        await cheap.step(lease_id, Reclaim())

        async def warned() -> bool:
            lease = (await market.task(task_id)).state.lease
            return lease is not None and lease.reclaimed_at_ms > 0

        await market.until(warned, turning_ms=10)
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=1_000)
        assert (row.node_id, row.state.preemptions, row.state.attempts) == (dear.node_id, 1, 0)
        first, second = await market.until_settled(task_id)
        assert first.settlement.paid_micro_usdc >= 1_000_000 * WINDOW_S // 3600
        paid = [each.settlement.paid_micro_usdc for each in (first, second)]
        assert sum(paid) == row.cost_micro_usdc
        assert row.state.preempted_micro_usdc == paid[0]
        assert row.hold_micro_usdc == 0
        for lease, micro_usdc in zip((first, second), paid, strict=True):
            receipt = await market.database.read(leases.receipt, lease.id)
            assert receipt is not None
            proof = verify_receipt(receipt)
            assert proof.paid_micro_usdc == micro_usdc
            assert ("reclaim" in {item.name for item in proof.items}) is (lease is first)
        stored = await market.database.read(events.after, 0, task_id=task_id)
        (told,) = [event for event in stored if event.kind == events.RECLAIMED]
        stops_at_ms = told.data["stops_at_ms"]
        assert isinstance(stops_at_ms, int)
        assert told.data["lease_id"] == lease_id
        assert 0 < stops_at_ms - told.at_ms <= WINDOW_S * 1000
        assert await market.database.read(findings.of_node, cheap.node_id) == []


@on_asyncio
async def test_a_node_that_stops_a_job_it_may_not_is_unpaid_and_at_fault(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        cheap, dear = market.node("cheap", 1_000_000), market.node("dear", 2_000_000)
        await market.start()
        task_id, lease_id = await running(market, cheap)
        await cheap.step(lease_id, StopReceived(Outcome.PREEMPTED))
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        assert (row.node_id, row.state.preemptions, row.state.attempts) == (dear.node_id, 0, 1)
        first, _ = await market.until_settled(task_id)
        assert first.settlement.paid_micro_usdc == 0
        (found,) = await market.database.read(findings.of_node, cheap.node_id)
        assert found.finding.outcome is Outcome.RESULT_INVALID


@on_asyncio
async def test_a_node_that_warns_again_and_again_fills_no_database(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        node.behaviour.reclaim_window_s = WINDOW_S
        life = await market.start()
        _, lease_id = await running(market, node)
        row = await market.database.read(leases.get, lease_id)
        assert row is not None
        number, previous = row.events_stored, row.event_hash
        for _ in range(5):
            event = Event(lease_id, number, EventKind.RECLAIMED, 0, previous)
            await life.desk.on_message(node.node_id, node.seal(event), event)
            number, previous = number + 1, event.hash()
        row = await market.database.read(leases.get, lease_id)
        assert row is not None
        assert row.events_stored == len(EventKind) - 1
