"""The mounted disk of a lease: its size, and that a killed node leaves nothing that stays."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from engine.bench import MIB, Bench
from neurogrid_node.container.errors import EngineRefused
from neurogrid_node.files.workspace import DiskError, Enforcement, Workspaces
from neurogrid_node.files.workspace_disk import make_image, mount_image, unmount

pytestmark = pytest.mark.engine

LEASE = "lease_1"

# Makes and destroys for ever, until it is killed.
BUSY = """
import sys, trio
from pathlib import Path
from neurogrid_node.files.workspace import Workspaces

async def main():
    workspaces = await Workspaces.open(Path(sys.argv[1]))
    print("ready", flush=True)
    while True:
        workspace = await workspaces.create("lease_1", 4 << 20)
        (workspace.outputs / "file").write_bytes(bytes(1 << 20))
        await workspaces.destroy("lease_1")

trio.run(main)
"""


def mounts_below(root: Path) -> list[str]:
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in table if line.split()[4].startswith(str(root))]


def loop_files_below(root: Path) -> list[str]:
    """What loop devices still hold, also without a mount."""
    files = [
        path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")
    ]
    return [file for file in files if file.startswith(str(root))]


def disks_below(root: Path) -> list[bytes]:
    """The leases' disks, block by block."""
    return [path.read_bytes() for path in root.rglob("disk.img")]


@pytest.fixture
async def workspaces(tmp_path: Path) -> AsyncIterator[Workspaces]:
    opened = await Workspaces.open(tmp_path / "leases")
    yield opened
    for lease_id in await opened.list():
        await opened.destroy(lease_id)
    assert mounts_below(tmp_path) == []
    assert loop_files_below(tmp_path) == []


async def test_this_machine_can_limit_disks(workspaces: Workspaces) -> None:
    assert (workspaces.enforcement, workspaces.reason) == (Enforcement.HARD, "")
    assert not await workspaces.watch(LEASE), "there is nothing to watch"


@pytest.mark.parametrize("disk_bytes", [0, 1, 10 * MIB, 300 * MIB, 3 * 1024 * MIB])
async def test_a_disk_holds_what_was_agreed_and_hardly_more(
    workspaces: Workspaces, disk_bytes: int
) -> None:
    workspace = await workspaces.create(LEASE, disk_bytes)
    space = os.statvfs(workspace.outputs)
    usable = space.f_bavail * space.f_frsize
    assert disk_bytes <= usable <= disk_bytes + MIB
    assert 16_000 < space.f_ffree < 18_000


async def test_its_blocks_are_taken_from_the_host_at_once(
    workspaces: Workspaces, tmp_path: Path
) -> None:
    await workspaces.create(LEASE, 50 * MIB)
    image = tmp_path / "leases" / LEASE / "disk.img"
    assert image.stat().st_blocks * 512 >= 50 * MIB


async def test_a_disk_that_the_host_does_not_have_is_refused(workspaces: Workspaces) -> None:
    with pytest.raises(DiskError) as refusal:
        await workspaces.create(LEASE, 1 << 43)
    assert refusal.value.code == "no_disk"
    await workspaces.destroy(LEASE)
    assert (await workspaces.create(LEASE, MIB)).outputs.is_dir()


async def test_creating_goes_on_from_wherever_it_was_interrupted(
    workspaces: Workspaces, tmp_path: Path
) -> None:
    home = tmp_path / "leases" / LEASE

    def image_half_made() -> None:
        home.mkdir()
        (home / "disk.new").write_bytes(b"half")

    def image_made() -> None:
        home.mkdir()
        make_image(home / "disk.img", MIB)

    def mounted() -> None:
        image_made()
        mount_image(home / "disk.img", home / "disk")

    for interrupted_after in (image_half_made, image_made, mounted):
        interrupted_after()
        workspace = await workspaces.create(LEASE, MIB)
        (workspace.outputs / "file").write_text("x")
        assert len(await workspaces.collect(LEASE)) == 1
        assert len(mounts_below(tmp_path)) == 1
        await workspaces.destroy(LEASE)


