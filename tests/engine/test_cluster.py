"""What is particular to a cluster: who ends a pod beside us, what a machine refuses, and a server that is away."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

from engine.bench import MIB, PATIENCE_S, PYTHON_IMAGE, JobBench, open_job_bench
from engine.own_cluster import MANIFEST, OwnCluster
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_node.container.errors import (
    EngineLost,
    EngineRefused,
    EngineUnavailable,
    ImageNotFound,
    MachineUnavailable,
    PullFailed,
)
from neurogrid_node.container.log_cursor import LOG_START
from neurogrid_node.container.outcome import classify
from neurogrid_node.container.views import ContainerState
from neurogrid_node.doctor.cluster import ClusterFacts
from neurogrid_node.doctor.reading.cluster import read_cluster_facts
from neurogrid_node.kube.api import ClusterAccess
from neurogrid_node.kube.engine import KubeEngine, connect_cluster
from neurogrid_node.kube.pod import PodPlace
from neurogrid_node.settings.machine import EngineConfig

pytestmark = pytest.mark.engine

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
DIGEST = "sha256:" + "1" * 64


@asynccontextmanager
async def held(cluster: OwnCluster, directory: Path) -> AsyncIterator[JobBench]:
    async with open_job_bench(cluster.shared / directory.name, cluster.connect, PYTHON_IMAGE) as on:
        on.machine = "ash"
        yield on
    assert cluster.api.mistakes == []


@pytest.fixture
async def bench(cluster: OwnCluster, tmp_path: Path) -> AsyncIterator[JobBench]:
    async with held(cluster, tmp_path) as on:
        yield on


async def ended(bench: JobBench, job_id: str) -> Outcome:
    with trio.fail_after(PATIENCE_S):
        return classify(await bench.engine.wait(job_id)).outcome


async def test_a_pod_that_somebody_deletes_is_not_the_jobs_doing(
    cluster: OwnCluster, bench: JobBench
) -> None:
    job_id = await bench.start(SLEEP)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def delete_soon() -> None:
            await trio.sleep(0.2)
            cluster.delete(job_id, grace_s=1)

        assert await ended(bench, job_id) is Outcome.ENGINE_LOST


async def test_a_pod_that_is_forced_out_is_lost_at_once(
    cluster: OwnCluster, bench: JobBench
) -> None:
    job_id = await bench.start(SLEEP)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def delete_soon() -> None:
            await trio.sleep(0.2)
            cluster.delete(job_id, grace_s=0)

        assert await ended(bench, job_id) is Outcome.ENGINE_LOST


async def test_a_machine_that_is_drained_is_not_the_jobs_doing(
    cluster: OwnCluster, bench: JobBench
) -> None:
    job_id = await bench.start(SLEEP)
    disrupted = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    cluster.say_of(job_id, conditions=[disrupted])
    cluster.delete(job_id)
    assert await ended(bench, job_id) is Outcome.ENGINE_LOST


async def test_the_last_fence_holds_though_no_node_lives(
    cluster: OwnCluster, bench: JobBench
) -> None:
    place = cluster.place(longest_s=2)
    async with connect_cluster(bench.engine.node_id, cluster.access(), place) as engine:
        spec = bench.spec(SLEEP)
        workspace = await bench.workspaces.create(spec.lease_id, spec.disk_bytes)
        job_id = await engine.create(replace(spec, outputs_path=workspace.outputs))
        with trio.fail_after(PATIENCE_S):
            await engine.start(job_id)
            told = await engine.wait(job_id)
        assert (told.code, told.is_interrupted) == (143, False)


async def test_a_job_that_was_made_and_stopped_is_never_started(bench: JobBench) -> None:
    job_id, _ = await bench.prepare(bench.spec(SLEEP))
    await bench.engine.kill(job_id)
    await bench.engine.start(job_id)
    assert (await bench.engine.inspect(job_id)).state is ContainerState.EXITED
    assert (await bench.engine.wait(job_id)).ran_ns == 0


async def test_a_webhook_that_changes_what_holds_a_job_is_found(
    cluster: OwnCluster, bench: JobBench
) -> None:
    def add_sidecar(pod: dict[str, Any]) -> None:
        (job,) = pod["spec"]["containers"]
        pod["spec"]["containers"] = [job, job | {"name": "sidecar"}]

    cluster.api.webhook = add_sidecar
    try:
        with pytest.raises(EngineRefused, match=r"spec\.containers") as refusal:
            await bench.prepare(bench.spec(""))
    finally:
        cluster.api.webhook = lambda pod: None
    assert refusal.value.code == "pod_changed"
    assert await bench.engine.list_leases() == ()


async def test_a_pod_that_is_less_than_restricted_is_not_taken_by_the_cluster(
    cluster: OwnCluster, bench: JobBench
) -> None:
    """So that the namespace's label is a fence of its own."""

    def weaken(pod: dict[str, Any]) -> None:
        del pod["spec"]["securityContext"]["seccompProfile"]

    cluster.api.webhook = weaken
    try:
        with pytest.raises(EngineRefused, match="violates PodSecurity"):
            await bench.prepare(bench.spec(""))
    finally:
        cluster.api.webhook = lambda pod: None


