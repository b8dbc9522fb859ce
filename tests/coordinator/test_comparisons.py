"""Results are compared by a process of their own, from the files that were uploaded."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.files.disk_blobs import DiskBlobs
from neurogrid_coordinator.trust import comparison_process, comparisons
from neurogrid_coordinator.trust.comparisons import ComparisonFailed, Comparisons
from neurogrid_marketplace.closeness import FILE_BYTES_MAX, FilePair
from neurogrid_marketplace.comparator import (
    DEFAULT_FILES,
    EXACT,
    Comparator,
    ComparatorKind,
    FileFormat,
)
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Result

NUMERIC = Comparator(ComparatorKind.NUMERIC, "1e-6", files=DEFAULT_FILES)


class Files:
    """Results and the blobs of their files."""

    def __init__(self, folder: Path) -> None:
        self.blobs = DiskBlobs(folder)
        self.blobs.prepare()

    async def result(self, **files: str) -> Result:
        outputs = []
        for name, text in files.items():

            async def chunks(data: bytes = text.encode()) -> AsyncIterator[bytes]:
                yield data

            blob = await self.blobs.put(chunks(), size_bytes_max=1_000_000)
            outputs.append(OutputFile(name.replace("_", "."), blob.sha256, blob.size_bytes))
        return Result(Outcome.COMPLETED, 0, "", 1000, outputs=tuple(outputs))


@on_asyncio
async def test_results_are_compared_by_their_numbers(tmp_path: Path) -> None:
    files = Files(tmp_path)
    one = await files.result(a_csv="1.0,2.0", log_bin="x")
    close = await files.result(a_csv="1.0000001,2.0", log_bin="x")
    far = await files.result(a_csv="1.5,2.0", log_bin="x")
    other = await files.result(a_csv="1.0,2.0", log_bin="y")
    same = await Comparisons(files.blobs).of(NUMERIC, [one, close, far, other])
    assert same(one, close)
    assert same(close, one)
    assert not same(one, far)
    assert not same(one, other)
    exactly = await Comparisons(files.blobs).of(EXACT, [one, close])
    assert not exactly(one, close)


@on_asyncio
async def test_what_was_compared_is_not_compared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(tmp_path)
    one, close = await files.result(a_csv="1.0"), await files.result(a_csv="1.0000001")
    compare = Comparisons(files.blobs)
    await compare.of(NUMERIC, [one, close])
    monkeypatch.setattr("sys.executable", "/nowhere")
    same = await compare.of(NUMERIC, [close, one])
    assert same(one, close)


@on_asyncio
async def test_a_file_that_cannot_be_read_as_what_it_is_called_is_another(tmp_path: Path) -> None:
    files = Files(tmp_path)
    one, other = await files.result(a_npy="no array"), await files.result(a_npy="no array either")
    same = await Comparisons(files.blobs).of(NUMERIC, [one, other])
    assert not same(one, other)
    assert same(one, await files.result(a_npy="no array"))


@on_asyncio
async def test_files_that_are_gone_are_a_failure_and_no_difference(tmp_path: Path) -> None:
    files = Files(tmp_path)
    one = await files.result(a_csv="1.0")
    lost = Result(Outcome.COMPLETED, 0, "", 1, outputs=(OutputFile("a.csv", "0" * 64, 3),))
    with pytest.raises(ComparisonFailed, match="not here any more"):
        await Comparisons(files.blobs).of(NUMERIC, [one, lost])


@on_asyncio
async def test_files_that_a_failed_run_only_claims_to_have_are_not_looked_for(
    tmp_path: Path,
) -> None:
    files = Files(tmp_path)
    one = await files.result(a_csv="1.0")
    claimed = (OutputFile("a.csv", "0" * 64, 3),)
    liar = Result(Outcome.EXIT_NONZERO, 1, "", 1, outputs=claimed)
    same = await Comparisons(files.blobs).of(NUMERIC, [one, liar])
    assert not same(one, liar)
    assert same(liar, liar)


@on_asyncio
async def test_a_process_that_dies_is_a_failure_and_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(tmp_path)
    one, close = await files.result(a_csv="1.0"), await files.result(a_csv="1.0000001")
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ComparisonFailed, match="ended with 1"):
        await Comparisons(files.blobs).of(NUMERIC, [one, close])


@on_asyncio
async def test_a_process_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(tmp_path)
    one, close = await files.result(a_csv="1.0"), await files.result(a_csv="1.0000001")
    endless = tmp_path / "endless"
    endless.write_text("#!/bin/sh\nexec sleep 600\n")
    endless.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(endless))
    monkeypatch.setattr(comparisons, "_WAIT_S", 0.01)
    with pytest.raises(ComparisonFailed, match="more than"):
        await Comparisons(files.blobs).of(NUMERIC, [one, close])


def test_the_largest_files_fit_the_processs_memory(tmp_path: Path) -> None:
    """The worst of text: one piece as long as the file, which is copied to be compared."""
    largest = FILE_BYTES_MAX
    paths = {}
    for digit in "12":
        path = tmp_path / digit
        with path.open("wb") as file:
            file.write(b'"' + b"a" * (largest - 2) + digit.encode())
        paths[digit * 64] = str(path)
    pair = FilePair("a.json", "1" * 64, "2" * 64, FileFormat.JSON)
    question = comparison_process.Question(NUMERIC, (pair,), paths)
    # Bounded by the process's own limits: on a busy machine it takes longer than `on_asyncio` waits.
    assert not asyncio.run(comparisons.in_a_process(msgspec.json.encode(question)))
