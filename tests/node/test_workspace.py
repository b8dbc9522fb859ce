"""Directories of leases where nothing can be mounted, and the reading of outputs.

Hard limits need root and loop devices: tests/engine/test_disk.py.
"""

import hashlib
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from neurogrid_marketplace.fields import FilePath, decode
from neurogrid_node.container.spec import SpecError
from neurogrid_node.files.workspace import Enforcement, OutputRefused, Workspace, Workspaces
from neurogrid_node.files.workspace_outputs import CollectedFile, collect_files, used_bytes

LEASE = "lease_1"
LIMIT = 1 << 20


@pytest.fixture
async def workspaces(tmp_path: Path) -> Workspaces:
    """As on a machine without loop devices."""
    await Workspaces.open(tmp_path / "leases")
    return Workspaces(tmp_path / "leases", Enforcement.WATCHED, "no loop devices")


@pytest.fixture
async def workspace(workspaces: Workspaces) -> Workspace:
    return await workspaces.create(LEASE, LIMIT)


async def collect(outputs: Path, max_bytes: int = LIMIT) -> tuple[CollectedFile, ...]:
    return await trio.to_thread.run_sync(partial(collect_files, outputs, max_bytes=max_bytes))


# Directories


async def test_a_job_may_read_inputs_and_write_outputs_whatever_the_umask(
    workspaces: Workspaces,
) -> None:
    before = os.umask(0o077)
    try:
        workspace = await workspaces.create(LEASE, LIMIT)
    finally:
        os.umask(before)
    assert stat.S_IMODE(workspace.inputs.stat().st_mode) == 0o755
    expected = 0o777 if os.geteuid() == 0 else 0o700
    assert stat.S_IMODE(workspace.outputs.stat().st_mode) == expected
    assert stat.S_IMODE(workspace.inputs.parent.stat().st_mode) == 0o700, "for nobody else"


async def test_creating_again_keeps_what_is_there(workspaces: Workspaces) -> None:
    first = await workspaces.create(LEASE, LIMIT)
    (first.outputs / "result").write_text("kept")
    assert await workspaces.create(LEASE, LIMIT) == first
    assert (first.outputs / "result").read_text() == "kept"
    assert await workspaces.list() == (LEASE,)


