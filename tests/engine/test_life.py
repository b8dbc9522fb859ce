"""A container's life: made once, found again by a new daemon, ended, removed; and a lost engine."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import docker
import pytest
import trio

from engine.bench import Bench, open_bench
from engine.proxy import Proxy
from neurogrid_marketplace.faults import Outcome
from neurogrid_node.container import connect_engine
from neurogrid_node.container_errors import (
    ContainerGone,
    EngineLost,
    EngineRefused,
    EngineUnavailable,
    ImageNotFound,
)
from neurogrid_node.container_outcome import classify
from neurogrid_node.container_views import ContainerState

pytestmark = pytest.mark.engine

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
GPU = "GPU-00000000-0000-0000-0000-000000000000"


async def test_creating_twice_makes_one(bench: Bench) -> None:
    spec = bench.spec("")
    first, _ = await bench.prepare(spec)
    second, _ = await bench.prepare(spec)
    assert first == second
    assert len(await bench.engine.list_leases()) == 1


async def test_a_name_that_something_else_has_is_not_taken_over(bench: Bench) -> None:
    spec = bench.spec("")
    await bench.prepare(spec)
    other = await bench.engine.image("neurogrid/true:1")
    assert other is not None
    with pytest.raises(EngineRefused) as refusal:
        await bench.engine.create(replace(spec, image=other))
    assert refusal.value.code == "container_conflict"


async def test_the_images_of_this_machine_are_named(bench: Bench) -> None:
    assert bench.image.reference in await bench.engine.images()


async def test_an_image_that_was_removed_meanwhile(bench: Bench) -> None:
    spec = bench.spec("", image=replace(bench.image, image_id="sha256:" + "0" * 64))
    with pytest.raises(ImageNotFound):
        await bench.engine.create(spec)


async def test_starting_twice_runs_once(bench: Bench) -> None:
    # It does not end in between: whoever starts one that has ended runs it again.
    program = "import time; print('ran', flush=True); time.sleep(600)"
    container_id, _ = await bench.prepare(bench.spec(program))
    await bench.engine.start(container_id)
    await bench.engine.start(container_id)
    async with bench.engine.follow_logs(container_id) as chunks:
        assert (await anext(chunks)).text == "ran\n"
    await bench.engine.kill(container_id)
    assert await bench.log(container_id) == "ran\n"


async def test_every_end_is_told(bench: Bench) -> None:
    # Long enough for the engine's two clocks to agree on what was first.
    ran = await bench.run("import time; time.sleep(0.3); raise SystemExit(3)")
    assert (ran.ended.code, ran.verdict.outcome) == (3, Outcome.EXIT_NONZERO)
    assert ran.ended.started_at_ns < ran.ended.finished_at_ns
    again = await bench.engine.wait(ran.container_id)
    assert again == ran.ended

    clean = await bench.run("import time; time.sleep(0.3)")
    assert (clean.ended.code, clean.verdict.outcome) == (0, Outcome.COMPLETED)
    assert 0 < clean.ended.ran_ns < 30_000_000_000


async def test_a_command_that_is_not_there_or_cannot_run(bench: Bench) -> None:
    for command in ("/no/such/program", "/etc"):
        ran = await bench.run("", command=(command,))
        assert ran.verdict.outcome is Outcome.COMMAND_NOT_FOUND


async def test_a_gpu_without_the_toolkit_says_what_to_install(bench: Bench) -> None:
    if "nvidia" in bench.engine.info.runtimes:
        return
    container_id, _ = await bench.prepare(bench.spec("", gpu_uuids=(GPU,)))
    with pytest.raises(EngineRefused, match="nvidia-container-toolkit") as refusal:
        await bench.engine.start(container_id)
    assert refusal.value.code == "gpu_runtime_missing"


async def test_a_paused_job_stands_still(bench: Bench) -> None:
    ticking = "import time\nfor i in range(500):\n    print(i, flush=True)\n    time.sleep(0.02)"
    container_id = await bench.start(ticking)
    await bench.engine.pause(container_id)
    await bench.engine.pause(container_id)
    assert (await bench.engine.inspect(container_id)).state is ContainerState.PAUSED
    async with bench.engine.follow_logs(container_id) as chunks:
        with trio.move_on_after(0.2):
            async for _ in chunks:
                pass
        with trio.move_on_after(0.2) as silence:
            await anext(chunks, None)
        assert silence.cancelled_caught
    await bench.engine.unpause(container_id)
    await bench.engine.unpause(container_id)
    assert (await bench.engine.inspect(container_id)).state is ContainerState.RUNNING


async def test_what_is_gone_can_be_stopped_killed_and_removed(bench: Bench) -> None:
    container_id = await bench.start(SLEEP)
    await bench.engine.remove(container_id)
    await bench.engine.remove(container_id)
    await bench.engine.kill(container_id)
    await bench.engine.stop(container_id, grace_s=0)
    with pytest.raises(ContainerGone):
        await bench.engine.inspect(container_id)
    with pytest.raises(ContainerGone):
        await bench.engine.wait(container_id)


async def test_an_ended_one_can_be_stopped_killed_and_paused(bench: Bench) -> None:
    ran = await bench.run("")
    await bench.engine.kill(ran.container_id)
    await bench.engine.stop(ran.container_id, grace_s=0)
    await bench.engine.pause(ran.container_id)
    await bench.engine.unpause(ran.container_id)


async def test_removing_ends_the_wait(bench: Bench) -> None:
    container_id = await bench.start(SLEEP)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def remove_soon() -> None:
            await trio.sleep(0.1)
            await bench.engine.remove(container_id)

        with trio.fail_after(10), pytest.raises(ContainerGone):
            await bench.engine.wait(container_id)


async def test_a_new_daemon_adopts_what_runs_and_what_has_ended(bench: Bench) -> None:
    running = await bench.start(SLEEP, lease_id="lease-running")
    waiting, _ = await bench.prepare(bench.spec("", lease_id="lease-waiting"))
    ended = await bench.run("raise SystemExit(7)", lease_id="lease-ended")
    async with connect_engine(bench.engine.node_id) as engine:
        found = {lease.lease_id: lease for lease in await engine.list_leases()}
        assert {name: (lease.container_id, lease.state) for name, lease in found.items()} == {
            "lease-ended": (ended.container_id, ContainerState.EXITED),
            "lease-running": (running, ContainerState.RUNNING),
            "lease-waiting": (waiting, ContainerState.CREATED),
        }
        assert await engine.wait(ended.container_id) == ended.ended
        async with engine.follow_logs(running) as chunks:
            assert (await anext(chunks)).text == "up\n"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.kill, running)
            assert (await engine.wait(running)).code == 137


async def test_another_nodes_containers_are_not_ours(bench: Bench, tmp_path: Path) -> None:
    await bench.start(SLEEP)
    async with open_bench(tmp_path / "other") as other:
        assert await other.engine.list_leases() == ()


async def test_a_container_goes_by_its_name_too(bench: Bench) -> None:
    spec = bench.spec(SLEEP)
    await bench.prepare(spec)
    name = spec.container_name
    await bench.engine.start(name)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def stop_soon() -> None:
            await trio.sleep(0.2)
            await bench.engine.stop(name, grace_s=5)

        with trio.fail_after(20):
            ended = await bench.engine.wait(name)
    assert (ended.code, ended.is_interrupted) == (143, False)
    await bench.engine.remove(name)


async def test_what_the_engine_itself_ends_is_not_the_jobs_doing(bench: Bench) -> None:
    """So it ends its containers when it is stopped, while its events are still being followed."""
    container_id = await bench.start(SLEEP)
    api = docker.APIClient()
    await trio.to_thread.run_sync(partial(api.stop, container_id, timeout=5))
    api.close()
    ended = await bench.engine.wait(container_id)
    assert ended.code == 143
    assert classify(ended).outcome is Outcome.ENGINE_LOST


async def test_what_a_job_does_to_itself_is_its_own_doing(bench: Bench) -> None:
    for program in ("raise SystemExit(143)", "import os; os.kill(os.getpid(), 15)"):
        ran = await bench.run(program)
        assert (ran.ended.code, ran.verdict.outcome) == (143, Outcome.EXIT_NONZERO)


# docker-py drops the socket of a refused connection without closing it.
leaves_sockets = pytest.mark.filterwarnings(
    "ignore:unclosed <socket:ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


@pytest.fixture
def collected() -> Iterator[None]:
    """Find those sockets while this test's warnings are filtered."""
    yield
    gc.collect()


