"""Where a lease's files lie: inputs, read-only for the job, and outputs under a disk limit.

    DATA/LEASE/notice           bound read-only at /run/neurogrid where the job may be reclaimed
    DATA/LEASE/inputs           bound read-only at /inputs
    DATA/LEASE/resumed          the manifest of the checkpoint that the job began from
    DATA/LEASE/disk.img         a filesystem of the size that was agreed ...
    DATA/LEASE/disk/            ... mounted here ("hard")
    DATA/LEASE/disk/outputs     bound at /outputs
    DATA/LEASE/disk/checkpoint  bound where a job keeps its work, if it asks for that
    DATA/LEASE/outputs          instead, where mounting is not possible ("watched")
    DATA/LEASE/checkpoint       the same
    DATA/.removing              what is being deleted
    DATA/.weights               what stays for the next replica of a model (`weights`)

These lie one level below the mount: an engine that does not see the mount finds no such
directory and refuses, instead of writing to the unlimited one beneath.

Each step can be repeated, so a node that was killed anywhere in between goes on, or cleans up.
"""

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import trio

from neurogrid_node.container.profile import NOTICE_NAME
from neurogrid_node.container.spec import NOBODY, check_lease_id
from neurogrid_node.container.user_namespaces import ROOT, on_host
from neurogrid_node.files.workspace_disk import DiskError, make_image, mount_image, unmount
from neurogrid_node.files.workspace_opened import OpenedFiles, open_files
from neurogrid_node.files.workspace_outputs import (
    CollectedFile,
    OutputRefused,
    collect_files,
    used_bytes,
)

__all__ = [
    "WEIGHTS",
    "CollectedFile",
    "DiskError",
    "Enforcement",
    "OpenedFiles",
    "OutputRefused",
    "Workspace",
    "Workspaces",
]

_WATCH_INTERVAL_S: Final = 1.0
# A write is refused whole when its folio does not fit, and a folio may be as large as this (the
# kernel's PMD size on x86); so much may be left on a disk that is full. On small disks an eighth.
_FULL_BYTES: Final = 2 << 20
_FULL_SHARE: Final = 8
_REMOVING: Final = ".removing"
WEIGHTS: Final = ".weights"
_TRIAL: Final = ".trial"
_TRIAL_BYTES: Final = 1 << 20
# Making a disk is short and mostly the kernel's work; more at once only wait for each other.
_AT_ONCE: Final = 4