async def test_what_was_written_survives_a_second_create(workspaces: Workspaces) -> None:
    workspace = await workspaces.create(LEASE, MIB)
    (workspace.outputs / "file").write_text("kept")
    workspace = await workspaces.create(LEASE, MIB)
    assert (workspace.outputs / "file").read_text() == "kept"


async def test_destroying_works_with_files_open_and_mounts_stacked(
    workspaces: Workspaces, tmp_path: Path
) -> None:
    workspace = await workspaces.create(LEASE, MIB)
    disk = tmp_path / "leases" / LEASE / "disk"
    with (workspace.outputs / "file").open("w"):
        await trio.run_process(["mount", "-t", "tmpfs", "none", str(disk)])
        assert len(mounts_below(tmp_path)) == 2
        await workspaces.destroy(LEASE)
        assert mounts_below(tmp_path) == []
    assert await workspaces.list() == ()


async def test_a_node_killed_at_any_moment_leaves_nothing_that_stays(tmp_path: Path) -> None:
    root = tmp_path / "leases"
    for kill_after_s in (0.005, 0.015, 0.03, 0.05):
        async with trio.open_nursery() as nursery:
            start = partial(
                trio.run_process,
                [sys.executable, "-c", BUSY, str(root)],
                stdout=subprocess.PIPE,
                check=False,
            )
            busy: trio.Process = await nursery.start(start)
            assert busy.stdout is not None
            assert (await busy.stdout.receive_some()).startswith(b"ready")
            await trio.sleep(kill_after_s)
            busy.kill()
        workspaces = await Workspaces.open(root)
        workspace = await workspaces.create(LEASE, 4 * MIB)
        (workspace.outputs / "file").write_text("x")
        await workspaces.destroy(LEASE)
        assert await workspaces.list() == ()
        assert mounts_below(tmp_path) == []
    assert [entry.name for entry in root.iterdir()] == [".removing"]
    assert list((root / ".removing").iterdir()) == []


# Fills whatever a job can write to, and leaves it there.
FILL = """
import os
block = b"SECRET-OF-A-TENANT" * 4096
for folder in ("/outputs", "/tmp", "/dev/shm"):
    with open(folder + "/left", "wb", buffering=0) as file:
        try:
            while True:
                file.write(block)
        except OSError as error:
            print(folder, file.tell() > 4 << 20)
"""
# Takes all the space that a job can have without writing to it, and reads what is there.
SEARCH = """
import os
for folder in ("/outputs", "/tmp", "/dev/shm"):
    space = os.statvfs(folder)
    held = os.listdir(folder)
    with open(folder + "/mine", "w+b") as file:
        length = space.f_bavail * space.f_frsize * 9 // 10
        os.posix_fallocate(file.fileno(), 0, length)
        found = zeros = 0
        while block := file.read(1 << 20):
            found += block.count(b"SECRET")
            zeros += block.count(0)
    print(folder, [name for name in held if name != "lost+found"], found, zeros == length)
"""


async def test_the_next_tenant_finds_nothing_of_the_last_ones(bench: Bench, tmp_path: Path) -> None:
    # /tmp and /dev/shm together hold three quarters of the memory, so that both can be filled.
    first = await bench.run(FILL)
    assert first.log.count("True") == 3, first.log
    await bench.engine.remove(first.container_id)
    await bench.workspaces.destroy(first.workspace.lease_id)
    second = await bench.run(SEARCH)
    assert second.log.splitlines() == [
        f"{folder} [] 0 True" for folder in ("/outputs", "/tmp", "/dev/shm")
    ]
    # Not even in what the filesystem has put nowhere: the blocks of the disk itself.
    assert [b"SECRET" in image for image in disks_below(tmp_path)] == [False]


async def test_an_engine_that_does_not_see_the_disk_refuses(bench: Bench, tmp_path: Path) -> None:
    """It would otherwise write to the host's own filesystem, without a limit."""
    spec = bench.spec("")
    workspace = await bench.workspaces.create(spec.lease_id, spec.disk_bytes)
    unmount(workspace.outputs.parent)
    with pytest.raises(EngineRefused) as refusal:
        await bench.engine.create(replace(spec, outputs_path=workspace.outputs))
    assert refusal.value.code == "workspace_not_visible"
