"""Log records: cut anywhere, read in several passes, kept in bounded memory."""

import itertools
import struct
import threading
from collections.abc import Iterator

import outcome
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.container_logs import (
    BUFFER_BYTES,
    LogBuffer,
    LogChunk,
    LogPasses,
    parse_record,
    parse_time_ns,
    split_records,
)

SECOND = 1_000_000_000


def frame(record: bytes) -> bytes:
    return struct.pack(">B3xI", 1, len(record)) + record


@given(
    st.lists(st.binary(max_size=20)), st.lists(st.integers(min_value=0, max_value=300), max_size=9)
)
def test_records_are_found_wherever_the_answer_is_cut(
    records: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(map(frame, records))
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert list(split_records(pieces)) == records


def test_an_answer_that_breaks_off_loses_only_its_last_record() -> None:
    data = frame(b"one") + frame(b"two")
    assert list(split_records([data[:-1]])) == [b"one"]


def test_a_record_of_absurd_size_is_refused() -> None:
    with pytest.raises(ValueError, match="4294967295"):
        list(split_records([b"\1\0\0\0\xff\xff\xff\xff"]))


def test_times_of_the_engine() -> None:
    assert parse_time_ns("1970-01-01T00:00:01Z") == SECOND
    assert parse_time_ns("1970-01-01T00:00:01.5Z") == SECOND + SECOND // 2
    assert parse_time_ns("2026-11-22T08:27:49.915675719Z") % SECOND == 915675719
    assert parse_time_ns("0001-01-01T00:00:00Z") == 0
    assert parse_time_ns("yesterday") == 0


def test_a_record_is_a_time_and_a_text() -> None:
    assert parse_record(b"1970-01-01T00:00:02.000000001Z hello\n") == (2 * SECOND + 1, b"hello\n")
    assert parse_record(b"1970-01-01T00:00:02Z ") == (2 * SECOND, b"")
    assert parse_record(b"no time") == (0, b"no time")


def record(at_s: int, text: str) -> bytes:
    return f"1970-01-01T00:00:{at_s:02}Z {text}".encode()


class Pass:
    """What one request of the engine answers."""

    def __init__(self, *records: bytes) -> None:
        self.records = records
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.records)

    def close(self) -> None:
        self.is_closed = True


def read(passes: list[Pass], ends_before: int, since_ns: int = 0) -> tuple[list[bytes], list[int]]:
    """The texts, and the times each pass was asked from, when the job ends before a pass."""
    asked: list[int] = []

    def open_pass(since_ns: int) -> Pass:
        asked.append(since_ns)
        return passes[len(asked) - 1]

    log = LogPasses(open_pass, lambda: len(asked) >= ends_before, since_ns)
    return [text for _, text in log], asked


def test_passes_go_on_until_one_began_after_the_end() -> None:
    passes = [
        Pass(record(1, "a"), record(2, "b")),
        Pass(record(2, "b"), record(3, "c")),
        Pass(record(3, "c"), record(4, "d")),
    ]
    texts, asked = read(passes, ends_before=2)
    assert texts == [b"a", b"b", b"c", b"d"]
    assert asked == [0, 2 * SECOND, 3 * SECOND]


def test_records_of_one_moment_in_one_pass_are_all_kept() -> None:
    texts, _ = read([Pass(record(1, "a"), record(1, "b"))], ends_before=0)
    assert texts == [b"a", b"b"]


def test_records_that_the_engine_repeats_within_a_pass_are_reported_once() -> None:
    """Seen when it rotated the file while it was being read, on a busy machine."""
    again = Pass(record(1, "a"), record(2, "end"), record(1, "a"), record(2, "end"))
    assert read([again], ends_before=0)[0] == [b"a", b"end"]


def test_what_was_reported_before_is_left_out() -> None:
    texts, asked = read([Pass(record(1, "a"), record(2, "b"))], ends_before=0, since_ns=SECOND)
    assert (texts, asked) == ([b"b"], [SECOND])


def test_closing_ends_the_passes() -> None:
    endless = Pass(record(1, "a"))
    log = LogPasses(lambda _: endless, lambda: False, 0)
    seen = []
    for item in log:
        seen.append(item)
        log.close()
    assert len(seen) == 1
    assert endless.is_closed


async def test_many_records_become_one_chunk() -> None:
    buffer = LogBuffer(since_ns=0, max_bytes=1000)
    for number in range(5):
        assert buffer.put((number + 1, b"x"))
    assert await buffer.take() == LogChunk("xxxxx", until_ns=5)
    buffer.end()
    assert await buffer.take() is None
    assert await buffer.take() is None


async def test_a_character_cut_in_two_is_put_together() -> None:
    buffer = LogBuffer(since_ns=0, max_bytes=1000)
    buffer.put((1, b"\xc3"))
    buffer.put((2, b"\xa4\xff"))
    buffer.end()
    assert await buffer.take() == LogChunk("ä\ufffd", until_ns=2)


async def test_beyond_the_limit_the_text_is_cut_and_the_writer_told() -> None:
    buffer = LogBuffer(since_ns=0, max_bytes=4)
    assert buffer.put((1, b"abc"))
    assert not buffer.put((2, b"def"))
    assert await buffer.take() == LogChunk("abcd", until_ns=2, is_truncated=True)
    buffer.end()
    assert await buffer.take() is None


async def test_a_limit_that_is_met_exactly_is_told_with_the_next_record() -> None:
    buffer = LogBuffer(since_ns=0, max_bytes=3)
    assert buffer.put((1, b"abc"))
    assert await buffer.take() == LogChunk("abc", until_ns=1)
    assert not buffer.put((2, b"d"))
    assert await buffer.take() == LogChunk("", until_ns=2, is_truncated=True)


async def test_a_full_buffer_makes_the_writer_wait_and_ending_releases_it() -> None:
    buffer = LogBuffer(since_ns=0, max_bytes=10 * BUFFER_BYTES)
    written: list[bool] = []

    def write() -> None:
        for number in range(3):
            written.append(buffer.put((number + 1, bytes(BUFFER_BYTES))))

    thread = threading.Thread(target=write)
    thread.start()
    chunk = await buffer.take()
    assert chunk is not None
    assert len(chunk.text) <= 2 * BUFFER_BYTES
    buffer.end()
    await trio.to_thread.run_sync(thread.join)
    assert written[0]
    assert not written[-1]


async def test_a_cancelled_wait_loses_nothing() -> None:
    buffer = LogBuffer(since_ns=0, max_bytes=1000)
    with trio.move_on_after(0):
        await anext(buffer)
    buffer.put((1, b"late"))
    assert (await anext(buffer)).text == "late"


async def test_an_error_of_the_reader_comes_after_what_it_read() -> None:
    buffer = LogBuffer(since_ns=0, max_bytes=1000)
    buffer.put((1, b"first"))
    buffer.end(outcome.Error(OSError("gone")))
    assert (await anext(buffer)).text == "first"
    with pytest.raises(OSError, match="gone"):
        await anext(buffer)