class Enforcement(StrEnum):
    """Who keeps a job within its disk."""

    HARD = "hard"  # the filesystem: writing beyond it fails
    WATCHED = "watched"  # the node looks every second, and stops the job


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directories of one lease."""

    lease_id: str
    inputs: Path
    outputs: Path
    notice: Path
    checkpoint: Path
    resumed: Path


class Workspaces:
    """Every lease's directories on this machine. Made by `open`.

    Attributes:
        enforcement: the same for all of them.
        reason: why it is not hard; empty when it is.
        user: ``uid:gid`` that a job must run as to write its outputs.
        owner: user and group of what it writes, as this machine has them.
    """

    def __init__(
        self,
        root: Path,
        enforcement: Enforcement,
        reason: str,
        root_ids: tuple[int, int] = ROOT,
    ) -> None:
        self.enforcement = enforcement
        self.reason = reason
        # Without root we could not delete what nobody leaves behind, so the job runs as us.
        self.user = NOBODY if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
        self.owner = on_host(self.user, root_ids)
        self._root = root
        self._limiter = trio.CapacityLimiter(_AT_ONCE)
        # Deletions share one place, so they take turns.
        self._removals = trio.CapacityLimiter(1)

    @classmethod
    async def open(
        cls, root: Path, *, may_mount: bool = True, root_ids: tuple[int, int] = ROOT
    ) -> "Workspaces":
        """Use this directory (made if missing), and find out whether limits can be hard.

        Directories of earlier leases are left as they are; `list` names them.

        Args:
            may_mount: whether what we mount is seen where the jobs run.
            root_ids: whom this machine takes root of jobs for.
        """

        if not root.is_absolute():
            raise ValueError(f"the engine needs an absolute path, not {root}")

        def try_disk() -> str:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_tree(root / _TRIAL, root / _REMOVING)
            if not may_mount:
                return "what the node mounts is not seen where the jobs run"
            if os.geteuid() != 0:
                return "the node does not run as root"
            trial = root / _TRIAL
            try:
                trial.mkdir()
                make_image(trial / "disk.img", _TRIAL_BYTES)
                mount_image(trial / "disk.img", trial / "disk")
            except DiskError as error:
                return str(error)
            finally:
                _remove_tree(trial, root / _REMOVING)
            return ""

        reason = await trio.to_thread.run_sync(try_disk)
        enforcement = Enforcement.WATCHED if reason else Enforcement.HARD
        return cls(root, enforcement, reason, root_ids)

    async def create(self, lease_id: str, disk_bytes: int) -> Workspace:
        """The lease's directories, made as far as they are missing.

        Raises:
            DiskError: ``no_disk``, or the machine cannot make the filesystem.
            SpecError: ``bad_lease_id``.
        """
        workspace = self._workspace(lease_id)

        def make() -> None:
            home = self._home(lease_id)
            home.mkdir(mode=0o700, exist_ok=True)
            # Not the daemon's umask: the job is another user, and this is all it can reach.
            _make_directory(workspace.inputs, 0o755)
            _make_directory(workspace.notice, 0o755)
            _make_directory(workspace.resumed, 0o700)
            (home / "limit").write_text(str(disk_bytes))
            if self.enforcement is Enforcement.HARD:
                make_image(home / "disk.img", disk_bytes)
                mount_image(home / "disk.img", home / "disk")
            for folder in (workspace.outputs, workspace.checkpoint):
                _make_directory(folder, 0o777 if self.user == NOBODY else 0o700)

        await trio.to_thread.run_sync(make, limiter=self._limiter)
        return workspace

    async def warn(self, lease_id: str, text: str) -> None:
        """Leave a job that is reclaimed its notice; it is there whole or not at all.

        Nothing happens if its directories are gone.
        """
        folder = self._workspace(lease_id).notice

        def write() -> None:
            if folder.exists():
                written = folder.parent / "notice.new"
                written.write_text(text)
                written.chmod(0o444)
                written.rename(folder / NOTICE_NAME)

        await trio.to_thread.run_sync(write, limiter=self._limiter)

    async def destroy(self, lease_id: str) -> None:
        """Delete everything of the lease. Its container must be gone; repeating is no error.

        Raises:
            DiskError: ``unmount_failed``.
        """
        home = self._home(lease_id)
        await trio.to_thread.run_sync(
            _remove_tree, home, self._root / _REMOVING, limiter=self._removals
        )

    async def list(self) -> tuple[str, ...]:
        """The leases that have directories here, finished or not."""

        def names() -> tuple[str, ...]:
            return tuple(
                sorted(e.name for e in os.scandir(self._root) if not e.name.startswith("."))
            )

        return await trio.to_thread.run_sync(names, limiter=self._limiter)

    async def collect(
        self, lease_id: str, *, max_bytes: int | None = None
    ) -> tuple[CollectedFile, ...]:
        """Every output with its hash, ordered by path.

        Args:
            max_bytes: of all together; None takes what the lease's disk can hold.

        Raises:
            OutputRefused: there is something in it that we do not take.
        """
        workspace = self._workspace(lease_id)

        def collect() -> tuple[CollectedFile, ...]:
            limit = self._capacity_bytes(lease_id) if max_bytes is None else max_bytes
            return collect_files(workspace.outputs, max_bytes=limit)

        return await trio.to_thread.run_sync(collect, limiter=self._limiter)

    async def open_checkpoint(self, lease_id: str) -> OpenedFiles:
        """What the job has in its checkpoint's folder now, held open: close it.

        Raises:
            OutputRefused: there is something in it that we do not take.
        """
        folder = self._workspace(lease_id).checkpoint

        def opened() -> OpenedFiles:
            return open_files(folder, max_bytes=self._capacity_bytes(lease_id))

        return await trio.to_thread.run_sync(opened, limiter=self._limiter)

    async def is_full(self, lease_id: str) -> bool:
        """Whether what was agreed is used up, or no further file fits into the outputs."""
        workspace = self._workspace(lease_id)

        def is_full() -> bool:
            if self.enforcement is Enforcement.WATCHED:
                limit = self._limit_bytes(lease_id)
                used = used_bytes(workspace.outputs, stop_at=limit)
                return used + used_bytes(workspace.checkpoint, stop_at=limit) >= limit
            space = os.statvfs(workspace.outputs)
            limit = self._limit_bytes(lease_id)
            free = space.f_bavail * space.f_frsize
            used = (space.f_blocks - space.f_bfree) * space.f_frsize
            # The filesystem may hold a little more than was agreed, but one file may not.
            room = min(free, limit - used)
            return room < min(_FULL_BYTES, limit // _FULL_SHARE) or space.f_ffree == 0

        try:
            return await trio.to_thread.run_sync(is_full, limiter=self._limiter)
        except FileNotFoundError:
            return False

    async def watch(self, lease_id: str) -> bool:
        """Look every second; True once the lease uses more than its limit.

        False at once where the filesystem itself keeps the limit: there is nothing to watch.
        """
        if self.enforcement is Enforcement.HARD:
            return False
        while True:
            if await self.is_full(lease_id):
                return True
            await trio.sleep(_WATCH_INTERVAL_S)

    def _home(self, lease_id: str) -> Path:
        check_lease_id(lease_id)
        return self._root / lease_id

    def _workspace(self, lease_id: str) -> Workspace:
        home = self._home(lease_id)
        limited = home / "disk" if self.enforcement is Enforcement.HARD else home
        return Workspace(
            lease_id,
            inputs=home / "inputs",
            outputs=limited / "outputs",
            notice=home / "notice",
            checkpoint=limited / "checkpoint",
            resumed=home / "resumed",
        )

    def _capacity_bytes(self, lease_id: str) -> int:
        """What all files together can have; with holes in them they could claim any length."""
        if self.enforcement is Enforcement.WATCHED:
            return self._limit_bytes(lease_id)
        try:
            space = os.statvfs(self._workspace(lease_id).outputs)
        except FileNotFoundError:
            return 0
        return space.f_blocks * space.f_frsize

    def _limit_bytes(self, lease_id: str) -> int:
        return int((self._home(lease_id) / "limit").read_text())


def _make_directory(path: Path, mode: int) -> None:
    path.mkdir(exist_ok=True)
    path.chmod(mode)


def _remove_tree(home: Path, removing: Path) -> None:
    """Unmount and delete a lease's directory.

    It is moved aside first: whatever happens then, it is no lease's directory any more.
    """
    if home.exists():
        unmount(home / "disk")
        removing.mkdir(mode=0o700, exist_ok=True)
        _move(home, removing)
    _empty(removing)


def _empty(removing: Path) -> None:
    """Delete everything in it, however deep the job has nested it.

    Folders are moved up to the top before they are emptied, so that neither path length nor
    recursion depth grows with what a job has made.
    """
    while removing.exists():
        with os.scandir(removing) as entries:
            folders = [Path(entry.path) for entry in entries]
        if not folders:
            return
        for folder in folders:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        _move(Path(entry.path), removing)
                    else:
                        os.unlink(entry.path)
            folder.rmdir()


def _move(folder: Path, removing: Path) -> None:
    """Into ``removing``, under a name that no other folder has: its inode number."""
    # A folder without permissions can be neither moved nor read, except by root.
    folder.chmod(stat.S_IRWXU)
    folder.rename(removing / str(folder.stat().st_ino))
