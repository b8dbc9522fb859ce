"""Which records are new, record by record; whole logs in passes are in `test_container_logs`."""

import pytest

from neurogrid_node.container.log_cursor import (
    LOG_START,
    STDERR,
    STDOUT,
    LogCursor,
    LogRecord,
    LogSieve,
    Novelty,
    StreamCursor,
)

NEW, REPEATED, DOUBTFUL = Novelty.NEW, Novelty.REPEATED, Novelty.DOUBTFUL
SECOND = 1_000_000_000


def out(time_ns: int, text: str) -> LogRecord:
    return LogRecord(STDOUT, time_ns, text.encode())


def err(time_ns: int, text: str) -> LogRecord:
    return LogRecord(STDERR, time_ns, text.encode())


def stdout_at(time_ns: int, count: int) -> LogCursor:
    return LogCursor(stdout=StreamCursor(time_ns, count))


def sift(sieve: LogSieve, *records: LogRecord, is_exact: bool) -> list[Novelty]:
    sieve.begin_pass(is_exact=is_exact)
    return [sieve.sift(record) for record in records]


@pytest.mark.parametrize("is_exact", [True, False])
def test_what_lies_before_the_cursor_is_repeated(is_exact: bool) -> None:
    sieve = LogSieve(stdout_at(2, 1))
    found = sift(sieve, out(1, "a\n"), out(2, "b\n"), out(3, "c\n"), is_exact=is_exact)
    assert found == [REPEATED, REPEATED, NEW]
    assert sieve.cursor == stdout_at(3, 1)


@pytest.mark.parametrize("is_exact", [True, False])
def test_in_mid_line_as_many_pieces_are_repeated_as_were_counted(is_exact: bool) -> None:
    sieve = LogSieve(stdout_at(5, 2))
    pieces = [out(5, text) for text in ("a", "b", "c", "d\n")]
    assert sift(sieve, *pieces, is_exact=is_exact) == [REPEATED, REPEATED, NEW, NEW]
    assert sieve.cursor == stdout_at(5, 4)


def test_the_streams_have_times_of_their_own() -> None:
    sieve = LogSieve(LOG_START)
    assert sift(sieve, out(1, "x"), err(2, "e\n"), out(1, "y\n"), is_exact=False) == [NEW] * 3
    assert sieve.cursor == LogCursor(StreamCursor(1, 2), StreamCursor(2, 1))


def test_equal_pieces_are_new_to_an_exact_pass_and_doubtful_to_one_that_follows() -> None:
    pieces = [out(1, "x"), out(1, "x")]
    assert sift(LogSieve(LOG_START), *pieces, is_exact=True) == [NEW, NEW]
    sieve = LogSieve(LOG_START)
    assert sift(sieve, *pieces, is_exact=False) == [NEW, DOUBTFUL]
    assert sift(sieve, *pieces, is_exact=True) == [REPEATED, NEW]


def test_after_a_finished_line_its_pieces_are_repeated() -> None:
    """A new line has a new time."""
    line = [out(1, "x"), out(1, "x\n")]
    for is_exact in (True, False):
        found = sift(LogSieve(LOG_START), *line, *line, is_exact=is_exact)
        assert found == [NEW, NEW, REPEATED, REPEATED]


def test_what_the_engine_tells_again_is_repeated_and_what_follows_is_new() -> None:
    told = [out(1, "a\n"), err(2, "b\n"), out(3, "c\n")]
    found = sift(LogSieve(LOG_START), *told, *told[1:], out(4, "d\n"), is_exact=False)
    assert found == [NEW, NEW, NEW, REPEATED, REPEATED, NEW]


def test_what_was_skipped_at_the_start_of_a_pass_is_known_when_it_is_told_again() -> None:
    told = [out(1, "a\n"), out(2, "b\n")]
    found = sift(LogSieve(stdout_at(1, 1)), *told, *told, is_exact=False)
    assert found == [REPEATED, NEW, REPEATED, REPEATED]


@pytest.mark.parametrize("is_exact", [True, False])
def test_a_clock_that_is_set_back_loses_nothing(is_exact: bool) -> None:
    sieve = LogSieve(LOG_START)
    told = [out(100, "a\n"), out(101, "b\n"), out(50, "c\n")]
    assert sift(sieve, *told, is_exact=is_exact) == [NEW, NEW, NEW]
    told.append(out(51, "d\n"))
    assert sift(sieve, *told, is_exact=is_exact) == [REPEATED, REPEATED, REPEATED, NEW]
    # Without this process' memory it is told twice, rather than not at all.
    assert sift(LogSieve(stdout_at(101, 1)), *told, is_exact=True) == [REPEATED, REPEATED, NEW, NEW]
    assert sift(LogSieve(stdout_at(50, 1)), *told, is_exact=True) == [NEW, NEW, NEW, NEW]


@pytest.mark.parametrize("is_exact", [True, False])
def test_a_log_that_begins_behind_the_cursor_is_all_new(is_exact: bool) -> None:
    found = sift(LogSieve(stdout_at(5, 3)), out(7, "x"), out(7, "y\n"), is_exact=is_exact)
    assert found == [NEW, NEW]


def test_a_pass_begins_a_little_before_the_older_of_both_streams() -> None:
    both = LogCursor(StreamCursor(100 * SECOND, 1), StreamCursor(50 * SECOND, 1))
    assert both.since_ns == 45 * SECOND
    assert stdout_at(100 * SECOND, 1).since_ns == 95 * SECOND
    assert LOG_START.since_ns == 0
    assert stdout_at(SECOND, 1).since_ns == 0


def test_a_cursor_has_no_negative_numbers() -> None:
    with pytest.raises(ValueError, match="not a place"):
        StreamCursor(-1, 0)
    with pytest.raises(ValueError, match="not a place"):
        StreamCursor(0, -1)