async def test_what_a_client_writes_is_not_expanded(bench: JobBench) -> None:
    ran = await bench.run(
        "import os, sys; print(os.environ['PRICE'], sys.argv[1])",
        command=(
            "python3",
            "-c",
            "import os, sys; print(os.environ['PRICE'], sys.argv[1])",
            "$(HOME)",
        ),
        environment=(("PRICE", "$(HOME) $$5 $6"),),
    )
    assert ran.log == "$(HOME) $$5 $6 $(HOME)\n"


async def test_a_job_is_alone_with_its_machines_first_process(bench: JobBench) -> None:
    """Its orphans are reaped, it can be sent signals, and it sees nobody else's processes."""
    program = (
        "import os, signal\n"
        "print(os.getpid() > 1, sorted(int(n) for n in os.listdir('/proc') if n.isdigit())[0])\n"
        "try: os.kill(1, signal.SIGTERM)\n"
        "except PermissionError: print('not its own')\n"
    )
    assert (await bench.run(program)).log == "True 1\nnot its own\n"


async def test_a_long_line_and_both_outputs_come_whole(bench: JobBench) -> None:
    ran = await bench.run(
        "import sys\n"
        "print('ä' * 40000)\n"
        "print('err', file=sys.stderr, flush=True)\n"
        "print('end', end='')"
    )
    assert sorted(ran.log) == sorted("ä" * 40000 + "\nerr\nend")


async def test_a_machine_that_is_full_takes_no_more(bench: JobBench) -> None:
    job_id, _ = await bench.prepare(bench.spec(SLEEP, cpu_millis=9000))
    with trio.fail_after(PATIENCE_S), pytest.raises(MachineUnavailable, match="Insufficient cpu"):
        await bench.engine.start(job_id)


async def test_images_are_pinned_or_refused(bench: JobBench) -> None:
    engine = bench.engine
    assert isinstance(engine, KubeEngine)

    def report(_: object) -> None:
        raise AssertionError("nothing is fetched here")

    name = f"images.example.com/a/b@{DIGEST}"
    pulled = await engine.pull(name, report, stall_timeout_s=1)
    assert (pulled.image_id, pulled.digest) == (DIGEST, DIGEST)
    assert await engine.image(name) == pulled
    with pytest.raises(PullFailed, match="by their digest"):
        await engine.pull("images.example.com/a/b:1", report, stall_timeout_s=1)
    with pytest.raises(EngineRefused) as refusal:
        await engine.pull(name, report, stall_timeout_s=1, auth=RegistryAuth("u", "p"))
    assert refusal.value.code == "not_by_this_engine"
    await engine.remove_image(name)
    assert await engine.image(name) is None
    assert await engine.image("not a name!") is None
    # What the owner names by its digest, machines pull for their trial; else it has to be there.
    assert await engine.trial_image(name) == pulled
    assert await engine.trial_image("images.example.com/a/b:1") is None
    assert await engine.trial_image("not a name!") is None
    assert (await engine.trial_image(PYTHON_IMAGE)) == bench.image
    job_id, _ = await bench.prepare(bench.spec("", image=pulled))
    with trio.fail_after(PATIENCE_S), pytest.raises(ImageNotFound, match="not found"):
        await engine.start(job_id)


async def test_a_watch_that_is_too_old_is_begun_anew(cluster: OwnCluster, bench: JobBench) -> None:
    """What happened while nobody was told is found all the same."""
    job_id = await bench.start("import time; time.sleep(3)")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def forget() -> None:
            await trio.to_thread.run_sync(cluster.api.stop)
            cluster.store.forget()
            cluster.change_machine(
                "ash", lambda node: node["metadata"].update(annotations={"a": "1"})
            )
            cluster.store.forget()
            cluster.api.start()

        assert await ended(bench, job_id) is Outcome.COMPLETED


async def test_a_server_that_is_away_loses_no_job(cluster: OwnCluster, bench: JobBench) -> None:
    job_id = await bench.start(SLEEP)
    before = bench.engine.connections
    await trio.to_thread.run_sync(cluster.api.stop)
    try:
        with trio.fail_after(PATIENCE_S):
            with pytest.raises(EngineUnavailable):
                await bench.engine.inspect(job_id)
            # Nobody knows: it may well run.
            with pytest.raises(EngineLost):
                await bench.engine.wait(job_id)
    finally:
        cluster.api.start()
    with trio.fail_after(PATIENCE_S):
        while bench.engine.connections == before:  # noqa: ASYNC110 - it counts, and tells nobody
            await trio.sleep(0.1)
        assert (await bench.engine.inspect(job_id)).state is ContainerState.RUNNING
        async with bench.engine.follow_logs(job_id) as chunks:
            assert (await anext(chunks)).text == "up\n"


