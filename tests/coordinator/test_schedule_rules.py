from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from neurogrid_coordinator.batches.schedule_rules import (
    MADE_UP_MAX,
    ON_TIME_MS,
    WAITING_MAX,
    Begin,
    Cron,
    InvalidCron,
    Missed,
    Overlap,
    begin,
    due,
)

BERLIN = "Europe/Berlin"
MINUTE_MS = 60_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def shown(times: tuple[int, ...], zone: str = BERLIN) -> list[str]:
    return [datetime.fromtimestamp(at / 1000, ZoneInfo(zone)).isoformat() for at in times]


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("* * * *", "UTC"),
        ("* * * * * *", "UTC"),
        ("61 * * * *", "UTC"),
        ("0 0 31 2 *", "UTC"),
        ("@daily", "UTC"),
        ("", "UTC"),
        ("* " * 4 + "x" * 300, "UTC"),
        ("0 9 * * *", "Europe/Nowhere"),
        ("0 9 * * *", ""),
        ("0 9 * * *", "../../etc/passwd"),
        ("0 9 * * *", "/etc/localtime"),
        ("0 9 * * *", "a\x00b"),
        ("0 9 * * *", "Europe"),
    ],
)
def test_what_is_no_cron_expression_or_no_time_zone_is_refused(expression: str, zone: str) -> None:
    with pytest.raises(InvalidCron):
        Cron(expression, zone).check()


def test_times_are_of_the_time_zone() -> None:
    times = Cron("0 9 * * MON", "America/New_York").several_after(ms("2027-01-01T00:00:00Z"), 2)
    assert times == (ms("2027-01-04T14:00:00Z"), ms("2027-01-11T14:00:00Z"))


def test_a_time_that_does_not_exist_runs_right_after_the_gap() -> None:
    times = Cron("30 2 * * *", BERLIN).several_after(ms("2027-03-27T12:00:00Z"), 2)
    assert shown(times) == ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]


def test_a_time_that_exists_twice_runs_once() -> None:
    times = Cron("30 2 * * *", BERLIN).several_after(ms("2027-10-30T12:00:00Z"), 2)
    assert shown(times) == ["2027-10-31T02:30:00+02:00", "2027-11-01T02:30:00+01:00"]


def test_steps_go_on_through_the_hour_that_exists_twice() -> None:
    times = Cron("*/30 * * * *", BERLIN).several_after(ms("2027-10-30T23:50:00Z"), 5)
    assert [after - before for before, after in pairwise(times)] == [30 * MINUTE_MS] * 4


@pytest.mark.parametrize(
    "expression", ["30 2 * * *", "*/30 * * * *", "0 */2 * * *", "15 1-3 * * *"]
)
@pytest.mark.parametrize("day", ["2027-03-27", "2027-10-30"])
def test_looking_back_finds_what_looking_ahead_found(expression: str, day: str) -> None:
    cron = Cron(expression, BERLIN)
    first, last = ms(f"{day}T00:00:00Z"), ms(f"{day}T00:00:00Z") + 3 * 24 * 60 * MINUTE_MS
    ahead = tuple(at for at in cron.several_after(first - 1, 500) if at <= last)
    assert cron.newest_between(first, last, 500) == ahead
    assert cron.newest_between(first, last, 2) == ahead[-2:]


def test_nothing_comes_after_the_end() -> None:
    cron = Cron("0 0 * * *", "UTC")
    now = ms("2027-01-01T12:00:00Z")
    assert cron.after(now, now + 1) is None
    assert cron.several_after(now, 5, ms("2027-01-03T00:00:00Z")) == (
        ms("2027-01-02T00:00:00Z"),
        ms("2027-01-03T00:00:00Z"),
    )


def test_the_end_of_time_is_no_error() -> None:
    late = int((datetime(8999, 12, 31, 12, tzinfo=UTC) - timedelta(0)).timestamp() * 1000)
    assert Cron("0 0 * * *", "UTC").several_after(late, 5) == (ms("9000-01-01T00:00:00Z"),)


def test_what_is_due_now_runs_whatever_the_policy_for_what_was_missed() -> None:
    cron, at = Cron("* * * * *", "UTC"), ms("2027-01-01T12:00:00Z")
    for policy in Missed:
        assert due(cron, policy, at, at + 500) == due(cron, policy, at, at)
        assert due(cron, policy, at, at).run_ms == (at,)
        assert due(cron, policy, at, at - 1).run_ms == ()


def test_what_was_missed_is_skipped_or_made_up_for_once_or_all() -> None:
    cron, at = Cron("*/10 * * * *", "UTC"), ms("2027-01-01T12:00:00Z")
    now = at + 35 * MINUTE_MS
    times = tuple(at + step * 10 * MINUTE_MS for step in range(4))
    assert due(cron, Missed.SKIP, at, now).run_ms == ()
    assert due(cron, Missed.SKIP, at, now).missed == 4
    once = due(cron, Missed.ONCE, at, now)
    assert (once.run_ms, once.missed, once.newest_missed_ms) == (times[-1:], 3, times[-2])
    assert due(cron, Missed.ALL, at, now).run_ms == times
    # One that is on time is enough.
    on_time = at + 40 * MINUTE_MS
    assert due(cron, Missed.ONCE, at, on_time + ON_TIME_MS).run_ms == (on_time,)


def test_a_long_absence_makes_up_for_only_so_many() -> None:
    cron, at = Cron("* * * * *", "UTC"), ms("2027-01-01T12:00:00Z")
    years_later = due(cron, Missed.ALL, at, at + 5 * 365 * 24 * 60 * MINUTE_MS)
    # Those and what is on time: this minute, and the one a minute ago.
    assert len(years_later.run_ms) == MADE_UP_MAX + 2
    assert years_later.missed


def test_a_run_beside_an_earlier_one_is_skipped_waits_or_starts() -> None:
    for policy in Overlap:
        assert begin(policy, going=0, waiting_before=0) is Begin.START
    assert begin(Overlap.ALLOW, going=3, waiting_before=0) is Begin.START
    assert begin(Overlap.SKIP, going=1, waiting_before=0) is Begin.SKIP
    assert begin(Overlap.QUEUE, going=1, waiting_before=0) is Begin.WAIT
    assert begin(Overlap.QUEUE, going=1, waiting_before=WAITING_MAX) is Begin.SKIP
