"""Jobs in an engine that remaps users: root in their containers is nobody's user on the machine.

What every engine does is held by test_contract.py over this one, too.
"""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from engine.bench import JOB_IMAGE, PATIENCE_S, Bench, open_bench
from engine.own_dockerd import REMAPPED_ROOT, OwnDockerd
from neurogrid_marketplace.checkpoint import CheckpointPlan
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import Job
from neurogrid_node.container.errors import EngineRefused
from neurogrid_node.container.execs import ExecSpec
from neurogrid_node.container.ports import connect
from neurogrid_node.container.probe import PROBE_IMAGE, probe
from neurogrid_node.engines import check_engine
from neurogrid_node.files.workspace import Workspaces
from neurogrid_node.machine.trials import Trials
from neurogrid_node.settings.machine import EngineConfig
from node.sandbox_rig import real_rig
from node.test_checkpoints import keep

pytestmark = pytest.mark.engine

NOBODY_OUTSIDE = REMAPPED_ROOT + 65534


@pytest.fixture
async def bench(remapped: OwnDockerd, tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(remapped.shared / tmp_path.name, url=remapped.url) as opened:
        yield opened


def owner_of(pid: int) -> int:
    """As the machine has it."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("Uid:")[2].split()[0])


async def test_whom_root_is_outside_is_known_and_shown_from_inside(bench: Bench) -> None:
    info = bench.engine.info
    assert info.root_ids == (REMAPPED_ROOT, REMAPPED_ROOT)
    assert info.offered == ("runc", "userns"), "which tasks can ask for"
    check_engine(info, EngineConfig(user_namespaces="required"))
    assert await Trials(bench.engine, workspaces=bench.workspaces).container() is None
    assert await Trials(bench.engine).freezing() is None
    image = await bench.engine.image(PROBE_IMAGE)
    assert image is not None, "make images"
    facts = (await probe(bench.engine, image)).facts
    for name in ("uid_map", "gid_map"):
        assert facts[name].split()[:2] == ["0", str(REMAPPED_ROOT)]


async def test_an_engine_that_does_not_reach_the_folders_of_jobs_is_found_out_before_one_comes(
    bench: Bench, tmp_path: Path
) -> None:
    """This one has a mount namespace of its own, and sees nothing that is mounted there."""
    elsewhere = await Workspaces.open(tmp_path / "workspaces")
    with pytest.raises(EngineRefused, match="does not see the node's directories"):
        await Trials(bench.engine, workspaces=elsewhere).container()
    assert await elsewhere.list() == ()
    assert await bench.engine.list_leases() == ()


async def test_a_job_is_nobody_outside_and_its_receipt_says_so(bench: Bench) -> None:
    spec = bench.spec("import time; open('/outputs/file', 'w'); time.sleep(600)")
    job_id, workspace = await bench.prepare(spec)
    await bench.engine.start(job_id)
    written = workspace.outputs / "file"
    with trio.fail_after(PATIENCE_S):
        while not await trio.Path(written).exists():  # noqa: ASYNC110 - a job's file has no event
            await trio.sleep(0.02)
    found = written.stat()
    assert (found.st_uid, found.st_gid) == bench.workspaces.owner == (NOBODY_OUTSIDE,) * 2
    pid = (await bench.engine.inspect(job_id)).pid
    assert owner_of(pid) == NOBODY_OUTSIDE
    assert bench.engine.profile_report(spec)["user_namespace"] is True


async def test_a_command_beside_a_job_is_in_its_namespace_and_is_ended(bench: Bench) -> None:
    job_id = await bench.start("import time; time.sleep(600)")
    script = "cat /proc/self/uid_map; echo ready; sleep 601"
    with trio.fail_after(PATIENCE_S):
        async with bench.engine.execs.run(job_id, ExecSpec(("sh", "-c", script))) as command:
            text = b""
            while b"ready" not in text:
                output = await command.read()
                assert output is not None, text
                text += output.data
            assert text.split()[:2] == [b"0", str(REMAPPED_ROOT).encode()]
            await command.signal(signal.SIGKILL)
            assert await command.exit_code() == 137
    assert (await bench.engine.inspect(job_id)).ended is None, "the job runs on"


async def test_a_jobs_port_is_reached(bench: Bench) -> None:
    job_id = await bench.start(
        "import socket\n"
        "listening = socket.create_server(('127.0.0.1', 8080))\n"
        "print('up', flush=True)\n"
        "listening.accept()[0].sendall(b'hello')"
    )
    with trio.fail_after(PATIENCE_S):
        async with bench.engine.follow_logs(job_id) as chunks:
            await anext(chunks)
        pid = (await bench.engine.inspect(job_id)).pid
        connection = await connect(pid, job_id, 8080)
        output = await connection.read()
        await connection.aclose()
    assert output is not None
    assert output.data == b"hello"


async def test_what_is_put_back_from_a_checkpoint_is_the_jobs_own_and_links_come_up(
    remapped: OwnDockerd, tmp_path: Path
) -> None:
    directory = remapped.shared / tmp_path.name
    directory.mkdir()
    async with real_rig(directory, url=remapped.url) as rig:
        assert await rig.gangs.obstacle() == ""
        assert await rig.networks.obstacle() == ""
        checkpoint = keep(rig, 5, n="41")
        script = 'cd "$NEUROGRID_CHECKPOINT/deep" && n=$(cat n) && echo $((n + 1)) > n && mkdir more && rm n && echo $n'
        plan = CheckpointPlan(path="/work/kept", interval_s=600)
        lease = rig.lease(
            job=Job(JOB_IMAGE, ("sh", "-c", script), checkpoint=plan), resumed=checkpoint
        )
        assert (await rig.run(lease)).outcome is Outcome.COMPLETED, await rig.log(lease)
        assert await rig.log(lease) == "41\n"
