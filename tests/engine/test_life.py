"""A container's life: made once, found again by a new daemon, ended, removed; and a lost engine."""

from functools import partial
from pathlib import Path

import docker
import pytest
import trio

from engine.bench import PATIENCE_S, Bench, open_bench
from engine.proxy import Proxy
from neurogrid_marketplace.faults import Outcome
from neurogrid_node.container.engine import connect_engine
from neurogrid_node.container.errors import (
    EngineLost,
    EngineRefused,
    EngineUnavailable,
)
from neurogrid_node.container.outcome import classify
from neurogrid_node.container.views import ContainerState

pytestmark = pytest.mark.engine

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
# Its first process hears no signal that it has not asked for.
UNTIL_TOLD = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
signal.sigwait({signal.SIGUSR1})
sys.exit(%d)
"""
GPU = "GPU-00000000-0000-0000-0000-000000000000"


def end_both(containers: list[str]) -> None:
    """Have those that wait for it end, by an engine that nobody else reaches, and return when they have."""
    api = docker.APIClient()
    try:
        for container_id in containers:
            api.kill(container_id, "SIGUSR1")
            api.wait(container_id)
    finally:
        api.close()


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
        # What it said before may come late. Were it running, it would say more until it ends.
        silence = trio.CancelScope()
        while not silence.cancelled_caught:
            with trio.move_on_after(0.5) as silence:
                assert await anext(chunks, None) is not None, "it has ended"
    await bench.engine.unpause(container_id)
    await bench.engine.unpause(container_id)
    assert (await bench.engine.inspect(container_id)).state is ContainerState.RUNNING


async def test_what_the_engine_itself_ends_is_not_the_jobs_doing(bench: Bench) -> None:
    """So it ends its containers when it is stopped, while its events are still being followed."""
    container_id = await bench.start(SLEEP)
    api = docker.APIClient()
    await trio.to_thread.run_sync(partial(api.stop, container_id, timeout=5))
    api.close()
    ended = await bench.engine.wait(container_id)
    assert ended.code == 143
    assert classify(ended).outcome is Outcome.ENGINE_LOST


async def test_an_engine_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        proxy = Proxy(tmp_path / "engine.sock", nursery)
        await proxy.up()
        async with open_bench(tmp_path, url=proxy.url) as bench:
            containers = [await bench.start(UNTIL_TOLD % code) for code in (0, 143)]
            finishing, failing = containers
            for container_id in containers:
                async with bench.engine.follow_logs(container_id) as chunks:
                    assert (await anext(chunks)).text == "ready\n"
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
                await trio.to_thread.run_sync(end_both, containers)
                assert results == {}
                await proxy.up()
            assert classify(results["finishing"]).outcome is Outcome.COMPLETED
            # An engine that is restarted ends its containers with 143.
            assert classify(results["failing"]).outcome is Outcome.ENGINE_LOST
            await bench.run("")
        nursery.cancel_scope.cancel()


async def test_a_log_that_breaks_off_is_not_taken_for_whole(tmp_path: Path) -> None:
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


async def test_an_engine_that_stays_away_is_lost(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        proxy = Proxy(tmp_path / "engine.sock", nursery)
        await proxy.up()
        async with open_bench(tmp_path, url=proxy.url) as bench:
            container_id = await bench.start(SLEEP)
            proxy.down()
            # The grace period of the tests is 5 s.
            with trio.fail_after(PATIENCE_S), pytest.raises(EngineLost, match="may be running"):
                await bench.engine.wait(container_id)
            await proxy.up()
            assert (await bench.engine.inspect(container_id)).state is ContainerState.RUNNING
        nursery.cancel_scope.cancel()


async def test_without_an_engine_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="apt-get install docker"):
        await connect_engine("node", url=f"unix://{tmp_path}/none.sock").__aenter__()
