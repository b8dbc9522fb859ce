"""Jobs on the machine's real container engine; and the fake sandbox held to what they do."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from engine.bench import JOB_IMAGE
from neurogrid_marketplace.canonical import sha256_hex
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.gang import GangMember, GangPlace
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.job import InputFile, Job
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.network import Network, NetworkTerms
from neurogrid_node.egress import profile as egress_profile
from neurogrid_node.gang.profile import LINK_NAME_PREFIX
from neurogrid_node.lease.preparation import PrepareError
from neurogrid_node.lease.progress import Progress
from node.chain_world import now_ms
from node.file_server import status
from node.market import POLICY
from node.sandbox_rig import MIB, FakeRig, RealRig, Rig, real_rig, start_of

pytestmark = pytest.mark.engine


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[RealRig]:
    async with real_rig(tmp_path) as made:
        yield made


@pytest.fixture(params=["fake", "real"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    if request.param == "fake":
        yield FakeRig()
        return
    async with real_rig(tmp_path) as made:
        yield made


# --- what the fake does too -------------------------------------------------------------------


@pytest.mark.parametrize(("code", "outcome"), [(0, Outcome.COMPLETED), (3, Outcome.EXIT_NONZERO)])
async def test_a_job_runs_and_ends_as_it_ends(rig: Rig, code: int, outcome: Outcome) -> None:
    before_ms = now_ms()
    lease = rig.sleeps(0.3, code)
    prepared = await rig.prepare(lease)
    assert prepared.took is not None
    assert prepared.took.total_ms >= 0
    ran = await rig.watch(lease)
    assert (ran.outcome, ran.exit_code) == (outcome, code)
    assert before_ms <= ran.started_at_ms <= ran.finished_at_ms <= now_ms()
    assert ran.finished_at_ms - ran.started_at_ms >= 250
    # Asked again, it says the same.
    assert (await rig.watch(lease)).finished_at_ms == ran.finished_at_ms


async def test_a_running_job_is_found_again_and_not_started_twice(rig: Rig) -> None:
    lease = rig.sleeps(0.8)
    await rig.prepare(lease)
    await trio.sleep(0.2)
    again = await rig.prepare(lease, resumed=True)
    assert again.took is None
    ran = await rig.watch(lease)
    assert ran.outcome is Outcome.COMPLETED
    assert ran.finished_at_ms - ran.started_at_ms >= 750


async def test_a_job_that_has_ended_is_found_again_and_not_started_twice(rig: Rig) -> None:
    lease = rig.sleeps(0.2)
    first = await rig.run(lease)
    await trio.sleep(2)
    again = await rig.prepare(lease, resumed=True)
    # Docker writes an end down twice, in its event and with the container: on a busy machine not at once. A second
    # run would have started two seconds later.
    assert abs(again.running.started_at_ms - first.started_at_ms) < 1_000
    assert abs((await rig.watch(lease)).finished_at_ms - first.finished_at_ms) < 1_000


async def test_a_paused_job_does_not_end_until_it_goes_on(rig: Rig) -> None:
    # Paused before it ends, also on a busy machine.
    lease = rig.sleeps(3)
    await rig.prepare(lease)
    await rig.sandbox.pause(lease.lease_id)
    await rig.sandbox.pause(lease.lease_id)
    with trio.move_on_after(3.3) as still_paused:
        await rig.watch(lease)
    assert still_paused.cancelled_caught
    await rig.sandbox.resume(lease.lease_id)
    await rig.sandbox.resume(lease.lease_id)
    assert (await rig.watch(lease)).outcome is Outcome.COMPLETED


@pytest.mark.parametrize("paused", [False, True])
async def test_a_stopped_job_ends(rig: Rig, paused: bool) -> None:
    lease = rig.sleeps(600)
    await rig.prepare(lease)
    if paused:
        await rig.sandbox.pause(lease.lease_id)
    await rig.sandbox.stop(lease.lease_id)
    ran = await rig.watch(lease)
    assert ran.outcome is Outcome.EXIT_NONZERO
    assert ran.exit_code in (137, 143)
    await rig.sandbox.stop(lease.lease_id)


async def test_what_is_not_there_is_no_error(rig: Rig) -> None:
    lease = rig.lease()
    await rig.sandbox.pause(lease.lease_id)
    await rig.sandbox.resume(lease.lease_id)
    await rig.sandbox.stop(lease.lease_id)
    ran = await rig.watch(lease)
    assert (ran.outcome, ran.started_at_ms) == (Outcome.ENGINE_LOST, 0)
    await rig.sandbox.clear(lease.lease_id)
    await rig.sandbox.clear(lease.lease_id)
    await rig.sandbox.forget(lease.lease_id)
    await rig.sandbox.forget(lease.lease_id)
    assert rig.sandbox.progress(lease.lease_id) == Progress()
    assert rig.sandbox.memory_peak_bytes(lease.lease_id) == 0


async def test_a_container_that_is_removed_while_it_is_watched_has_ended(rig: Rig) -> None:
    lease = rig.sleeps(600)
    await rig.prepare(lease)
    async with trio.open_nursery() as nursery:

        async def remove() -> None:
            await trio.sleep(0.3)
            await rig.sandbox.clear(lease.lease_id)

        nursery.start_soon(remove)
        # Killed and gone, or gone at once: either way it did not complete.
        assert (await rig.watch(lease)).outcome is not Outcome.COMPLETED


# --- the real one -----------------------------------------------------------------------------


async def test_inputs_go_in_and_outputs_and_log_come_out(real: RealRig) -> None:
    sha256 = real.server.add(b"input\n")
    script = (
        "cat /inputs/a/in.txt; echo NEUROGRID_PROGRESS 0.5 half;"
        " mkdir /outputs/d; cp /inputs/a/in.txt /outputs/d/out.txt"
    )
    job = Job(JOB_IMAGE, ("sh", "-c", script), {}, (InputFile("a/in.txt", sha256, 6),))
    lease = real.lease(job=job)
    ran = await real.run(lease)
    assert (ran.outcome, ran.message) == (Outcome.COMPLETED, "completed")
    collected = await real.sandbox.collect(lease, start_of(lease), keep=True)
    assert collected.refused is None
    assert [(file.path, file.sha256) for file in collected.outputs] == [("d/out.txt", sha256)]
    assert real.server.seen == ["GET", "HEAD"]  # it has that one already
    text = "input\nNEUROGRID_PROGRESS 0.5 half\n"
    assert await real.log(lease) == text
    assert collected.logs_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert collected.logs_bytes == len(text)
    assert collected.profile_hash != sha256_hex({})
    assert real.sandbox.progress(lease.lease_id) == Progress(500, "half")


async def test_what_a_job_uses_is_known_while_it_runs_and_when_it_has_ended(real: RealRig) -> None:
    busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 1.5"
    lease = real.lease(busy)
    assert real.sandbox.usage(lease.lease_id) is None
    await real.run(lease)
    used = real.sandbox.usage(lease.lease_id)
    assert used is not None
    assert used.cpu_ms > 50
    assert used.memory_bytes > 0
    # It may reach no host, and has no GPU.
    assert (used.network_sent_bytes, used.network_received_bytes, used.gpus) == (None, None, ())


async def test_outputs_are_uploaded_or_left_as_they_are_asked_for(real: RealRig) -> None:
    lease = real.lease("echo out > /outputs/o")
    await real.run(lease)
    left = await real.sandbox.collect(lease, start_of(lease), keep=False)
    assert (left.outputs, real.server.seen) == ((), [])
    kept = await real.sandbox.collect(lease, start_of(lease), keep=True)
    assert real.server.files[kept.outputs[0].sha256] == b"out\n"


@pytest.mark.parametrize(
    ("script", "answer", "refused"),
    [
        ("ln -s /etc/passwd /outputs/o", 201, Outcome.OUTPUT_REFUSED),
        ("for n in $(seq 1001); do echo $n > /outputs/$n; done", 201, Outcome.OUTPUT_REFUSED),
        ("echo out > /outputs/o", 403, Outcome.RESULT_INVALID),
    ],
)
async def test_outputs_that_cannot_be_kept_are_refused_and_the_run_stays_true(
    real: RealRig, script: str, answer: int, refused: Outcome
) -> None:
    lease = real.lease(f"{script}; echo done")
    ran = await real.run(lease)
    assert ran.outcome is Outcome.COMPLETED
    real.server.script += [status(404), status(answer)]
    collected = await real.sandbox.collect(lease, start_of(lease), keep=True)
    assert (collected.refused, collected.outputs) == (refused, ())
    assert collected.logs_bytes == len("done\n")


async def fails(real: RealRig, lease: NodeLease) -> PrepareError:
    with pytest.raises(PrepareError) as failure:
        await real.prepare(lease)
    assert (await real.watch(lease)).outcome is Outcome.ENGINE_LOST  # nothing runs
    return failure.value


def asking(image: str = JOB_IMAGE, **changes: object) -> dict[str, Any]:
    return {"job": replace(Job(image, ("true",)), **changes)}  # type: ignore[arg-type]  # fields of a job


@pytest.mark.parametrize(
    ("changes", "outcome", "says"),
    [
        (asking("neurogrid/nothing:1"), Outcome.IMAGE_NOT_FOUND, "is not on this node"),
        (asking("neurogrid/::::"), Outcome.IMAGE_NOT_FOUND, "is no image's name"),
        (asking("elsewhere/job:1"), Outcome.JOB_REFUSED, "not on the list"),
        (asking(environment={"LD_PRELOAD": "x"}), Outcome.JOB_REFUSED, "set by the node alone"),
        (
            asking(inputs=(InputFile("in", "0" * 64, 4 * MIB + 1),)),
            Outcome.INPUT_UNAVAILABLE,
            "more input than was auctioned",
        ),
        (asking(inputs=(InputFile("in", "0" * 64, 1),)), Outcome.INPUT_UNAVAILABLE, "HTTP 404"),
        (
            {**asking(inputs=(InputFile("in", "0" * 64, 1),)), "artifacts_url": "http://10.0.0.1"},
            Outcome.INPUT_UNAVAILABLE,
            "private network",
        ),
        (
            asking(inputs=(InputFile("a", "0" * 64, 0), InputFile("a/b", "0" * 64, 0))),
            Outcome.INPUT_UNAVAILABLE,
            "HTTP 404",
        ),
    ],
)
async def test_what_a_job_may_not_have_is_named(
    real: RealRig, changes: dict[str, Any], outcome: Outcome, says: str
) -> None:
    real.restart(replace(POLICY, may_pull=False, allowed_image_prefixes=("neurogrid/",)))
    error = await fails(real, real.lease(**changes))
    assert error.outcome is outcome
    assert says in str(error)


async def test_without_an_escrow_nothing_runs(real: RealRig) -> None:
    real.earnings.is_open = False
    assert (await fails(real, real.lease())).outcome is Outcome.ESCROW_UNSEEN


async def test_a_command_that_does_not_exist_is_the_jobs_fault(real: RealRig) -> None:
    ran = await real.run(real.lease(**asking(command=("no-such-program",))))
    assert ran.outcome is Outcome.COMMAND_NOT_FOUND


async def test_a_daemon_that_dies_while_a_job_prints_gets_every_line_once(real: RealRig) -> None:
    lease = real.lease("for n in $(seq 20); do echo line $n; sleep 0.05; done")
    await real.prepare(lease)
    for _ in range(3):
        with trio.move_on_after(0.25):
            await real.watch(lease)
        real.restart()
    assert (await real.watch(lease)).outcome is Outcome.COMPLETED
    assert await real.log(lease) == "".join(f"line {number}\n" for number in range(1, 21))


async def test_a_daemon_that_dies_while_it_makes_a_container_goes_on(real: RealRig) -> None:
    lease = real.lease("echo ran")
    for patience_s in (0.05, 0.1, 0.2):
        with trio.move_on_after(patience_s):
            await real.sandbox.prepare(lease, start_of(lease), resumed=True)
        real.restart()
    await real.prepare(lease, resumed=True)
    assert (await real.watch(lease)).outcome is Outcome.COMPLETED
    assert await real.log(lease) == "ran\n"


async def test_a_start_sweeps_away_what_no_lease_knows(real: RealRig) -> None:
    kept, forgotten = real.lease("echo kept"), real.lease("sleep 600")
    await real.run(kept)
    await real.prepare(forgotten)
    await real.log(forgotten)
    await real.sandbox.sweep({kept.lease_id})
    assert [found.lease_id for found in await real.bench.engine.list_leases()] == [kept.lease_id]
    assert await real.bench.workspaces.list() == (kept.lease_id,)
    assert [path.stem for path in sorted(real.directory.iterdir())] == [kept.lease_id]
    assert await real.log(kept) == "kept\n"


async def test_nothing_is_left_of_a_lease_that_is_over(real: RealRig) -> None:
    lease = real.lease("echo out > /outputs/o; echo said")
    await real.run(lease)
    await real.sandbox.clear(lease.lease_id)
    # Its log can still be sent.
    assert await real.log(lease) == "said\n"
    await real.sandbox.forget(lease.lease_id)
    assert await real.bench.engine.list_leases() == ()
    assert await real.bench.workspaces.list() == ()
    assert list(real.directory.iterdir()) == []


# --- jobs with a network -------------------------------------------------------------------------


def online(real: RealRig, script: str, *allow: str) -> NodeLease:
    return real.lease(script, job=Job(JOB_IMAGE, ("sh", "-c", script), network=Network(allow)))


async def test_a_job_reaches_its_hosts_and_what_it_did_is_in_its_result(real: RealRig) -> None:
    real.restart(replace(POLICY, network=NetworkTerms(("*:*",), (), 1, 1)))
    url = httpx.URL(real.server.url)
    assert url.port
    real.pinned["files.example.com", url.port] = IPv4Address("127.0.0.1")
    fetch = "import urllib.request as r, sys; r.urlopen(sys.argv[1], timeout=60)"
    lease = online(
        real,
        f"python3 -c '{fetch}' http://evil.example/; "
        f"python3 -c '{fetch}' http://files.example.com:{url.port}/none",
        f"files.example.com:{url.port}",
    )
    ran = await real.run(lease)
    assert ran.outcome is Outcome.EXIT_NONZERO
    said = await real.log(lease)
    assert "host_not_listed" in said
    assert "HTTP Error 4" in said, "the server's own answer"
    collected = await real.sandbox.collect(lease, start_of(lease), keep=False)
    assert collected.network is not None
    assert [each.host for each in collected.network.hosts] == ["files.example.com"]
    assert [each.host for each in collected.network.refusals] == ["evil.example"]
    profile = json.loads(real.journal.profile(lease.lease_id))
    assert profile["network"] == "proxy"
    await real.sandbox.clear(lease.lease_id)
    await real.sandbox.clear(lease.lease_id)
    assert await real.bench.engine.list_links(egress_profile.LINK_NAME_PREFIX) == ()
    assert list((real.directory.parent / "egress").iterdir()) == []


async def test_a_job_whose_hosts_the_owner_does_not_let_through_is_refused(real: RealRig) -> None:
    lease = online(real, "true", "files.example.com")
    for terms in (None, NetworkTerms(("example.org",), (), 1, 1)):
        real.restart(replace(POLICY, network=terms))
        with pytest.raises(PrepareError, match="jobs reach") as refusal:
            await real.prepare(lease)
        assert refusal.value.outcome is Outcome.JOB_REFUSED


async def test_a_job_whose_link_dies_ends_by_the_nodes_fault(real: RealRig) -> None:
    real.restart(replace(POLICY, network=NetworkTerms((), (), 1, 1)))
    lease = online(real, "sleep 600", "files.example.com")
    await real.prepare(lease)
    (link,) = await real.bench.engine.list_links(egress_profile.LINK_NAME_PREFIX)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(real.bench.engine.kill, link.container_id)
        ran = await real.watch(lease)
    assert ran.outcome is Outcome.ENGINE_LOST
    assert "the link to its network ended" in ran.message
    await real.sandbox.clear(lease.lease_id)


# --- members of gangs ---------------------------------------------------------------------------


def member(real: RealRig, script: str) -> NodeLease:
    """A lease with the first of two places; nobody has the other."""
    members = (GangMember(peer_id_of(b"1" * 32)), GangMember(peer_id_of(b"2" * 32)))
    return real.lease(script, gang=GangPlace("task_" + "1" * 32, 1, 0, members))


async def test_a_member_of_a_gang_has_its_interface_and_leaves_nothing(real: RealRig) -> None:
    lease = member(
        real, "cat /sys/class/net/gang0/mtu; echo $NEUROGRID_RANK; grep -c rank- /etc/hosts"
    )
    ran = await real.run(lease)
    assert (ran.outcome, ran.exit_code) == (Outcome.COMPLETED, 0)
    assert await real.log(lease) == "9000\n0\n2\n"
    profile = json.loads(real.journal.profile(lease.lease_id))
    assert profile["network"] == "gang"
    assert len(await real.bench.engine.list_links(LINK_NAME_PREFIX)) == 1
    await real.sandbox.clear(lease.lease_id)
    await real.sandbox.clear(lease.lease_id)
    assert await real.bench.engine.list_links(LINK_NAME_PREFIX) == ()
    assert list((real.directory.parent / "gangs").iterdir()) == []


async def test_a_member_whose_link_dies_ends_by_the_nodes_fault(real: RealRig) -> None:
    lease = member(real, "sleep 600")
    await real.prepare(lease)
    (link,) = await real.bench.engine.list_links(LINK_NAME_PREFIX)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(real.bench.engine.kill, link.container_id)
        ran = await real.watch(lease)
    assert ran.outcome is Outcome.ENGINE_LOST
    assert "gang" in ran.message
    await real.sandbox.clear(lease.lease_id)


async def test_a_restarted_node_finds_a_member_as_it_was_and_sweeps_what_is_nobodys(
    real: RealRig,
) -> None:
    lease, forgotten = member(real, "sleep 1; exit 3"), member(real, "sleep 600")
    await real.prepare(lease)
    await real.prepare(forgotten)
    real.restart()
    await real.gangs.restore(lease)
    await real.sandbox.sweep({lease.lease_id})
    assert [link.lease_id for link in await real.bench.engine.list_links(LINK_NAME_PREFIX)] == [
        lease.lease_id
    ]
    again = await real.prepare(lease, resumed=True)
    assert again.took is None
    assert (await real.watch(lease)).exit_code == 3
    await real.sandbox.clear(lease.lease_id)
