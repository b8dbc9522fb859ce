"""Document 003's calls of clients, word by word, with our SDK; on real processes tests/acceptance/test_conformance.py makes them."""

import asyncio
from concurrent.futures import Future
from pathlib import Path

import pytest

from conformance.document_003 import DOCUMENT
from conformance.sdk_calls import Call, SdkDocument, ask_calls
from coordinator.api_world import USDC, Customer, World
from coordinator.records import node_id
from coordinator.served import ServedWorld
from neurogrid_coordinator.store import usage
from neurogrid_coordinator.store.usage import Said
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.usage import LeaseUsage

_IMAGE = "neurogrid/job:1"


async def work(world: World) -> None:
    """A node that does what is worth it, for ever."""
    while True:
        await asyncio.sleep(0.02)
        for task_id in set(world.woken):
            state = await world.state(task_id)
            if (
                state.phase is not Phase.QUEUED
                or state.demand.max_price_micro_usdc_per_hour < USDC // 10
            ):
                continue
            lease = (await world.start(task_id)).lease
            assert lease is not None
            await world.print(task_id, "done\n")
            told = Said(lease.lease_id, LeaseUsage(1_000, 2**20), 2**21)
            await world.database.write(usage.add, node_id("one"), told, world.now_ms, is_last=True)
            await world.finish(task_id)


@pytest.fixture
def alice(api: ServedWorld) -> Customer:
    return api.run(lambda world: world.customer("alice", deposit=1000 * USDC))


# See test_async_client.py.
@pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")
@pytest.mark.parametrize("backend", [None, "asyncio", "trio"])
def test_every_call_is_as_it_is_printed(
    api: ServedWorld, alice: Customer, backend: str | None
) -> None:
    working: Future[asyncio.Task[None]] = Future()

    async def begin(world: World) -> None:
        working.set_result(asyncio.create_task(work(world)))

    api.run(begin)
    outcomes = list(ask_calls(DOCUMENT, api.address, alice.key, _IMAGE, backend))
    differences = [f"{one.asked}: {each}" for one in outcomes for each in one.differences]
    assert not differences, "\n".join(differences)
    assert [one.asked for one in outcomes if one.awaits] == [
        "client.billing.get_invoice",
        "client.tasks.create",
    ]

    async def end(world: World) -> None:
        task = working.result()
        assert not task.done(), task
        task.cancel()

    api.run(end)


def test_a_call_that_differs_is_found_out(api: ServedWorld, alice: Customer) -> None:
    wrong = SdkDocument(
        "003",
        "wrong",
        (
            Call("balance = client.wallet.get_balance()", shows=('balance["dollars"] > 0',)),
            Call("client.wallet.nothing()"),
            Call('client.tasks.get("task_none")', may_raise="RateLimitError"),
            Call("deposit = client.wallet.deposit(amount='1', currency='USDT')"),
            Call("x = 1", needs="nobody", awaits="somebody"),
        ),
        DOCUMENT.made,
    )
    told = list(ask_calls(wrong, api.address, alice.key, _IMAGE))
    assert [one.awaits for one in told] == ["", "", "", "", "somebody"]
    words = [one.differences[0] for one in told[:4]]
    assert words[0] == "balance[\"dollars\"] > 0: KeyError: 'dollars'"
    assert words[1].startswith("AttributeError")
    assert words[2].startswith("TaskNotFoundError")
    assert words[3].startswith("InvalidRequestError")


def test_the_documents_names_of_errors_are_ours(tmp_path: Path) -> None:
    from neurogrid import errors, exceptions

    assert {name: getattr(exceptions, name) for name in exceptions.__all__} == {
        name: getattr(errors, name) for name in exceptions.__all__
    }