async def test_destroying_leaves_nothing_and_may_be_repeated(
    workspaces: Workspaces, workspace: Workspace, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    (workspace.outputs / "link").symlink_to(outside)
    (workspace.outputs / "file").write_text("x")
    locked = workspace.outputs / "locked"
    (locked / "inner").mkdir(parents=True)
    locked.chmod(0)
    await workspaces.destroy(LEASE)
    await workspaces.destroy(LEASE)
    assert await workspaces.list() == ()
    assert (outside / "precious").read_text() == "precious"
    assert list((tmp_path / "leases" / ".removing").iterdir()) == []


async def test_a_tree_deeper_than_any_stack_is_deleted() -> None:
    depth = 1200  # Python's recursion ends at 1000, a path at 4096 bytes
    # In memory, because some disks take milliseconds for each folder.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        workspaces = Workspaces(Path(memory), Enforcement.WATCHED, "")
        workspace = await workspaces.create(LEASE, LIMIT)
        directory = os.open(workspace.outputs, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("d", dir_fd=directory)
            inner = os.open("d", os.O_RDONLY, dir_fd=directory)
            os.close(directory)
            directory = inner
        os.close(directory)
        await workspaces.destroy(LEASE)
        assert await workspaces.list() == ()


async def test_what_a_killed_node_was_deleting_is_deleted_at_the_next_start(
    tmp_path: Path,
) -> None:
    half = tmp_path / "leases" / ".removing" / "1234" / "inner"
    half.mkdir(parents=True)
    (half / "file").write_text("x")
    await Workspaces.open(tmp_path / "leases")
    assert not (tmp_path / "leases" / ".removing" / "1234").exists()


@pytest.mark.parametrize("lease_id", ["", ".", "..", "../x", "a/b", ".removing", "x" * 65, "a\0"])
async def test_a_lease_id_never_leaves_the_directory(workspaces: Workspaces, lease_id: str) -> None:
    for operation in (partial(workspaces.create, disk_bytes=1), workspaces.destroy):
        with pytest.raises(SpecError):
            await operation(lease_id)


async def test_the_engine_needs_absolute_paths() -> None:
    with pytest.raises(ValueError, match="absolute"):
        await Workspaces.open(Path("relative"))


# The limit, watched


async def test_a_lease_over_its_limit_is_noticed(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    assert not await workspaces.is_full(LEASE)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def fill() -> None:
                (workspace.outputs / "big").write_bytes(bytes(LIMIT))

            assert await workspaces.watch(LEASE)
    assert await workspaces.is_full(LEASE)


async def test_a_lease_without_directories_is_not_full(workspaces: Workspaces) -> None:
    assert not await workspaces.is_full("lease_unknown")


async def test_counting_stops_where_the_answer_is_known(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / str(number)).write_bytes(bytes(4096))
    counted = partial(used_bytes, tmp_path, stop_at=8192)
    assert await trio.to_thread.run_sync(counted) == 8192


def test_a_node_without_root_says_what_it_cannot_do() -> None:
    """In a process of its own, because root cannot be given up and taken back."""
    program = (
        "import os, tempfile, trio\n"
        "from pathlib import Path\n"
        "from neurogrid_node.files.workspace import Workspaces\n"
        "if os.geteuid() == 0:\n"
        "    os.setgid(54321)\n"
        "    os.setuid(54321)\n"
        "async def main():\n"
        "    with tempfile.TemporaryDirectory() as directory:\n"
        "        workspaces = await Workspaces.open(Path(directory) / 'leases')\n"
        "        workspace = await workspaces.create('lease_1', 1000)\n"
        "        (workspace.outputs / 'x').write_text('x')\n"
        "        (workspace.outputs / 'deep' / 'er').mkdir(parents=True)\n"
        "        (workspace.outputs / 'deep').chmod(0)\n"
        "        await workspaces.destroy('lease_1')\n"
        "        assert await workspaces.list() == ()\n"
        "        same = workspaces.user == f'{os.getuid()}:{os.getgid()}'\n"
        "        print(workspaces.enforcement.value, workspaces.reason, same)\n"
        "trio.run(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "watched the node does not run as root True\n", done.stderr


# Outputs


async def test_outputs_come_in_order_of_their_paths(
    workspaces: Workspaces, workspace: Workspace
) -> None:
    for path in ("b", "a/b", "a.txt", "a/ä", "c/d/e"):
        (workspace.outputs / path).parent.mkdir(parents=True, exist_ok=True)
        (workspace.outputs / path).write_text(path)
    (workspace.outputs / "empty").mkdir()
    files = await workspaces.collect(LEASE)
    assert [file.path for file in files] == ["a.txt", "a/b", "a/ä", "b", "c/d/e"]
    for file in files:
        assert file.sha256 == hashlib.sha256(file.path.encode()).hexdigest()
        assert file.size_bytes == len(file.path.encode())
        assert file.host_path == workspace.outputs / file.path


async def test_no_outputs_are_no_error(workspaces: Workspaces, workspace: Workspace) -> None:
    assert await workspaces.collect(LEASE) == ()


async def test_a_large_file_is_hashed_whole(workspace: Workspace) -> None:
    content = os.urandom(3 << 20) + b"x"
    (workspace.outputs / "large").write_bytes(content)
    (file,) = await collect(workspace.outputs, max_bytes=4 << 20)
    assert file.sha256 == hashlib.sha256(content).hexdigest()


def a_symlink(folder: Path) -> None:
    (folder / "x").symlink_to("/etc/passwd")


def a_symlinked_folder(folder: Path) -> None:
    (folder / "x").symlink_to("/etc", target_is_directory=True)


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "x")


def a_socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "x"))


def two_names(folder: Path) -> None:
    (folder / "x").write_text("x")
    os.link(folder / "x", folder / "y")


def a_control_character(folder: Path) -> None:
    (folder / "a\x1b[2Jb").touch()


def a_turned_name(folder: Path) -> None:
    (folder / "gnp.\u202etxt").touch()


def a_name_that_is_no_text(folder: Path) -> None:
    os.close(os.open(os.fsencode(folder) + b"/\xff", os.O_CREAT))


def a_backslash(folder: Path) -> None:
    (folder / "a\\b").touch()


def a_long_name(folder: Path) -> None:
    (folder / ("x" * 200)).touch()


def a_deep_tree(folder: Path) -> None:
    folder.joinpath(*["d"] * 17).mkdir(parents=True)


def too_much(folder: Path) -> None:
    for name in "xy":
        with open(folder / name, "wb") as file:
            file.truncate(LIMIT // 2 + 1)


@pytest.mark.parametrize(
    ("leave", "code"),
    [
        (a_symlink, "symlink"),
        (a_symlinked_folder, "symlink"),
        (a_pipe, "fifo"),
        (a_socket, "socket"),
        (two_names, "hard_link"),
        (a_control_character, "bad_name"),
        (a_turned_name, "bad_name"),
        (a_name_that_is_no_text, "bad_name"),
        (a_backslash, "bad_name"),
        (a_long_name, "bad_name"),
        (a_deep_tree, "too_deep"),
        (too_much, "too_large"),
    ],
)
async def test_what_is_not_taken(
    workspaces: Workspaces, workspace: Workspace, leave: Callable[[Path], None], code: str
) -> None:
    leave(workspace.outputs)
    with pytest.raises(OutputRefused) as refusal:
        await workspaces.collect(LEASE)
    assert refusal.value.code == code
    assert str(refusal.value).isprintable()


async def test_too_many_files_are_not_taken(workspace: Workspace) -> None:
    for number in range(10):
        (workspace.outputs / f"{number}").touch()
    collect_some = partial(collect_files, workspace.outputs, max_bytes=LIMIT)
    assert len(await trio.to_thread.run_sync(partial(collect_some, max_entries=10))) == 10
    with pytest.raises(OutputRefused) as refusal:
        await trio.to_thread.run_sync(partial(collect_some, max_entries=9))
    assert refusal.value.code == "too_many_files"


async def test_outputs_that_are_a_link_themselves_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(OutputRefused) as refusal:
        await collect(tmp_path / "link")
    assert refusal.value.code == "unreadable"


async def test_every_path_that_is_taken_can_travel(workspace: Workspace) -> None:
    names = ["a b", "-rf", "#", "..a", "a..", "日本", "x" * 128, "a:b", "con", "%2e", "~"]
    for name in names:
        (workspace.outputs / name).touch()
    files = await collect(workspace.outputs)
    assert sorted(names) == [file.path for file in files]
    for file in files:
        decode(FilePath, file.path)


async def test_reading_outputs_stops_when_cancelled(workspace: Workspace) -> None:
    (workspace.outputs / "holes").touch()
    os.truncate(workspace.outputs / "holes", 1 << 40)
    with trio.fail_after(60), trio.move_on_after(0.05) as scope:
        await collect(workspace.outputs, max_bytes=1 << 41)
    assert scope.cancelled_caught
