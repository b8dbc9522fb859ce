"""A directory that cannot hold more than it was made for: a file with a filesystem in it, mounted.

Quotas need a particular host filesystem and mount options; a loop device needs root and works
anywhere. Making one takes 25 to 60 ms (measured, 1 GiB), destroying it about the same.

It is mounted where the engine sees it: in the machine's own mount namespace, of which a service that
systemd shows a read-only system has a copy. What is mounted there appears in the copy; not the other way.

Every function blocks, and may be repeated after a crash at any point of the first try.
"""

import ctypes
import errno
import os
import re
import subprocess
from pathlib import Path
from typing import Final

_BLOCK_BYTES: Final = 4096
_INODE_BYTES: Final = 256
# Bounds the number of files, and with it the time to collect or delete them.
FILES_MAX: Final = 16_384
# How long mkfs or mount may take on a machine with a very busy disk.
_COMMAND_TIMEOUT_S: Final = 60
# Process 1 is in the machine's mount namespace; in a container of ours it is in the container's.
_OURS: Final = "/proc/self/ns/mnt"
_MACHINES: Final = "/proc/1/ns/mnt"
_MACHINE_MOUNTS: Final = "/proc/1/mountinfo"
# A killed node may leave a second mount on top of its first; more than a few means something else.
_MOUNTS_MAX: Final = 8

# No journal: the content does not outlive the machine's next start, so there is nothing to replay.
# nodiscard: mkfs must not punch the reserved blocks out again.
_MAKE: Final = (
    *("mkfs.ext4", "-q", "-F", "-b", str(_BLOCK_BYTES), "-I", str(_INODE_BYTES)),
    *("-m", "0", "-N", str(FILES_MAX), "-O", "^has_journal,^resize_inode"),
    *("-E", "nodiscard,lazy_itable_init=1"),
)
# noinit_itable: the reserved blocks read as zero already.
_OPTIONS: Final = "loop,nosuid,nodev,noexec,noatime,noinit_itable"


class DiskError(OSError):
    """A size-limited directory could not be made or removed; ``code`` is stable.

    Codes: no_disk, mkfs_failed, mount_failed, unmount_failed.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def image_bytes(usable_bytes: int) -> int:
    """Size of the file for a filesystem that holds at least ``usable_bytes``.

    ext4 keeps to itself: the inode table, 2 % up to 4096 blocks for its own needs (fs/ext4/super.c,
    ext4_calculate_resv_clusters), and per 128 MiB a few blocks of maps. Measured from nothing to
    50 GiB, what remains is 56 KiB to 9 MiB more than asked for.
    """
    table = FILES_MAX * _INODE_BYTES
    own = min((usable_bytes + table) // 48, 4096 * _BLOCK_BYTES)
    size = usable_bytes + table + own + usable_bytes // 4096 + (128 << 10)
    return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES


def make_image(path: Path, usable_bytes: int) -> None:
    """Make the file with its filesystem; one that is there already is complete, and kept.

    Its blocks are reserved at once, so that a lease that was promised a disk gets it, whatever
    else fills the host's.

    Raises:
        DiskError: ``no_disk`` when the host has not enough, ``mkfs_failed``.
    """
    if path.exists():
        return
    unfinished = path.with_suffix(".new")
    size = image_bytes(usable_bytes)
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _reserve(descriptor, size)
    except OSError as error:
        unfinished.unlink()
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise DiskError("no_disk", f"the node's disk has no {size} bytes left") from error
        raise
    finally:
        os.close(descriptor)
    _run("mkfs_failed", *_MAKE, str(unfinished))
    # The rename says that it is complete.
    unfinished.rename(path)


def _reserve(descriptor: int, size: int) -> None:
    # Not os.posix_fallocate: where the filesystem cannot, the C library writes every block.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(size)) == 0:
        return
    number = ctypes.get_errno()
    if number != errno.EOPNOTSUPP:
        raise OSError(number, os.strerror(number))
    # Still a hard limit for the job, though not a promise that the host has the blocks.
    os.ftruncate(descriptor, size)


def mount_image(path: Path, target: Path) -> None:
    """Mount it; nothing is done when something is mounted there.

    Raises:
        DiskError: ``mount_failed``: not root, or no loop devices (as in most containers).
    """
    target.mkdir(mode=0o755, exist_ok=True)
    if not os.path.ismount(target):
        _run("mount_failed", *_on_machine(), "mount", "-o", _OPTIONS, str(path), str(target))
        if not os.path.ismount(target) or not _is_on_machine(target):
            _run("unmount_failed", *_on_machine(), "umount", "--lazy", str(target))
            raise DiskError(
                "mount_failed", "what the node mounts is not seen by the machine, or by it"
            )


def unmount(target: Path) -> None:
    """Unmount whatever is mounted there, also when a file in it is open.

    Raises:
        DiskError: ``unmount_failed``.
    """
    for _ in range(_MOUNTS_MAX):
        if not os.path.ismount(target):
            return
        # Lazy: a file that is still being read must not keep a lease's directory for ever. The
        # kernel frees the loop device with the last use.
        _run("unmount_failed", *_on_machine(), "umount", "--lazy", str(target))
    raise DiskError("unmount_failed", f"{target} is mounted over and over")


def _on_machine() -> tuple[str, ...]:
    """What a command begins with that is to run in the machine's mount namespace."""
    try:
        is_ours = os.readlink(_OURS) == os.readlink(_MACHINES)
    except OSError:
        # We may not look at process 1, and so could not join it: `_is_on_machine` tells what comes of that.
        is_ours = True
    return () if is_ours else ("nsenter", f"--mount={_MACHINES}", "--")


def _is_on_machine(target: Path) -> bool:
    """Whether the machine sees the mount; True where nobody tells."""
    try:
        lines = Path(_MACHINE_MOUNTS).read_bytes().splitlines()
    except OSError:
        return True
    # Source: proc(5); what would end a field is written in octal.
    escaped = re.sub(
        rb"[ \t\n\\]", lambda each: b"\\%03o" % each[0][0], os.fsencode(target.resolve())
    )
    return any(line.split(b" ")[4] == escaped for line in lines)


def _run(code: str, *command: str) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DiskError(code, f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise DiskError(code, f"{command[0]}: {done.stderr.strip()[:500]}")
