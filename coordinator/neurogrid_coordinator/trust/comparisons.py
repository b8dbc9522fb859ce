"""Compares results by their files: the asyncio shell around `neurogrid_marketplace.closeness`.

The files come from strangers, so they are read by a process of their own (`comparison_process`),
which may take so much memory and time and no more. What it finds depends on the files alone: nothing
has to survive but those.
"""

import asyncio
import os
import sys
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import msgspec

from neurogrid_marketplace.canonical import sha256_hex
from neurogrid_marketplace.closeness import FilePair, undecided_pairs
from neurogrid_marketplace.comparator import Comparator, ComparatorKind
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.image_comparison import Same
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.verification import same_files

from ..files.artifacts import BlobStore, content
from .comparison_process import Answer, Question

# Of one process, by the wall clock: many times what its own limits let it work.
_WAIT_S = 600
# A process that died, or took too long, may have met a machine in trouble.
_TRIES = 3
# Answers that are kept: all pairs of some dozens of the largest groups.
_KEPT_MAX = 4096

_Key = tuple[str, frozenset[str]]


class ComparisonFailed(Exception):
    """Two results could not be compared; the message says why."""


async def in_a_process(question: bytes) -> bool:
    """Have a process of its own answer a `Question`, written as JSON.

    Raises:
        ComparisonFailed: it died, or took too long.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"{__package__}.comparison_process", str(os.getpid())),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_WAIT_S):
            said, _ = await process.communicate(question)
    except TimeoutError:
        raise ComparisonFailed(f"it took more than {_WAIT_S} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ComparisonFailed(f"the process that reads the files ended with {process.returncode}")
    return msgspec.json.decode(said, type=Answer).same


class Comparisons:
    """Compares results.

    Args:
        blobs: where their files are.
        ask: answers a `Question`.
    """

    def __init__(
        self, blobs: BlobStore, ask: Callable[[bytes], Awaitable[bool]] = in_a_process
    ) -> None:
        self._blobs = blobs
        self._ask = ask
        self._known: OrderedDict[_Key, bool] = OrderedDict()
        # One at a time: each may fill a core and a gigabyte.
        self._turn = asyncio.Semaphore(1)

    async def of(self, comparator: Comparator, results: Sequence[Result]) -> Same:
        """A comparator that knows all pairs of these results.

        Raises:
            ComparisonFailed: it does not come to an end with two of them.
            StoreUnavailable, DiskFull: their files can't be read now.
        """
        if comparator.kind is ComparatorKind.EXACT:
            return same_files
        known: dict[frozenset[str], bool] = {}
        completed = list(filter(_has_files, results))
        for number, one in enumerate(completed):
            for other in completed[:number]:
                known[_pair(one, other)] = await self._compare(comparator, one, other)

        def same(one: Result, other: Result) -> bool:
            if same_files(one, other):
                return True
            return _has_files(one) and _has_files(other) and known[_pair(one, other)]

        return same

    async def content(self, file: OutputFile) -> bytes:
        """What is in a file of a completed run; for small ones.

        Raises:
            ComparisonFailed: it is gone.
            StoreUnavailable: it can't be read now.
        """
        found = await content(self._blobs, file.sha256, file.size_bytes)
        if found is None:
            raise ComparisonFailed(f"the file {file.sha256} is not here any more")
        return found

    async def _compare(self, comparator: Comparator, one: Result, other: Result) -> bool:
        pairs = undecided_pairs(comparator, one.outputs, other.outputs)
        if not pairs:
            return pairs is not None
        key = (comparator.hash(), _pair(one, other))
        if key not in self._known:
            async with self._turn:
                self._known[key] = await self._answer(comparator, pairs)
            while len(self._known) > _KEPT_MAX:
                self._known.popitem(last=False)
        return self._known[key]

    async def _answer(self, comparator: Comparator, pairs: tuple[FilePair, ...]) -> bool:
        async with AsyncExitStack() as kept:
            files = {}
            for sha256 in {name for pair in pairs for name in (pair.sha256, pair.other_sha256)}:
                try:
                    path = await kept.enter_async_context(self._blobs.file(sha256))
                except FileNotFoundError:
                    raise ComparisonFailed(f"the file {sha256} is not here any more") from None
                files[sha256] = str(path)
            question = msgspec.json.encode(Question(comparator, pairs, files))
            reason = ""
            for _ in range(_TRIES):
                try:
                    return await self._ask(question)
                except ComparisonFailed as error:
                    reason = str(error)
        raise ComparisonFailed(reason)


def _has_files(result: Result) -> bool:
    """Whether its files are known to be here: a program that failed need not have left what is listed."""
    return result.outcome is Outcome.COMPLETED


def _pair(one: Result, other: Result) -> frozenset[str]:
    """The two results by their files, whichever comes first."""
    return frozenset(
        sha256_hex(sorted([file.path, file.sha256] for file in result.outputs))
        for result in (one, other)
    )
