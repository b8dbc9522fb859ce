import logging

from hypothesis import given
from hypothesis import strategies as st

from neurogrid_telemetry.log_rate import BURST_LINES, LINES_PER_S, LogRate


def at_line(number: int) -> logging.LogRecord:
    return logging.LogRecord("n", logging.INFO, "file.py", number, "said %s", ("x",), None)


@given(st.lists(st.floats(0, 5), max_size=600))
def test_no_place_says_more_than_it_may_and_every_line_is_counted(pauses_s: list[float]) -> None:
    now_s = 0.0
    rate = LogRate(lambda: now_s)
    written = told = 0
    for pause_s in pauses_s:
        now_s += pause_s
        record = at_line(1)
        if rate.filter(record):
            written += 1
            told += getattr(record, "left_out", 0)
    assert written <= BURST_LINES + now_s * LINES_PER_S + 1
    now_s += 1.0
    last = at_line(1)
    assert rate.filter(last)
    assert written + told + getattr(last, "left_out", 0) == len(pauses_s)


def test_a_noisy_place_silences_no_other() -> None:
    rate = LogRate(lambda: 0.0)
    noisy = [rate.filter(at_line(1)) for _ in range(BURST_LINES + 50)]
    assert noisy.count(True) == BURST_LINES
    assert rate.filter(at_line(2))
