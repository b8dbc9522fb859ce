"""Jobs in a runtime that is not the engine's default: here runc by another name, in an engine of the test's own."""

import shutil
import tempfile
from pathlib import Path

import docker
import pytest
import trio

from engine.bench import MIB, PATIENCE_S
from engine.own_dockerd import own_dockerd
from neurogrid_node.container.engine import connect_engine
from neurogrid_node.container.errors import EngineUnavailable
from neurogrid_node.container.spec import ContainerSpec

pytestmark = pytest.mark.engine

IMAGE = "neurogrid/true:1"


async def test_jobs_run_in_the_runtime_that_the_owner_names() -> None:
    runc = shutil.which("runc")
    assert runc is not None, "the engine's own runtime"
    with (
        tempfile.TemporaryDirectory(prefix="ng-") as folder,
        own_dockerd(Path(folder) / "e", f"--add-runtime=apart={runc}") as own,
    ):
        own.take_images(IMAGE)
        async with connect_engine("test-runtime", url=own.url, grace_s=5) as engine:
            assert engine.info.job_runtimes == ("runc",)
        async with connect_engine(
            "test-runtime", url=own.url, grace_s=5, runtime="apart"
        ) as engine:
            assert engine.info.job_runtimes == ("apart",), "which the offer says"
            image = await engine.image(IMAGE)
            assert image is not None
            spec = ContainerSpec(
                lease_id="lease-runtime",
                node_id=engine.node_id,
                image=image,
                command=None,
                environment=(),
                cpu_millis=1000,
                memory_bytes=64 * MIB,
                pids=64,
                disk_bytes=16 * MIB,
            )
            assert engine.profile_report(spec)["runtime"] == "apart"
            container_id = await engine.create(spec)
            api = docker.APIClient(base_url=own.url)
            assert api.inspect_container(container_id)["HostConfig"]["Runtime"] == "apart"
            api.close()
            with trio.fail_after(PATIENCE_S):
                await engine.start(container_id)
                assert (await engine.wait(container_id)).code == 0
            await engine.remove(container_id)


async def test_a_runtime_that_is_not_there_is_named_before_anything_runs() -> None:
    with pytest.raises(
        EngineUnavailable, match=r"no runtime 'nonesuch'.*it has .*runc.*daemon\.json"
    ):
        async with connect_engine("test-runtime", grace_s=5, runtime="nonesuch"):
            pass
