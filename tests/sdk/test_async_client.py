"""The asynchronous client against the real api, on asyncio and on trio; the synchronous one is made from it."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

import neurogrid
from coordinator.api_world import Customer, World
from coordinator.served import ServedWorld
from neurogrid import AsyncClient
from neurogrid.aio.transport import Transport
from neurogrid.profile import Profile

# httpx iterates its own generators without closing them, which trio says of streams that are left early; their connection is
# closed by then.
pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning")

Run = Callable[[Callable[[AsyncClient], Awaitable[None]]], None]
JOB: dict[str, Any] = {"docker_image": "neurogrid/job:1", "max_price_per_hour": "1.00"}


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def alice(api: ServedWorld) -> Customer:
    return api.run(lambda world: world.customer("alice"))


@pytest.fixture
def run(api: ServedWorld, alice: Customer, backend: str, tmp_path: Path) -> Run:
    def run(story: Callable[[AsyncClient], Awaitable[None]]) -> None:
        async def told() -> None:
            keys = tmp_path / "keys"
            async with AsyncClient(
                alice.key, api.address, retries_max=2, keys_directory=keys
            ) as client:
                await story(client)

        anyio.run(told, backend=backend)

    return run


def test_a_task_is_followed_to_its_end_and_its_files_fetched(
    run: Run, api: ServedWorld, tmp_path: Path
) -> None:
    source = tmp_path / "corpus.txt"
    source.write_text("some words")

    async def finish(world: World, task_id: str) -> None:
        await world.start(task_id)
        await world.print(task_id, "working\ndone\n")
        outputs = [
            await world.upload(task_id, "a/words.json", b'{"some": 1}'),
            await world.upload(task_id, "big", b"x" * 900_000),
        ]
        await world.finish(task_id, *outputs)

    async def story(client: AsyncClient) -> None:
        task = await client.tasks.create(**JOB, inputs={"data/corpus.txt": source})
        assert [(item.path, item.size) for item in task.inputs] == [("data/corpus.txt", 10)]
        assert (await client.artifacts.upload(source)).created is False
        async with anyio.create_task_group() as group:
            group.start_soon(
                anyio.to_thread.run_sync, lambda: api.run(lambda world: finish(world, task.id))
            )
            told = [update.type async for update in client.tasks.stream(task.id)]
        assert told[0] == "task.created"
        assert told[-1] == "task.completed"
        assert (await client.tasks.wait(task.id, timeout_s=60)).status == "completed"
        assert await client.tasks.get_logs(task.id, lines=1) == "done\n"
        followed = await client.tasks.get_logs(task.id, follow=True)
        assert "".join([piece async for piece in followed]) == "working\ndone\n"
        assert "".join([piece async for piece in client.tasks.all_logs(task.id)])
        written = await client.tasks.download(task.id, tmp_path / "outputs")
        assert {path.name: path.stat().st_size for path in written} == {
            "words.json": 11,
            "big": 900_000,
        }

    run(story)


def test_who_stops_listening_closes_the_connection(run: Run) -> None:
    async def story(client: AsyncClient) -> None:
        task = await client.tasks.create(**JOB)
        async with aclosing(client.tasks.stream(task.id)) as updates:
            async for update in updates:
                assert update.type == "task.created"
                break
        with anyio.move_on_after(0.2) as scope:
            async for _ in client.tasks.stream(task.id):
                pass
        assert scope.cancelled_caught
        assert (await client.tasks.cancel(task.id)).status == "cancelled"

    run(story)


def test_many_tasks_of_one_loop_share_a_client(run: Run) -> None:
    async def story(client: AsyncClient) -> None:
        names = {f"task {number}" for number in range(20)}
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(partial(client.tasks.create, **JOB, name=name))
        assert {task.name async for task in client.tasks.iterate(page_size=7)} == names

    run(story)


def test_errors_are_those_of_the_synchronous_client(run: Run) -> None:
    async def story(client: AsyncClient) -> None:
        with pytest.raises(neurogrid.TaskNotFoundError) as missing:
            await client.tasks.get("task_none")
        assert missing.value.task_id == "task_none"
        with pytest.raises(neurogrid.InsufficientFundsError) as poor:
            await client.tasks.create(docker_image="neurogrid/job:1", max_price_per_hour="9000000")
        assert poor.value.details["needed"]
        task = await client.tasks.create(**JOB)
        with pytest.raises(neurogrid.WaitTimeout):
            await client.tasks.wait(task.id, timeout_s=0.1)

    run(story)


def test_a_failing_server_is_asked_again_with_growing_pauses(backend: str) -> None:
    asked: list[str] = []
    pauses: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) < 4:
            return httpx.Response(503, text="<html>away")
        return httpx.Response(200, json={"success": True, "data": {}})

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def story() -> None:
        transport = Transport(
            Profile("http://api", "ng_key"),
            retries_max=3,
            http=httpx.MockTransport(answer),
            sleep=pause,
        )
        await transport.call(dict[str, int], "GET", "/account")
        await transport.aclose()

    anyio.run(story, backend=backend)
    assert len(asked) == 4
    assert pauses == sorted(pauses)


def test_a_sealed_task_gets_its_key_while_it_is_waited_for(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of mine")

    async def story(client: AsyncClient) -> None:
        task = await client.tasks.create(
            **JOB, inputs={"secret": secret}, sealed=True, wait_for_node=True
        )
        assert task.sealed
        assert client.keys.tasks() == [task.id]
        await client.tasks.cancel(task.id)
        await client.tasks.wait(task.id, timeout_s=60)
        assert client.keys.tasks() == []

    run(story)


def test_what_the_coordinator_says_of_itself_has_types(run: Run, alice: Customer) -> None:
    async def story(client: AsyncClient) -> None:
        status = await client.status()
        assert (status.status, status.services["database"]) == ("ok", "healthy")
        assert (await client.service_status("database")).service == "database"
        assert "gpu.model" in [each.name for each in await client.constraints()]
        assert (await client.drawing_days())[-1].commitment
        assert (await client.analytics.get_gpus()).taken == 0
        with pytest.raises(neurogrid.PermissionDeniedError, match="keys"):
            await client.sign_writes(True)

    run(story)


def test_texts_become_vectors_and_refusals_in_openais_form_are_errors(backend: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/embeddings"
        if b"vectors" not in request.read():
            said = {"message": "no such model", "type": "invalid_request_error", "code": None}
            return httpx.Response(404, json={"error": said})
        made = {"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}
        return httpx.Response(200, json={"object": "list", "data": [made], "model": "vectors"})

    async def story() -> None:
        http = httpx.MockTransport(answer)
        async with AsyncClient("ng_key", "http://api", transport=http) as client:
            made = await client.models.embed("vectors", ["one"])
            assert made.data[0].embedding == [0.5, -0.25]
            with pytest.raises(neurogrid.ApiError, match="no such model"):
                await client.models.embed("other", ["one"])

    anyio.run(story, backend=backend)


def test_many_first_requests_at_once_are_all_signed_where_that_is_wanted(
    alice: Customer, backend: str, tmp_path: Path
) -> None:
    key_file = tmp_path / "wallet.json"
    alice.wallet.write_solana_file(key_file)
    count, unsigned, signed = 5, [0], [0]

    async def story() -> None:
        all_came = anyio.Event()

        async def answer(request: httpx.Request) -> httpx.Response:
            if "X-Wallet-Signature" in request.headers:
                signed[0] += 1
                done = {"id": "x", "result": "cancelled", "status": "cancelled"}
                return httpx.Response(200, json={"success": True, "data": done})
            unsigned[0] += 1
            if unsigned[0] == count:
                all_came.set()
            await all_came.wait()
            said = {"code": "SIGNATURE_REQUIRED", "message": "", "details": {"network": "ng-1"}}
            return httpx.Response(401, json={"success": False, "error": said})

        http = httpx.MockTransport(answer)
        async with (
            AsyncClient("ng_key", "http://api", wallet=key_file, transport=http) as client,
            anyio.create_task_group() as group,
        ):
            for number in range(count):
                group.start_soon(client.workflows.cancel, f"workflow_{number}")

    anyio.run(story, backend=backend)
    assert (unsigned, signed) == ([count], [count])
