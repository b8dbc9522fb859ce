"""Checkpoints of real jobs on the machine's real engine: one moment of a folder, whole, or nothing."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from engine.bench import JOB_IMAGE, MIB
from neurogrid_marketplace.checkpoint import Checkpoint, CheckpointPlan
from neurogrid_marketplace.checkpoint_manifest import Manifest, manifest_of, read_manifest
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import Job, OutputFile
from neurogrid_marketplace.lease import NodeLease
from neurogrid_node.container.errors import EngineRefused
from neurogrid_node.container.views import ContainerState
from neurogrid_node.files.workspace_opened import open_files
from neurogrid_node.files.workspace_outputs import OutputRefused
from neurogrid_node.lease.preparation import PrepareError
from node.file_server import status
from node.sandbox_rig import RealRig, real_rig, start_of

pytestmark = pytest.mark.engine
PLAN = CheckpointPlan(path="/work/kept", interval_s=600)
# Two files that belong together, written again and again as the page asks for: never one without the other.
PAIRS = """
import os
n = 0
while True:
    n += 1
    for name in ("one", "two"):
        with open("/work/kept/new.tmp", "w") as file:
            file.write(f"{n}")
        os.rename("/work/kept/new.tmp", f"/work/kept/{name}")
"""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[RealRig]:
    async with real_rig(tmp_path) as made:
        yield made


def lease_of(rig: RealRig, *command: str, resumed: Checkpoint | None = None) -> NodeLease:
    job = Job(JOB_IMAGE, command, checkpoint=PLAN)
    return rig.lease(job=job, resumed=resumed)


def folder_of(rig: RealRig, lease: NodeLease) -> Path:
    """The job's folder, as the node sees it."""
    return rig.bench.workspaces._workspace(lease.lease_id).checkpoint


async def until_there(path: Path) -> None:
    with trio.fail_after(60):
        while not await trio.Path(path).exists():  # noqa: ASYNC110 - a job's file has no event
            await trio.sleep(0.02)


async def take(rig: RealRig, lease: NodeLease, number: int = 1) -> Checkpoint | None:
    """One, tried again as the node does: just after a thaw an engine may refuse to freeze."""
    with trio.fail_after(60):
        while True:
            try:
                return await rig.sandbox.checkpoint(lease, start_of(lease), number)
            except EngineRefused:
                await rig.sandbox.resume(lease.lease_id)


# An engine that has just frozen a job and let it go on may, for a moment, still say that it is frozen: it hears of
# the one only after the other. A node tries again at the next interval, and these at once.


async def taken(rig: RealRig, lease: NodeLease, number: int = 1) -> Checkpoint:
    """One of a job that runs."""
    with trio.fail_after(60):
        while True:
            if checkpoint := await take(rig, lease, number):
                return checkpoint


async def void(rig: RealRig, lease: NodeLease, number: int) -> str:
    """Why there is none, in words."""
    with trio.fail_after(60):
        while True:
            assert await take(rig, lease, number) is None
            note = rig.sandbox.progress(lease.lease_id).note
            if note.startswith(f"checkpoint {number} "):
                return note


async def until_runs(rig: RealRig, lease: NodeLease) -> None:
    with trio.fail_after(60):
        while await state_of(rig, lease) is not ContainerState.RUNNING:
            await trio.lowlevel.checkpoint()


def manifest_in(rig: RealRig, checkpoint: Checkpoint) -> Manifest:
    """The manifest that was uploaded, every file of which was, too."""
    found = rig.server.kept[checkpoint.manifest_sha256]
    manifest = read_manifest(found, checkpoint)
    for file in manifest.files:
        content = rig.server.kept[file.sha256]
        assert hashlib.sha256(content).hexdigest() == file.sha256
        assert len(content) == file.size_bytes
    return manifest


async def state_of(rig: RealRig, lease: NodeLease) -> ContainerState:
    name = f"neurogrid-{lease.lease_id}"
    return (await rig.bench.engine.inspect(name)).state


async def test_a_running_job_is_kept_as_it_was_at_one_moment_and_runs_on(rig: RealRig) -> None:
    lease = lease_of(rig, "python3", "-c", PAIRS)
    await rig.prepare(lease)
    await until_there(folder_of(rig, lease) / "two")
    for number in range(1, 6):
        checkpoint = await taken(rig, lease, number)
        assert checkpoint.sequence == number
        files = {file.path: file for file in manifest_in(rig, checkpoint).files}
        one, two = (int(rig.server.kept[files[name].sha256]) for name in ("one", "two"))
        assert one - two in (0, 1)
        await until_runs(rig, lease)
    await rig.sandbox.stop(lease.lease_id)


