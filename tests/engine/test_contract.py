"""What every `JobEngine` does, on each of them: one suite, the same tests."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from engine.bench import MIB, PATIENCE_S, PYTHON_IMAGE, JobBench, open_bench, open_job_bench
from engine.own_cluster import OwnCluster
from engine.own_dockerd import OwnDockerd
from engine.own_swarm import OwnSwarm
from neurogrid_marketplace.faults import Outcome
from neurogrid_node.container.errors import ContainerGone, EngineRefused, ImageNotFound
from neurogrid_node.container.job_engine import JobEngine
from neurogrid_node.container.link_profile import LinkSpec
from neurogrid_node.container.outcome import classify
from neurogrid_node.container.probe import PROBE_IMAGE, probe
from neurogrid_node.container.spec import NOBODY
from neurogrid_node.container.views import ContainerState
from neurogrid_node.swarm.engine import connect_swarm

pytestmark = pytest.mark.engine

SLEEP = "import time; print('up', flush=True); time.sleep(600)"


@pytest.fixture(params=["docker", "remapped", "swarm", "kubernetes"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[JobBench]:
    if request.param == "docker":
        async with open_bench(tmp_path) as opened:
            yield opened
        return
    if request.param == "remapped":
        own: OwnDockerd = request.getfixturevalue("remapped")
        async with open_bench(own.shared / tmp_path.name, url=own.url) as opened:
            yield opened
        return
    if request.param == "kubernetes":
        cluster: OwnCluster = request.getfixturevalue("cluster")
        async with open_job_bench(
            cluster.shared / tmp_path.name, cluster.connect, PYTHON_IMAGE
        ) as held:
            held.machine = "ash"
            yield held
        # Every answer of the cluster's server was what the published API lets one be.
        assert cluster.api.mistakes == []
        return
    made: OwnSwarm = request.getfixturevalue("swarm")

    def connect(node_id: str) -> AbstractAsyncContextManager[JobEngine]:
        return connect_swarm(node_id, url=made.url, grace_s=5, look_interval_s=0.1)

    async with open_job_bench(tmp_path, connect, PYTHON_IMAGE) as fleet:
        fleet.machine = made.machine(made.manager)
        yield fleet


async def test_a_job_is_what_it_was_given_and_leaves_its_files(bench: JobBench) -> None:
    """Its input, its environment, its place to write; and its log, in order and whole."""
    spec = bench.spec(
        "import os\n"
        "text = open('/inputs/words').read()\n"
        "open('/outputs/answer', 'w').write(text.upper() + os.environ['ENDING'])\n"
        "for number in range(2000): print(number)",
        environment=(("ENDING", "!"),),
    )
    job_id, workspace = await bench.prepare(spec)
    (workspace.inputs / "words").write_text("hello")
    with trio.fail_after(PATIENCE_S):
        await bench.engine.start(job_id)
        log = await bench.log(job_id)
        ended = await bench.engine.wait(job_id)
    assert classify(ended).outcome is Outcome.COMPLETED, log
    assert log == "".join(f"{number}\n" for number in range(2000))
    (file,) = await bench.workspaces.collect(spec.lease_id)
    assert (file.path, file.host_path.read_text()) == ("answer", "HELLO!")


async def test_a_job_is_in_the_box_that_it_was_promised(bench: JobBench) -> None:
    image = await bench.engine.image(PROBE_IMAGE)
    assert image is not None, "make images"
    report = await probe(bench.engine, image, machine=bench.machine)
    assert (report.failures, report.gpu_failures) == ((), ())


async def test_a_log_is_resumed_where_it_was_left(bench: JobBench) -> None:
    job_id = await bench.start("import time; print('one', flush=True); time.sleep(1); print('two')")
    async with bench.engine.follow_logs(job_id) as chunks:
        first = await anext(chunks)
    assert first.text == "one\n"
    async with bench.engine.follow_logs(job_id, cursor=first.cursor) as chunks:
        assert [chunk.text async for chunk in chunks] == ["two\n"]


async def test_creating_twice_makes_one(bench: JobBench) -> None:
    spec = bench.spec("")
    first, _ = await bench.prepare(spec)
    second, _ = await bench.prepare(spec)
    assert first == second
    assert len(await bench.engine.list_leases()) == 1


async def test_a_name_that_something_else_has_is_not_taken_over(bench: JobBench) -> None:
    spec = bench.spec("")
    await bench.prepare(spec)
    other = await bench.engine.image("neurogrid/true:1")
    assert other is not None
    with pytest.raises(EngineRefused) as refusal:
        await bench.engine.create(replace(spec, image=other))
    assert refusal.value.code == "container_conflict"


async def test_the_images_that_are_here_are_named(bench: JobBench) -> None:
    assert bench.image.reference in await bench.engine.images()


async def test_an_image_that_was_removed_meanwhile(bench: JobBench) -> None:
    """Whenever the engine finds out."""
    spec = bench.spec("", image=replace(bench.image, image_id="sha256:" + "0" * 64))
    with trio.fail_after(PATIENCE_S), pytest.raises(ImageNotFound):
        await bench.engine.start(await bench.engine.create(spec))


async def test_starting_twice_runs_once(bench: JobBench) -> None:
    # It does not end in between: whoever starts one that has ended may run it again.
    job_id, _ = await bench.prepare(bench.spec(SLEEP))
    await bench.engine.start(job_id)
    await bench.engine.start(job_id)
    text = ""
    async with bench.engine.follow_logs(job_id) as chunks:
        async for chunk in chunks:
            text += chunk.text
            await bench.engine.kill(job_id)
    assert text == "up\n"


async def test_every_end_is_told(bench: JobBench) -> None:
    # Long enough for the engine's two clocks to agree on what was first; a cluster's tell whole seconds.
    ran = await bench.run("import time; time.sleep(1.2); raise SystemExit(3)")
    assert (ran.ended.code, ran.verdict.outcome) == (3, Outcome.EXIT_NONZERO)
    assert 0 < ran.ended.started_at_ns < ran.ended.finished_at_ns
    again = await bench.engine.wait(ran.container_id)
    assert again == ran.ended

    clean = await bench.run("import time; time.sleep(1.2)")
    assert (clean.ended.code, clean.verdict.outcome) == (0, Outcome.COMPLETED)
    assert 0 < clean.ended.ran_ns < 30_000_000_000


async def test_what_a_job_does_to_itself_is_its_own_doing(bench: JobBench) -> None:
    for program in ("raise SystemExit(143)", "import os; os.kill(os.getpid(), 15)"):
        ran = await bench.run(program)
        assert (ran.ended.code, ran.verdict.outcome) == (143, Outcome.EXIT_NONZERO)


async def test_a_command_that_is_not_there_or_cannot_run(bench: JobBench) -> None:
    for command in ("/no/such/program", "/etc"):
        ran = await bench.run("", command=(command,))
        assert ran.verdict.outcome is Outcome.COMMAND_NOT_FOUND


async def test_too_much_memory_ends_the_job(bench: JobBench) -> None:
    ran = await bench.run("x = []\nwhile True: x.append(bytearray(8 << 20))", memory_bytes=64 * MIB)
    told = Outcome.MEMORY_EXCEEDED if bench.engine.abilities.oom else Outcome.EXIT_NONZERO
    assert (ran.ended.code, ran.verdict.outcome) == (137, told)


async def test_removing_ends_the_wait_and_what_is_gone_can_be_stopped_killed_and_removed(
    bench: JobBench,
) -> None:
    job_id = await bench.start(SLEEP)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def remove_soon() -> None:
            await trio.sleep(0.1)
            await bench.engine.remove(job_id)

        with trio.fail_after(PATIENCE_S), pytest.raises(ContainerGone):
            await bench.engine.wait(job_id)
    await bench.engine.remove(job_id)
    await bench.engine.kill(job_id)
    await bench.engine.stop(job_id, grace_s=0)
    with pytest.raises(ContainerGone):
        await bench.engine.inspect(job_id)
    with pytest.raises(ContainerGone):
        await bench.engine.wait(job_id)
    with pytest.raises(ContainerGone):
        await bench.log(job_id)


async def test_an_ended_one_can_be_stopped_and_killed_and_stays_as_it_ended(
    bench: JobBench,
) -> None:
    ran = await bench.run("raise SystemExit(5)")
    await bench.engine.kill(ran.container_id)
    await bench.engine.stop(ran.container_id, grace_s=0)
    assert (await bench.engine.wait(ran.container_id)).code == 5


async def test_one_that_is_stopped_has_time_to_write_and_was_not_interrupted(
    bench: JobBench,
) -> None:
    """A job's name does for its id, too."""
    spec = bench.spec(
        "import signal, time\n"
        "def told(*_):\n"
        "    open('/outputs/last', 'w').write('words')\n"
        "    raise SystemExit(0)\n"
        "signal.signal(signal.SIGTERM, told)\n"
        "print('up', flush=True)\n"
        "time.sleep(600)"
    )
    await bench.prepare(spec)
    name = spec.container_name
    await bench.engine.start(name)
    async with bench.engine.follow_logs(name) as chunks:
        assert (await anext(chunks)).text == "up\n"
    with trio.fail_after(PATIENCE_S):
        await bench.engine.stop(name, grace_s=3)
        ended = await bench.engine.wait(name)
    assert not ended.is_interrupted
    assert (await bench.engine.inspect(name)).state is ContainerState.EXITED
    (file,) = await bench.workspaces.collect(spec.lease_id)
    assert file.host_path.read_text() == "words"
    await bench.engine.remove(name)


