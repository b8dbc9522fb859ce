import pytest

from neurogrid_coordinator.api import rate_limit
from neurogrid_coordinator.api.rate_limit import RateLimit

NOW_S = 1_800_000_000.0


def test_a_window_may_be_used_at_once_and_then_fills_evenly() -> None:
    limit = RateLimit(60)
    verdicts = [limit.take("key", NOW_S) for _ in range(60)]
    assert [verdict.remaining for verdict in verdicts] == list(range(59, -1, -1))
    assert all(verdict.retry_after_s == 0 for verdict in verdicts)
    refused = limit.take("key", NOW_S)
    assert (refused.remaining, refused.retry_after_s) == (0, 2)
    assert refused.full_at_s == NOW_S + 61
    # One token a second; what is refused costs none.
    assert limit.take("key", NOW_S + 1.5).retry_after_s == 0
    assert limit.take("key", NOW_S + 1.5).retry_after_s == 1
    assert limit.take("key", NOW_S + 3600).remaining == 59


def test_a_clock_that_jumps_back_gives_and_takes_nothing() -> None:
    limit = RateLimit(2)
    limit.take("key", NOW_S)
    assert limit.take("key", NOW_S - 1000).remaining == 0
    assert limit.take("key", NOW_S - 1000).retry_after_s > 0


def test_names_are_counted_apart_and_the_oldest_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limit, "_BUCKETS_MAX", 2)
    limit = RateLimit(1)
    for name in ("a", "b"):
        assert limit.take(name, NOW_S).retry_after_s == 0
        assert limit.take(name, NOW_S).retry_after_s > 0
    limit.take("c", NOW_S)
    assert limit.take("b", NOW_S).retry_after_s > 0
    assert limit.take("a", NOW_S).retry_after_s == 0


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        RateLimit(0)
