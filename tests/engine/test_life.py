"""A container's life: made once, found again by a new daemon, ended, removed; and a lost engine."""

from functools import partial
from pathlib import Path

import docker
import pytest
import trio

from engine.bench import Bench, open_bench
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
GPU = "GPU-00000000-0000-0000-0000-000000000000"


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
            finishing = await bench.start("import time; time.sleep(2)")
            failing = await bench.start("import time; time.sleep(2); raise SystemExit(143)")
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
                await trio.sleep(2.5)
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
            with trio.fail_after(15), pytest.raises(EngineLost, match="may be running"):
                await bench.engine.wait(container_id)
            await proxy.up()
            assert (await bench.engine.inspect(container_id)).state is ContainerState.RUNNING
        nursery.cancel_scope.cancel()


async def test_without_an_engine_the_message_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="apt-get install docker"):
        await connect_engine("node", url=f"unix://{tmp_path}/none.sock").__aenter__()