async def test_a_file_that_is_the_same_is_not_sent_again(rig: RealRig) -> None:
    script = "head -c 100000 /dev/urandom > /work/kept/big; touch /work/kept/done; sleep 600"
    lease = lease_of(rig, "sh", "-c", script)
    await rig.prepare(lease)
    await until_there(folder_of(rig, lease) / "done")
    first = await taken(rig, lease)
    rig.server.requests.clear()
    second = await taken(rig, lease, 2)
    assert second == replace(first, sequence=2)
    assert "PUT" not in rig.server.seen
    await rig.sandbox.stop(lease.lease_id)


async def test_what_is_not_finished_is_left_out_whatever_it_is(tmp_path: Path) -> None:
    (tmp_path / "epoch-1.tmp").mkdir()
    (tmp_path / "epoch-1.tmp" / "half").write_text("ha")
    (tmp_path / "link.partial").symlink_to("/etc/passwd")
    (tmp_path / "tmp").write_text("finished")
    with open_files(tmp_path, max_bytes=MIB) as opened:
        assert [file.path for file in opened.files] == ["tmp"]


async def test_what_is_written_to_in_place_makes_no_checkpoint(tmp_path: Path) -> None:
    """While it is hashed, or between that and now."""
    (tmp_path / "log").write_text("one")

    def hashed() -> OutputFile:
        with open_files(tmp_path, max_bytes=MIB) as opened:
            (file,) = opened.files
            with (tmp_path / "log").open("a") as log:
                log.write(", two")
            return file.hashed()

    with pytest.raises(OutputRefused) as refusal:
        await trio.to_thread.run_sync(hashed)
    assert refusal.value.code == "changed"


async def test_what_is_replaced_or_deleted_meanwhile_stays_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("here")

    def hashed() -> list[OutputFile]:
        with open_files(tmp_path, max_bytes=MIB) as opened:
            (tmp_path / "new").write_text("newer")
            (tmp_path / "new").rename(tmp_path / "a")
            (tmp_path / "b").unlink()
            assert [file.host_path.read_text() for file in opened.files] == ["old", "here"]
            return [file.hashed() for file in opened.files]

    files = await trio.to_thread.run_sync(hashed)
    assert [file.sha256 for file in files] == [
        hashlib.sha256(text).hexdigest() for text in (b"old", b"here")
    ]


HOSTILE = """
import os, shutil, socket, time
os.chdir("/work/kept")
def link(): os.symlink("/etc/passwd", "x")
def folder_link(): os.symlink("/etc", "x")
def pipe(): os.mkfifo("x")
def sock(): socket.socket(socket.AF_UNIX).bind("x")
def hard():
    open("a", "w").close()
    os.link("a", "b")
def name(): open("gnp.\\u202etxt", "w").close()
def deep():
    for _ in range(200):
        os.mkdir("d")
        os.chdir("d")
    os.chdir("/work/kept")
def holes():
    for n in range(2):
        with open(f"big{n}", "wb") as file:
            os.truncate(file.fileno(), 3 << 20)
def many():
    for n in range(257):
        open(f"{n}", "w").close()
def entries():
    for n in range(1100):
        open(f"{n}", "w").close()
made = {each.__name__: each for each in (link, folder_link, pipe, sock, hard, name, deep, holes, many, entries)}
for each in made:
    made[each]()
    open("/outputs/" + each, "w").close()
    while os.path.exists("/outputs/" + each):
        time.sleep(0.02)
    for entry in os.listdir("."):
        shutil.rmtree(entry) if os.path.isdir(entry) and not os.path.islink(entry) else os.unlink(entry)
"""
REFUSED = {
    "link": "a symbolic link",
    "folder_link": "a symbolic link",
    "pipe": "a named pipe",
    "sock": "a socket",
    "hard": "2 names",
    "name": "characters nobody sees",
    "deep": "folders deep",
    "holes": "at most",
    "many": "257 files",
    "entries": "files and folders",
}


async def test_a_hostile_folder_makes_no_checkpoint_and_the_job_runs_on(rig: RealRig) -> None:
    lease = lease_of(rig, "python3", "-c", HOSTILE)
    await rig.prepare(lease)
    outputs = folder_of(rig, lease).parent / "outputs"
    for number, (what, words) in enumerate(REFUSED.items(), 1):
        await until_there(outputs / what)
        note = await void(rig, lease, number)
        assert words in note, note
        await until_runs(rig, lease)
        (outputs / what).unlink()
    assert not rig.server.kept
    assert (await rig.watch(lease)).outcome is Outcome.COMPLETED