async def test_a_log_goes_on_behind_a_server_that_was_away(
    cluster: OwnCluster, bench: JobBench
) -> None:
    job_id = await bench.start(
        "import time\nfor n in range(40): print(n, flush=True); time.sleep(0.1)"
    )
    text, cursor = "", LOG_START

    async def follow_until_it_is_away() -> None:
        nonlocal text, cursor
        async with bench.engine.follow_logs(job_id) as chunks:
            async for chunk in chunks:
                text, cursor = text + chunk.text, chunk.cursor
                await trio.to_thread.run_sync(cluster.api.stop)

    with pytest.raises(EngineUnavailable):
        await follow_until_it_is_away()
    cluster.api.start()
    assert cursor != LOG_START
    with trio.fail_after(PATIENCE_S):
        async with bench.engine.follow_logs(job_id, cursor=cursor) as chunks:
            async for chunk in chunks:
                text += chunk.text
    assert text == "".join(f"{n}\n" for n in range(40))


async def test_who_may_not_is_told_what_to_do(cluster: OwnCluster, bench: JobBench) -> None:
    access = replace(cluster.access(), namespace="default")
    with trio.fail_after(PATIENCE_S), pytest.raises(EngineRefused, match="Role") as refusal:
        async with connect_cluster("n", access, cluster.place()):
            pass
    assert refusal.value.code == "not_permitted"


async def test_a_cluster_that_cannot_be_reached_says_where_it_was_looked_for(
    tmp_path: Path,
) -> None:
    place = PodPlace("c", tmp_path, "", False, 60)
    (tmp_path / "empty").write_text("{}")
    for kubeconfig, words in (
        (str(tmp_path / "none"), "kubeconfig"),
        (str(tmp_path / "empty"), "kubeconfig"),
        ("", "service account"),
    ):
        with pytest.raises(EngineUnavailable, match=words):
            async with connect_cluster("n", ClusterAccess(kubeconfig, "", "neurogrid"), place):
                pass


async def test_the_node_uses_every_right_that_it_is_given_and_no_other(
    cluster: OwnCluster, bench: JobBench
) -> None:
    """The server lets through only what the manifest says, and all of that is needed."""
    cluster.api.used.clear()
    async with bench.again() as engine:
        spec = bench.spec("print('x')")
        await bench.prepare(spec)
        await engine.start(spec.container_name)
        assert await bench.log(spec.container_name) == "x\n"
        await engine.kill(spec.container_name)
        await engine.list_leases()
        await engine.remove(spec.container_name)
    given = {
        (verb, resource)
        for document in yaml.safe_load_all(MANIFEST.read_text())
        if document["kind"] in ("Role", "ClusterRole")
        for rule in document["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert cluster.api.used == given


async def test_memory_that_is_used_up_in_tmp_ends_nothing_else(bench: JobBench) -> None:
    ran = await bench.run(
        "try:\n"
        "    with open('/tmp/x', 'wb') as file:\n"
        "        for _ in range(64): file.write(bytes(1 << 20))\n"
        "except OSError as error: print(error.errno)",
        memory_bytes=128 * MIB,
    )
    assert ran.log == "28\n"


async def test_doctor_asks_the_cluster_that_node_toml_names(
    cluster: OwnCluster, bench: JobBench
) -> None:
    engine = EngineConfig(
        kind="kubernetes", shared=str(cluster.shared), kubeconfig=str(cluster.kubeconfig)
    )
    facts = await read_cluster_facts(engine, 3600)
    assert facts == ClusterFacts("v1.33.0", machines=1)
    elsewhere = await read_cluster_facts(replace(engine, namespace="other"), 3600)
    assert elsewhere.refused


async def test_a_server_that_cannot_show_who_it_is_is_told_nothing(
    cluster: OwnCluster, bench: JobBench, tmp_path: Path
) -> None:
    access = ClusterAccess(str(tmp_path / "kubeconfig"), "", "neurogrid")
    named = json.loads(cluster.kubeconfig.read_text())
    del named["clusters"][0]["cluster"]["certificate-authority-data"]
    (tmp_path / "kubeconfig").write_text(json.dumps(named))
    with trio.fail_after(PATIENCE_S), pytest.raises(EngineUnavailable, match="certificate"):
        async with connect_cluster("n", access, cluster.place()):
            pass