@leaves_sockets
async def test_an_engine_that_comes_back_is_waited_for(tmp_path: Path, collected: None) -> None:
    async with trio.open_nursery() as nursery:
        proxy = Proxy(tmp_path / "engine.sock", nursery)
        await proxy.up()
        async with open_bench(tmp_path, url=proxy.url) as bench:
            finishing = await bench.start("import time; time.sleep(0.5)")
            failing = await bench.start("import time; time.sleep(0.5); raise SystemExit(143)")
            results = {}
            async with trio.open_nursery() as waiting:

                async def wait(name: str, container_id: str) -> None:
                    results[name] = await bench.engine.wait(container_id)

                waiting.start_soon(wait, "finishing", finishing)
                waiting.start_soon(wait, "failing", failing)
                await trio.sleep(0.1)
                proxy.down()
                with pytest.raises(EngineUnavailable):
                    await bench.engine.inspect(finishing)
                # Both end while nobody can tell us.
                await trio.sleep(1)
                assert results == {}
                await proxy.up()
            assert classify(results["finishing"]).outcome is Outcome.COMPLETED
            # An engine that is restarted ends its containers with 143.
            assert classify(results["failing"]).outcome is Outcome.ENGINE_LOST
            await bench.run("")
        nursery.cancel_scope.cancel()


