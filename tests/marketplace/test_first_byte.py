"""How long a replica may say nothing: by what it has done before, and never longer than the catalogue says."""

import pytest

from neurogrid_marketplace.first_byte import LEAST_MS, FirstBytes, Work, WorkKind

MOST_MS = 300_000


def seen(kind: WorkKind, *came: tuple[int, int]) -> FirstBytes:
    """After answers that took so many milliseconds, for so much."""
    first_bytes = FirstBytes()
    for took_ms, size in came:
        first_bytes = first_bytes.came(Work(kind, size), took_ms)
    return first_bytes


@pytest.mark.parametrize("kind", WorkKind)
def test_what_is_known_is_ten_times_the_slowest_for_as_much_work(kind: WorkKind) -> None:
    known = seen(kind, (2_000, 100), (4_000, 100), (1_000, 100))
    assert known.limit_ms(Work(kind, 100), MOST_MS) == 40_000
    # Ten times as much may take ten times as long; less is no reason to be quicker.
    assert known.limit_ms(Work(kind, 500), MOST_MS) == 200_000
    assert known.limit_ms(Work(kind, 1), MOST_MS) == 40_000
    assert known.limit_ms(Work(kind, 10_000), MOST_MS) == MOST_MS


def test_where_too_little_is_known_the_catalogues_limit_holds() -> None:
    work = Work(WorkKind.BEGIN, 100)
    two = seen(WorkKind.BEGIN, (1, 100), (1, 100))
    assert FirstBytes().limit_ms(work, MOST_MS) == two.limit_ms(work, MOST_MS) == MOST_MS
    three = two.came(work, 1)
    assert three.limit_ms(work, MOST_MS) == LEAST_MS
    # Of another kind, or of unknown size, that says nothing.
    assert three.limit_ms(Work(WorkKind.WRITE, 100), MOST_MS) == MOST_MS
    assert three.limit_ms(Work(WorkKind.BEGIN, 0), MOST_MS) == MOST_MS
    assert three.limit_ms(None, MOST_MS) == MOST_MS


def test_nobody_is_given_up_at_once_and_each_further_try_is_given_more_time() -> None:
    known = seen(WorkKind.BEGIN, (1, 9), (2, 9), (3, 9))
    work = Work(WorkKind.BEGIN, 9)
    assert [known.limit_ms(work, MOST_MS, tries) for tries in range(4)] == [
        *(LEAST_MS, 4 * LEAST_MS, 16 * LEAST_MS, MOST_MS)
    ]
    assert known.limit_ms(work, 5_000) == 5_000, "the catalogue's limit is never passed"


def test_one_slow_answer_is_forgotten_and_what_is_kept_is_bounded() -> None:
    known = seen(WorkKind.WRITE, (20_000, 10), *[(100, 10)] * 31)
    work = Work(WorkKind.WRITE, 10)
    assert known.limit_ms(work, MOST_MS) == 200_000
    known = known.came(work, 100)
    assert known.limit_ms(work, MOST_MS) == LEAST_MS
    assert len(known.seen[WorkKind.WRITE]) == 32
    assert known.came(Work(WorkKind.WRITE, 0), 1).limit_ms(work, MOST_MS) == LEAST_MS
