"""A fleet of two machines, each a Docker engine of this one: who is offered, and who is lost with a job."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from click.testing import CliRunner

from engine.bench import PATIENCE_S, PYTHON_IMAGE
from engine.own_swarm import OwnSwarm, one_more_machine
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.resources import Capacity
from neurogrid_node.__main__ import main
from neurogrid_node.container.errors import ContainerGone
from neurogrid_node.container.outcome import classify
from neurogrid_node.container.spec import ContainerSpec
from neurogrid_node.files.workspace import Enforcement, Workspaces
from neurogrid_node.fleet.fleet import Fleet
from neurogrid_node.swarm.engine import SwarmEngine, connect_swarm
from neurogrid_node.swarm.machines import machines

pytestmark = pytest.mark.engine

MOST = Capacity(0, 0, 1 << 30)


async def followed(engine: SwarmEngine, job_id: str) -> None:
    async with engine.follow_logs(job_id) as chunks:
        async for _ in chunks:
            pass


async def test_only_a_machine_that_holds_jobs_as_it_should_is_offered_and_one_that_is_lost_loses_its_job(
    swarm: OwnSwarm, tmp_path: Path
) -> None:
    with (
        TemporaryDirectory(prefix="ng-") as folder,
        one_more_machine(swarm, Path(folder) / "w") as worker,
    ):
        good, soft = swarm.machine(swarm.manager), swarm.machine(worker)
        async with connect_swarm("fleet-test", url=swarm.url, look_interval_s=0.1) as engine:
            workspaces = await Workspaces.open(tmp_path / "shared", may_mount=False)
            assert workspaces.enforcement is Enforcement.WATCHED
            fleet = Fleet(engine, workspaces, PYTHON_IMAGE, MOST, tmp_path)
            offered, _ = await fleet.look()
            assert set(offered) == {good}
            assert await engine.list_leases() == ()
            assert await workspaces.list() == ()

            shown = CliRunner().invoke(main, ["fleet", "--data", str(tmp_path), "--json"])
            problems = {
                each["machine_id"]: " ".join(each["problems"]) for each in json.loads(shown.output)
            }
            assert problems[good] == ""
            for setting in ("no-new-privileges", "seccomp-profile", "default-cgroupns-mode"):
                assert setting in problems[soft]

            image = await engine.image(PYTHON_IMAGE)
            assert image is not None
            job_id = await engine.create(
                ContainerSpec(
                    lease_id="lost",
                    node_id="fleet-test",
                    image=image,
                    command=("python3", "-c", "import time; time.sleep(600)"),
                    environment=(),
                    cpu_millis=500,
                    memory_bytes=64 << 20,
                    pids=16,
                    disk_bytes=0,
                    machine=soft,
                )
            )
            with trio.fail_after(PATIENCE_S):
                before = machines(await engine.manager.nodes(), [], engine.node_id)
                await engine.start(job_id)
                # What our jobs have is in our own ledger, and would count twice.
                tasks = await engine.manager.all_tasks()
                assert machines(await engine.manager.nodes(), tasks, engine.node_id) == before
                assert machines(await engine.manager.nodes(), tasks, "another") != before
                worker.kill()
                ended = await engine.wait(job_id)
            assert classify(ended).outcome is Outcome.ENGINE_LOST
            # What it had not told is lost with it, and nobody waits for it.
            with pytest.raises(ContainerGone):
                await followed(engine, job_id)
            offered, line = await fleet.look()
            assert set(offered) == {good}
            assert "1 not offered" in line
            with trio.fail_after(PATIENCE_S):
                await engine.remove(job_id)
