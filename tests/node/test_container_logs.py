"""Log records: cut anywhere, read in several passes, kept in bounded memory."""

import itertools
import threading
from collections.abc import Callable

import outcome
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.container.errors import EngineUnavailable
from neurogrid_node.container.log_cursor import (
    LOG_START,
    STDERR,
    STDOUT,
    LogCursor,
    LogRecord,
    StreamCursor,
)
from neurogrid_node.container.logs import (
    BUFFER_BYTES,
    LogBuffer,
    LogChunk,
    LogPasses,
    parse_record,
    parse_time_ns,
    split_records,
)
from node.log_engine import Engine, Pass, frame, logs, told

SECOND = 1_000_000_000


@given(
    st.lists(st.tuples(st.integers(min_value=0, max_value=3), st.binary(max_size=20))),
    st.lists(st.integers(min_value=0, max_value=300), max_size=9),
)
def test_records_are_found_wherever_the_answer_is_cut(
    records: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(itertools.starmap(frame, records))
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert list(split_records(pieces)) == records


def test_an_answer_that_breaks_off_loses_only_its_last_record() -> None:
    data = frame(STDOUT, b"one") + frame(STDERR, b"two")
    assert list(split_records([data[:-1]])) == [(STDOUT, b"one")]


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
    def parsed(data: bytes) -> tuple[int, bytes]:
        record = parse_record(STDERR, data)
        assert record.stream == STDERR
        return record.time_ns, record.text

    assert parsed(b"1970-01-01T00:00:02.000000001Z hello\n") == (2 * SECOND + 1, b"hello\n")
    assert parsed(b"1970-01-01T00:00:02Z ") == (2 * SECOND, b"")
    assert parsed(b"no time") == (0, b"no time")


@given(st.data(), logs())
def test_every_record_comes_once_and_in_order_however_it_is_read(
    data: st.DataObject, log: list[LogRecord]
) -> None:
    engine = Engine(log, data)
    read = [(LOG_START, b"")]
    # The node is restarted after so many records, in mid-line or not.
    for count in data.draw(st.lists(st.integers(min_value=0, max_value=5), max_size=3)):
        read += itertools.islice(engine.passes(read[-1][0]), count)
    read += engine.passes(read[-1][0])
    assert [text for _, text in read[1:]] == [record.text for record in log]


# Less than five seconds in all, whatever is drawn.
@given(st.data(), logs(clock_steps_ms=(-400, -400, 0, 1000, 60_000)))
def test_a_clock_that_is_set_back_a_little_changes_nothing(
    data: st.DataObject, log: list[LogRecord]
) -> None:
    texts = [text for _, text in Engine(log, data).passes(LOG_START)]
    assert texts == [record.text for record in log]


def line(at_s: int, text: str) -> bytes:
    return told(LogRecord(STDOUT, at_s * SECOND, text.encode()))


def stdout_at(at_s: int, count: int = 1) -> LogCursor:
    return LogCursor(stdout=StreamCursor(at_s * SECOND, count))


class Passes:
    """Passes as scripted; the job has ended before the one of this number."""

    def __init__(self, *passes: Pass, ends_before: int) -> None:
        self.passes = passes
        self.ends_before = ends_before
        self.asked: list[tuple[int, bool]] = []

    def open_pass(self, since_ns: int, follows: bool) -> Pass:
        self.asked.append((since_ns, follows))
        return self.passes[len(self.asked) - 1]

    def read(self, cursor: LogCursor = LOG_START) -> list[bytes]:
        has_ended: Callable[[], bool] = lambda: len(self.asked) >= self.ends_before
        return [text for _, text in LogPasses(self.open_pass, has_ended, cursor)]


def test_exact_passes_alternate_with_following_ones_until_one_began_after_the_end() -> None:
    passes = Passes(
        Pass(line(11, "a\n")),
        Pass(line(11, "a\n"), line(12, "b\n")),
        Pass(line(11, "a\n"), line(12, "b\n"), line(13, "c\n")),
        ends_before=2,
    )
    assert passes.read() == [b"a\n", b"b\n", b"c\n"]
    assert passes.asked == [(0, False), (6 * SECOND, True), (7 * SECOND, False)]


def test_a_job_that_has_ended_is_read_in_one_pass_from_the_cursor_on() -> None:
    passes = Passes(Pass(line(11, "a\n"), line(12, "b\n")), ends_before=0)
    assert passes.read(stdout_at(11)) == [b"b\n"]
    assert passes.asked == [(6 * SECOND, False)]


def test_a_doubtful_record_ends_a_following_pass_and_an_exact_one_decides() -> None:
    doubtful = Pass(line(11, "x"), line(11, "x"), line(11, "x"))
    exact = Pass(line(11, "x"), line(11, "x"))
    passes = Passes(Pass(), doubtful, exact, ends_before=2)
    assert passes.read() == [b"x", b"x"]
    assert doubtful.is_closed


def test_an_engine_that_cannot_go_on_following_is_asked_again() -> None:
    broken = Pass(line(11, "a\n"), frame(3, b"Error grabbing logs: too many open files\n"))
    passes = Passes(Pass(), broken, Pass(line(12, "b\n")), ends_before=2)
    assert passes.read() == [b"a\n", b"b\n"]


@pytest.mark.parametrize("ends_before", [0, 9])
def test_an_engine_that_cannot_read_its_log_is_an_error(ends_before: int) -> None:
    broken = Pass(line(11, "a\n"), frame(3, b"Error grabbing logs: invalid character\n"))
    with pytest.raises(EngineUnavailable, match="invalid character"):
        Passes(broken, ends_before=ends_before).read()


def test_an_engine_that_never_follows_is_an_error_too() -> None:
    broken = Pass(frame(3, b"Error grabbing logs: too many open files\n"))
    with pytest.raises(EngineUnavailable, match="too many"):
        Passes(Pass(), broken, ends_before=9).read()


def test_closing_ends_the_passes() -> None:
    endless = Pass(line(11, "a\n"))
    log = LogPasses(lambda _since, _follows: endless, lambda: False, LOG_START)
    seen = []
    for item in log:
        seen.append(item)
        log.close()
    assert len(seen) == 1
    assert endless.is_closed


async def test_many_records_become_one_chunk() -> None:
    buffer = LogBuffer(cursor=LOG_START, max_bytes=1000)
    for number in range(5):
        assert buffer.put((stdout_at(number + 1), b"x"))
    assert await buffer.take() == LogChunk("xxxxx", stdout_at(5))
    buffer.end()
    assert await buffer.take() is None
    assert await buffer.take() is None


async def test_what_is_not_utf_8_is_replaced() -> None:
    buffer = LogBuffer(cursor=LOG_START, max_bytes=1000)
    buffer.put((stdout_at(1), b"\xc3\xa4\xff"))
    assert await buffer.take() == LogChunk("ä\ufffd", stdout_at(1))


async def test_beyond_the_limit_the_text_is_cut_between_characters_and_the_writer_told() -> None:
    buffer = LogBuffer(cursor=LOG_START, max_bytes=6)
    assert buffer.put((stdout_at(1), b"abc"))
    assert not buffer.put((stdout_at(2), "dää".encode()))
    # The second record is not whole, so the cursor is before it.
    assert await buffer.take() == LogChunk("abcdä", stdout_at(1), is_truncated=True)
    buffer.end()
    assert await buffer.take() is None


async def test_a_limit_that_is_met_exactly_is_told_with_the_next_record() -> None:
    buffer = LogBuffer(cursor=LOG_START, max_bytes=3)
    assert buffer.put((stdout_at(1), b"abc"))
    assert await buffer.take() == LogChunk("abc", stdout_at(1))
    assert not buffer.put((stdout_at(2), b"d"))
    assert await buffer.take() == LogChunk("", stdout_at(1), is_truncated=True)


async def test_a_full_buffer_makes_the_writer_wait_and_ending_releases_it() -> None:
    buffer = LogBuffer(cursor=LOG_START, max_bytes=10 * BUFFER_BYTES)
    written: list[bool] = []

    def write() -> None:
        for number in range(3):
            written.append(buffer.put((stdout_at(number + 1), bytes(BUFFER_BYTES))))

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
    buffer = LogBuffer(cursor=LOG_START, max_bytes=1000)
    with trio.move_on_after(0):
        await anext(buffer)
    buffer.put((stdout_at(1), b"late"))
    assert (await anext(buffer)).text == "late"


async def test_an_error_of_the_reader_comes_after_what_it_read() -> None:
    buffer = LogBuffer(cursor=LOG_START, max_bytes=1000)
    buffer.put((stdout_at(1), b"first"))
    buffer.end(outcome.Error(OSError("gone")))
    assert (await anext(buffer)).text == "first"
    with pytest.raises(OSError, match="gone"):
        await anext(buffer)