async def test_a_paused_job_is_left_alone_and_an_ended_one_is_kept_as_it_ended(
    rig: RealRig,
) -> None:
    lease = lease_of(rig, "sh", "-c", "echo 7 > /work/kept/n; exec sleep 600")
    await rig.prepare(lease)
    await until_there(folder_of(rig, lease) / "n")
    await rig.sandbox.pause(lease.lease_id)
    assert await take(rig, lease) is None
    assert await state_of(rig, lease) is ContainerState.PAUSED
    await rig.sandbox.stop(lease.lease_id)
    assert await take(rig, lease) is None
    collected = await rig.sandbox.collect(lease, start_of(lease), keep=False, checkpoint=2)
    assert collected.checkpoint is not None
    (file,) = manifest_in(rig, collected.checkpoint).files
    assert rig.server.kept[file.sha256] == b"7\n"


async def test_a_coordinator_that_refuses_a_file_makes_it_none(rig: RealRig) -> None:
    lease = lease_of(rig, "sh", "-c", "echo 7 > /work/kept/n; exec sleep 600")
    await rig.prepare(lease)
    await until_there(folder_of(rig, lease) / "n")
    rig.server.script = [status(404), status(413)]
    assert "413" in await void(rig, lease, 1)
    await taken(rig, lease, 2)
    await until_runs(rig, lease)
    await rig.sandbox.stop(lease.lease_id)


def keep(rig: RealRig, sequence: int, **files: str) -> Checkpoint:
    """Have the coordinator keep these files as a checkpoint."""
    listed = []
    for name, text in files.items():
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        rig.server.kept[sha256] = text.encode()
        listed.append(OutputFile(f"deep/{name}", sha256, len(text)))
    manifest = manifest_of(listed)
    checkpoint = manifest.checkpoint(sequence)
    rig.server.kept[checkpoint.manifest_sha256] = manifest.encoded()
    return checkpoint


async def test_a_job_begins_from_a_checkpoint_whose_files_are_its_own(rig: RealRig) -> None:
    checkpoint = keep(rig, 5, n="41", other="unchanged")
    script = (
        'cd "$NEUROGRID_CHECKPOINT/deep"; n=$(cat n); echo $((n + 1)) > n; mkdir more; rm other;'
        ' echo "$NEUROGRID_CHECKPOINT_RESUMED $(cat n)"'
    )
    lease = lease_of(rig, "sh", "-c", script, resumed=checkpoint)
    assert (await rig.run(lease)).outcome is Outcome.COMPLETED
    assert await rig.log(lease) == "5 42\n"
    # A node that was killed before it had written down that the job runs comes here again.
    await rig.prepare(lease, resumed=True)
    assert (folder_of(rig, lease) / "deep/n").read_text() == "42\n"
    assert not (folder_of(rig, lease) / "deep/other").exists()


async def test_a_job_without_a_checkpoint_begins_from_nothing(rig: RealRig) -> None:
    lease = lease_of(rig, "sh", "-c", 'ls -A "$NEUROGRID_CHECKPOINT"; env | grep NEUROGRID_CH')
    await rig.run(lease)
    assert sorted((await rig.log(lease)).split()) == [
        "NEUROGRID_CHECKPOINT=/work/kept",
        "NEUROGRID_CHECKPOINT_RESUMED=0",
    ]


@pytest.mark.parametrize("what", ["file", "manifest", "lies"])
async def test_a_job_never_begins_from_a_checkpoint_that_is_not_whole(
    rig: RealRig, what: str
) -> None:
    checkpoint = keep(rig, 5, n="41")
    manifest = read_manifest(rig.server.kept[checkpoint.manifest_sha256], checkpoint)
    match what:
        case "file":
            rig.server.kept[manifest.files[0].sha256] = b"42"
        case "manifest":
            del rig.server.kept[checkpoint.manifest_sha256]
        case _:
            checkpoint = replace(checkpoint, size_bytes=3)
    lease = lease_of(rig, "true", resumed=checkpoint)
    with pytest.raises(PrepareError) as refusal:
        await rig.prepare(lease)
    assert refusal.value.outcome is Outcome.INPUT_UNAVAILABLE


async def test_checkpoint_and_outputs_share_the_disk(rig: RealRig) -> None:
    script = (
        "cd /work/kept && head -c 3500000 /dev/zero > a && head -c 3500000 /dev/zero > /outputs/b"
    )
    lease = lease_of(rig, "sh", "-c", script)
    assert (await rig.run(lease)).outcome is Outcome.DISK_EXCEEDED
