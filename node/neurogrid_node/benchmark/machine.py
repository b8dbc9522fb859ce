"""Processor, memory and disk, each for about a second and by what Python has: no program to install."""

import hashlib
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Final

from .figures import (
    ALL_CORES,
    DISK_READ,
    DISK_SYNC,
    DISK_WRITE,
    MEMORY,
    ONE_CORE,
    Figure,
    figure,
    median,
)

_MB: Final = 1_000_000
_FOR_S: Final = 1.0
_TRIES: Final = 3
_BLOCK_BYTES: Final = 1 << 20
# More than any processor's cache.
_COPY_BYTES: Final = 256 << 20
# More than a disk's own cache takes at once, and soon written; never more than a tenth of what is free.
_FILE_BYTES: Final = 512 << 20
_SYNCS: Final = 51
_SYNC_BYTES: Final = 4096


def processor(cores: int) -> tuple[Figure, Figure]:
    """Hashing, on one core and on so many; the hash lets go of the interpreter."""
    return (
        figure(ONE_CORE, [_hashed_mb_per_s(1) for _ in range(_TRIES)]),
        figure(ALL_CORES, [_hashed_mb_per_s(cores) for _ in range(_TRIES)]),
    )


def memory(available_bytes: int) -> Figure:
    """Copying.

    Args:
        available_bytes: what programs may still take.
    """
    if available_bytes < 4 * _COPY_BYTES:
        return Figure(MEMORY.name, None, "too little memory is free")
    source = bytes(_COPY_BYTES)
    target = bytearray(_COPY_BYTES)
    speeds = []
    for _ in range(2 * _TRIES):
        began_s = time.perf_counter()
        target[:] = source
        speeds.append(_COPY_BYTES / _MB / (time.perf_counter() - began_s))
    return figure(MEMORY, speeds)


def disk(folder: Path) -> tuple[Figure, ...]:
    """Writing and reading one file, and small writes, in the folder of jobs' files.

    What is written is removed, also by the kernel where this is killed: the file has no name.
    """
    free = os.statvfs(folder)
    size_bytes = min(_FILE_BYTES, free.f_bavail * free.f_frsize // 10)
    size_bytes -= size_bytes % _BLOCK_BYTES
    if not size_bytes:
        problem = "the disk is full"
        return tuple(
            Figure(each.name, None, problem) for each in (DISK_WRITE, DISK_READ, DISK_SYNC)
        )
    # One that compresses is not to look faster than it is.
    block = os.urandom(_BLOCK_BYTES)
    with tempfile.TemporaryFile(dir=folder) as file:
        descriptor = file.fileno()
        began_s = time.perf_counter()
        for _ in range(size_bytes // _BLOCK_BYTES):
            os.write(descriptor, block)
        os.fsync(descriptor)
        write_s = time.perf_counter() - began_s
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.lseek(descriptor, 0, os.SEEK_SET)
        began_s = time.perf_counter()
        while os.read(descriptor, _BLOCK_BYTES):
            pass
        read_s = time.perf_counter() - began_s
        syncs_ms = []
        for _ in range(_SYNCS):
            began_s = time.perf_counter()
            os.pwrite(descriptor, block[:_SYNC_BYTES], 0)
            os.fsync(descriptor)
            syncs_ms.append((time.perf_counter() - began_s) * 1000)
    return (
        Figure(DISK_WRITE.name, size_bytes / _MB / write_s),
        Figure(DISK_READ.name, size_bytes / _MB / read_s),
        Figure(DISK_SYNC.name, median(syncs_ms)),
    )


def _hashed_mb_per_s(threads: int) -> float:
    block = bytes(_BLOCK_BYTES)
    counts = [0] * threads
    until_s = time.perf_counter() + _FOR_S

    def work(place: int) -> None:
        digest = hashlib.sha256()
        while time.perf_counter() < until_s:
            digest.update(block)
            counts[place] += 1

    began_s = time.perf_counter()
    workers = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) * _BLOCK_BYTES / _MB / (time.perf_counter() - began_s)