async def test_a_new_daemon_adopts_what_runs_and_what_has_ended(bench: JobBench) -> None:
    running = await bench.start(SLEEP, lease_id="lease-running", cpu_millis=500)
    waiting, _ = await bench.prepare(bench.spec("", lease_id="lease-waiting"))
    ended = await bench.run("raise SystemExit(7)", lease_id="lease-ended", cpu_millis=500)
    async with bench.again() as engine:
        found = {lease.lease_id: lease for lease in await engine.list_leases()}
        assert {name: (lease.container_id, lease.state) for name, lease in found.items()} == {
            "lease-ended": (ended.container_id, ContainerState.EXITED),
            "lease-running": (running, ContainerState.RUNNING),
            "lease-waiting": (waiting, ContainerState.CREATED),
        }
        assert await engine.wait(ended.container_id) == ended.ended
        async with engine.follow_logs(running) as chunks:
            assert (await anext(chunks)).text == "up\n"
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(engine.kill, running)
                assert (await engine.wait(running)).code != 0


async def test_another_nodes_jobs_are_not_ours(bench: JobBench) -> None:
    await bench.prepare(bench.spec(""))
    async with bench.again(node_id="another") as engine:
        assert await engine.list_leases() == ()


async def test_what_an_engine_cannot_do_it_refuses(bench: JobBench) -> None:
    """So that nothing of it is ever done halfway; what it can is held to more in tests of its own."""
    engine = bench.engine
    job_id = await bench.start(SLEEP)
    if engine.abilities.freeze:
        await engine.pause(job_id)
        assert (await engine.inspect(job_id)).state is ContainerState.PAUSED
    else:
        with pytest.raises(EngineRefused) as refusal:
            await engine.pause(job_id)
        assert refusal.value.code == "not_by_this_engine"
    await engine.unpause(job_id)
    assert (await engine.inspect(job_id)).state is ContainerState.RUNNING
    samples = []
    async for usage in engine.follow_usage(job_id):
        samples.append(usage)
        await engine.kill(job_id)
    assert bool(samples) is engine.abilities.usage
    if not engine.abilities.links:
        spec = LinkSpec(
            "lease", engine.node_id, bench.image.image_id, "link-", (), NOBODY, Path("/"), "/link"
        )
        with pytest.raises(EngineRefused) as refusal:
            await engine.create_link(spec)
        assert refusal.value.code == "not_by_this_engine"
    if not engine.abilities.gpus:
        gpu = bench.spec("", gpu_uuids=("GPU-00000000-0000-0000-0000-000000000000",))
        with pytest.raises(EngineRefused) as refusal:
            await engine.create(gpu)
        assert refusal.value.code == "not_by_this_engine"
