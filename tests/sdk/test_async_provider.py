"""A provider's program in an event loop, from its resource to its pay; test_providing.py has what goes wrong on the way."""

import inspect
import json
from contextlib import aclosing
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from anyio import to_thread

from neurogrid import AsyncProvider, NotFoundError, Provider, WaitTimeout
from sdk.fake_market import INPUT, PATIENCE_S, WALLET, FakeMarket


@pytest.fixture
def market() -> FakeMarket:
    return FakeMarket()


def program(market: FakeMarket, folder: Path) -> AsyncProvider:
    wallet = folder / "wallet.json"
    wallet.write_text(json.dumps(list(WALLET.seed + WALLET.public_key)))
    transport = httpx.MockTransport(market.answer)
    return AsyncProvider(
        "ng_key",
        wallet,
        "http://market",
        state_directory=folder / "state",
        retries_max=0,
        transport=transport,
        machine_transport=transport,
    )


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_task_goes_from_the_award_to_its_pay(
    market: FakeMarket, tmp_path: Path, backend: str
) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "answer.txt").write_text("42\n")

    async def story() -> None:
        async with program(market, tmp_path) as provider:
            needed = {"cpu_cores": 4, "ram_gb": 8, "storage_gb": 100}
            resource = await provider.resources.create("cpu", needed, {"per_hour": "0.50"})
            assert (await provider.resources.get(resource.id)).status == "available"
            await to_thread.run_sync(market.auction)
            async with aclosing(provider.tasks.offers(timeout_seconds=PATIENCE_S)) as offers:
                task = await anext(offers)
            assert (task.status, task.resource_id) == ("offered", resource.id)
            accepted = await provider.tasks.accept(task.id, resource_id=resource.id)
            assert accepted.status == "accepted"
            with anyio.move_on_after(0.05) as scope:
                await provider.tasks.wait_for_job(task.id, timeout_seconds=2)
            assert scope.cancelled_caught
            with pytest.raises(WaitTimeout):
                await provider.tasks.wait_for_job(task.id, timeout_seconds=0)
            await to_thread.run_sync(market.start, task.id)
            job = await provider.tasks.wait_for_job(task.id, timeout_seconds=20)
            assert job.docker_image == "neurogrid/job:1"
            (placed,) = await provider.tasks.download_inputs(task.id, tmp_path / "inputs")
            assert placed.read_bytes() == INPUT
            assert (await provider.tasks.start(task.id, container_id="c1")).status == "running"
            await provider.tasks.log(task.id, "words\n")
            assert (await provider.tasks.update_progress(task.id, 65)).progress == 65
            done = await provider.tasks.complete(task.id, outputs=outputs)
            assert done.outcome == "completed"
            await to_thread.run_sync(partial(market.pay, task.id))
            paid = await provider.tasks.wait_until_paid(task.id, timeout_seconds=20)
            assert (paid.status, str(paid.earned)) == ("closed", "0.000005")
            assert await provider.tasks.held() == []
            with pytest.raises(NotFoundError):
                await provider.tasks.get("lease_none")

    anyio.run(story, backend=backend)


def test_both_providers_have_the_same_methods_with_the_same_parameters(
    market: FakeMarket, tmp_path: Path
) -> None:
    other = program(market, tmp_path)
    wallet = tmp_path / "wallet.json"
    with Provider("ng_key", wallet, "http://market", state_directory=tmp_path / "other") as one:
        for room in ("resources", "tasks", "earnings", "payouts", "staking"):
            theirs, ours = getattr(one, room), getattr(other, room)
            for name in dir(ours):
                if name.startswith("_"):
                    continue
                parameters = inspect.signature(getattr(theirs, name)).parameters
                same = [*inspect.signature(getattr(ours, name)).parameters] == [*parameters]
                assert same, f"{room}.{name}"
            left = {name for name in dir(theirs) if not name.startswith("_")} - {*dir(ours)}
            # What threads among themselves need.
            assert left <= {"running", "all_running", "close", "new_offers"}, room