@leaves_sockets
async def test_a_log_that_breaks_off_is_not_taken_for_whole(
    tmp_path: Path, collected: None
) -> None:
    async with trio.open_nursery() as nursery:
        proxy = Proxy(tmp_path / "engine.sock", nursery)
        await proxy.up()
        async with open_bench(tmp_path, url=proxy.url) as bench:
            # More than fits between the engine and us.
            ran = await bench.run("for _ in range(4000): print('x' * 999)")

            async def follow_while_it_breaks() -> None:
                async with bench.engine.follow_logs(ran.container_id) as chunks:
                    await anext(chunks)
                    proxy.down()
                    try:
                        async for _ in chunks:
                            pass
                    finally:
                        await proxy.up()

            with pytest.raises(EngineUnavailable):
                await follow_while_it_breaks()
            assert len(await bench.log(ran.container_id)) == 4_000_000
        nursery.cancel_scope.cancel()


@leaves_sockets
async def test_an_engine_that_stays_away_is_lost(tmp_path: Path, collected: None) -> None:
    async with trio.open_nursery() as nursery:
        proxy = Proxy(tmp_path / "engine.sock", nursery)
        await proxy.up()
        async with open_bench(tmp_path, url=proxy.url) as bench:
            container_id = await bench.start(SLEEP)
            proxy.down()
            # The grace period of the tests is 5 s.
            with trio.fail_after(15), pytest.raises(EngineLost, match="may be running"):
                await bench.engine.wait(container_id)
            await proxy.up()
            assert (await bench.engine.inspect(container_id)).state is ContainerState.RUNNING
        nursery.cancel_scope.cancel()


@leaves_sockets
async def test_without_an_engine_the_message_says_what_to_do(
    tmp_path: Path, collected: None
) -> None:
    with pytest.raises(EngineUnavailable, match="apt-get install docker"):
        await connect_engine("node", url=f"unix://{tmp_path}/none.sock").__aenter__()
